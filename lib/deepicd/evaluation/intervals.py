"""Intervals and tests: how sure a score, or a difference of two, is.

Cases of one patient are not independent, so patients are drawn, not notes. Two
systems are compared on the SAME draws. The label set is frozen: a rare code that a
resample misses is still a class there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse, stats

from deepicd.evaluation.counts import (
    Tally,
    as_seeds,
    check_lengths,
    gold_labels,
    roll_up,
    tally,
)

BLOCK = 100
"""Resamples at a time: their weights stay in the cache of a core."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval.

    Attributes
    ----------
    value, low, high : float
    n : int
        Cases.
    groups : int
        Independent units that were resampled (patients).
    resamples : int
    method : str
        How the interval was made.

    Examples
    --------
    >>> print(Interval(0.1, 0.02, 0.18, 400, 350, 2000, "basic"))
    0.100 [0.020, 0.180]
    >>> Interval(0.1, 0.02, 0.18, 400, 350, 2000, "basic").excludes_zero
    True
    """

    value: float
    low: float
    high: float
    n: int
    groups: int
    resamples: int
    method: str

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def group_numbers(groups: Sequence | None, n: int) -> np.ndarray:
    """Groups as 0-based numbers; every case its own group where there are none.

    >>> group_numbers(["p1", "p2", "p1"], 3).tolist()
    [0, 1, 0]
    """
    if groups is None:
        return np.arange(n)
    return pd.factorize(pd.Series(list(groups)), use_na_sentinel=False)[0]


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


def interval_of(
    value: float,
    draws: np.ndarray,
    shifts: np.ndarray,
    n: int,
    groups: int,
    bounds=(0.0, 1.0),
) -> Interval:
    """95 % interval: the bootstrap's spread around the bias-corrected value.

    Percentiles of a macro score sit below it (rare labels vanish from resamples),
    so only their distance from their own mean is used. How often the interval holds
    the truth is measured by `python -m deepicd.study.bench coverage`.

    Parameters
    ----------
    value : float
        The score of the sample; reported as it is.
    draws, shifts : arrays, shape (resamples,)
    n, groups : int
        Cases and groups, for the record.
    bounds : (float, float)
        Possible values of the score; the interval stays inside.
    """
    low, high = np.nan, np.nan
    if len(draws) and np.ptp(draws) < 1e-9:
        low, high = _exact(value, groups, bounds)
    elif len(draws):
        spread = np.quantile(draws, [0.025, 0.975]) - draws.mean()
        centre = value - shifts.mean()
        low, high = np.clip(centre + spread * _widening(groups), *bounds)
    return Interval(
        float(value),
        float(low),
        float(high),
        n,
        groups,
        len(draws),
        "bias-corrected bootstrap of groups",
    )


def _exact(value: float, groups: int, bounds) -> tuple[float, float]:
    """Interval of a score that no resample moves.

    Where all cases are right, or all wrong, resamples cannot tell how sure that is;
    the exact binomial limit of as many independent cases can (Clopper-Pearson).
    """
    reach = 1 - 0.025 ** (1 / groups)
    low = value - reach if np.isclose(value, bounds[1]) else value
    high = value + reach if np.isclose(value, bounds[0]) else value
    return low, high


def _widening(groups: int) -> float:
    """Expansion of bootstrap percentiles for few groups (Hesterberg 2015)."""
    if groups < 2:
        return 1.0
    student = stats.t.ppf(0.975, groups - 1) / stats.norm.ppf(0.975)
    return float(student * np.sqrt(groups / (groups - 1)))


def mean_over_seeds(draws: np.ndarray, seed: int) -> np.ndarray:
    """Average over seeds drawn with replacement anew for each resample.

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
    return np.take_along_axis(draws, drawn, axis=0).mean(0)


def paired_bootstrap(
    gold: Sequence,
    a: Sequence,
    b: Sequence,
    groups=None,
    level: str | Sequence[str] = "category",
    n: int = 2000,
    seed: int = 0,
    metric: str = "macro_f1",
    tree=None,
    label_set: Sequence[str] | None = None,
):
    """Difference of two systems, a minus b, with a 95 % interval.

    Both systems are scored on the same resamples of patients with one frozen label
    set. Where a or b holds several seeds, seeds are resampled too (the same ones
    for both if they have equally many).

    Parameters
    ----------
    gold : sequence of str, length m
    a, b : sequence of (str or None), length m, or several such, one per seed
        Codes in any spelling; None for an unparsable answer, which is wrong.
    groups : sequence of length m, optional
        Patient of each case. Default: every case is its own.
    level : str or sequence of str
        chapter, block, category, full; several levels share the resamples.
    n, seed : int
        Resamples and random seed.
    metric : str
        One of `deepicd.evaluation.counts.SCORES`.
    tree : deepicd.icd.IcdTree, optional
    label_set : sequence of str, optional
        Labels of macro and weighted scores; for one level only. Default: those of
        the gold codes.

    Returns
    -------
    Interval, or dict of level to Interval

    Raises
    ------
    UserError
        Where lengths differ or a gold code is not in the tree.

    Examples
    --------
    >>> gold = ["I21.11", "I10", "J18.9", "N17.9"]
    >>> better = paired_bootstrap(gold, gold, ["I10"] * 4, None, "chapter", n=200)
    >>> round(better.value, 3), better.n
    (0.778, 4)
    """
    tree = tree or _tree()
    systems = as_seeds(a), as_seeds(b)
    check_lengths(gold, *systems[0], *systems[1])
    numbers = group_numbers(groups, len(gold))
    check_lengths(gold, numbers)
    levels = [level] if isinstance(level, str) else list(level)
    tallies = [
        one
        for each in levels
        for one in _tallies(
            gold, systems[0] + systems[1], each, numbers, tree, label_set
        )
    ]
    points, draws, shifts = (x[:, 0] for x in bootstrap(tallies, [metric], n, seed))
    width, cut = len(systems[0]) + len(systems[1]), len(systems[0])
    found = {}
    for i, each in enumerate(levels):
        one = slice(i * width, i * width + cut)
        two = slice(i * width + cut, (i + 1) * width)
        differ = [
            mean_over_seeds(x[one], seed) - mean_over_seeds(x[two], seed)
            for x in (draws, shifts)
        ]
        value = points[one].mean() - points[two].mean()
        interval = interval_of(
            value, *differ, len(gold), int(numbers.max()) + 1, bounds=(-1.0, 1.0)
        )
        found[each] = _with_ties(interval, differ[0])
    return found[levels[0]] if isinstance(level, str) else found


def _with_ties(interval: Interval, draws: np.ndarray) -> Interval:
    """Zero is inside where the difference is zero in over 2.5 % of resamples.

    The end of the interval would be zero then, but for the chance of resampling.
    """
    if (np.abs(draws) < 1e-12).mean() <= 0.025:
        return interval
    return replace(interval, low=min(interval.low, 0.0), high=max(interval.high, 0.0))


def _tallies(gold, answers, level, groups, tree, label_set) -> list[Tally]:
    at_level = gold_labels(gold, level, tree)
    labels = sorted(set(at_level)) if label_set is None else list(label_set)
    return [
        tally(at_level, roll_up(codes, level, tree), labels, groups)
        for codes in answers
    ]


def _tree():
    from deepicd.icd.load import load_tree

    return load_tree()
