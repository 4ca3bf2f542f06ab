"""Figures of the evaluation: systems, outcomes, confusion."""

import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepicd.tasks.known import node_name, shown_levels
from deepicd.views.figures.palette import (
    LEVEL_NAMES,
    METRIC_NAMES,
    OUTCOME_HATCHES,
    in_order,
    look,
    outcome_colours,
)
from deepicd.views.figures.saving import PAGE

GREY = "#555555"


def plot_levels(
    frame: pd.DataFrame, levels=None, metrics=("accuracy", "macro_f1")
) -> Figure:
    """Every system at each level, with intervals.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, level, metric, value, low, high, n.
    levels, metrics : sequences of str
        One panel a level; up to two metrics, full and hollow marks.

    Examples
    --------
    >>> row = {"system": "sft", "level": "full", "metric": "accuracy",
    ...        "value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    >>> len(plot_levels(pd.DataFrame([row]), levels=["full"]).axes)
    1
    """
    systems = in_order(frame["system"])[::-1]
    height = 0.75 + 0.27 * len(systems)
    levels = levels or shown_levels(frame["level"])
    fig, panels = plt.subplots(
        1, len(levels), figsize=(PAGE, height), sharey=True, sharex=True, squeeze=False
    )
    for axes, level in zip(panels[0], levels, strict=True):
        for place, metric in enumerate(metrics):
            rows = frame[(frame["level"] == level) & (frame["metric"] == metric)]
            intervals(
                axes,
                rows,
                systems,
                hollow=place == 1,
                shift=0.16 * (1 if place == 0 else -1) * (len(metrics) > 1),
            )
        axes.set(title=LEVEL_NAMES[level], xlim=(-0.02, 1.02))
        axes.grid(axis="y", visible=False)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    panels[0, 0].set_yticks(
        range(len(systems)), [look(s, systems).name for s in systems]
    )
    panels[0, 0].set_ylim(-0.6, len(systems) - 0.4)
    _metric_key(fig, metrics, frame)
    return fig


def intervals(axes, rows, systems, hollow=False, shift=0.0) -> None:
    for row in rows.itertuples():
        how = look(row.system, systems)
        y = systems.index(row.system) + shift
        axes.plot(
            [row.low, row.high],
            [y, y],
            color=how.colour,
            linewidth=1,
            linestyle="-",
            zorder=2,
        )
        axes.plot(
            row.value,
            y,
            how.marker,
            color=how.colour,
            zorder=3,
            markerfacecolor="white" if hollow else how.colour,
            markersize=4,
        )


def _metric_key(fig, metrics, frame) -> None:
    marks = [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="",
            color=GREY,
            markersize=4,
            markerfacecolor=GREY if place == 0 else "white",
            label=METRIC_NAMES.get(metric, metric),
        )
        for place, metric in enumerate(metrics)
    ]
    bar = Line2D(
        [],
        [],
        color=GREY,
        linewidth=1,
        linestyle="-",
        label=f"95 % interval, bootstrap over {count(frame)} notes by patient",
    )
    fig.legend(handles=[*marks, bar], loc="outside lower center", ncols=3)


def count(frame) -> str:
    """Notes behind the rows of a table; a range where they differ."""
    low, high = int(frame["n"].min()), int(frame["n"].max())
    return f"{high:,}" if low == high else f"{low:,}–{high:,}"


