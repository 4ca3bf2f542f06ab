"""Figures along the tree: an icicle, chapters of two systems, the oracle's lead."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepicd.tasks.known import coarse_and_finest, shown_levels, top_levels
from deepicd.views.figures.evaluation import intervals
from deepicd.views.figures.palette import LEVEL_NAMES, METRIC_NAMES, in_order, look
from deepicd.views.figures.saving import COLUMN, PAGE


def plot_icicle(frame: pd.DataFrame) -> Figure:
    """The tree from chapters down, as wide as its notes, coloured by the share right.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns level, label, start, n, value: from `tables.icicle_table`.

    Examples
    --------
    >>> frame = pd.DataFrame({"level": ["chapter", "full"], "label": ["9", "I10"],
    ...                       "start": [0, 0], "n": [4, 4], "value": [1.0, 0.5]})
    >>> len(plot_icicle(frame).axes)
    2
    """
    levels = list(dict.fromkeys(frame["level"]))
    total = frame.loc[frame["level"] == levels[0], "n"].sum()
    fig, axes = plt.subplots(figsize=(PAGE, 0.55 + 0.42 * len(levels)))
    colours, shown = plt.get_cmap("cividis"), PAGE * 0.8 / total
    for depth, level in enumerate(levels):
        rows = frame[frame["level"] == level]
        axes.barh(
            np.full(len(rows), depth),
            rows["n"],
            left=rows["start"],
            height=0.94,
            color=colours(rows["value"]),
            edgecolor="white",
            linewidth=0.3,
        )
        for row in rows.itertuples():
            if row.n * shown > 0.062 * len(row.label) + 0.03:
                axes.text(
                    row.start + row.n / 2,
                    depth,
                    row.label,
                    ha="center",
                    va="center",
                    fontsize=6,
                    color="#111111" if row.value > 0.55 else "white",
                )
    axes.set_yticks(range(len(levels)), [LEVEL_NAMES[level] for level in levels])
    axes.set(
        xlim=(0, total),
        ylim=(len(levels) - 0.5, -0.5),
        xlabel=f"{total:,} test notes, by their gold code",
    )
    axes.grid(visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left"]].set_visible(False)
    bar = plt.cm.ScalarMappable(plt.Normalize(0, 1), colours)
    fig.colorbar(bar, ax=axes, label="share right", pad=0.01, aspect=12)
    return fig


def plot_chapters(
    frame: pd.DataFrame,
    a: str,
    b: str,
    metric: str = "accuracy",
    level: str = "",
) -> Figure:
    """Each chapter's score by two systems: b across, a up; bars are intervals.

    Of other tasks the nodes of their coarsest level.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, stratum ("chapter: 9"), level, metric, value, low, high, n.
    a, b : str
        Systems.

    Examples
    --------
    >>> frame = pd.DataFrame([{"system": s, "stratum": "chapter: 9", "n": 40,
    ...     "level": "category", "metric": "accuracy", "value": 0.5, "low": 0.4,
    ...     "high": 0.6} for s in ("sft", "sft_grpo")])
    >>> len(plot_chapters(frame, "sft_grpo", "sft").axes)
    1
    """
    level = level or coarse_and_finest(frame["level"])[0]
    rows = frame[
        (frame["metric"] == metric)
        & (frame["level"] == level)
        & frame["stratum"].str.split(":").str[0].isin(top_levels())
    ]
    up, across = (rows[rows["system"] == s].set_index("stratum") for s in (a, b))
    fig, axes = plt.subplots(figsize=(COLUMN, 3.2))
    axes.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, linestyle="-")
    colour = look(a).colour
    for name in up.index.intersection(across.index):
        y, x = up.loc[name], across.loc[name]
        axes.plot(
            [x.low, x.high],
            [y.value] * 2,
            color=colour,
            linewidth=0.5,
            alpha=0.45,
            linestyle="-",
        )
        axes.plot(
            [x.value] * 2,
            [y.low, y.high],
            color=colour,
            linewidth=0.5,
            alpha=0.45,
            linestyle="-",
        )
        axes.scatter(
            x.value,
            y.value,
            s=70 + 0.5 * y.n,
            color="white",
            zorder=3,
            edgecolor=colour,
            linewidth=0.9,
        )
        axes.text(
            x.value,
            y.value,
            name.split(": ")[1],
            ha="center",
            va="center",
            fontsize=6,
            zorder=4,
        )
    lowest = min([0.95, *up["low"], *across["low"]]) - 0.03
    axes.set(xlim=(lowest, 1.03), ylim=(lowest, 1.03), aspect="equal")
    named = f"{METRIC_NAMES.get(metric, metric)}, {LEVEL_NAMES[level].lower()}"
    axes.set(xlabel=f"{look(b).name}: {named}", ylabel=f"{look(a).name}: {named}")
    return fig


def plot_oracle_gap(frame: pd.DataFrame, levels=None) -> Figure:
    """How far each system stays below the best possible reader.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, level, value (oracle minus system), low, high, n.

    Examples
    --------
    >>> row = {"system": "sft", "level": "full", "value": 0.3, "low": 0.2,
    ...        "high": 0.4, "n": 90}
    >>> len(plot_oracle_gap(pd.DataFrame([row]), levels=["full"]).axes)
    1
    """
    systems = in_order(frame["system"])[::-1]
    levels = levels or shown_levels(frame["level"])
    fig, panels = plt.subplots(
        1,
        len(levels),
        sharex=True,
        sharey=True,
        squeeze=False,
        figsize=(max(COLUMN, PAGE * len(levels) / 3), 0.7 + 0.2 * len(systems)),
    )
    for axes, level in zip(panels[0], levels, strict=True):
        rows = frame[frame["level"] == level]
        places = [systems.index(s) for s in rows["system"]]
        axes.hlines(places, 0, rows["value"], color="#cccccc", linewidth=1)
        intervals(axes, rows, systems)
        axes.axvline(0, color="#222222", linewidth=0.7, linestyle="-")
        axes.set_title(LEVEL_NAMES[level])
        axes.grid(axis="y", visible=False)
    panels[0, 0].set_yticks(
        range(len(systems)), [look(s, systems).name for s in systems]
    )
    panels[0, 0].set_ylim(-0.6, len(systems) - 0.4)
    fig.supxlabel(
        f"accuracy of the oracle minus accuracy of the system (paired, "
        f"{int(frame['n'].max()):,} notes; bars: 95 % interval by patient)",
        fontsize=7,
    )
    return fig
