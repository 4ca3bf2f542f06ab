"""Tests of two systems on the same notes, and the correction for several tests."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def mcnemar(right_a: Sequence[bool], right_b: Sequence[bool]) -> float:
    """Exact two-sided McNemar test: p-value that a and b are right equally often.

    Examples
    --------
    >>> mcnemar([True] * 8 + [False], [False] * 8 + [True])
    0.0390625
    """
    right_a, right_b = np.asarray(right_a, bool), np.asarray(right_b, bool)
    only_a, only_b = (right_a & ~right_b).sum(), (right_b & ~right_a).sum()
    both = int(only_a + only_b)
    return float(stats.binomtest(int(only_a), both).pvalue) if both else 1.0


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down correction of p-values, in the given order.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected
