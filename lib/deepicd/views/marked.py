"""Passages marked in a text, as HTML: the one home of marks on notes and traces."""

from collections.abc import Iterable
from html import escape

from deepicd.tasks.quotes import locate, quotes, stands_in, word_spans

#: What a mark says: stands in the note, does not, names a code of the gold path.
STYLES = {
    "found": "background:#cfe8d5;color:#111",
    "wrong": "background:#fbd9c5;color:#111;text-decoration:underline wavy #a4350f",
    "code": "font-weight:bold",
}
Mark = tuple[int, int, str]


def marked(text: str, marks: Iterable[Mark]) -> str:
    """A text as HTML, with passages of it marked.

    Parameters
    ----------
    text : str
    marks : iterable of (int, int, str)
        First character, end, and one of `STYLES`. Overlapping marks of one style
        become one; else the later one begins where the earlier one ends.

    Returns
    -------
    str
        All text is escaped.

    Examples
    --------
    >>> marked("a < b", [(0, 1, "code")])
    '<mark style="font-weight:bold">a</mark> &lt; b'
    """
    pieces, at = [], 0
    for start, end, style in _apart(marks):
        inside = escape(text[start:end], quote=False)
        pieces += [escape(text[at:start], quote=False)]
        pieces += [f'<mark style="{STYLES[style]}">{inside}</mark>']
        at = end
    return "".join([*pieces, escape(text[at:], quote=False)])


def _apart(marks: Iterable[Mark]) -> list[Mark]:
    """Marks in order that do not overlap."""
    apart: list[Mark] = []
    for start, end, style in sorted(marks):
        if apart and start < apart[-1][1]:
            before, until, other = apart[-1]
            if other == style:
                apart[-1] = (before, max(end, until), style)
                continue
            start = until
        if start < end:
            apart.append((start, end, style))
    return apart


def marks_in_note(quoted: Iterable[str], note: str) -> list[Mark]:
    """Where quotes stand in a note.

    Examples
    --------
    >>> marks_in_note(["chest ... sweat", "fever"], "Crushing chest\\npain & sweat")
    [(9, 14, 'found'), (22, 27, 'found')]
    """
    spans = word_spans(note)
    return [
        (spans[first][1], spans[end - 1][2], "found")
        for quote in quoted
        for first, end in locate(quote, note)
    ]


def marks_in_trace(trace: str, note: str) -> list[Mark]:
    """The quotes of a trace, by whether they stand in the note.

    Examples
    --------
    >>> marks_in_trace('"Chest pain" and "fever".', "Sudden chest pain")
    [(1, 11, 'found'), (18, 23, 'wrong')]
    """
    return [
        (quote.start, quote.end, "found" if stands_in(quote.text, note) else "wrong")
        for quote in quotes(trace)
    ]
