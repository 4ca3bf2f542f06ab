"""Intervals and tests: how sure a score, or a difference of two, is.

Cases of one patient are not independent, so patients are drawn, not notes. Two
systems are compared on the SAME draws. The label set is frozen: a rare code that a
resample misses is still a class there.

What a sample hardly shows, resamples of it cannot show either: five right answers of
five stay five of five in every one. So where fewer than `FEW` patients speak for one
of two sides (right and wrong; better and worse), or no resample moves the value, the
interval also covers exact binomial limits (`exact_limits`): those of Clopper and
Pearson for a score, those of the sign test (McNemar's) for a difference. And up to
`MANY` patients that differ, no difference is clear that this test does not find.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from deepicd.evaluation.counts import (
    Tally,
    as_seeds,
    check_lengths,
    gold_labels,
    label_set_at,
    roll_up,
    tally,
)
from deepicd.evaluation.resampling import bootstrap, group_numbers, mean_over_seeds

FEW = 10
"""Patients on one side below which resamples are not trusted alone."""
MANY = 200
"""Patients on whom two systems differ, up to which the sign test is asked."""
BOOTSTRAP = "bias-corrected bootstrap of groups"
EXACT = f"{BOOTSTRAP}, widened to exact binomial limits (few cases)"


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
        How the interval was made: `BOOTSTRAP` or `EXACT`.

    Examples
    --------
    >>> print(Interval(0.1, 0.02, 0.18, 400, 350, 2000, "basic"))
    0.100 [0.020, 0.180]
    >>> Interval(0.1, 0.02, 0.18, 400, 350, 2000, "basic").clear
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
    def clear(self) -> bool:
        """Whether zero is outside, so that a difference is shown."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def exact_limits(share: float, weights: np.ndarray) -> tuple[float, float]:
    """95 % limits of a share of independent units, however few.

    Those of Clopper and Pearson (1934), of as many units as weigh alike: the square
    of the sum of weights by the sum of squares (Korn and Graubard 1998).

    Parameters
    ----------
    share : float
        0 to 1: weight of the units that are right, of all.
    weights : array, shape (units,)
        Zero or more; only their proportions count. Without any, nothing is known.

    Examples
    --------
    >>> [round(x, 3) for x in exact_limits(1.0, np.ones(5))]
    [0.478, 1.0]
    >>> [round(x, 3) for x in exact_limits(1.0, np.array([5]))]
    [0.025, 1.0]
    """
    if not np.sum(weights) > 0:
        return 0.0, 1.0
    alike, share = _alike(weights), float(np.clip(share, 0, 1))
    right, wrong = share * alike, (1 - share) * alike
    low = stats.beta.ppf(0.025, right, wrong + 1)
    high = stats.beta.ppf(0.975, right + 1, wrong)
    return float(low) if share > 1e-12 else 0.0, float(
        high
    ) if share < 1 - 1e-12 else 1.0


def few(share: float, weights: np.ndarray) -> bool:
    """Whether fewer than `FEW` units (as many as weigh alike) speak for one side.

    >>> few(0.5, np.ones(19)), few(0.5, np.ones(20)), few(0.99, np.ones(800))
    (True, False, True)
    """
    if not np.sum(weights) > 0:
        return True
    return bool(min(share, 1 - share) * _alike(weights) < FEW - 1e-9)


def _alike(weights: np.ndarray) -> float:
    """Number of units of equal weight that tell as much."""
    weights = np.asarray(weights, dtype=float)
    return float(weights.sum() ** 2 / np.square(weights).sum())


def score_interval(
    value: float,
    draws: np.ndarray,
    shifts: np.ndarray,
    n: int,
    weights: np.ndarray,
    most: float = 1.0,
) -> Interval:
    """95 % interval of a score: the bootstrap's spread around the corrected value.

    Percentiles of a macro score sit below it (rare labels vanish from resamples),
    so only their distance from their own mean is used. Where few cases are right, or
    few wrong, or no resample moves the score, the exact limits are inside too. How
    often the interval holds the truth is measured by
    `python -m deepicd.study.bench coverage`.

    Parameters
    ----------
    value : float
        The score of the sample; reported as it is.
    draws, shifts : arrays, shape (resamples,)
        From `bootstrap`; empty for no interval.
    n : int
        Cases, for the record.
    weights : array, shape (groups,)
        How much of the score hangs on each group.
    most : float
        Highest possible score, 0 is the lowest. Infinite where there is none: then
        no exact limits exist, and of fewer than `FEW` groups there is no interval
        (nan): too few to say.
    """
    low, high = _resampled(value, draws, shifts, len(weights))
    method = BOOTSTRAP
    if np.isinf(most):
        if few(0.5, np.repeat(weights, 2)):
            low = high = np.nan
    elif len(draws):
        low, high, seen = widened(value / most, low / most, high / most, draws, weights)
        low, high, method = low * most, high * most, EXACT if seen else BOOTSTRAP
    return Interval(
        float(value), float(low), float(high), n, len(weights), len(draws), method
    )


def widened(share, low, high, draws, weights) -> tuple[float, float, bool]:
    """An interval of a share, with its exact limits where resamples see too little.

    Returns
    -------
    low, high : float
        Inside 0 to 1.
    exact : bool
        Whether the exact limits were asked.

    Examples
    --------
    >>> draws = np.full(99, 1 / 3)  # no resample moves it
    >>> [round(x, 3) for x in widened(1 / 3, 1 / 3, 1 / 3, draws, np.ones(3))[:2]]
    [0.008, 0.906]
    """
    exact = bool(np.ptp(draws) < 1e-9) or few(share, weights)
    if exact:
        ends = exact_limits(share, weights)
        low, high = min(low, ends[0]), max(high, ends[1])
    return float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1)), exact


