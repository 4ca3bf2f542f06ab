"""What counts as evidence: one definition for rewards, checks, metrics and views.

A quote is evidence where it stands in the note in whole words, is short, holds a word
of content, and is neither a header nor a mask. Polarity counts: what the note denies is
no finding, unless the quote says so too ("denies vomiting"). How much a quote is worth
depends on what is usual: words that are commoner in training notes of the answer's
category than elsewhere tell something, words of every note tell nothing.
"""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from deepicd.common.progress import counted
from deepicd.tasks.clauses import NEGATIONS, STOP_WORDS, tokenise
from deepicd.tasks.quotes import locate, quotes, word_spans
from deepicd.tasks.task import above as above_labels

DATA_FILES = ("background.json",)
LONGEST = 8  # words of a quote; a whole section is no evidence
MOST_QUOTED = 0.3  # share of the note's words; who quotes more points at nothing
ENOUGH = 2.0  # findings of full worth that make the case
ABOVE_WORTH = 0.5  # of what tells for the coarsest level
_CONTENT = re.compile(r"[a-z]{2}")
# A lift of e^0.7 = 2 is worth nothing yet, one of e^2.3 = 10 everything. A common class
# cannot lift a word so far; there what it can, and a bit more, is everything.
_LOW, _HIGH, _ROOM = 0.7, 2.3, 0.5
_PRIOR = 4.0  # notes by which a class is shrunk towards all notes
_FEWEST = 3  # notes of the class that hold the word


class Word(NamedTuple):
    """A word of a note as evidence sees it.

    Attributes
    ----------
    text : str
    muted : bool
        Governed by a negation, or part of a header.
    weight : float
        Of its section: less for home drugs, allergies, family and social history.
    """

    text: str
    muted: bool
    weight: float

    @property
    def feature(self) -> str:
        """The word, or the absence of what it names."""
        return f"~{self.text}" if self.muted else self.text


class Quoted(NamedTuple):
    """One quote and what is to be said of it.

    Attributes
    ----------
    text : str
    problem : str
        Empty, or why it is no evidence.
    words : tuple of Word
        Its words of content; empty where there is a problem.
    places : tuple of int
        Numbers of all its words in the note; empty where it does not stand there.
    """

    text: str
    problem: str = ""
    words: tuple[Word, ...] = ()
    places: tuple[int, ...] = ()


def has_content(word: str) -> bool:
    """Whether a word can say something: no number, stop word or negation."""
    return (
        word not in STOP_WORDS
        and word not in NEGATIONS
        and _CONTENT.search(word) is not None
    )


@lru_cache(maxsize=512)
def read_note(note: str) -> tuple[Word, ...]:
    """Words of a note with polarity and section, one for each of `word_spans`."""
    tokens = tokenise([note])
    known = {
        int(start): (bool(muted), float(weight))
        for start, muted, weight in zip(
            tokens.start, tokens.muted, tokens.weight, strict=True
        )
    }
    return tuple(
        Word(word, *known.get(start, (False, 1.0)))
        for word, start, _ in word_spans(note)
    )


@lru_cache(maxsize=4096)
def judge_quote(quote: str, note: str) -> Quoted:
    """Whether a quote is evidence in a note, and of what.

    Examples
    --------
    >>> note = "CHIEF COMPLAINT: Chest pain\\n\\nDenies vomiting. Fever of 39."
    >>> for said in ("chest pain", "chest pai", "CHIEF COMPLAINT:", "vomiting",
    ...              "denies vomiting", "of", "cough"):
    ...     print(f"{said}: {judge_quote(said, note).problem or 'evidence'}")
    chest pain: evidence
    chest pai: not in the note
    CHIEF COMPLAINT:: a header
    vomiting: the note denies it
    denies vomiting: evidence
    of: without content
    cough: not in the note
    """
    pieces = locate(quote, note)
    if not pieces:
        return Quoted(quote, "not in the note")
    told = read_note(note)
    places = tuple(i for start, end in pieces for i in range(start, end))
    inside = [told[i] for i in places]
    content = [word for word in inside if has_content(word.text)]
    negated = any(word.text in NEGATIONS for word in inside)
    problem = ""
    if len(places) > LONGEST:
        problem = "too long"
    elif not content:
        problem = "without content"
    elif all(word.muted for word in content) and not negated:
        problem = _why_muted(quote, note)
        again = None if problem == "" else _elsewhere(quote, note, told)
        if again:
            return Quoted(quote, "", again[0], again[1])
    if problem:
        return Quoted(quote, problem, (), places)
    return Quoted(quote, "", tuple(content), places)


def _why_muted(quote: str, note: str) -> str:
    start, end = locate(quote, note)[0]
    after = note[word_spans(note)[end - 1][2] :].lstrip(" \t")
    return "a header" if after.startswith(":") else "the note denies it"


def _elsewhere(quote: str, note: str, told) -> tuple | None:
    """Content and places of a later occurrence that is neither denied nor a header."""
    said = [word for word, _, _ in word_spans(quote)]
    for i in range(len(told) - len(said) + 1):
        inside = told[i : i + len(said)]
        if [word.text for word in inside] == said:
            content = tuple(word for word in inside if has_content(word.text))
            if not all(word.muted for word in content):
                return content, tuple(range(i, i + len(said)))
    return None


