"""Words by chance: a portable random stream, and what the notes say, in words."""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

from deepicd.data.synthetic.knowledge import Knowledge

_MASK = (1 << 64) - 1
_CHOICE = re.compile(r"<([^<>]*)>")
DRUG_LISTED = 0.85  # share of the comorbidities whose drug is on the list

# Every group of phrases that a writer asks for, in the order of the note. A denial
# is a group of its own: "no hpi".
ORGANS = (
    "Gen",
    "HEENT",
    "Neck",
    "Chest",
    "CV",
    "Lungs",
    "Abd",
    "GU",
    "Ext",
    "Skin",
    "Neuro",
    "Psych",
)
VITALS = ("T", "HR", "BP", "RR", "SpO2")
_SECTIONS = (
    "complaint",
    "onset",
    "hpi",
    "story",
    "ed",
    "pmh",
    "family",
    "social",
    "meds",
    *(f"vitals.{name}" for name in VITALS),
    *(f"exam.{name}" for name in ORGANS),
)
GROUP = {name: i for i, name in enumerate(n for s in _SECTIONS for n in (s, f"no {s}"))}


class Draw:
    """A small counter-free random stream: fast, and equal on every platform.

    Examples
    --------
    >>> draw = Draw(7)
    >>> draw.pick("abc") == Draw(7).pick("abc")
    True
    """

    __slots__ = ("state",)

    def __init__(self, seed: int):
        self.state = (int(seed) * 2 + 1) & _MASK

    def below(self, n: int) -> int:
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & _MASK
        return ((self.state >> 33) * n) >> 31

    def pick(self, options):
        return options[self.below(len(options))]

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent


