"""Excludes1: which codes may not stand together."""

import re
from functools import lru_cache

_EXCLUDED = re.compile(
    r"([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{0,4})?)(?:\.?-)?"
    r"(?:-([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{0,4})?))?"
)


@lru_cache(maxsize=50_000)
def excludes_each_other(a: str, b: str, tree) -> bool:
    """Whether an Excludes1 note of one code, or of a code above it, names the other.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> excludes_each_other("E10.9", "E11.9", load_tree())
    True
    """
    return _excludes(a, b, tree) or _excludes(b, a, tree)


def _excludes(code: str, other: str, tree) -> bool:
    return any(
        _covers(low, high, other)
        for name in tree.path(code)[1:]
        for text in tree.excludes1(name)
        for low, high in _EXCLUDED.findall(text)
    )


def _covers(low: str, high: str, code: str) -> bool:
    """Whether a code lies below `low`, or in the range from low to high."""
    low, high = low.rstrip("."), high.rstrip(".")
    if not high:
        return code.startswith(low)
    return low <= code[: len(low)] and code[: len(high)] <= high
