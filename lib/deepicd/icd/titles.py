"""Titles of the catalogue in running text: short, and what sets one apart."""

import re
from functools import lru_cache

_TAIL = re.compile(r"\s*(\(.*?\)|\[.*?\])|,.*$")
_ASIDE = re.compile(r"\s*(\[.*?\]|\((?!acute).*?\))|, (initial|unspecified).*")
_FILLER = re.compile(
    r"^(other and unspecified|other|unspecified|certain)\s+|,?\s*unspecified$", re.I
)
_SMALL = frozenset("a an and for in of on or the to with without due by".split())
_JOINTS = frozenset("of and in or".split())


def shorten(title: str, words: int = 6) -> str:
    """Cut a catalogue title to a few words, first letter small unless an acronym.

    Parameters
    ----------
    title : str
    words : int
        At most this many words are kept.

    Examples
    --------
    >>> shorten("Other chronic obstructive pulmonary disease")
    'chronic obstructive pulmonary disease'
    >>> shorten("ST elevation (STEMI) myocardial infarction of inferior wall", 4)
    'ST elevation myocardial infarction'
    >>> shorten("Epilepsy, unspecified, not intractable")
    'epilepsy'
    """
    text = _FILLER.sub("", _TAIL.sub("", title).strip()) or title
    parts = text.split()[:words]
    while len(parts) > 1 and parts[-1].lower() in _SMALL:
        parts.pop()
    return lower_first(" ".join(parts))


def titles_on_path(code: str, space) -> str:
    """The titles of the nodes from below the chapter down to a code, in one text.

    Parameters
    ----------
    code : str
    space : LabelSpace

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> titles_on_path("I21.4", load_tree()).rpartition("Acute")[2]
    ' myocardial infarction Non-ST elevation (NSTEMI) myocardial infarction'
    """
    return " ".join(space.title(node) for node in space.path(code)[1:] or (code,))


def lower_first(text: str) -> str:
    """Make the first letter small, unless the first word is an acronym."""
    first = text.split(" ", 1)[0]
    keeps = len(first) > 1 and not first[1:].islower()
    return text if keeps or not text else text[0].lower() + text[1:]


def upper_first(text: str) -> str:
    """Make the first letter large."""
    return text[:1].upper() + text[1:]


@lru_cache(maxsize=100_000)
def distinct_title(title: str, category_title: str, words: int = 7) -> str:
    """What a code's title says beyond its category's title.

    Runs of two or more words that the category's title holds are left out.

    Examples
    --------
    >>> distinct_title("ST elevation (STEMI) myocardial infarction involving right "
    ...                "coronary artery", "Acute myocardial infarction")
    'ST elevation involving right coronary artery'
    >>> distinct_title("Type 2 diabetes mellitus without complications",
    ...                "Type 2 diabetes mellitus")
    'without complications'
    >>> distinct_title("Unspecified acute appendicitis", "Acute appendicitis")
    'not further specified'
    """
    plain = _ASIDE.sub("", title)
    parts = [w.strip("(),") for w in plain.split()]
    known = {w.lower() for w in re.findall(r"[\w'-]+", category_title)}
    if parts[0].lower() in ("other", "unspecified") and len(parts) > 1:
        parts = parts[1:] if {w.lower() for w in parts[1:]} - known else parts
    fresh = _drop_runs(parts, known)
    while fresh and fresh[0].lower() in _SMALL - {"with", "without", "due"}:
        fresh.pop(0)
    fresh = fresh[:words]
    while fresh and fresh[-1].lower() in _SMALL:
        fresh.pop()
    if [w.lower() for w in fresh] in (["unspecified"], ["other"]):
        return "not further specified" if fresh[0][0] in "uU" else "another form"
    if not fresh or {w.lower() for w in fresh} <= known:
        whole = "unspecified" in title.lower()
        return "not further specified" if whole else shorten(title, words)
    return lower_first(" ".join(fresh))


def _drop_runs(parts: list[str], known: set[str]) -> list[str]:
    """Leave out runs of known words that hold at least two content words."""
    kept, run = [], []
    for word in [*parts, ""]:
        if word and (word.lower() in known or (run and word.lower() in _SMALL)):
            run.append(word)
            continue
        content = [w for w in run if w.lower() not in _SMALL]
        if len(content) >= 2:
            kept.extend(_preposition(run))
        else:
            kept.extend(run)
        run = []
        kept.extend([word] if word else [])
    return kept


def _preposition(run: list[str]) -> list[str]:
    """Small words at the end of a run that the rest needs; "of" it does not."""
    at = len(run)
    while at and run[at - 1].lower() in _SMALL:
        at -= 1
    return [] if run[at:] and run[at].lower() in _JOINTS else run[at:]
