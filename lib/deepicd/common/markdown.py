"""Tables in Markdown, for pages, cards and reports."""

from collections.abc import Iterable


def markdown_table(heads: Iterable, rows: Iterable[Iterable]) -> str:
    """A table in Markdown, without a line at its end.

    Examples
    --------
    >>> print(markdown_table(["a", "b"], [[1, "x"]]))
    | a | b |
    |---|---|
    | 1 | x |
    """
    lines = [list(map(str, line)) for line in (heads, *rows)]
    told = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([told[0], "|---" * len(lines[0]) + "|", *told[1:]])
