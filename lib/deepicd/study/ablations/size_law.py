"""The law of the SFT size: the score after RL against the logarithm of the size.

DRG-Sapphire (arXiv 2505.21908) reports that it is about linear.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Law:
    """A line through runs: score = intercept + slope · log2(size).

    Attributes
    ----------
    slope, intercept : float
        The slope is the gain of a doubling.
    low, high : float
        95 % interval of the slope (Student's t over runs); infinite with two runs.
    r2 : float
        Share of the variance between runs that the line explains.
    r2_means : float
        The same for the means of the sizes: scatter of seeds left out.
    runs, sizes : int
    """

    slope: float
    intercept: float
    low: float
    high: float
    r2: float
    r2_means: float
    runs: int
    sizes: int
    centre: float
    spread: float
    error: float

    def at(self, sizes: Sequence[float]) -> tuple:
        """Line and its 95 % band at some sizes: value, low, high.

        The band is that of the line, not of a new run.
        """
        x = np.log2(np.asarray(sizes, dtype=float))
        value = self.intercept + self.slope * x
        reach = self.error * np.sqrt(
            1 / self.runs + (x - self.centre) ** 2 / self.spread
        )
        return value, value - reach, value + reach

    @property
    def clear(self) -> bool:
        """Whether the interval of the slope excludes zero."""
        return self.low > 0 or self.high < 0


def fit_law(sizes: Sequence[float], scores: Sequence[float]) -> Law | None:
    """Fit the line; None with fewer than two different sizes.

    Parameters
    ----------
    sizes : sequence of float
        Traces of each run, above 0.
    scores : sequence of float

    Examples
    --------
    >>> law = fit_law([64, 128, 256, 512], [0.10, 0.20, 0.30, 0.40])
    >>> round(law.slope, 3), round(law.r2, 3)
    (0.1, 1.0)
    """
    x, y = np.log2(np.asarray(sizes, dtype=float)), np.asarray(scores, dtype=float)
    values = np.unique(x)
    if len(values) < 2:
        return None
    means = np.array([y[x == value].mean() for value in values])
    slope, intercept = np.polyfit(x, y, 1)
    rest = y - intercept - slope * x
    spread, free = float(((x - x.mean()) ** 2).sum()), len(x) - 2
    error = np.inf
    if free:
        error = stats.t.ppf(0.975, free) * np.sqrt((rest**2).sum() / free)
    reach = error / np.sqrt(spread)
    return Law(
        float(slope),
        float(intercept),
        float(slope - reach),
        float(slope + reach),
        _share(y, rest),
        _share(means, means - np.polyval(np.polyfit(values, means, 1), values)),
        len(x),
        len(values),
        float(x.mean()),
        spread,
        float(error),
    )


def _share(y: np.ndarray, rest: np.ndarray) -> float:
    whole = ((y - y.mean()) ** 2).sum()
    return float(1 - (rest**2).sum() / whole) if whole > 1e-12 else float("nan")
