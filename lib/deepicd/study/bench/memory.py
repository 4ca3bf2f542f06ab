"""Memory and time by model size and GPU: computed from formulas, nothing is run."""

from deepicd.study.bench.measure import Result
from deepicd.study.bench.memory_model import memory_table

TITLE = "Memory and hours by model and GPU (computed)"


def run() -> list[Result]:
    """Give every row of the table; a model that does not fit has no hours.

    Returns
    -------
    list of Result

    Examples
    --------
    >>> run()[0].unit
    'GiB'
    """
    found = []
    for row in memory_table().itertuples():
        name = f"{row.model}, {row.trained}, {row.task}, {row.gpu}, computed"
        found.append(Result(name, row.GiB, "GiB"))
        if row.fits:
            found.append(Result(f"{name}, 1,000 steps", row.hours, "h"))
    return found
