"""Figures of distillation: what the checks reject, how long traces are."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from deepicd.figures.saving import COLUMN

BLUE = "#0072b2"


def plot_checks(frame: pd.DataFrame) -> Figure:
    """Share of attempts that each check rejects.

    Parameters
    ----------
    frame : DataFrame
        Columns check, n, failed, share, as `deepicd.traces.check_table` gives.

    Examples
    --------
    >>> row = {"check": "format", "n": 10, "failed": 1, "share": 0.1}
    >>> len(plot_checks(pd.DataFrame([row])).axes)
    1
    """
    checks = frame[~frame["check"].isin(["accepted", "label_only"])].iloc[::-1]
    fig, axes = plt.subplots(figsize=(COLUMN, 0.6 + 0.16 * len(checks)))
    names = checks["check"].str.replace("_", " ")
    axes.barh(names, 100 * checks["share"], color=BLUE, height=0.6)
    for place, (failed, share) in enumerate(
        zip(checks["failed"], checks["share"], strict=True)
    ):
        axes.text(100 * share, place, f" {failed:,}", va="center", fontsize=7)
    tried = int(checks["n"].max())
    axes.set(xlabel=f"attempts rejected, % of {tried:,} (number beside the bar)")
    axes.set_xlim(0, max(5.0, 115 * checks["share"].max()))
    axes.grid(axis="y", visible=False)
    return fig


def plot_lengths(frame: pd.DataFrame) -> Figure:
    """Histogram of the words of accepted traces.

    Parameters
    ----------
    frame : DataFrame
        Column words, one row a trace.

    Examples
    --------
    >>> len(plot_lengths(pd.DataFrame({"words": [12, 15, 20]})).axes)
    1
    """
    words = frame["words"]
    fig, axes = plt.subplots(figsize=(COLUMN, 1.9))
    axes.hist(words, bins=min(30, max(words.nunique(), 1)), color=BLUE)
    axes.set(
        xlabel=f"words in a trace (median {words.median():.0f})",
        ylabel=f"traces (n = {len(words):,})",
    )
    return fig
