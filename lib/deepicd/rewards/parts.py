"""The parts that come with the repository. Another one: see `registry`."""

from deepicd.rewards.registry import Seen, part
from deepicd.tasks.evidence import evidence, judge_quotes
from deepicd.tasks.quotes import quotes, words


@part("format")
def well_formed(seen: Seen) -> float:
    """1 for a well-formed completion."""
    return float(seen.parsed.well_formed)


@part("validity")
def valid(seen: Seen) -> float:
    """1 for an answer that is a code of the catalogue."""
    return float(seen.code is not None)


@part("evidence", needs=("note", "think"), revision=2)
def quoted_evidence(seen: Seen) -> float:
    """What the quotes tell for the answer (`tasks.evidence`), where the answer's
    category is right (of another space: the level shown above its labels): a policy
    cannot earn it without reading the note."""
    thought = seen.parsed.think
    if not thought or not seen.right_above:
        return 0.0
    return evidence(thought, seen.note, seen.code, seen.tree, seen.background)


@part("unfounded", needs=("note", "think"), low=-1.0, high=0.0)
def unfounded_quotes(seen: Seen) -> float:
    """Minus the share of quotes that are no evidence (`tasks.evidence`), repeated ones
    among them; a quote short of `least_quotes` counts as one, because a policy that
    only has to make no mistake comes to quote once. Whatever the answer is, so that a
    policy that is seldom right learns to read first; more quotes earn nothing."""
    thought = seen.parsed.think or ""
    said = max(len(quotes(thought)), seen.spec.least_quotes)
    good = sum(not quote.problem for quote in judge_quotes(thought, seen.note))
    return good / said - 1.0


@part("length", low=-1.0, high=0.0)
def length_penalty(seen: Seen) -> float:
    """`length` of the completion."""
    return length(len(seen.text), seen.spec.length_limit, seen.spec.length_start)


def length(characters: int, limit: int, start: float = 0.8) -> float:
    """Smooth penalty: 0 up to `start` of the limit, -1 from the limit on.

    Examples
    --------
    >>> length(800, 1000), length(900, 1000), length(5000, 1000)
    (0.0, -0.5, -1.0)
    """
    x = (characters / limit - start) / (1.0 - start)
    x = min(max(x, 0.0), 1.0)
    return -round(x * x * (3.0 - 2.0 * x), 12) + 0.0


@part("repetition", low=-1.0, high=0.0)
def repetition_penalty(seen: Seen) -> float:
    """`repetition` of the completion."""
    return repetition(seen.text, seen.spec.repetition_words)


def repetition(text: str, run: int = 4) -> float:
    """Minus the share of runs of words that have occurred before in the text.

    Examples
    --------
    >>> repetition("a b c d e f"), repetition("no,no,no,no,no,no,no", run=2)
    (0.0, -0.8333333333333334)
    """
    tokens = words(text)
    runs = len(tokens) - run + 1
    if runs < 2:
        return 0.0
    distinct = len(set(zip(*(tokens[i:] for i in range(run)), strict=False)))
    return -(1.0 - distinct / runs) if distinct < runs else 0.0


@part("judge", needs=("note", "think"), many=True)
def judged(batch: list[Seen]) -> list[float]:
    """Grades of a judge on this machine; only answers that could be read are asked."""
    from deepicd.rewards.judge import judge

    items = [
        ((seen.parsed.think or "") if seen.code is not None else "", seen.note)
        for seen in batch
    ]
    return judge(items, batch[0].spec) if batch else []
