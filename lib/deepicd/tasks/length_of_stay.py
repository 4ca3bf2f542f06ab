"""How long the stay lasts, in bins that have an order."""

import re
from collections.abc import Sequence

import numpy as np

from deepicd.common.errors import UserError
from deepicd.tasks.named_outcomes import Names
from deepicd.tasks.task import Labels, Task, outcome_words, sort_out

#: Upper bounds of the bins in days, as in Clinical Outcome Prediction (COP).
BOUNDS = (3, 7, 14)
_NONE, _OPEN, _BACK = (
    "no times of the stay",
    "stay still open",
    "discharge before admission",
)
_STEPS = {
    _NONE: "no row with a time of admission",
    _OPEN: "no time of discharge",
    _BACK: "the stay would last less than no time",
}


def bins_of(bounds: Sequence[float] = BOUNDS) -> tuple[str, ...]:
    """Names of the bins, from short to long.

    Examples
    --------
    >>> bins_of((2, 5))
    ('up to 2 days', 'up to 5 days', 'over 5 days')
    """
    return (*(f"up to {days:g} days" for days in bounds), f"over {bounds[-1]:g} days")


BINS = bins_of()


class Stays(Names):
    """Bins of the length of stay: below or above the middle bound, then the bin.

    Parameters
    ----------
    bounds : sequence of float
        Upper bounds of the bins in days, rising; each belongs to the bin below.

    Examples
    --------
    >>> space = Stays()
    >>> space.path(space.normalise(" Up to 3  days."))
    ('at most 7 days', 'up to 3 days')
    >>> Stays((2, 5)).order
    ('up to 2 days', 'up to 5 days', 'over 5 days')
    """

    tag = "stay"
    levels = shown = ("half", "bin")

    def __init__(self, bounds: Sequence[float] = BOUNDS):
        super().__init__(bins_of(bounds))
        self.bounds = tuple(bounds)
        self.order = self.labels = bins_of(bounds)  # not by the alphabet
        middle = len(bounds) // 2
        sides = [f"{word} {bounds[middle]:g} days" for word in ("at most", "more than")]
        self._half = {name: sides[i > middle] for i, name in enumerate(self.order)}
        self.named = re.compile("|".join(map(re.escape, self.order)), re.IGNORECASE)

    def path(self, label: str) -> tuple[str, ...]:
        """The side of the middle bound, and the bin."""
        return (self._half[label], label) if label in self._half else ()


def bin_of(days: float, bounds: Sequence[float] = BOUNDS) -> str:
    """The bin of a length in days, parts of a day counted; bounds belong below.

    Examples
    --------
    >>> bin_of(3.0), bin_of(3.01), bin_of(14.5)
    ('up to 3 days', 'up to 7 days', 'over 14 days')
    """
    return bins_of(bounds)[int(np.searchsorted(bounds, days, side="left"))]


def labels(raw, space, bounds: Sequence[float] = BOUNDS) -> Labels:
    """Give the bin of each stay from its times of admission and discharge.

    Parameters
    ----------
    raw : deepicd.data.sources.RawTables
    space : Stays
    bounds : sequence of float

    Raises
    ------
    UserError
        If the source has no times.
    """
    if raw.stays is None:
        raise UserError(
            "a data set without times of admission and discharge",
            "admittime and dischtime of each admission",
            "take MIMIC-IV, eICU or the synthetic corpus, or ask another task",
        )
    days = raw.stays["days"]
    wrong = {_NONE: ~raw.stays["admitted"], _OPEN: days.isna(), _BACK: days < 0}
    label = [bin_of(length, bounds) for length in days]
    return sort_out(raw.stays["hadm_id"], label, wrong, _STEPS)


def length_of_stay(bounds: Sequence[float] = BOUNDS, name: str = "") -> Task:
    """Make the task for bins with these upper bounds, in days.

    Raises
    ------
    UserError
        Unless the bounds rise from above 0.

    Examples
    --------
    >>> length_of_stay((2, 5)).name
    'length_of_stay-2-5'
    """
    bounds = tuple(bounds)
    if not bounds or bounds[0] <= 0 or list(bounds) != sorted(set(bounds)):
        raise UserError(
            f"the bounds {', '.join(map(str, bounds)) or 'none'}",
            "numbers of days that rise from above 0",
            "--task length_of_stay-3-7-14",
        )
    bins = bins_of(bounds)
    return Task(
        name=name or "-".join(["length_of_stay", *(f"{days:g}" for days in bounds)]),
        about="time from admission to discharge, in bins of days",
        kind=Stays,
        opens=lambda own: Stays(bounds),
        labels=lambda raw, space: labels(raw, space, bounds),
        instructions=outcome_words(
            "predict how long the hospital stay will last",
            "the length of stay",
            f"one of these answers ({', '.join(bins[:-1])} or {bins[-1]})",
            Stays.tag,
        ),
        reward="ordered",
    )


def of_bounds(text: str) -> Task:
    """The task for bounds as they are written behind its name: "2-5-10".

    Examples
    --------
    >>> of_bounds("2-5-10").space(None).order[0]
    'up to 2 days'
    """
    parts = text.split("-")
    wrong = [part for part in parts if not re.fullmatch(r"\d+(?:\.\d+)?", part)]
    if wrong:
        raise UserError(
            f"{wrong[0]!r} as a bound of the length of stay",
            "numbers of days with a hyphen between them",
            "--task length_of_stay-3-7-14",
        )
    return length_of_stay([float(part) for part in parts])


LENGTH_OF_STAY = length_of_stay(name="length_of_stay")
