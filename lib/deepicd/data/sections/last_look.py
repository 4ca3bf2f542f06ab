"""A last look at a note: does it name the diagnosis that was made after it?

Looked for are the first-listed lines of the discharge diagnosis of the same summary,
and the official title of the label. History may name it: what stands in the medical
history, or is told as history, was known before.
"""

import re
from typing import NamedTuple

from deepicd.data.sections.names import EARLIER
from deepicd.data.sections.splitting import TITLES

FLAG = "names_the_diagnosis"
_HEADS = {title: name for name, title in TITLES.items()} | {EARLIER: "past_stays"}
_SECTION = re.compile(rf"(?:\A|\n\n)({'|'.join(_HEADS)}): ")
_SENTENCE = re.compile(r"(?:[^.;\n]|\.(?!\s)|\n(?!\s*[\n#*\d-]))+[.;]?")
_KNOWN = re.compile(
    r"\b(?:history of|h/o|known|s/p|status post|prior|previous)\b", re.I
)
_SECONDARY = re.compile(r"^\W*(?:secondary|chronic|other|past)\b.*", re.I | re.M | re.S)
_LETTERS = re.compile(r"[a-z]{3,}")
_SAYS_NOTHING = frozenset(
    "acute and chronic diagnoses diagnosis discharge disease disorder due elsewhere "
    "encounter episode final for from initial left nos not oth other primary principal "
    "right secondary site specified status syndrome the type unsp unspecified with "
    "without".split()
)


class Named(NamedTuple):
    """A sentence of the note that names the diagnosis: its section and its span."""

    section: str
    start: int
    end: int


def named(note: str, diagnosis: str, title: str = "") -> list[Named]:
    """Find the sentences that name the diagnosis, beyond what history allows.

    Parameters
    ----------
    note : str
        An admission note; its sections are known by the titles of `admission_note`.
    diagnosis : str
        The discharge diagnosis of the same summary; what follows `Secondary` in it is
        not looked for.
    title : str
        The official title of the label.

    Returns
    -------
    list of Named
        In order.

    Examples
    --------
    >>> note = "CHIEF COMPLAINT: Cough\\n\\nPRESENT ILLNESS: Ill. Lobar pneumonia seen."
    >>> [(n.section, note[n.start : n.end].strip()) for n in named(note, "Pneumonia")]
    [('history_of_present_illness', 'Lobar pneumonia seen.')]
    >>> named(note, "Cellulitis of the leg", "Type 2 diabetes mellitus")
    []
    """
    lines = [*_SECONDARY.sub("", diagnosis).split("\n"), title]
    said = _words(note)
    phrases = [words for words in map(_words, lines) if words and words <= said]
    if not phrases:
        return []
    parts = list(_sections(note))
    history = {w for name, a, b in parts if "past" in name for w in _words(note[a:b])}
    phrases = [words for words in phrases if not words <= history]
    return [
        Named(name, start + sentence.start(), start + sentence.end())
        for name, start, end in parts
        for sentence in _SENTENCE.finditer(note[start:end])
        if not _KNOWN.search(sentence[0])
        and any(words <= _words(sentence[0]) for words in phrases)
    ]


def told(note: str, tells: re.Pattern) -> list[Named]:
    """Find the sentences that match a pattern, beyond what history allows.

    Examples
    --------
    >>> note = "PRESENT ILLNESS: Fever. Admitted to the ICU.\\n\\nMEDICAL HISTORY: ICU"
    >>> [note[n.start : n.end] for n in told(note, re.compile("ICU"))]
    [' Admitted to the ICU.']
    """
    return [
        Named(name, start + sentence.start(), start + sentence.end())
        for name, start, end in _sections(note)
        if "past" not in name
        for sentence in _SENTENCE.finditer(note[start:end])
        if tells.search(sentence[0]) and not _KNOWN.search(sentence[0])
    ]


def without(note: str, found: list[Named]) -> str:
    """Take sentences out of a note.

    Examples
    --------
    >>> without("CHIEF COMPLAINT: Cough. Flu.", [Named("chief_complaint", 23, 28)])
    'CHIEF COMPLAINT: Cough.'
    """
    for _, start, end in reversed(found):
        note = note[:start].rstrip(" ") + note[end:]
    return note


def _sections(note: str):
    heads = list(_SECTION.finditer(note))
    if not heads:  # a note of another source is looked at as a whole
        yield "note", 0, len(note)
        return
    ends = [*(head.start() for head in heads[1:]), len(note)]
    for head, end in zip(heads, ends, strict=True):
        yield _HEADS[head[1]], head.end(), end


def _words(text: str) -> set[str]:
    """Words that say something, by their first six letters: plurals count, too."""
    found = set(_LETTERS.findall(text.lower())) - _SAYS_NOTHING
    return {word[:6] for word in found}
