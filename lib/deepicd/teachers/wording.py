"""How a rule-written trace sounds: short names of the tree, frames, connectives."""

import re
from functools import lru_cache

CHAPTERS = {
    "1": "infectious", "2": "neoplasm", "3": "blood or immune", "4": "endocrine",
    "5": "mental", "6": "nervous system", "7": "eye", "8": "ear",
    "9": "circulatory", "10": "respiratory", "11": "digestive", "12": "skin",
    "13": "musculoskeletal", "14": "genitourinary", "15": "pregnancy",
    "16": "perinatal", "17": "congenital", "18": "symptom", "19": "injury",
    "20": "external cause", "21": "health status", "22": "special purpose",
}  # fmt: skip
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


def as_noun(detail: str) -> str:
    """Make a detail that starts with a preposition a noun phrase."""
    small = detail.split(" ", 1)[0] in {"with", "without", "due", "not"}
    return f"the form {detail}" if small else detail


SHORT = {
    "open": (
        "{evidence}: {chapter} ({number}).",
        "{evidence}, so {chapter} ({number}).",
        "Chapter {number}, {chapter}: {evidence}.",
        "{evidence} lead to {chapter} ({number}).",
    ),
    "category": ("{Category}, {code3}", "{code3}, {category}"),
    "single": ("{Category}", "This is {category}"),
    "sibling": (
        "; {quote} points to {detail_noun}.",
        "; {quote}: {detail}.",
        "; {detail} given {quote}.",
    ),
    "missing": (
        "; no {missing}, so {detail}.",
        "; {detail}, no {missing}.",
    ),
    "detail": ("; {detail}.",),
    "close": ("{code}.", "So {code}.", "Code {code}."),
}
LONG = {
    "open": (
        "The findings that carry weight are {evidence}. They belong to chapter "
        "{number}, {chapter_title}.",
        "Reading the note, {evidence} stand out. Together they place the problem in "
        "chapter {number}, {chapter_title}.",
        "What brings the patient in is told by {evidence}; that is the territory of "
        "chapter {number}, {chapter_title}.",
        "Chapter {number}, {chapter_title}, is where {evidence} lead.",
    ),
    "category": (
        " Within it, block {block} ({block_title}) narrows the search, and the picture"
        " is that of {code3}, {category_title}.",
        " Among its blocks {block} ({block_title}) fits best. The category is {code3}:"
        " {category_title}.",
    ),
    "single": (
        " Within it, block {block} ({block_title}) holds the answer, {category_title},"
        " which is not divided further.",
    ),
    "sibling": (
        " What separates the codes of this category here is {quote}: in notes like"
        " this one it goes with {detail_noun} rather than {other}.",
        " {other_upper} would be the alternative, but {quote} speaks for"
        " {detail_noun}.",
    ),
    "missing": (
        " {other_upper} would be the alternative, yet there is no {missing} in the"
        " note, which leaves {detail_noun}.",
        " Nothing such as {missing} is mentioned, so {detail_noun} is more likely than"
        " {other}.",
    ),
    "detail": (" The description that fits is {detail_noun}.",),
    "close": (
        " The first-listed diagnosis is therefore {code}.",
        " This leads to {code}.",
        " All in all the code is {code}.",
    ),
}
FRAMES = {"short": SHORT, "long": LONG}
