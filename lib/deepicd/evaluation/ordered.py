"""Scores of labels that have an order: how many steps off.

An answer that cannot be read counts as the label farthest from the gold one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse

from deepicd.evaluation.counts import Tally, roll_up

OFF, KAPPA = "bins_off", "quadratic_kappa"


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
