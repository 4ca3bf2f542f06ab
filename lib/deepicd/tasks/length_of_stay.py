"""How long the stay lasts, in bins that have an order."""

import numpy as np
import pandas as pd

from deepicd.common.errors import UserError
from deepicd.tasks.task import Labels, LabelSpace, Task

#: Upper bounds of the bins in days, as in Clinical Outcome Prediction (COP).
BOUNDS = (3, 7, 14)
BINS = (*(f"up to {days} days" for days in BOUNDS), f"over {BOUNDS[-1]} days")
_WEEKS = {
    name: "up to a week" if i < 2 else "over a week" for i, name in enumerate(BINS)
}
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
_BINS = ", ".join(BINS[:-1]) + f" or {BINS[-1]}"
_ASKED = (
    "You are an experienced physician. Read the admission note and predict how long "
    "the hospital stay will last. "
)
_FULL = {
    "reasoning": _ASKED + "First reason step by step between <think> and </think>: "
    "quote the findings that matter. Then give exactly one of these answers between "
    f"<stay> and </stay>, and nothing after it: {_BINS}.",
    "code_only": _ASKED + "Give exactly one of these answers between <stay> and "
    f"</stay>, and nothing else: {_BINS}.",
    "answer_first": _ASKED + "First give exactly one of these answers between <stay> "
    f"and </stay>: {_BINS}. Then justify it between <think> and </think>, quoting "
    "the findings that matter.",
}
_BRIEF = {
    "reasoning": "Think, then give the length of stay.",
    "code_only": "Give the length of stay.",
    "answer_first": "Give the length of stay, then explain.",
}


class Stays(LabelSpace):
    """Bins of the length of stay: up to a week or longer, then the bin.

    Examples
    --------
    >>> space = Stays()
    >>> space.path(space.normalise(" Up to 3  days."))
    ('up to a week', 'up to 3 days')
    """

    tag = "stay"
    levels = shown = ("week", "bin")

    def normalise(self, text: str) -> str | None:
        """The bin that a text names; case, space and a last full stop aside."""
        name = " ".join(text.lower().rstrip(". ").split())
        return name if name in BINS else None

    def path(self, label: str) -> tuple[str, ...]:
        """Up to a week or longer, and the bin."""
        return (_WEEKS[label], label) if label in _WEEKS else ()

    def title(self, node: str) -> str:
        """The bin in words: its name."""
        return node


def bin_of(days: float) -> str:
    """The bin of a length in days, parts of a day counted; bounds belong below.

    Examples
    --------
    >>> bin_of(3.0), bin_of(3.01), bin_of(14.5)
    ('up to 3 days', 'up to 7 days', 'over 14 days')
    """
    return BINS[int(np.searchsorted(BOUNDS, days, side="left"))]


def labels(raw, space) -> Labels:
    """Give the bin of each stay from its times of admission and discharge.

    Parameters
    ----------
    raw : deepicd.data.sources.RawTables
    space : Stays

    Raises
    ------
    UserError
        If the source has no times.
    """
    if raw.stays is None:
        raise UserError(
            "a data set without times of admission and discharge",
            "admittime and dischtime of each admission",
            "take MIMIC-IV or the synthetic corpus, or ask another task",
        )
    days = raw.stays["days"]
    wrong = {_NONE: ~raw.stays["admitted"], _OPEN: days.isna(), _BACK: days < 0}
    missing = np.select(list(wrong.values()), list(wrong), default="")
    label = [None if m else bin_of(d) for m, d in zip(missing, days, strict=True)]
    found = {"label": pd.Series(label, index=days.index, dtype=object)}
    found = raw.stays[["hadm_id"]].assign(**found, missing=missing, doubts="")
    return Labels(found.drop_duplicates(), _STEPS, {})


LENGTH_OF_STAY = Task(
    name="length_of_stay",
    about="time from admission to discharge, in bins of days",
    space=lambda extra: Stays(),
    labels=labels,
    levels=Stays.levels,
    shown=Stays.shown,
    tag=Stays.tag,
    instructions={"full": _FULL, "brief": _BRIEF},
)
