"""A guard by content: what reads like a later section is cut from what is kept.

Headers say where sections begin; lines say what they are. For each kept section a
linear model gives every line its evidence, in nats, of not belonging there. The run of
lines with the most evidence is cut where it exceeds the section's limit. The same
models find history that stands under no header in a section that is left out: below its
first paragraph, which is what the header announces. So whatever the headers cut stays
cut, but for such history. How the models are learned stands in `guard_learning`.
"""

import re
import string
from collections.abc import Iterator
from itertools import repeat
from typing import NamedTuple

from deepicd.data.sections.names import KEPT, RANK
from deepicd.data.sections.reader import Mark

# Left out, and before the history: where that lands if its own header is gone.
EARLY = ("service", "attending", "major_procedure")
GUARDED = (*KEPT, *EARLY)
HISTORY = KEPT[:3]
BLANK, FIRST = "(after a blank line)", "(first line)"
_LATER = "later_content"
_DOUBTS = dict.fromkeys(HISTORY, "history_without_header") | {_LATER: "cut_by_content"}
_MOST = 6.0  # nats that one line may say: no single line of many words decides
_COURSE = "brief_hospital_course"
_PARAGRAPH = re.compile(r"\s*+(?:[^\S\n]*+\S.*\n)++[^\S\n]*+\n")
_WORDS = str.maketrans(
    {c: " " for c in string.punctuation if c != "_"} | {c: "0" for c in "123456789"}
)


class Model(NamedTuple):
    """What lines say of one section.

    Attributes
    ----------
    constant : float
        The evidence of a line without words.
    weights : dict
        What each word adds, in nats.
    limit : float
        The evidence from which lines are cut.
    """

    constant: float
    weights: dict[str, float]
    limit: float


class Guard(NamedTuple):
    """The models of the guarded sections, by name."""

    models: dict[str, Model]

    def marks(self, text: str, marks: list[Mark]) -> list[Mark]:
        """Add marks where the content of a section turns to another.

        In a summary with a hospital course, a section that is followed by the one that
        always follows it has no other inside, and is not looked at.

        Parameters
        ----------
        text : str
            The folded summary.
        marks : list of Mark
            Its sections.

        Returns
        -------
        list of Mark
            The same list where nothing is cut.
        """
        names = [name for _, _, name, _ in marks]
        whole, added = _COURSE in names, []
        ends = [*(mark[0] for mark in marks[1:]), len(text)]
        for mark, end, after in zip(marks, ends, [*names[1:], ""], strict=True):
            _, begin, name, _ = mark
            model = self.models.get(name)
            if not model or whole and RANK.get(after, 0) == RANK[name] + 1:
                continue
            other = _history_between(name, after, names) if name in EARLY else _LATER
            if not other:
                continue
            if name in EARLY:
                begin = _second_paragraph(text, begin, end)
            said, first, last = strongest(model, text[begin:end])
            if said > model.limit:
                doubt = _DOUBTS[other]
                added.append((begin + first, begin + first, other, doubt))
                if begin + last < end:  # the section goes on
                    added.append((begin + last, begin + last, name, ""))
        return sorted([*marks, *added]) if added else marks


def _history_between(name: str, after: str, names: list[str]) -> str | None:
    """Say which part of the history has no header and belongs between two sections."""
    ranks = RANK[name], RANK.get(after, len(RANK))
    missing = (n for n in HISTORY if n not in names and ranks[0] < RANK[n] < ranks[1])
    return next(missing, None)


def _second_paragraph(text: str, begin: int, end: int) -> int:
    """Find where a second paragraph begins: the first is what its header says."""
    own = _PARAGRAPH.match(text, begin, end)
    return own.end() if own else end


def strongest(model: Model, body: str) -> tuple[float, int, int]:
    """Find the run of lines with the most evidence: it, its begin and its end.

    Examples
    --------
    >>> model = Model(-1.0, {"admitted": 5.0}, limit=3.0)
    >>> strongest(model, "None\\nShe was admitted\\nNone")
    (4.0, 5, 22)
    """
    constant, weights, _ = model
    best, total, start = (0.0, 0, 0), 0.0, 0
    for at, end, words in lines(body):
        if total <= 0.0:
            total, start = 0.0, at
        said = constant + sum(map(weights.get, words, repeat(0.0)))
        total += max(-_MOST, min(_MOST, said))
        if total > best[0]:
            best = total, start, end
    return best


def lines(body: str) -> Iterator[tuple[int, int, list[str]]]:
    """Give begin, end and words of every line that says something.

    A number counts as so many digits; what precedes the line is a word, too.

    Examples
    --------
    >>> [words for _, _, words in lines("BP 120/80\\n\\nGen: ___")]
    [['bp', '000', '00', '(first line)'], ['gen', '___', '(after a blank line)']]
    """
    lowered = body.lower()
    if len(lowered) != len(body):  # a few letters change length with their case
        lowered = body
    at, before = 0, FIRST
    for line in lowered.translate(_WORDS).split("\n"):
        words, end = line.split(), at + len(line) + 1
        if words:
            if before:
                words.append(before)
            yield at, min(end, len(body)), words
            before = ""
        elif not before:
            before = BLANK
        at = end
