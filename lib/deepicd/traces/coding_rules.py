"""May a code be listed first, and do the codes that a trace accepts go together?"""

import re
from functools import lru_cache
from itertools import combinations

from deepicd.icd.exclusions import excludes_each_other
from deepicd.icd.titles import shorten
from deepicd.tasks.quotes import Span, sentences, words

DISMISSES = re.compile(
    r"\b(rather than|not|no|nothing|none|neither|nor|absen\w*|lack\w*|instead"
    r"|exclud\w*|alternative|versus|vs|against|unlikely"
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
_EXTERNAL, _SYMPTOMS, _STATUS = "20", "18", "21"
_PAIRED = 8  # codes of one trace whose pairs are looked at


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
    """Excludes1 among accepted codes; a symptom code beside a definite disease.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> conflicts("The film is diagnostic of pneumonia.", [], "R05.1", load_tree())
    'a symptom code although it argues for a disease'
    """
    if not tree.path(gold):
        return None
    others = list(dict.fromkeys(accepted_codes(trace, named, gold)))
    for a, b in combinations([gold, *others][:_PAIRED], 2):
        if excludes_each_other(a, b, tree):
            return "accepts codes that exclude each other"
    if tree.path(gold)[0] == _SYMPTOMS and _definite(trace, others, gold, tree):
        return "a symptom code although it argues for a disease"
    return None


def _definite(trace: str, others: list[str], gold: str, tree) -> bool:
    """Whether a trace calls a disease certain, by its code or by its name."""
    if not _DEFINITE.search(trace):
        return False
    chapters = {tree.path(code)[0] for code in others}
    if chapters - {_SYMPTOMS, _EXTERNAL, _STATUS}:
        return True
    path = tree.path(gold)
    own = " ".join(tree.title(c) for c in (*path[2:], *tree.siblings(gold))).lower()
    for sentence in sentences(trace):
        text = sentence.text
        if _DEFINITE.search(text) and not DISMISSES.search(text):
            body = f" {' '.join(words(text))} "
            if any(f" {n} " in body and n not in own for n in _disease_names(tree)):
                return True
    return False


@lru_cache(maxsize=4)
def _disease_names(tree) -> tuple[str, ...]:
    """Short names of the categories that are diseases: "pneumonia", "sepsis"."""
    names = {
        " ".join(words(shorten(tree.title(category))))
        for category in tree.categories()
        if tree.path(category)[0] not in (_SYMPTOMS, _EXTERNAL, _STATUS)
    }
    return tuple(sorted(n for n in names if len(n) > 5))