def judge_quotes(thought: str, note: str) -> list[Quoted]:
    """Every distinct quote of a reasoning text, judged.

    Examples
    --------
    >>> said = 'The "chest pain" and "Chest  pain" with "fever".'
    >>> [(q.text, q.problem) for q in judge_quotes(said, "Chest pain at rest.")]
    [('chest pain', ''), ('fever', 'not in the note')]
    """
    found: dict[tuple, Quoted] = {}
    for span in quotes(thought):
        key = tuple(word for word, _, _ in word_spans(span.text))
        if key and key not in found:
            found[key] = judge_quote(span.text, note)
    return list(found.values())


@dataclass(frozen=True, eq=False)
class Background:
    """How much each word tells for each class, learned from training notes.

    Attributes
    ----------
    worth : dict of str to dict of str to float
        By node of the tree: words (with ``~`` before those that are denied) and their
        worth from 0 to 1; a word that is not named is worth nothing.
    """

    worth: dict[str, dict[str, float]]

    @classmethod
    def of(cls, notes: Iterable[str], labels: Iterable[str], space) -> "Background":
        """Learn what is usual from notes with labels.

        Parameters
        ----------
        notes, labels : iterable of str
            Of the training split only.
        space : IcdTree
            Has `at(label, level)`.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> notes = ["Crushing chest pain."] * 6 + ["Wheeze and pain."] * 60
        >>> codes = ["I21.4"] * 6 + ["J44.1"] * 60
        >>> learned = Background.of(notes, codes, load_tree())
        >>> learned.value(Word("crushing", False, 1.0), "I21.11", load_tree()) > 0.3
        True
        >>> learned.value(Word("pain", False, 1.0), "I21.11", load_tree())
        0.0
        """
        everywhere, size, total = Counter(), Counter(), 0
        inside: dict[str, Counter] = defaultdict(Counter)
        pairs = list(zip(notes, labels, strict=True))
        for note, label in counted(pairs, "notes: learning what is usual"):
            told = {w.feature for w in read_note(note) if has_content(w.text)}
            everywhere.update(told)
            total += 1
            for level in dict.fromkeys((above_labels(space), space.levels[0])):
                node = _node(label, level, space)
                size[node] += 1
                inside[node].update(told)
        worth = {
            node: {
                word: value
                for word, held in counts.items()
                if held >= _FEWEST
                and (value := _lift(held, size[node], everywhere[word], total)) > 0
            }
            for node, counts in inside.items()
        }
        return cls(worth)

    def value(self, word: Word, label: str, space) -> float:
        """Worth of a word of content for a label: 0 to 1.

        For a class that the training notes do not hold, the section decides alone.
        """
        own = self.worth.get(_node(label, above_labels(space), space))
        above = self.worth.get(_node(label, space.levels[0], space))
        if own is None and above is None:
            return 0.0 if word.muted else word.weight
        near = (own or {}).get(word.feature, 0.0)
        far = ABOVE_WORTH * (above or {}).get(word.feature, 0.0)
        return word.weight * max(near, far)


def _node(label: str, level: str, space) -> str:
    return f"{level} {space.at(label, level)}"


def _lift(held: int, size: int, usual: int, total: int) -> float:
    """Worth of a word that `held` of `size` notes of a class hold, and `usual` of all.

    One note is left out, so that no note is evidence for itself. A class of every
    fourth note cannot hold a word more than four times as often as all notes do.
    """
    share = (held - 1 + _PRIOR * usual / total) / (size - 1 + _PRIOR)
    most = min(_HIGH, max(math.log(total / size), _LOW) + _ROOM)
    value = (math.log(share * total / usual) - _LOW) / (most - _LOW)
    return round(min(max(value, 0.0), 1.0), 2)


@lru_cache(maxsize=1)
def default_background() -> Background:
    """What is usual in the synthetic corpus (`deepicd.data.synthetic.background`)."""
    file = Path(__file__).with_name("background.json")
    return Background(json.loads(file.read_text(encoding="utf-8")))


def evidence(
    thought: str, note: str, label: str, space, background: Background | None = None
) -> float:
    """How well the quotes of a reasoning text support an answer: 0 to 1.

    Each distinct quote is worth what its most telling word is, times the share of its
    words that tell something; a word is counted once. `ENOUGH` such findings make the
    case. The sum is multiplied by the mean, so
    that quoting much and hoping pays less than quoting what matters. A text that
    quotes more than `MOST_QUOTED` of the note earns nothing.

    Parameters
    ----------
    thought, note : str
    label : str
        The answer that the quotes are to support.
    space : IcdTree
    background : Background, optional
        Default: `default_background`.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> note = "Crushing chest pain. ECG with ST elevations. Denies vomiting."
    >>> said = '"ST elevations" with "crushing chest pain".'
    >>> evidence(said, note, "I21.11", load_tree()) > 0.2
    True
    >>> evidence('"vomiting", "Crushing che", "with"', note, "I21.11", load_tree())
    0.0
    """
    background = background or default_background()
    judged = judge_quotes(thought, note)
    places = {place for quote in judged for place in quote.places}
    if not judged or len(places) > MOST_QUOTED * len(read_note(note)) + LONGEST:
        return 0.0
    found = worths(judged, label, space, background)
    return min(1.0, sum(found) / ENOUGH) * sum(found) / len(found)


def worths(
    judged: Sequence[Quoted], label: str, space, background: Background
) -> list[float]:
    """Worth of each quote; a word that an earlier quote holds is worth nothing."""
    credited: set[str] = set()
    found = []
    for quote in judged:
        fresh = [word for word in quote.words if word.feature not in credited]
        credited |= {word.feature for word in fresh}
        values = [background.value(word, label, space) for word in fresh]
        telling = sum(value > 0 for value in values) / max(len(values), 1)
        found.append(telling * max(values, default=0.0))
    return found
