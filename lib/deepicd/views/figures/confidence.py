"""Figures of confidence: does agreement of samples tell what is right?"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from deepicd.views.figures.palette import LEVEL_NAMES, in_order, look
from deepicd.views.figures.saving import COLUMN


def _panels(frame: pd.DataFrame, height: float):
    levels = list(dict.fromkeys(frame["level"]))
    fig, panels = plt.subplots(
        1,
        len(levels),
        sharex=True,
        sharey=True,
        squeeze=False,
        figsize=(max(COLUMN, 2.33 * len(levels)), height),
    )
    for axes, level in zip(panels[0], levels, strict=True):
        axes.set_title(LEVEL_NAMES[level])
    return fig, panels[0], levels


def plot_risk_coverage(frame: pd.DataFrame) -> Figure:
    """Error among the answered notes as the least certain ones are left to a person.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, level, coverage, risk.

    Examples
    --------
    >>> frame = pd.DataFrame({"system": "sft", "level": "full",
    ...                       "coverage": [0.5, 1.0], "risk": [0.1, 0.3]})
    >>> len(plot_risk_coverage(frame).axes)
    1
    """
    fig, panels, levels = _panels(frame, 2.4)
    systems = in_order(frame["system"])
    for axes, level in zip(panels, levels, strict=True):
        for system in systems:
            rows = frame[(frame["system"] == system) & (frame["level"] == level)]
            how = look(system, systems)
            axes.plot(
                rows["coverage"],
                rows["risk"],
                color=how.colour,
                label=how.name,
                linestyle=how.line,
                marker=how.marker,
            )
        axes.set(xlabel="share answered", xlim=(0, 1.03))
    panels[0].set(ylabel="error among answered", ylim=(0, None))
    handles, names = panels[0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=2)
    return fig


def plot_reliability(frame: pd.DataFrame) -> Figure:
    """Share right against the agreement of the samples; perfect is the diagonal.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, level, agreement, value, low, high, n; one row a bin. Marks
        grow with the notes of the bin.

    Examples
    --------
    >>> frame = pd.DataFrame({"system": "sft", "level": "full", "agreement": [0.3, 0.9],
    ...     "value": [0.2, 0.8], "low": [0.1, 0.7], "high": [0.4, 0.9], "n": [9, 40]})
    >>> len(plot_reliability(frame).axes)
    1
    """
    fig, panels, levels = _panels(frame, 2.4)
    systems = in_order(frame["system"])
    largest = frame["n"].max()
    for axes, level in zip(panels, levels, strict=True):
        axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, linestyle="-")
        for system in systems:
            rows = frame[(frame["system"] == system) & (frame["level"] == level)]
            how = look(system, systems)
            axes.vlines(
                rows["agreement"],
                rows["low"],
                rows["high"],
                linewidth=0.9,
                color=how.colour,
            )
            axes.plot(
                rows["agreement"],
                rows["value"],
                color=how.colour,
                linestyle=how.line,
                marker=how.marker,
                label=how.name,
            )
            axes.scatter(
                rows["agreement"],
                rows["value"],
                color=how.colour,
                zorder=3,
                marker=how.marker,
                s=6 + 50 * rows["n"] / largest,
            )
        axes.set(
            xlabel="agreement of the samples",
            xlim=(-0.03, 1.05),
            ylim=(-0.03, 1.05),
            aspect="equal",
        )
    panels[0].set_ylabel("share of majority answers right")
    panels[0].legend(loc="upper left")
    return fig
