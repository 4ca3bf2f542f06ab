"""Checks that need more than one trace: copies, contamination, answer recovery."""

from collections import Counter

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from deepicd.traces import reading

COPIES = 3  # near-identical traces of one code that are kept
SIMILAR = 0.9  # Jaccard similarity of 3-word runs from which traces count as the same
OVERLAP = 8  # words in a row that may not come from a validation or test note
RANK = 3  # gold must be among this many codes when read from the reasoning
FOLDS = 5


def shingles(words: list[str], n: int = 3) -> frozenset:
    """Runs of n words, as a set."""
    return frozenset(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


class CopyCounter:
    """Find the fourth near-identical trace of a code, in the order they come.

    Examples
    --------
    >>> counter = CopyCounter(copies=1)
    >>> text = "chest pain and st elevation make it a heart attack".split()
    >>> counter.is_copy("I21.11", text), counter.is_copy("I21.11", text)
    (False, True)
    """

    def __init__(self, copies: int = COPIES, similar: float = SIMILAR):
        self.copies, self.similar = copies, similar
        self._kept: dict[str, dict[frozenset, int]] = {}
        self._index: dict[str, dict[tuple, list[frozenset]]] = {}

    def is_copy(self, code: str, words: list[str]) -> bool:
        """Whether enough traces like this one are there already; else count it in."""
        own = shingles(words)
        kept = self._kept.setdefault(code, {})
        twin = own if own in kept else self._twin(code, own)
        if twin is not None and kept[twin] >= self.copies:
            return True
        if twin is None:
            self._add(code, own)
        else:
            kept[twin] += 1
        return False

    def _add(self, code: str, own: frozenset) -> None:
        self._kept[code][own] = 1
        index = self._index.setdefault(code, {})
        for gram in own:
            index.setdefault(gram, []).append(own)

    def _twin(self, code: str, own: frozenset) -> frozenset | None:
        """The first kept trace that shares enough 3-word runs.

        A twin shares all but a tenth of them, so a few runs, the rarest, find it.
        """
        index = self._index.get(code, {})
        rarest = sorted(own, key=lambda gram: (len(index.get(gram, ())), gram))
        probes = rarest[: int(len(own) * (1 - self.similar)) + 1]
        seen: set[frozenset] = set()
        for gram in probes:
            for other in index.get(gram, ()):
                if other not in seen:
                    seen.add(other)
                    if len(own & other) >= self.similar * len(own | other):
                        return other
        return None


def overlapping(
    traces: list[str], notes: list[str], held_out: list[str], n: int = OVERLAP
) -> list[bool]:
    """Whether a trace holds n words in a row from a held-out note, not from its own.

    Parameters
    ----------
    traces, notes : list of str
        Traces and the notes they are about.
    held_out : list of str
        Notes of the validation and the test split.

    Examples
    --------
    >>> held = ["one two three four five six seven eight nine"]
    >>> overlapping(["so one two three four five six seven eight"], ["x"], held)
    [True]
    """
    wanted: dict[str, list[int]] = {}
    for number, (trace, note) in enumerate(zip(traces, notes, strict=True)):
        body = reading.padded(note)
        for gram in _runs(trace, n):
            if f" {gram} " not in body:
                wanted.setdefault(gram, []).append(number)
    found = np.zeros(len(traces), dtype=bool)
    for note in held_out if wanted else ():
        words = reading.words(note)
        for i in range(len(words) - n + 1):
            gram = " ".join(words[i : i + n])
            if gram in wanted:
                found[wanted[gram]] = True
    return found.tolist()


def _runs(trace: str, n: int) -> list[str]:
    """Runs of n words that do not cross a quotation mark or a sentence's end."""
    runs = []
    for passage in reading.passages(trace):
        words = reading.words(passage)
        runs += [" ".join(words[i : i + n]) for i in range(len(words) - n + 1)]
    return runs


def recovery_ranks(
    traces: list[str], codes: list[str], tree, seed: int = 0, folds: int = FOLDS
) -> list[float]:
    """Rank of the gold code when an independent reader sees the reasoning alone.

    The reader is a nearest-centroid classifier on TF-IDF of words and word pairs,
    trained on the traces of the other folds; conclusion and codes are removed.

    Parameters
    ----------
    traces, codes : list of str
        Traces and their gold codes.
    tree : deepicd.icd.IcdTree
    seed : int
        Of the folds.
    folds : int

    Returns
    -------
    list of float
        1 for the best; nan where no other fold holds the code, so that the reader
        cannot know it.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> traces = ["wheeze, so J44.1."] * 6 + ["chest pain, so I21.11."] * 6
    >>> ranks = recovery_ranks(traces, ["J44.1"] * 6 + ["I21.11"] * 6, load_tree())
    >>> set(ranks)
    {1.0}
    """
    ranks = np.full(len(traces), np.nan)
    if len(traces) < folds:
        return ranks.tolist()
    texts = [reading.without_conclusion(t, tree) for t in traces]
    vectors = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"
    ).fit_transform(texts)
    names, classes = np.unique(np.array(codes, dtype=object), return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(traces)) % folds
    for number in range(folds):
        inside = fold != number
        mine = classes[~inside]
        ranks[~inside] = _ranks(
            vectors[inside], classes[inside], vectors[~inside], mine, len(names)
        )
    return ranks.tolist()


def _ranks(train, classes, test, gold, n_classes) -> np.ndarray:
    rows = np.arange(len(classes))
    ones = np.ones(len(classes))
    member = sparse.csr_matrix((ones, (classes, rows)), (n_classes, len(classes)))
    centroids = member @ train
    length = np.sqrt(np.asarray(centroids.multiply(centroids).sum(axis=1)).ravel())
    centroids = sparse.diags(1 / np.maximum(length, 1e-12)) @ centroids
    ranks = []
    for start in range(0, test.shape[0], 2000):
        scores = np.asarray((test[start : start + 2000] @ centroids.T).todense())
        mine = gold[start : start + 2000]
        own = scores[np.arange(len(mine)), mine][:, None]
        ranks.append(1.0 + (scores > own + 1e-9).sum(axis=1))
    ranks = np.concatenate(ranks) if ranks else np.array([])
    ranks[~np.isin(gold, classes)] = np.nan
    return ranks


def lexicon(notes: list[str], share: float = 0.5, least: int = 3) -> frozenset[str]:
    """Words that stand in at least 3 notes but in no more than half of them.

    Examples
    --------
    >>> sorted(lexicon(["the cough", "the rash", "the cough"], share=.7, least=2))
    ['cough']
    """
    counts = Counter(word for note in notes for word in set(reading.words(note)))
    most = share * len(notes)
    return frozenset(
        w
        for w, c in counts.items()
        if least <= c <= most and w.isalpha() and len(w) > 3
    )
