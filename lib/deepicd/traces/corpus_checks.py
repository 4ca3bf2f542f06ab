"""Checks that need more than one trace: copies, contamination, answer recovery."""

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from deepicd.common.progress import counted
from deepicd.tasks import quotes

COPIES = 3  # near-identical traces of one code that are kept
SIMILAR = 0.9  # Jaccard similarity of 3-word runs from which traces count as the same
OVERLAP = 8  # words in a row that may not come from a validation or test note
RANK = 3  # gold must be among this many codes when read from the reasoning
FOLDS = 5
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, of a polynomial hash


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


class HeldOut:
    """Finds runs of words that come from validation or test notes.

    The runs are kept as sorted 64-bit hashes: 8 bytes a word of the notes.

    Parameters
    ----------
    notes : list of str
        Notes of the validation and the test split.
    n : int
        Words in a row that may not come from one of them.

    Examples
    --------
    >>> held = HeldOut(["one two three four five six seven eight nine"])
    >>> trace = "so one two three four five six seven eight"
    >>> held.holds(trace, "x"), held.holds(trace, trace)
    (True, False)
    """

    def __init__(self, notes: list[str], n: int = OVERLAP):
        self.n = n
        read = counted(notes, "reading validation and test notes")
        parts = [_hash_runs(quotes.words(note), n) for note in read]
        self._known = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]))

    def holds(self, trace: str, note: str) -> bool:
        """Whether a trace has such a run that its own note does not have."""
        for passage in quotes.passages(trace):
            words = quotes.words(passage)
            for start in self._hits(words):
                run = " ".join(words[start : start + self.n])
                if f" {run} " not in quotes.padded(note):
                    return True
        return False

    def _hits(self, words: list[str]) -> np.ndarray:
        if len(words) < self.n or not len(self._known):
            return np.empty(0, int)
        hashes = _hash_runs(words, self.n)
        place = np.minimum(np.searchsorted(self._known, hashes), len(self._known) - 1)
        return np.flatnonzero(self._known[place] == hashes)


def _hash_runs(words: list[str], n: int) -> np.ndarray:
    """A 64-bit number for every run of n words; equal runs, equal numbers."""
    single = np.array([hash(word) for word in words], np.int64).astype(np.uint64)
    count = max(0, len(words) - n + 1)
    total = np.zeros(count, np.uint64)
    for k in range(n):
        total = total * _FACTOR + single[k : k + count]
    return total


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
    read = counted(traces, "cutting conclusions off")
    texts = [quotes.without_conclusion(t, tree) for t in read]
    if len(traces) < folds or not any(map(quotes.words, texts)):
        return ranks.tolist()  # nothing to learn from
    vectors = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b"
    ).fit_transform(texts)
    names, classes = np.unique(np.array(codes, dtype=object), return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(traces)) % folds
    for number in counted(range(folds), "folds: a reader of the reasoning alone"):
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