def plot_outcomes(frame: pd.DataFrame) -> Figure:
    """What became of every note, one bar a system.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, outcome, share.

    Examples
    --------
    >>> frame = pd.DataFrame({"system": ["sft"], "outcome": ["exact"], "share": [1.0]})
    >>> len(plot_outcomes(frame).axes[0].patches)
    1
    """
    systems = in_order(frame["system"])[::-1]
    fig, axes = plt.subplots(figsize=(PAGE, 0.8 + 0.25 * len(systems)))
    left = np.zeros(len(systems))
    shares = frame.pivot_table(
        index="system",
        columns="outcome",
        values="share",
        aggfunc="mean",
        fill_value=0.0,
    )
    for outcome, colour in outcome_colours(frame["outcome"]).items():
        width = shares[outcome].reindex(systems).fillna(0).to_numpy()
        axes.barh(
            range(len(systems)),
            width,
            left=left,
            color=colour,
            height=0.72,
            edgecolor="white",
            hatch=OUTCOME_HATCHES.get(outcome),
            label=outcome,
        )
        _bar_texts(
            axes,
            left,
            width,
            colour,
            dark=sum(to_rgb(colour)) < 1.6,
        )
        left += width
    axes.set_yticks(range(len(systems)), [look(s, systems).name for s in systems])
    axes.set(xlim=(0, 1), xlabel="share of notes")
    axes.grid(visible=False)
    fig.legend(loc="outside upper center", ncols=7, handlelength=1, columnspacing=1.2)
    return fig


def _bar_texts(axes, left, width, colour, dark) -> None:
    for y, (start, part) in enumerate(zip(left, width, strict=True)):
        if part >= 0.045:
            axes.text(
                start + part / 2,
                y,
                f"{100 * part:.0f}",
                ha="center",
                va="center",
                fontsize=6.5,
                color="white" if dark else "#222222",
                bbox={"facecolor": colour, "linewidth": 0, "pad": 1.2},
            )


def plot_confusion(frame: pd.DataFrame, names: dict | None = None) -> Figure:
    """Gold against answered nodes of a level, as shares of the gold node.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns gold, predicted, n, share and perhaps level; `predicted` is "none"
        where there was no answer.
    names : dict of label to str, optional
        Titles of the gold labels; shortened to 42 letters.

    Examples
    --------
    >>> frame = pd.DataFrame({"gold": ["9"], "predicted": ["9"], "n": [4],
    ...                       "share": [1.0]})
    >>> len(plot_confusion(frame).axes)
    2
    """
    order = sorted(set(frame["gold"]) | set(frame["predicted"]), key=_natural)
    gold = [label for label in order if label in set(frame["gold"])]
    grid = frame.pivot_table(
        index="gold", columns="predicted", values="share", aggfunc="sum", fill_value=0.0
    )
    grid = grid.reindex(index=gold, columns=order).fillna(0.0)
    side = max(2.2, 0.26 * len(order))
    fig, axes = plt.subplots(
        figsize=(min(PAGE, side + 2.4), max(1.8, 0.23 * len(gold) + 0.7))
    )
    node = node_name(frame)
    counts = frame.groupby("gold")["n"].sum()
    texts = [f"{_short(names, label)} ({counts[label]:,})" for label in gold]
    heat_map(
        axes,
        grid,
        lambda share: f"{100 * share:.0f}" if share >= 0.005 else "",
        columns=["–" if label == "none" else label for label in order],
        rows=texts,
        annot_kws={"size": 6},
        cbar_kws={"label": f"share of the gold {node}", "pad": 0.02},
    )
    axes.set(
        xlabel=f"answered {node} (–: no readable code)", ylabel=f"gold {node} (notes)"
    )
    return fig


def heat_map(axes, grid: pd.DataFrame, told, columns, rows, **more) -> None:
    """Draw shares as shades of blue, with `told(share)` in each cell.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    grid : pandas.DataFrame
        Shares from 0 to 1.
    told : callable
        Share → text.
    columns, rows : list of str
    **more
        Of `seaborn.heatmap`.
    """
    import seaborn  # loads for a second: only where a map is drawn

    seaborn.heatmap(
        grid,
        vmin=0,
        vmax=1,
        cmap="Blues",
        annot=grid.map(told),
        fmt="",
        xticklabels=columns,
        yticklabels=rows,
        ax=axes,
        **more,
    )
    axes.tick_params(axis="both", rotation=0)
    axes.set(xlabel="", ylabel="")


def _short(names: dict | None, label: str) -> str:
    title = (names or {}).get(label, "").split(" (")[0]
    return textwrap.shorten(f"{label} {title}", 42, placeholder=" …")


def _natural(label: str):
    return (not str(label).isdigit(), int(label) if str(label).isdigit() else 0, label)
