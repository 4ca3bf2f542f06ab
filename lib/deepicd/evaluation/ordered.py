"""Scores of labels that have an order: how far off, and how well ranked.

An answer that cannot be read counts as the label farthest from the gold one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.metrics import roc_auc_score

from deepicd.evaluation.counts import Tally, roll_up
from deepicd.evaluation.intervals import score_interval
from deepicd.evaluation.resampling import group_numbers, weight_blocks

OFF, KAPPA, AUROC = "bins_off", "quadratic_kappa", "auroc"


@dataclass(frozen=True)
class Confusion:
    """Cases of each pair of gold and answered label, per group of cases.

    Attributes
    ----------
    size : int
        Labels.
    matrix : scipy.sparse.csr_array, shape (size ** 2, groups)
    """

    size: int
    matrix: sparse.csr_array
    names: tuple = (OFF, KAPPA)

    totals = cached_property(Tally.totals.func)

    def scores(self, sums: np.ndarray, name: str) -> np.ndarray:
        """A score of summed counts, shape (size ** 2, b) -> (b,).

        `bins_off` is the mean number of steps between answer and gold label,
        `quadratic_kappa` Cohen's kappa weighted by their squares: 1 for all right, 0
        for what answers drawn by their own frequencies get (as scikit-learn's
        ``cohen_kappa_score(weights="quadratic")``; 0 where nothing can be off).
        """
        pairs = sums.reshape(self.size, self.size, -1)
        steps = np.abs(np.subtract.outer(*[np.arange(self.size)] * 2))[..., None]
        count = pairs.sum((0, 1))
        if name == OFF:
            return (pairs * steps).sum((0, 1)) / count
        chance = pairs.sum(1)[:, None] * pairs.sum(0)[None] / count
        by_chance = (chance * steps**2).sum((0, 1))
        off = (pairs * steps**2).sum((0, 1))
        return np.where(by_chance > 0, 1 - off / np.where(by_chance, by_chance, 1), 0.0)

    def draws(self, sums: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
        """A score of resamples, and how far each is from the sample's."""
        values = self.scores(sums, name)
        return values, values - self.scores(self.totals, name)

    def weights(self, name: str) -> np.ndarray:
        """How much of a score hangs on each group: its cases."""
        return np.asarray(self.matrix.sum(axis=0), dtype=float).ravel()


def confusion(gold: Sequence, predicted: Sequence, tree, groups) -> Confusion:
    """Count the pairs of gold and answered label.

    Examples
    --------
    >>> from deepicd.tasks.length_of_stay import BINS, Stays
    >>> made = confusion(BINS, [BINS[0], BINS[2], BINS[2], None], Stays(), np.arange(4))
    >>> made.scores(made.totals, "bins_off").tolist()
    [1.0]
    """
    order, size = pd.Index(tree.order), len(tree.order)
    g = order.get_indexer(roll_up(gold, tree.levels[-1], tree))
    p = order.get_indexer(roll_up(predicted, tree.levels[-1], tree))
    p = np.where(p < 0, np.where(2 * g < size - 1, size - 1, 0), p)
    ones = np.ones(len(g), dtype=np.float32)
    shape = (size**2, int(np.max(groups)) + 1)
    return Confusion(
        size, sparse.csr_array((ones, (g * size + p, groups)), shape=shape)
    )


def auroc(
    gold: Sequence,
    shares: np.ndarray,
    labels: Sequence[str],
    groups: Sequence | None = None,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Area under the ROC curve of each label against the rest, and its mean.

    Parameters
    ----------
    gold : sequence of str, length n
    shares : array, shape (n, labels)
        Probability of each label, or the share of samples that named it.
    labels : sequence of str
    groups : sequence, length n, optional
        Patient of each case; patients are resampled.
    n_boot, seed : int

    Returns
    -------
    pandas.DataFrame
        Columns label ("macro" last: the mean), value, low, high, n (cases of the
        label). Labels without a case, or without another's, are left out.

    Examples
    --------
    >>> found = auroc(["a", "a", "b"], [[0.9, 0.1], [0.4, 0.6], [0.6, 0.4]], "ab",
    ...               n_boot=0)
    >>> found[["label", "value", "n"]].values.tolist()
    [['a', 0.5, 2], ['b', 0.5, 1], ['macro', 0.5, 3]]
    """
    gold, shares = np.asarray(gold, dtype=object), np.asarray(shares, dtype=float)
    which = [
        i for i, label in enumerate(labels) if 0 < (gold == label).sum() < len(gold)
    ]
    numbers = group_numbers(groups, len(gold))
    points = _areas(gold, shares, labels, which, None)
    draws = [
        _areas(gold, shares, labels, which, weights[numbers])
        for block in weight_blocks(int(numbers.max()) + 1, n_boot, seed)
        for weights in block.T
    ]
    draws = np.array(draws).reshape(-1, len(points))
    names = [*(labels[i] for i in which), "macro"]
    sizes = [*((gold == labels[i]).sum() for i in which), len(gold)]
    of_group = np.bincount(numbers).astype(float)
    rows = []
    for name, n, value, drawn in zip(names, sizes, points, draws.T, strict=True):
        drawn = drawn[np.isfinite(drawn)]
        found = score_interval(value, drawn, drawn - value, int(n), of_group)
        rows.append((name, found.value, found.low, found.high, int(n)))
    return pd.DataFrame(rows, columns=["label", "value", "low", "high", "n"])


def _areas(gold, shares, labels, which, weights) -> np.ndarray:
    """Area of each label, then their mean; nan where a resample lacks one side."""
    found = []
    for i in which:
        own = gold == labels[i]
        sides = [True, True] if weights is None else [weights[own], weights[~own]]
        whole = all(np.sum(side) > 0 for side in sides)
        found.append(
            roc_auc_score(own, shares[:, i], sample_weight=weights) if whole else np.nan
        )
    return np.array([*found, np.mean(found) if found else np.nan])


def sample_shares(samples: pd.DataFrame, note_ids: Sequence, level: str, tree):
    """Share of the drawn answers of one system that name each label.

    Parameters
    ----------
    samples : pandas.DataFrame
        Columns note_id, code; every row is one sample.
    note_ids : sequence
        Rows of the result; a note without samples has zeros.
    level : str

    Returns
    -------
    labels : list of str
    shares : array, shape (notes, labels)

    Examples
    --------
    >>> from deepicd.tasks.length_of_stay import BINS, Stays
    >>> rows = pd.DataFrame({"note_id": "a", "code": [BINS[0], BINS[0], BINS[1], None]})
    >>> labels, shares = sample_shares(rows, ["a", "b"], "bin", Stays())
    >>> labels, shares.tolist()
    (['up to 3 days', 'up to 7 days'], [[0.5, 0.25], [0.0, 0.0]])
    """
    named = samples[["note_id"]].assign(label=roll_up(samples["code"], level, tree))
    counts = named.value_counts().unstack(fill_value=0)
    sizes = named.groupby("note_id").size()
    shares = counts.div(sizes.reindex(counts.index), axis=0).reindex(note_ids)
    return list(shares.columns), shares.fillna(0.0).to_numpy()