def expanded(phrases: tuple[str, ...]) -> list[str]:
    """Write out the <a|b> choices so that picking one is a single draw.

    Each phrasing keeps the same share, however many choices it holds.

    Examples
    --------
    >>> expanded(("pain", "<2|3> days"))
    ['pain', 'pain', '2 days', '3 days']
    """
    forms = []
    for phrase in phrases:
        parts = _CHOICE.split(phrase)
        options = [p.split("|") if i % 2 else [p] for i, p in enumerate(parts)]
        forms.append(["".join(words) for words in product(*options)])
    size = math.lcm(*(len(form) for form in forms))
    return [text for form in forms for text in form for _ in range(size // len(form))]


@dataclass(frozen=True, eq=False)
class Table:
    """Phrases of all columns in one row: column `c` has `count[c]` from `first[c]`."""

    text: np.ndarray
    first: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, groups: list[list[str]]) -> "Table":
        count = np.array([len(group) for group in groups])
        text = np.array([t for group in groups for t in group] or [""], dtype=object)
        return cls(text, np.cumsum(count) - count, count)

    def pick(self, columns: np.ndarray, draw: np.ndarray) -> list[str]:
        """Pick a phrase for each column by a uniform number."""
        which = (draw * self.count[columns]).astype(np.int64)
        return self.text[self.first[columns] + which].tolist()


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The words behind the columns of a model, ready to be picked in bulk."""

    order: np.ndarray  # columns, sorted by the group they are written in
    group: np.ndarray  # group of each column, in that order
    phrases: Table
    drugs: Table
    code: np.ndarray
    onset: np.ndarray
    event: np.ndarray


@lru_cache(maxsize=8)
def lexicon(knowledge: Knowledge) -> Lexicon:
    """Gather the phrases of a knowledge base."""
    pairs = [
        (v, o)
        for v in knowledge.variables
        for o in (*range(len(v.options)), *((-1,) if v.no else ()))
    ]
    group = np.array([GROUP["no " * (o < 0) + v.section] for v, o in pairs])
    order = np.argsort(group, kind="stable")
    pairs = [pairs[i] for i in order]
    named = [(v.key, v.names[o]) for v, o in pairs]
    events = {name for v, _ in pairs for name in v.events}
    return Lexicon(
        order,
        group[order],
        Table.of([expanded(v.no if o < 0 else v.options[o]) for v, o in pairs]),
        Table.of([expanded(v.drugs) if v.drugs and o >= 0 else [] for v, o in pairs]),
        np.array([v.code if o >= 0 else "" for v, o in pairs], dtype=object),
        np.array([name if key == "onset" else "" for key, name in named]),
        np.array([key == "complaint" and name in events for key, name in named]),
    )


class Said:
    """What one note says, grouped for the writers of the sections."""

    __slots__ = ("bounds", "codes", "draw", "drugs", "event", "onset", "sex", "words")

    @property
    def planned(self) -> bool:
        return self.onset == "planned"

    @property
    def sudden(self) -> bool:
        return self.event or self.onset in ("minutes", "hours")

    def yes(self, section: str) -> list[str]:
        """Phrases of what is said to be present."""
        group = GROUP[section]
        return self.words[self.bounds[group] : self.bounds[group + 1]]

    def no(self, section: str) -> list[str]:
        """Phrases of what is said to be absent."""
        group = GROUP[section] + 1
        return self.words[self.bounds[group] : self.bounds[group + 1]]

    def one(self, section: str) -> str:
        return self.words[self.bounds[GROUP[section]]]


def speak(words: Lexicon, hits: np.ndarray, rng, sexes, draws) -> list[Said]:
    """Turn what the notes say into words.

    Parameters
    ----------
    words : Lexicon
        The phrases.
    hits : array of bool, shape (n, columns)
        What each note says.
    rng : numpy Generator
        Picks the phrasings; no choice depends on the code.
    sexes, draws : sequence
        "F" or "M" and the random stream, per note.

    Returns
    -------
    list of Said
        One per note.
    """
    note, column = np.nonzero(hits[:, words.order])
    chance = rng.random((3, len(note)))
    texts = words.phrases.pick(column, chance[0])
    cells = np.bincount(
        note * len(GROUP) + words.group[column], minlength=len(hits) * len(GROUP)
    ).reshape(len(hits), -1)
    ends = np.cumsum(cells.sum(axis=1))
    bounds = np.hstack([np.zeros((len(hits), 1), int), np.cumsum(cells, axis=1)])
    treated = (words.drugs.count[column] > 0) & (chance[1] < DRUG_LISTED)
    drugs = words.drugs.pick(column[treated], chance[2][treated])
    coded = words.code[column] != ""
    codes = words.code[column[coded]].tolist()
    drug_at = _edges(note[treated], len(hits))
    code_at = _edges(note[coded], len(hits))
    onset = words.onset[column]
    onset = onset[onset != ""].tolist()  # every note has one
    event = np.bincount(note, words.event[column], len(hits)) > 0
    starts = (ends - cells.sum(axis=1)).tolist()
    ends, bounds = ends.tolist(), bounds.tolist()
    said = []
    for i in range(len(hits)):
        one = Said()
        one.words, one.bounds = texts[starts[i] : ends[i]], bounds[i]
        one.drugs = drugs[drug_at[i] : drug_at[i + 1]]
        one.codes = codes[code_at[i] : code_at[i + 1]]
        one.onset, one.event = onset[i], bool(event[i])
        one.sex, one.draw = sexes[i], draws[i]
        said.append(one)
    return said


def _edges(note: np.ndarray, count: int) -> list[int]:
    return np.searchsorted(note, np.arange(count + 1)).tolist()


def joined(items: list[str], last: str = "and") -> str:
    """Join as English does.

    Examples
    --------
    >>> joined(["fever", "chills", "cough"])
    'fever, chills and cough'
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"


def capital(text: str) -> str:
    """Make the first letter upper case and leave the rest.

    Examples
    --------
    >>> capital("no DVT")
    'No DVT'
    """
    return text[:1].upper() + text[1:]
