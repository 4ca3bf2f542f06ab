"""Resamples of patients: every score of every system on the same draws."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

BLOCK = 100
"""Resamples at a time: their weights stay in the cache of a core."""


def group_numbers(groups: Sequence | None, n: int) -> np.ndarray:
    """Groups as 0-based numbers; every case its own group where there are none.

    A case whose group is missing (None, nan) is a group of its own too: nothing says
    that two unknown patients are one.

    >>> group_numbers(["p1", None, "p1", None], 4).tolist()
    [0, 1, 0, 2]
    """
    if groups is None:
        return np.arange(n)
    numbers = pd.factorize(pd.Series(list(groups)))[0]
    missing = numbers < 0
    numbers[missing] = numbers.max(initial=-1) + 1 + np.arange(missing.sum())
    return numbers


def missing_groups(groups: Sequence | None) -> int:
    """Cases whose group (patient) is missing; each of them counts as its own.

    >>> missing_groups(["p1", None, float("nan")])
    2
    """
    return 0 if groups is None else int(pd.isna(pd.Series(list(groups))).sum())


def weight_blocks(n_groups: int, n: int, seed: int) -> Iterator[np.ndarray]:
    """Bootstrap weights of groups, in blocks that fit the cache.

    Parameters
    ----------
    n_groups, n : int
        Groups, and resamples in all.
    seed : int

    Yields
    ------
    numpy.ndarray of float32, shape (n_groups, up to `BLOCK`)
        How often each group is drawn; every column sums to `n_groups`.

    Examples
    --------
    >>> [block.sum(0).tolist() for block in weight_blocks(3, 2, seed=0)]
    [[3.0, 3.0]]
    """
    generator = np.random.default_rng(seed)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        drawn = generator.integers(n_groups, size=(size, n_groups), dtype=np.int32)
        drawn += np.arange(size, dtype=np.int32)[:, None] * np.int32(n_groups)
        counts = np.bincount(drawn.ravel(), minlength=size * n_groups)
        yield np.ascontiguousarray(counts.reshape(size, n_groups).T.astype(np.float32))


def bootstrap(tallies: Sequence, names: Sequence[str], n: int, seed: int):
    """Scores of several tallies on the same resamples of groups.

    Parameters
    ----------
    tallies : sequence of deepicd.evaluation.counts.Tally or Ratios, length t
        Over the same groups.
    names : sequence of str, length s
    n, seed : int
        Resamples and random seed.

    Returns
    -------
    points : array, shape (t, s)
    draws, shifts : arrays, shape (t, s, n)
        See `Tally.draws`.
    """
    points = np.array(
        [[one.scores(one.totals, name)[0] for name in names] for one in tallies]
    )
    stacked = sparse.vstack([one.matrix for one in tallies], format="csr")
    ends = np.cumsum([one.matrix.shape[0] for one in tallies])
    results = np.empty((2, len(tallies), len(names), n))
    start = 0
    for block in weight_blocks(stacked.shape[1], n, seed):
        parts = np.split(stacked @ block, ends[:-1])
        stop = start + block.shape[1]
        for i, (item, sums) in enumerate(zip(tallies, parts, strict=True)):
            for j, name in enumerate(names):
                results[:, i, j, start:stop] = item.draws(sums, name)
        start = stop
    return points, *results


def mean_over_seeds(draws: np.ndarray, seed: int) -> np.ndarray:
    """Average over seeds drawn with replacement anew for each resample.

    What means of s drawn seeds vary by is seen too small by sqrt((s - 1) / s), which
    is made good: with two seeds the difference is large.

    Parameters
    ----------
    draws : array, shape (seeds, resamples)
    seed : int

    Returns
    -------
    array, shape (resamples,)
    """
    if len(draws) == 1:
        return draws[0]
    generator = np.random.default_rng([seed, len(draws)])
    drawn = generator.integers(len(draws), size=draws.shape)
    mean, few = draws.mean(0), np.sqrt(len(draws) / (len(draws) - 1))
    return mean + few * (np.take_along_axis(draws, drawn, axis=0).mean(0) - mean)
