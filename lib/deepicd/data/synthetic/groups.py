"""The DRG of a stay by its rule, and how its comorbidities grade it.

The code (with what is done for it) gives the base DRG; the most severe secondary
diagnosis says which member of it the stay is paid by. Numbers of the members follow one
another, from the most severe down.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from deepicd.data.synthetic.knowledge import Entry, Knowledge
from deepicd.data.synthetic.model import Model

GRADES = ("none", "CC", "MCC")
_ENDING = re.compile(r" (W MCC|W CC|W/O MCC|W/O CC/MCC)(?: OR .*)?$")
_THREE = ("W MCC", "W CC", "W/O CC/MCC")
_MAJOR = ("W MCC", "W/O MCC")
_ANY = ("W CC/MCC", "W/O CC/MCC")
# Where the title of one member does not tell how many there are: numbers of groups
# that only a major comorbidity divides, and of those that any divides.
_BY_MAJOR = (54, 175, 304, 595, 811, 871, 917)
_BY_ANY = (117, 122, 203, 743, 766)


@lru_cache(maxsize=1024)
def members(entry: Entry) -> tuple[tuple[str, str], ...]:
    """Number and title of a code's DRG for each of `GRADES`.

    Examples
    --------
    >>> from deepicd.data.synthetic.knowledge import load_knowledge
    >>> pneumonia = next(e for e in load_knowledge().entries if e.code == "J13")
    >>> [number for number, _ in members(pneumonia)]
    ['195', '194', '193']
    """
    number, title = int(entry.drg[0]), entry.drg[1]
    found = _ENDING.search(title)
    if not found:
        return ((f"{number:03d}", title),) * len(GRADES)
    endings = _MAJOR if number in _BY_MAJOR or found[1] == _MAJOR[1] else _THREE
    endings = _ANY if number in _BY_ANY else endings
    first = number - endings.index(found[1])
    titles = [f"{title[: found.start()]} {ending}" for ending in endings]
    titles[number - first] = title
    middle = {_THREE: 1, _MAJOR: -1, _ANY: 0}[endings]
    places = [range(len(endings))[i] for i in (-1, middle, 0)]
    return tuple((f"{first + place:03d}", titles[place]) for place in places)


def titles_of(knowledge: Knowledge) -> dict[str, str]:
    """Number to title of every DRG that the codes can be paid by."""
    found = {n: title for e in knowledge.entries for n, title in members(e)}
    return dict(sorted(found.items()))


def grade_of(knowledge: Knowledge, codes: list[str]) -> int:
    """Place in `GRADES` of the most severe of some secondary diagnoses."""
    return max((knowledge.complications.get(code, 0) for code in codes), default=0)


@dataclass(frozen=True)
class Grades:
    """How likely each grade is, by code and by what a note says.

    Attributes
    ----------
    said : tuple of (columns, array of shape (columns, codes))
        For no comorbidity and for one that is not major: columns of the notes that
        name a more severe one, and for which codes it counts.
    later : array, shape (codes, 2)
        Probability that what a stay is coded with beyond its note is no more severe.
    """

    said: tuple[tuple[np.ndarray, np.ndarray], ...]
    later: np.ndarray

    def shares(self, hits: np.ndarray) -> np.ndarray:
        """Probability of each grade, given code and note, shape (n, codes, grades)."""
        within = [
            (hits[:, columns].astype(float) @ counts == 0) * self.later[:, i]
            for i, (columns, counts) in enumerate(self.said)
        ]
        up_to = np.stack([*within, np.ones_like(within[0])], axis=2)
        return np.diff(up_to, axis=2, prepend=0.0)


@lru_cache(maxsize=4)
def grades_of(model: Model) -> Grades:
    """Read from the knowledge base which comorbidities count, and how often.

    A comorbidity of the code's own category does not count.
    """
    known, entries = model.knowledge, model.knowledge.entries
    named = [
        known.variables[v].code if option >= 0 else ""
        for v, option in zip(model.column_variable, model.column_option, strict=True)
    ]
    said, later = [], np.ones((len(entries), 2))
    for least in (1, 2):
        graver = {c for c, grade in known.complications.items() if grade >= least}
        columns = np.array([i for i, c in enumerate(named) if c in graver], dtype=int)
        counts = [[counts_for(e, named[i]) for e in entries] for i in columns]
        said.append((columns, np.array(counts, float).reshape(-1, len(entries))))
        for row, entry in enumerate(entries):
            own = [
                round(100 * share) / 100
                for code, share in entry.secondary.items()
                if code in graver and counts_for(entry, code)
            ]
            later[row, least - 1] = np.prod(1 - np.array(own))
    return Grades(tuple(said), later)


def counts_for(entry: Entry, code: str) -> bool:
    """Whether a secondary diagnosis is listed beside a code."""
    return not code.startswith(entry.category)
