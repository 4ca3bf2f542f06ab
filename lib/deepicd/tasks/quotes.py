"""Read a trace: its words, quotes, codes and sentences.

The one home of the question whether a quote stands in a note: reward, checks, metric,
answers and views ask `locate`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

_WORD = re.compile(r"[a-z0-9]+(?:[.'/%+-][a-z0-9]+)*%?", re.IGNORECASE | re.ASCII)
_QUOTE = re.compile(r'["\u201c\u201d]([^"\u201c\u201d\n]{1,400})["\u201c\u201d]')
# Single quotes hold a blank, or they are apostrophes.
_SINGLE = re.compile(
    r"(?<![\w'])'([^'\n]{1,200} [^'\n]{1,200})'(?![\w'])"
    r"|\u2018([^\u2018\u2019\n]{1,400})\u2019(?!\w)"
)
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\u201d]*\s+(?=[\"'(\u201cA-Z0-9])|\n+")
_PASSAGE = re.compile(r"[\"\u201c\u201d\n]+|(?<=[.;:?!])\s+")
_ELLIPSIS = re.compile(r"\s*(?:\.{3}|\u2026|\[\.\.\.\])\s*")


@dataclass(frozen=True)
class Span:
    """A piece of a trace: its text and its characters from start to end."""

    text: str
    start: int
    end: int


def words(text: str) -> list[str]:
    """Lower-case words; punctuation and white space do not matter.

    Examples
    --------
    >>> words("Temp 38.5,\\nST-elevation  in II/III")
    ['temp', '38.5', 'st-elevation', 'in', 'ii/iii']
    """
    return [word.lower() for word in _WORD.findall(text)]


@lru_cache(maxsize=256)
def padded(text: str) -> str:
    """Words of a text with single blanks between and around, for whole-word search.

    Examples
    --------
    >>> " chest pain " in padded("Has CHEST\\n pain.")
    True
    """
    return f" {' '.join(words(text))} "


@lru_cache(maxsize=256)
def word_spans(text: str) -> tuple[tuple[str, int, int], ...]:
    """Lower-case words of a text with their characters from start to end."""
    # Not of the text in lower case: that of some letters is longer than they are.
    found = _WORD.finditer(text)
    return tuple((m.group().lower(), m.start(), m.end()) for m in found)


def locate(quote: str, text: str) -> list[tuple[int, int]]:
    """Where a quote stands in a text: whole words; case, space and points aside.

    Parameters
    ----------
    quote : str
        An ellipsis is a gap: its pieces stand in the text one behind the other.
    text : str

    Returns
    -------
    list of (int, int)
        First and last word of each piece, as numbers into `word_spans`, the end
        excluded; empty where the quote does not stand there.

    Examples
    --------
    >>> locate("chest ... fever", "Sudden chest pain, fever of 39")
    [(1, 2), (3, 4)]
    >>> locate("chest pai", "Sudden chest pain")
    []
    """
    pieces = [piece for piece in map(words, _ELLIPSIS.split(quote)) if piece]
    body = padded(text)
    if not pieces or any(f" {' '.join(piece)} " not in body for piece in pieces):
        return []
    told, found, at = [word for word, _, _ in word_spans(text)], [], 0
    for piece in pieces:
        size = len(piece)
        at = next(
            (i for i in range(at, len(told) - size + 1) if told[i : i + size] == piece),
            -1,
        )
        if at < 0:
            return []
        found.append((at, at + size))
        at += size
    return found


def stands_in(quote: str, text: str) -> bool:
    """Whether a quote stands in a text; see `locate`.

    Examples
    --------
    >>> stands_in("Chest  pain", "sudden chest\\npain"), stands_in("ST", "history")
    (True, False)
    """
    return bool(locate(quote, text))


def quotes(trace: str) -> list[Span]:
    """Quoted pieces of a trace, in order; a quote inside a quote is no second one.

    Examples
    --------
    >>> [q.text for q in quotes('Has "chest pain", it\\'s \\u201cnew\\u201d.')]
    ['chest pain', 'new']
    >>> [q.text for q in quotes("Has 'chest pain at rest' and the patient's cough.")]
    ['chest pain at rest']
    """
    found = []
    for pattern in (_QUOTE, _SINGLE):
        for match in pattern.finditer(trace):
            start, end = match.span(match.lastindex)
            if not any(s.start <= start < s.end for s in found):
                found.append(Span(trace[start:end], start, end))
    return sorted(found, key=lambda span: span.start)


def share_found(trace: str, note: str) -> float | None:
    """Share of the quotes of a trace that stand in a note; None where there is none.

    Examples
    --------
    >>> share_found('"Chest pain" and "fever".', "Sudden chest pain")
    0.5
    """
    said = [stands_in(quote.text, note) for quote in quotes(trace)]
    return sum(said) / len(said) if said else None


def codes(trace: str, tree) -> list[Span]:
    """Labels named in a trace, in order; text is the label as the space writes it.

    The ends of a range such as I20-I25 do not count.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> [c.text for c in codes("Acute MI (I21), so I2111.", load_tree())]
    ['I21', 'I21.11']
    """
    pattern = tree.named or _in_any_case(tree.written)
    found = []
    for match in pattern.finditer(trace) if pattern else ():
        code = tree.normalise(match.group())
        if code is not None:
            found.append(Span(code, match.start(), match.end()))
    return found


def _in_any_case(pattern: re.Pattern | None) -> re.Pattern | None:
    return pattern and re.compile(pattern.pattern, pattern.flags | re.IGNORECASE)


@lru_cache(maxsize=64)
def sentences(trace: str) -> tuple[Span, ...]:
    """Sentences and lines of a trace.

    Examples
    --------
    >>> [s.text for s in sentences("Chest pain. ST elevation. So I21.11.")]
    ['Chest pain.', 'ST elevation.', 'So I21.11.']
    """
    found, start = [], 0
    for match in [*_SENTENCE.finditer(trace), None]:
        end = match.start() if match else len(trace)
        if trace[start:end].strip():
            found.append(Span(trace[start:end], start, end))
        start = match.end() if match else end
    return tuple(found)


def passages(trace: str) -> list[str]:
    """Pieces between quotation marks, semicolons and ends of sentences.

    Examples
    --------
    >>> passages('The "chest pain" is new. Cough; fever.')
    ['The ', 'chest pain', ' is new.', 'Cough;', 'fever.']
    """
    return [piece for piece in _PASSAGE.split(trace) if piece.strip()]


def without_conclusion(trace: str, tree) -> str:
    """The reasoning with its last sentence's code, and every other code, removed.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> without_conclusion('"Wheeze": COPD, J44. So J44.1.', load_tree())
    '"Wheeze": COPD, .'
    """
    named = codes(trace, tree)
    parts = sentences(trace)
    if named and len(parts) > 1 and named[-1].start >= parts[-1].start:
        trace = trace[: parts[-1].start].rstrip()
    kept, at = [], 0
    for span in codes(trace, tree):
        kept.append(trace[at : span.start])
        at = span.end
    return "".join([*kept, trace[at:]])
