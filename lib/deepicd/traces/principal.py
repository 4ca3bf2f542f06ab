"""May a code be listed first, and do the codes that a trace accepts go together?"""

import re
from functools import lru_cache

from deepicd.traces.reading import Span, sentences

DISMISSES = re.compile(
    r"\b(rather than|not|no|instead|exclud\w*|alternative|versus|vs|against|unlikely"
    r"|rule[sd]? out|differs?|other than|without|unlike|but|less)\b",
    re.I,
)
_DEFINITE = re.compile(
    r"\b(confirm(s|ed|ing)?|diagnostic of|establish(es|ed)?|proves?|proven"
    r"|definite(ly)?|clearly (is|has)|caused by|explained by|secondary to|due to)\b",
    re.I,
)
_MANIFESTATION = re.compile(
    r"\bin (other )?(diseases|conditions|disorders) classified elsewhere\b", re.I
)
_EXCLUDED = re.compile(
    r"([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{0,4})?)(?:\.?-)?"
    r"(?:-([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{0,4})?))?"
)
_EXTERNAL, _SYMPTOMS = "20", "18"


def check_principal(code: str, tree) -> str | None:
    """Why a code may not be listed first; None where it may.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> tree = load_tree()
    >>> check_principal("W01.0XXA", tree), check_principal("I21.11", tree)
    ('an external cause listed first', None)
    """
    path = tree.path(code)
    if path and path[0] == _EXTERNAL:
        return "an external cause listed first"
    if any(_MANIFESTATION.search(tree.title(name)) for name in path[2:]):
        return "a manifestation listed first"
    return None


def accepted_codes(trace: str, named: list[Span], gold: str) -> list[str]:
    """Codes beside gold and its ancestors that the trace argues for, not against.

    A code in a sentence that weighs alternatives ("rather than", "not", "versus" …)
    counts as rejected.
    """
    others = [s for s in named if not gold.startswith(s.text)]
    parts = sentences(trace)
    found = []
    for span in others:
        home = [p for p in parts if p.start <= span.start < p.end]
        if not any(DISMISSES.search(p.text) for p in home):
            found.append(span.text)
    return found


def conflicts(trace: str, named: list[Span], gold: str, tree) -> str | None:
    """Excludes1 among accepted codes; a symptom code beside a definite disease."""
    if not tree.path(gold):
        return None
    others = accepted_codes(trace, named, gold)
    if any(excludes_each_other(gold, code, tree) for code in others):
        return "accepts codes that exclude each other"
    if tree.path(gold)[0] != _SYMPTOMS:
        return None
    chapters = {tree.path(code)[0] for code in others} - {_SYMPTOMS, _EXTERNAL, "21"}
    if chapters and _DEFINITE.search(trace):
        return "a symptom code although it argues for a disease"
    return None


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
