"""Scores from counts: the arithmetic that metrics and intervals share.

A `Tally` holds, per group of cases (a patient), the few numbers every score needs:
right answers, and per label the true positives, the answers and the gold cases.
Scores are functions of the SUM over groups, so a bootstrap resample is one matrix
product and a thousand resamples are a few.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from deepicd.common.errors import UserError

AVERAGES = ("macro", "micro", "weighted")
PARTS = ("precision", "recall", "f1")
SCORES = ("accuracy", *(f"{a}_{p}" for a in AVERAGES for p in PARTS))


def roll_up(codes: Sequence, level: str, tree) -> np.ndarray:
    """Label of each code at a level; None where there is no answer or no such code.

    Parameters
    ----------
    codes : sequence of str or None, length n
        In any spelling the tree can normalise.
    level : str
        chapter, block, category or full.
    tree : deepicd.icd.IcdTree

    Returns
    -------
    numpy.ndarray of object, shape (n,)

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> roll_up(["I21.11", None], "category", load_tree()).tolist()
    ['I21', None]
    """
    places, unique = pd.factorize(pd.Series(list(codes), dtype=object))
    labels = [_label(code, level, tree) for code in unique] + [None]
    return np.array(labels, dtype=object)[places]


def _label(code: str, level: str, tree) -> str | None:
    normal = tree.normalise(code) if isinstance(code, str) else None
    return None if normal is None else tree.at(normal, level)


def as_seeds(predicted: Sequence) -> list[list]:
    """Predictions as a list of seeds, each a list of n codes.

    >>> as_seeds(["I10", None])
    [['I10', None]]
    >>> as_seeds([["I10"], ["I21"]])
    [['I10'], ['I21']]
    """
    rows = list(predicted)
    nested = rows and isinstance(rows[0], list | tuple | np.ndarray | pd.Series)
    return [list(row) for row in rows] if nested else [rows]


def check_lengths(gold: Sequence, *others: Sequence) -> None:
    """Raise `UserError` unless all have the length of a non-empty `gold`."""
    lengths = [len(other) for other in others]
    if not len(gold) or any(length != len(gold) for length in lengths):
        raise UserError(
            f"{len(gold)} gold codes beside {lengths} answers or groups",
            "one gold code, one answer and one group for each case",
            "align them by note_id, None where there is no answer",
        )


def label_set_of(gold: Sequence, level: str, tree) -> list[str]:
    """Labels present in the gold codes at a level, sorted: the default label set."""
    return sorted(set(gold_labels(gold, level, tree)))


def label_set_at(label_set, gold: Sequence, level: str, tree) -> list[str]:
    """The label set of a level: checked, in the tree's spelling, each label once.

    Parameters
    ----------
    label_set : None, sequence of str, or mapping of level to such
        Labels of the level, or codes below them, in any spelling. None: the labels
        present in `gold`.

    Raises
    ------
    UserError
        Where it is empty or a text, lacks the level, or holds what is no label.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> label_set_at(["i2111", "I21.4", "I10"], [], "category", load_tree())
    ['I21', 'I10']
    """
    if label_set is None:
        return label_set_of(gold, level, tree)
    if isinstance(label_set, Mapping):
        if level not in label_set:
            raise UserError(
                f"a label set for {', '.join(map(str, label_set)) or 'no level'}",
                f"one for {level} too",
                "add it, or leave label_set out for the labels of the gold codes",
            )
        label_set = label_set[level]
    given = [] if isinstance(label_set, str) else list(label_set)
    if not given:
        raise UserError(
            f"the label set {label_set!r} of {level}",
            "a list of one label or more",
            "leave label_set out for the labels of the gold codes",
        )
    found = {one: _label(one, level, tree) for one in given}
    if None in found.values() and level in ("chapter", "block"):  # these are no codes
        known = {tree.at(code, level) for code in tree.billable_codes()}
        written = {one: str(one).strip().upper() for one in given}
        found |= {one: label for one, label in written.items() if label in known}
    unknown = [one for one, label in found.items() if label is None]
    if unknown:
        raise UserError(
            f"labels without a {level} in the tree: {unknown[:5]}",
            f"labels of the level {level}, or codes below them",
            "correct the spelling",
        )
    return list(dict.fromkeys(found.values()))


def gold_labels(gold: Sequence, level: str, tree) -> np.ndarray:
    """Gold labels at a level; raises `UserError` where a code has none."""
    labels = roll_up(gold, level, tree)
    missing = sorted(
        {str(code) for code, label in zip(gold, labels, strict=True) if label is None}
    )
    if missing:
        raise UserError(
            f"gold codes without a {level} in the tree: {missing[:5]}",
            "codes of the ICD-10-CM tree",
            "give load_tree(extra_codes=...) the table they come from",
        )
    return labels


@dataclass(frozen=True)
class Tally:
    """Sufficient counts of one system at one level, per group of cases.

    Attributes
    ----------
    labels : tuple of str, length c
        The frozen label set.
    matrix : scipy.sparse.csr_array, shape (3 c + 2, groups)
        Rows: true positives, answers and gold cases of each label, then right
        answers and cases.
    """

    labels: tuple
    matrix: sparse.csr_array
    names: tuple = SCORES

    @cached_property
    def totals(self) -> np.ndarray:
        """Sums over all groups, shape (3 c + 2, 1)."""
        return np.asarray(self.matrix.sum(axis=1), dtype=float).reshape(-1, 1)

    def scores(self, sums: np.ndarray, name: str) -> np.ndarray:
        """A score of summed counts, shape (3 c + 2, b) -> (b,)."""
        tp, answers, cases, right, total = self._split(sums)
        if name == "accuracy":
            return right / total
        average, part = name.split("_", 1)
        if average == "micro":
            tp, answers, cases = (x.sum(0) for x in (tp, answers, cases))
        values = _per_label(part, tp, answers, cases)
        if average == "macro":
            return values.mean(0)
        if average == "weighted":
            return ratio((values * cases).sum(0), cases.sum(0))
        return values

    def draws(self, sums: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A score of bootstrap resamples, and how far each is from the sample's.

        A label whose gold cases a resample misses would count there as F1 = 0,
        which it never was: macro scores fall and their spread shrinks. So a label
        moves a resample's score only where it has gold cases. What m cases vary by
        is seen too small by sqrt((m - 1) / m), which is made good; a label of one
        case cannot vary at all, so how often it was drawn stands in for it.

        Returns
        -------
        values, shifts : arrays of shape (b,)
            The mean of `shifts` estimates the bias of the sample's score.
        """
        if not name.startswith("macro"):
            values = self.scores(sums, name)
            return values, values - self.scores(self.totals, name)
        part = name.split("_", 1)[1]
        tp, answers, cases, _, _ = self._split(sums)
        own = self._split(self.totals)[:3]
        at_all, many = _per_label(part, *own)[:, 0], own[2][:, 0]
        moved = _per_label(part, tp, answers, cases) - at_all[:, None]
        moved *= cases > 0
        more = (np.sqrt(many / np.maximum(many - 1, 1)) - 1).astype(moved.dtype)
        single = np.where(many == 1, at_all, 0).astype(moved.dtype)
        shifts = moved.mean(0)
        extra = more @ moved + single @ cases - single.sum()
        return at_all.mean() + shifts + extra / len(self.labels), shifts

    def weights(self, name: str) -> np.ndarray:
        """How much of a score hangs on each group, shape (groups,).

        Every label weighs alike in a macro score, every case in the others.
        """
        if name == "accuracy":
            return self.matrix[[-1]].toarray()[0].astype(float)
        return self._by_label[int(name.startswith("macro"))]

    @cached_property
    def _by_label(self) -> np.ndarray:
        """Cases of each group that have a label, each as one, each as its share."""
        cases = self._split(self.totals)[2]
        each = np.hstack([np.ones_like(cases), ratio(np.ones_like(cases), cases)])
        return (self._split(self.matrix)[2].T @ each).T

    def _split(self, sums):
        c = len(self.labels)
        return sums[:c], sums[c : 2 * c], sums[2 * c : 3 * c], sums[-2], sums[-1]


