"""From parts to advantages: the two orders of adding and normalising."""

import numpy as np
from numpy.typing import ArrayLike

from deepicd.common.parameters import unknown

ORDERS = ("sum_then_normalize", "normalize_then_sum")
_EPSILON = 1e-4


def group_advantages(
    values: ArrayLike,
    weights: ArrayLike,
    group: int,
    order: str = "sum_then_normalize",
) -> np.ndarray:
    """Advantages of completions as TRL 1.14's GRPO computes them.

    `sum_then_normalize` adds the weighted parts, then subtracts the mean of the
    group and divides by its standard deviation: the part with the largest spread
    is heard, the others are noise beside it. `normalize_then_sum` (GDPO) does
    this to each part first, adds the results with the weights, and normalises
    once more over the batch: each part is heard by its weight.

    Parameters
    ----------
    values : array of shape (completions, parts)
        Unweighted parts; the completions of one prompt stand together.
    weights : array of shape (parts,)
    group : int
        Completions a prompt.
    order : {"sum_then_normalize", "normalize_then_sum"}

    Returns
    -------
    numpy.ndarray of shape (completions,)

    Raises
    ------
    UserError
        For an unknown order.

    Examples
    --------
    >>> parts = [[1.0, 0.0], [1.0, 0.1], [0.0, 0.0], [0.0, 0.1]]
    >>> group_advantages(parts, [1, 1], group=4).round(2).tolist()
    [0.78, 0.95, -0.95, -0.78]
    >>> group_advantages(parts, [1, 1], 4, "normalize_then_sum").round(2).tolist()
    [0.0, 1.22, -1.22, -0.0]
    """
    if order not in ORDERS:
        raise unknown("order of aggregation", order, ORDERS)
    values, weights = np.asarray(values, float), np.asarray(weights, float)
    grouped = values.reshape(-1, group, values.shape[1])
    if order == "sum_then_normalize":
        return _normalised(grouped @ weights, axis=1).ravel()
    return _normalised((_normalised(grouped, axis=1) @ weights).ravel(), axis=0)


def _normalised(values: np.ndarray, axis: int) -> np.ndarray:
    spread = values.std(axis=axis, ddof=1, keepdims=True)
    return (values - values.mean(axis=axis, keepdims=True)) / (spread + _EPSILON)
