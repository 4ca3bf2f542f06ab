"""Words of notes that know their place, clause, negation and section.

A clause ends at punctuation, at a section border and at a de-identification mark;
a line that was only wrapped goes on. Words that a negation governs are muted, and so
are headers ("Neuro:", "FAMILY HISTORY:").
"""

import re
from dataclasses import dataclass
from sys import intern

import numpy as np

from deepicd.common.progress import counted

_TOKEN = re.compile(
    r"(?P<word>[A-Za-z0-9]+(?:[.'/+-][A-Za-z0-9]+)*%?)"
    r"|(?P<stop>[.;!?]|\n(?=\s*\n)|\n(?=[ \t]*[-*#\d]))"
    r"|(?P<line>\n)"
    r"|(?P<cut>[,:()\[\]\"<>=|*#]|_{2,}|\s-\s)"
)
_WRAPPED = 60  # a line of at least this many characters goes on in the next one
_SECTION = re.compile(r"^[ \t]*([A-Z][A-Za-z /]{3,40}):", re.M)
_SECTION_WEIGHTS = {
    "allerg": 0.2,
    "social": 0.3,
    "family": 0.3,
    "medication": 0.4,
    "home": 0.4,
}
_HEADER_WORDS = 5
STOP_WORDS = frozenset(
    "a an and are as at be been but by did do for from had has have he her him his"
    " in into is it its of on or she that the their them then there they this to"
    " was were which while who with would per also past since after before over"
    " under about than when where will during presents presented presenting reports"
    " reported states stated patient pt year-old man woman male female noted found"
    " developed complains complained brought came sided year old yo"
    " showed shows revealed workup last"
    " few less more one two three"
    " hour hours day days week weeks month months year years today ago several".split()
)
NEGATIONS = frozenset("no not denies denied denying without never non negative".split())
_SCOPE_ENDS = frozenset("but however except although though presents reports".split())


@dataclass
class Tokens:
    """Words of many notes as parallel arrays, in reading order.

    Attributes
    ----------
    note, start, end, clause : numpy.ndarray of int
        Row of the note, character span in it, and number of the clause (unique
        over all notes).
    words : list of str
        Lower-case words.
    muted : numpy.ndarray of bool
        True where a negation earlier in the sentence governs the word, and in
        headers.
    weight : numpy.ndarray of float
        How much the section tells about the acute problem: less than 1 in
        allergies, home drugs, family and social history.
    """

    note: np.ndarray
    start: np.ndarray
    end: np.ndarray
    clause: np.ndarray
    words: list[str]
    muted: np.ndarray
    weight: np.ndarray


def tokenise(notes: list[str]) -> Tokens:
    """Split notes into words that know their place, clause and negation.

    Parameters
    ----------
    notes : list of str

    Returns
    -------
    Tokens

    Examples
    --------
    >>> t = tokenise(["Chest pain, no fever or chills. Cough."])
    >>> t.words
    ['chest', 'pain', 'no', 'fever', 'or', 'chills', 'cough']
    >>> [w for w, m in zip(t.words, t.muted) if m]
    ['fever', 'or', 'chills']
    """
    parts: list[np.ndarray] = []
    words: list[str] = []
    clause = 0
    read = counted(notes, "reading notes") if len(notes) > 1 else notes
    for number, text in enumerate(read):
        rows: list[tuple] = []
        clause = _tokenise_one(text, number, clause + 1, rows, words)
        parts.append(np.array(rows, dtype=np.float64).reshape(-1, 6))
    columns = np.concatenate(parts or [np.empty((0, 6))]).T
    note, start, end, clauses = columns[:4].astype(np.int64)
    muted = columns[4].astype(bool) | _headers(notes, note, start, end, clauses)
    return Tokens(note, start, end, clauses, words, muted, columns[5])


def _headers(notes, note, start, end, clause) -> np.ndarray:
    """True for the words of a short clause that a colon closes."""
    if not len(note):
        return np.zeros(0, dtype=bool)
    last = np.flatnonzero(np.diff(clause, append=-1))
    first = np.concatenate([[0], last[:-1] + 1])
    marks = np.zeros(len(note), dtype=bool)
    for i, j in zip(first.tolist(), last.tolist(), strict=True):
        if j - i < _HEADER_WORDS and notes[note[j]][end[j] : end[j] + 1] == ":":
            marks[i : j + 1] = True
    return marks


def _tokenise_one(text, number, clause, rows, words) -> int:
    negated, line_start, weight = False, 0, 1.0
    sections = [
        (m.start(), _section_weight(m.group(1))) for m in _SECTION.finditer(text)
    ]
    sections.reverse()
    for match in _TOKEN.finditer(text):
        kind, start = match.lastgroup, match.start()
        if kind == "word":
            while sections and sections[-1][0] <= start:
                weight = sections.pop()[1]
            word = intern(match.group().lower())
            if word in _SCOPE_ENDS:
                negated = False
            rows.append((number, start, match.end(), clause, negated, weight))
            words.append(word)
            negated = negated or word in NEGATIONS
            continue
        wrapped = kind == "line" and start - line_start >= _WRAPPED
        if kind == "line" or kind == "stop":
            negated = negated and wrapped
        if "\n" in match.group():
            line_start = match.end()
        clause += not wrapped
    return clause


def _section_weight(header: str) -> float:
    name = header.lower()
    return next((w for key, w in _SECTION_WEIGHTS.items() if key in name), 1.0)
