"""What a trace claims about the patient in its own words, and clinical words."""

import re
from collections import Counter
from functools import lru_cache

from deepicd.common.progress import counted
from deepicd.icd.load import load_tree
from deepicd.icd.tree import IcdTree
from deepicd.tasks import quotes
from deepicd.traces.coding_rules import DISMISSES

_WHO = (
    r"(patient|he|she|man|woman|note|exam(ination)?|history|labs?|laboratory|imaging"
    r"|ct|mri|x-?ray|radiograph|ecg|ekg|echo|there)"
)
_BEFORE = re.compile(  # the finding follows
    rf"\b{_WHO}( also| then| now| currently| clearly)?"
    r" (has|had|have|is|was|are|were|reports?|reported|shows?|showed|reveals?|revealed"
    r"|finds?|found|demonstrates?|describes?|described|mentions?|mentioned|developed"
    r"|presents? with|presented with|complains? of|complained of|with)\b"
    r"|\b(presence of|positive for|complaints? of|evidence of|history of|suffers from"
    r"|together with|along with|accompanied by|in addition to|on top of)\b",
    re.I,
)
_AFTER = re.compile(  # the finding stands before
    r"\b(is|are|was|were)( also)? (present|noted|seen|found|reported|documented"
    r"|observed|described|mentioned|there|evident|visible|elevated|positive)\b",
    re.I,
)
_REASONS = re.compile(  # from here on the sentence argues and no longer reports
    r"[;:]|\b(suggest\w*|consistent|indicat\w*|point(s|ing)?|which|because|therefore|thus"
    r"|making|typical\w*|characteristic\w*|support\w*|favou?rs?|impl(y|ies|ying)"
    r"|so|hence|lead(s|ing)?|mean(s|ing)?|fit(s|ting)?|rais(es|ing)|as (in|seen in))\b",
    re.I,
)
_LETTERS = 4  # a shorter word is no finding
_EVERYWHERE = 0.01  # a word of so many titles ("unspecified", "left") is none either
_NO_CONDITIONS = ("20", "21", "22")  # external causes, health status, special purposes


def claims(own_words: str) -> list[str]:
    """Pieces of sentences that claim a finding; denials are left out.

    Parameters
    ----------
    own_words : str
        A trace without its quotes.

    Examples
    --------
    >>> claims("The patient has melena, suggesting a bleed. No rash. Fever is present.")
    [' melena, ', 'Fever ']
    """
    found = []
    for sentence in quotes.sentences(own_words):
        text = sentence.text
        if DISMISSES.search(text):
            continue
        before, after = _BEFORE.search(text), _AFTER.search(text)
        if before:
            found.append(_report(text[before.end() :]))
        if after:
            start = before.end() if before and before.end() < after.start() else 0
            found.append(text[start : after.start()])
    return found


def _report(text: str) -> str:
    """A sentence up to where it begins to argue."""
    argues = _REASONS.search(text)
    return text[: argues.start()] if argues else text


def lexicon(
    notes: list[str], tree=None, share: float = 0.5, least: int = 3
) -> frozenset[str]:
    """Clinical words: of the notes, and of the titles of diseases and symptoms.

    Words count that stand in at least 3 notes but in no more than half of them.
    The titles add what a small corpus does not say; they are those of ICD-10-CM,
    whatever is asked of the notes.

    Examples
    --------
    >>> sorted(lexicon(["the cough", "the rash", "the cough"], share=.7, least=2))
    ['cough']
    >>> from deepicd.icd import load_tree
    >>> {"hemoptysis", "melena"} <= lexicon([], load_tree())
    True
    """
    read = counted(notes, "counting words of notes")
    counts = Counter(word for note in read for word in set(quotes.words(note)))
    most = share * len(notes)
    own = {w for w, c in counts.items() if least <= c <= most and _may_tell(w)}
    if tree is None:
        return frozenset(own)
    catalogue = tree if isinstance(tree, IcdTree) else load_tree()
    return frozenset(own | _catalogue_words(catalogue))


def _may_tell(word: str) -> bool:
    return word.isalpha() and len(word) >= _LETTERS


@lru_cache(maxsize=4)
def _catalogue_words(tree) -> frozenset[str]:
    """Words of titles and inclusion terms of the chapters that hold conditions."""
    chapters = [c for c in tree.chapters() if c not in _NO_CONDITIONS]
    codes = [code for chapter in chapters for code in tree.leaves(chapter)]
    counts: Counter[str] = Counter()
    for code in codes:
        text = " ".join([tree.title(code), *tree.inclusion_terms(code)])
        counts.update(set(quotes.words(text)))
    most = _EVERYWHERE * len(codes)
    return frozenset(w for w, c in counts.items() if c <= most and _may_tell(w))