def difference_interval(
    value: float,
    draws: np.ndarray,
    shifts: np.ndarray,
    n: int,
    effects: np.ndarray | None,
    weights: np.ndarray,
) -> Interval:
    """95 % interval of a paired difference of two scores from 0 to 1.

    The limits of the exact sign test are, of the groups in which the systems differ,
    the share that is better under a, as `exact_limits`, times how much differs; away
    from what is seen, where few differ, times as much as may differ. Where few groups
    speak for one of the systems they are inside, and where they hold zero it is.

    Parameters
    ----------
    value, draws, shifts, n
        As in `score_interval`.
    effects : array, shape (groups,), or None
        What each group adds to the difference; None where so many differ that
        resamples are enough.
    weights : array, shape (groups,)
        How much of the score hangs on each group.
    """
    low, high = _resampled(value, draws, shifts, len(weights))
    method = BOOTSTRAP
    if len(draws) and effects is not None:
        worse, better, seen = _sign_limits(effects, weights)
        if seen or np.ptp(draws) < 1e-9:
            low, high, method = min(low, worse), max(high, better), EXACT
        elif worse <= 0 <= better:
            low, high = min(low, 0.0), max(high, 0.0)
    low, high = np.clip([low, high], -1, 1)
    return Interval(
        float(value), float(low), float(high), n, len(weights), len(draws), method
    )


def _sign_limits(effects, weights) -> tuple[float, float, bool]:
    """Exact limits of a difference, and whether few groups speak for one side."""
    size = np.abs(effects)
    total = size.sum()
    if total < 1e-12:
        most = exact_limits(0.0, weights)[1]
        return -most, most, True
    up = effects[effects > 0].sum() / total
    worse, better = (2 * end - 1 for end in exact_limits(up, size))
    most = exact_limits(total, weights)[1] if few(total, weights) else total
    low = worse * (most if worse < 0 else total)
    high = better * (most if better > 0 else total)
    return low, high, few(up, size)


def _resampled(value, draws, shifts, groups: int) -> tuple[float, float]:
    """The bootstrap's interval alone; nan without resamples."""
    if not len(draws):
        return np.nan, np.nan
    spread = np.quantile(draws, [0.025, 0.975]) - draws.mean()
    return tuple(value - shifts.mean() + spread * _widening(groups))


def half_over_seeds(values) -> float:
    """Half of the 95 % interval (Student's t) of a mean over three seeds or more.

    Examples
    --------
    >>> round(half_over_seeds([0.5, 0.6, 0.7]), 3)
    0.248
    """
    k = len(values)
    return float(stats.t.ppf(0.975, k - 1) * np.std(values, ddof=1) / np.sqrt(k))


def _widening(groups: int) -> float:
    """Expansion of bootstrap percentiles for few groups (Hesterberg 2015)."""
    if groups < 2:
        return 1.0
    student = stats.t.ppf(0.975, groups - 1) / stats.norm.ppf(0.975)
    return float(student * np.sqrt(groups / (groups - 1)))


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
    label_set: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
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
    label_set : sequence of str, or mapping of level to such, optional
        Labels of macro and weighted scores, in any spelling; finer ones are rolled
        up. Default: those of the gold codes.

    Returns
    -------
    Interval, or dict of level to Interval

    Raises
    ------
    UserError
        Where lengths differ, a gold code is not in the tree or the label set is
        empty, lacks the level or holds what is no label.

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
        found[each] = difference_interval(
            points[one].mean() - points[two].mean(),
            *differ,
            len(gold),
            swap_effects(tallies[one], tallies[two], metric),
            tallies[i * width].weights(metric),
        )
    return found[levels[0]] if isinstance(level, str) else found


def swap_effects(a: Sequence[Tally], b: Sequence[Tally], name: str):
    """What each group adds to the difference of two systems in a score.

    Half of what the difference loses when a and b exchange their answers to that
    group alone; for accuracy that is its own share of the difference. Mean over
    seeds.

    Returns
    -------
    array, shape (groups,), or None
        None where a and b differ in more than `MANY` groups.

    Examples
    --------
    >>> gold, groups = np.array(["x", "y"]), np.array([0, 1])
    >>> a, b = (tally(gold, np.array(said), ["x", "y"], groups)
    ...         for said in (["x", "y"], ["x", "x"]))
    >>> swap_effects([a], [b], "accuracy").tolist()
    [0.0, 0.5]
    """
    effects = np.zeros(a[0].matrix.shape[1])
    seeds = max(len(a), len(b))
    for i in range(seeds):
        one, two = a[i % len(a)], b[i % len(b)]
        change = two.matrix - one.matrix
        change.eliminate_zeros()
        differ = np.unique(change.indices)
        if len(differ) > MANY:
            return None
        change = change[:, differ].toarray().astype(float)
        gap = one.scores(one.totals, name) - two.scores(two.totals, name)
        swapped = one.scores(one.totals + change, name)
        swapped = swapped - two.scores(two.totals - change, name)
        effects[differ] += (gap - swapped) / 2 / seeds
    return effects


def _tallies(gold, answers, level, groups, tree, label_set) -> list[Tally]:
    at_level = gold_labels(gold, level, tree)
    labels = label_set_at(label_set, gold, level, tree)
    return [
        tally(at_level, roll_up(codes, level, tree), labels, groups)
        for codes in answers
    ]


def _tree():
    from deepicd.icd.load import load_tree

    return load_tree()
