"""Phrases of notes: which are frequent, and how strongly they speak for a class.

A phrase is one to four words inside one clause. Words that a negation governs are no
phrase on their own: "denies fever, chills" holds "denies fever", not "chills".
Headers are no phrases either.
"""

import numpy as np
import pandas as pd

from deepicd.tasks.clauses import NEGATIONS, STOP_WORDS, tokenise

MAX_WORDS = 4
_NUMBER_WEIGHT = 0.6  # of a phrase with a number in it, such as a dose


class PhraseTable:
    """The frequent phrases of a set of notes, numbered.

    Parameters
    ----------
    min_notes : int, default 3
        A phrase (and each shorter beginning of it) stands in at least this many
        notes.

    Examples
    --------
    >>> table = PhraseTable(min_notes=2).fit(["chest pain now", "chest pain later"])
    >>> sorted(table.phrases)
    ['chest', 'chest pain', 'pain']
    """

    def __init__(self, min_notes: int = 3):
        self.min_notes = min_notes

    def fit(self, notes: list[str]) -> "PhraseTable":
        """Number the phrases that are frequent enough."""
        tokens = tokenise(notes)
        codes, vocabulary = pd.factorize(np.array(tokens.words, dtype=object))
        self._index = {word: i for i, word in enumerate(vocabulary)}
        self._keys: list[np.ndarray] = []
        self.phrases: list[str] = []
        self._offsets = [0]
        grams, names = codes.astype(np.int64), list(vocabulary)
        for n in range(1, MAX_WORDS + 1):
            grams, names = self._extend(tokens, codes, grams, names, n)
        return self

    def _extend(self, tokens, codes, grams, names, n):
        """Turn the phrases of n-1 words at each place into those of n words."""
        keys = self._combine(tokens, codes, grams, n)
        valid = keys >= 0
        seen = pd.DataFrame({"key": keys[valid], "note": tokens.note[valid]})
        counts = seen.drop_duplicates()["key"].value_counts()
        kept = np.sort(counts.index[counts >= self.min_notes].to_numpy())
        self._keys.append(kept)
        self._offsets.append(self._offsets[-1] + len(kept))
        words = len(self._index)
        vocabulary = list(self._index)
        if n == 1:
            new = [vocabulary[k] for k in kept]
        else:
            new = [f"{names[k // words]} {vocabulary[k % words]}" for k in kept]
        self.phrases.extend(new)
        return lookup(kept, keys), new

    def _combine(self, tokens, codes, grams, n) -> np.ndarray:
        """Key of the n-word phrase that starts at each place; -1 where none does."""
        if n == 1:
            return np.where(codes >= 0, codes, -1).astype(np.int64)
        keys = np.full(len(codes), -1, dtype=np.int64)
        if len(codes) < n:
            return keys
        head, last = slice(0, len(codes) - n + 1), slice(n - 1, None)
        same = tokens.clause[head] == tokens.clause[last]
        known = (grams[head] >= 0) & (codes[last] >= 0) & same
        keys[head] = np.where(known, grams[head] * len(self._index) + codes[last], -1)
        return keys

    def find(self, notes: list[str]) -> pd.DataFrame:
        """List every phrase of the table that stands in the notes.

        Returns
        -------
        pandas.DataFrame
            Columns note (row), phrase (number), words, first (token), start, end
            (characters), weight (of the section); one row per occurrence that may
            be quoted.
        """
        tokens = tokenise(notes)
        index = self._index
        codes = np.array([index.get(w, -1) for w in tokens.words], dtype=np.int64)
        edge = np.array(
            [len(w) == 1 or w in STOP_WORDS for w in tokens.words], dtype=bool
        )
        number = np.array([w[0].isdigit() for w in tokens.words], dtype=bool)
        cue = np.array([w in NEGATIONS for w in tokens.words], dtype=bool)
        digits = np.concatenate([[0], np.cumsum(number)])
        parts, grams = [], codes
        for n in range(1, MAX_WORDS + 1):
            grams = lookup(self._keys[n - 1], self._combine(tokens, codes, grams, n))
            at = np.flatnonzero(grams >= 0)
            last = at + n - 1
            good = ~(edge[at] | edge[last] | cue[last] | number[at])
            good &= ~tokens.muted[at]
            at, last = at[good], last[good]
            parts.append(
                pd.DataFrame(
                    {
                        "note": tokens.note[at],
                        "phrase": grams[at] + self._offsets[n - 1],
                        "words": n,
                        "first": at,
                        "start": tokens.start[at],
                        "end": tokens.end[last],
                        "weight": np.where(
                            digits[last + 1] > digits[at], _NUMBER_WEIGHT, 1.0
                        )
                        * tokens.weight[at],
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)


def lookup(kept: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Number of each key among the kept ones, -1 where it is not kept."""
    if not len(kept):
        return np.full(len(keys), -1, dtype=np.int64)
    place = np.minimum(np.searchsorted(kept, keys), len(kept) - 1)
    return np.where(kept[place] == keys, place, -1)


class ClassCounts:
    """In how many notes of each class every phrase stands.

    Parameters
    ----------
    found : pandas.DataFrame
        As `PhraseTable.find` gives it.
    classes : list of str
        Class of every note.
    n_phrases : int
    """

    def __init__(self, found: pd.DataFrame, classes: list[str], n_phrases: int):
        codes, names = pd.factorize(np.array(classes, dtype=object))
        self.index = {name: i for i, name in enumerate(names)}
        self.names = list(names)
        self.n_phrases = n_phrases
        self.size = np.bincount(codes, minlength=len(names)).astype(float)
        seen = found[["note", "phrase"]].drop_duplicates()
        keys = codes[seen["note"].to_numpy()] * n_phrases + seen["phrase"].to_numpy()
        self._keys, self._counts = np.unique(keys, return_counts=True)
        self.total = np.bincount(seen["phrase"], minlength=n_phrases).astype(float)

    def numbers(self, names: list[str]) -> np.ndarray:
        """Number of each named class, -1 for one that training does not hold."""
        return np.array([self.index.get(n, -1) for n in names], dtype=np.int64)

    def sizes(self, classes: np.ndarray) -> np.ndarray:
        """Training notes of each class number; 0 for -1."""
        return np.where(classes >= 0, self.size[classes], 0.0)

    def of(self, classes: np.ndarray, phrases: np.ndarray) -> np.ndarray:
        """Count of notes of class number `classes[i]` that hold `phrases[i]`."""
        place = lookup(self._keys, classes * self.n_phrases + phrases)
        if not len(self._counts):
            return np.zeros(len(place))
        counts = self._counts[np.maximum(place, 0)]
        return np.where((place >= 0) & (classes >= 0), counts, 0).astype(float)

    def row(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the phrases of one class, and in how many notes each stands."""
        low, high = np.searchsorted(
            self._keys, [number * self.n_phrases, (number + 1) * self.n_phrases]
        )
        numbers = self._keys[low:high] - number * self.n_phrases
        return numbers, self._counts[low:high].astype(float)


def log_odds(inside, n_inside, outside, n_outside, prior: float = 0.5):
    """Smoothed log-odds ratio of a phrase in a class against the rest, and its z.

    Parameters
    ----------
    inside, outside : array-like
        Notes of the class, and of the rest, that hold the phrase.
    n_inside, n_outside : array-like
        Sizes of the class and of the rest.
    prior : float
        Added to each cell.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Log-odds ratio (natural log) and the same divided by its standard error
        (Monroe, Colaresi and Quinn 2008, without the informative prior).

    Examples
    --------
    >>> ratio, z = log_odds(9, 10, 1, 10)
    >>> round(float(ratio), 2), round(float(z), 2)
    (3.69, 2.97)
    """
    a, b = np.asarray(inside) + prior, np.asarray(outside) + prior
    c = np.asarray(n_inside) - inside + prior
    d = np.asarray(n_outside) - outside + prior
    ratio = np.log(a) - np.log(c) - np.log(b) + np.log(d)
    return ratio, ratio / np.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
