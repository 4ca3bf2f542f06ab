"""One trace with all that is needed to judge it, and the limits it is held to."""

from dataclasses import dataclass, field
from functools import cached_property

from deepicd.tasks import quotes as reading


@dataclass
class Limits:
    """Numbers the checks compare with.

    Attributes
    ----------
    words : tuple of int
        Fewest and most words of a trace.
    quotes : int
        Fewest quotes.
    evidence : tuple of float
        Smallest and largest share of the words that stand in quotes of the note.
    copied : float
        Largest share of the words inside runs of 8 words copied from the note.
    repeated : float
        Largest share of runs of 4 words that occur before in the same trace.
    tail : int
        Words after the first mention of the code.
    """

    words: tuple[int, int] = (8, 600)
    quotes: int = 1
    evidence: tuple[float, float] = (0.02, 0.8)
    copied: float = 0.5
    repeated: float = 0.25
    tail: int = 12


@dataclass
class Case:
    """One trace with all that is needed to judge it.

    Attributes
    ----------
    note, gold : str
    trace : str
    answer : str or None
        As the teacher wrote it.
    problem : str or None
        What the parser found wrong with the form.
    tree : deepicd.icd.IcdTree
    later : str or None
        Text of the same summary from after admission; None where there is none.
    lexicon : frozenset of str or None
        Clinical words of the training notes, for findings claimed without quotes.
    """

    note: str
    gold: str
    trace: str
    answer: str | None
    problem: str | None
    tree: object
    later: str | None = None
    lexicon: frozenset[str] | None = None
    limits: Limits = field(default_factory=Limits)

    @cached_property
    def words(self) -> list[str]:
        return reading.words(self.trace)

    @cached_property
    def quotes(self) -> list[reading.Span]:
        return reading.quotes(self.trace)

    @cached_property
    def standing(self) -> list[bool]:
        return [reading.stands_in(q.text, self.note) for q in self.quotes]

    @cached_property
    def codes(self) -> list[reading.Span]:
        return reading.codes(self.trace, self.tree)

    @cached_property
    def own_words(self) -> str:
        """The trace without what it quotes."""
        kept, at = [], 0
        for span in self.quotes:
            kept.append(self.trace[at : span.start])
            at = max(at, span.end)
        return " ".join([*kept, self.trace[at:]])

    @cached_property
    def known_words(self) -> set[str]:
        """Words of the note and of names and titles on the way to the gold code."""
        path = self.tree.path(self.gold)
        names = [*path, *(self.tree.siblings(path[-1]) if path else ())]
        titles = " ".join(f"{name} {self.tree.title(name)}" for name in names)
        return set(reading.padded(self.note).split()) | set(reading.words(titles))

    @cached_property
    def evidence_share(self) -> float:
        quoted = zip(self.quotes, self.standing, strict=True)
        count = sum(len(reading.words(q.text)) for q, stands in quoted if stands)
        return count / max(1, len(self.words))

    @cached_property
    def copied_share(self) -> float:
        return _covered(self.words, reading.padded(self.note), 8)


def _covered(words: list[str], body: str, n: int) -> float:
    """Share of words inside runs of n that the body holds."""
    inside = [False] * len(words)
    for i in range(len(words) - n + 1):
        if f" {' '.join(words[i : i + n])} " in body:
            inside[i : i + n] = [True] * n
    return sum(inside) / max(1, len(words))