def _per_label(part: str, tp, answers, cases) -> np.ndarray:
    if part == "precision":
        return ratio(tp, answers)
    if part == "recall":
        return ratio(tp, cases)
    return ratio(2 * tp, answers + cases)


@dataclass(frozen=True)
class Ratios:
    """Scores that are one sum divided by another, such as the share well-formed.

    Attributes
    ----------
    names : tuple of str
    matrix : scipy.sparse.csr_array, shape (2 k, groups)
        The k numerators, then the k denominators.
    """

    names: tuple
    matrix: sparse.csr_array

    totals = cached_property(Tally.totals.func)

    def scores(self, sums: np.ndarray, name: str) -> np.ndarray:
        """A score of summed counts, shape (2 k, b) -> (b,)."""
        place = self.names.index(name)
        return ratio(sums[place], sums[len(self.names) + place])

    def draws(self, sums: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A score of resamples, and how far each is from the sample's."""
        values = self.scores(sums, name)
        return values, values - self.scores(self.totals, name)

    def weights(self, name: str) -> np.ndarray:
        """How much of a score hangs on each group: its denominator, (groups,)."""
        place = len(self.names) + self.names.index(name)
        return self.matrix[[place]].toarray()[0].astype(float)


def ratios(parts: dict, groups: np.ndarray) -> Ratios:
    """Sum numerators and denominators of each case over groups.

    Parameters
    ----------
    parts : dict of name to (numerator, denominator)
        Arrays of shape (n,).
    groups : array of int, shape (n,)

    Examples
    --------
    >>> made = ratios({"share": (np.array([1, 0]), np.ones(2))}, np.array([0, 1]))
    >>> made.scores(made.totals, "share").tolist()
    [0.5]
    """
    rows = np.array(
        [top for top, _ in parts.values()] + [bottom for _, bottom in parts.values()],
        dtype=np.float32,
    )
    n = len(groups)
    membership = sparse.csr_array(
        (np.ones(n, np.float32), (np.arange(n), groups)), dtype=np.float32
    )
    return Ratios(tuple(parts), sparse.csr_array(rows @ membership))


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Quotient that is 0 where nothing is counted, as scikit-learn's zero_division=0.

    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    return top / np.where(bottom > 0, bottom, 1)


def tally(
    gold: np.ndarray, predicted: np.ndarray, labels: Sequence[str], groups: np.ndarray
) -> Tally:
    """Count one system's answers at one level.

    Parameters
    ----------
    gold, predicted : array of str or None, shape (n,)
        Labels at the level. An answer that is None, or outside `labels`, is wrong
        and adds to no label.
    labels : sequence of str
        The frozen label set.
    groups : array of int, shape (n,)
        Group (patient) of each case, 0-based without gaps.

    Examples
    --------
    >>> counts = tally(np.array(["a", "b"]), np.array(["a", None]), ["a", "b"],
    ...                np.array([0, 1]))
    >>> counts.scores(counts.totals, "macro_f1").tolist()
    [0.5]
    """
    index = pd.Index(labels, dtype=object)
    g, p = index.get_indexer(gold), index.get_indexer(predicted)
    right = np.array(gold == predicted, dtype=bool)
    c, n = len(index), len(groups)
    rows = [
        np.where(right & (g >= 0), g, -1),
        np.where(p >= 0, c + p, -1),
        np.where(g >= 0, 2 * c + g, -1),
        np.where(right, 3 * c, -1),
        np.full(n, 3 * c + 1),
    ]
    rows, columns = np.concatenate(rows), np.tile(groups, 5)
    keep = rows >= 0
    shape = (3 * c + 2, int(groups.max()) + 1)
    ones = np.ones(int(keep.sum()), dtype=np.float32)
    return Tally(
        tuple(labels),
        sparse.csr_array((ones, (rows[keep], columns[keep])), shape=shape),
    )
