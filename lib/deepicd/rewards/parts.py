"""Parts that can be added to any outcome: pure functions of text, note and spec."""

import re
from collections.abc import Callable
from functools import lru_cache

from deepicd.rewards.spec import RewardSpec
from deepicd.tasks.format import Parsed

_QUOTE = re.compile(r"\"([^\"\n]{1,400})\"|\u201c([^\u201c\u201d\n]{1,400})\u201d")


def quotations(think: str, shortest: int = 1) -> list[str]:
    """Distinct quoted phrases of a reasoning text, in order, case folded.

    Examples
    --------
    >>> quotations('The "chest pain" and “ST  elevation”, then "chest pain".')
    ['chest pain', 'st elevation']
    """
    found = (a or b for a, b in _QUOTE.findall(think))
    phrases = (" ".join(phrase.split()).casefold() for phrase in found)
    return list(dict.fromkeys(p for p in phrases if len(p) >= shortest))


def evidence(think: str, note: str, shortest: int = 6) -> float:
    """Share of the quoted phrases that stand in the note; 0 without quotations.

    Case and white space do not matter. Phrases shorter than `shortest`
    characters are ignored: quoting single letters is no evidence.

    Examples
    --------
    >>> evidence('"chest pain", "fever of 39"', "Sudden chest  pain at rest.")
    0.5
    """
    phrases = quotations(think, shortest)
    if not phrases:
        return 0.0
    note = _folded(note)
    return sum(phrase in note for phrase in phrases) / len(phrases)


@lru_cache(maxsize=512)
def _folded(note: str) -> str:
    """A note in one case and spacing; the completions of a group share it."""
    return " ".join(note.split()).casefold()


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


def repetition(text: str, words: int = 4) -> float:
    """Minus the share of word runs that have occurred before in the text.

    Examples
    --------
    >>> repetition("a b c d e f"), repetition("no no no no no no no", words=2)
    (0.0, -0.8333333333333334)
    """
    tokens = text.split()
    runs = len(tokens) - words + 1
    if runs < 2:
        return 0.0
    distinct = len(set(zip(*(tokens[i:] for i in range(words)), strict=False)))
    return -(1.0 - distinct / runs) if distinct < runs else 0.0


TextPart = Callable[[str, Parsed, str | None, str], float]


def text_parts(spec: RewardSpec) -> list[tuple[str, float, TextPart]]:
    """Give the switched-on parts of a spec that need no engine.

    Returns
    -------
    list of tuple
        Name, weight, and a function of the completion, its structure, the code
        that was read and the note. A completion that is no text counts as empty.

    Examples
    --------
    >>> from deepicd.rewards import get_spec
    >>> [name for name, _, _ in text_parts(get_spec("prefix"))]
    ['format']
    """
    names = [part for part in spec.parts if part in _READERS]
    return [(name, spec.weight_of(name), _READERS[name](spec)) for name in names]


def _format(spec: RewardSpec) -> TextPart:
    return lambda text, parsed, code, note: float(parsed.well_formed)


def _validity(spec: RewardSpec) -> TextPart:
    return lambda text, parsed, code, note: float(code is not None)


def _evidence(spec: RewardSpec) -> TextPart:
    shortest = spec.evidence_characters
    return lambda text, parsed, code, note: evidence(parsed.think or "", note, shortest)


def _length(spec: RewardSpec) -> TextPart:
    limit, start = spec.length_limit, spec.length_start
    return lambda text, parsed, code, note: length(len(_text(text)), limit, start)


def _repetition(spec: RewardSpec) -> TextPart:
    words = spec.repetition_words
    return lambda text, parsed, code, note: repetition(_text(text), words)


def _text(completion) -> str:
    return completion if isinstance(completion, str) else ""


_READERS: dict[str, Callable[[RewardSpec], TextPart]] = {
    "format": _format,
    "validity": _validity,
    "evidence": _evidence,
    "length": _length,
    "repetition": _repetition,
}
