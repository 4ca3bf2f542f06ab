"""Figures of paired differences: a zero line, and what stands clear of it."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from deepicd.tasks.known import shown_levels
from deepicd.views.figures.evaluation import count
from deepicd.views.figures.palette import LEVEL_NAMES, METRIC_NAMES, look
from deepicd.views.figures.saving import COLUMN, PAGE

MARKS = {"accuracy": "o", "macro_f1": "s"}
COLOURS = {"accuracy": "#0072b2", "macro_f1": "#d55e00"}


def plot_differences(frame: pd.DataFrame) -> Figure:
    """Paired differences of two systems, one row a level and metric.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns a, b, level, metric, value, low, high, clear, n: score of a minus b.

    Examples
    --------
    >>> row = {"a": "sft_grpo", "b": "sft", "level": "full", "metric": "accuracy",
    ...        "value": 0.05, "low": 0.01, "high": 0.09, "clear": True, "n": 100}
    >>> len(plot_differences(pd.DataFrame([row])).axes)
    1
    """
    pairs = list(dict.fromkeys(zip(frame["a"], frame["b"], strict=True)))
    rows = list(dict.fromkeys(zip(frame["level"], frame["metric"], strict=True)))
    width = COLUMN if len(pairs) == 1 else PAGE
    across, down = min(len(pairs), 3), -(-len(pairs) // 3)
    # Each panel has its own scale: rivals far away would hide what lies near zero.
    fig, panels = plt.subplots(
        down,
        across,
        sharey=True,
        squeeze=False,
        figsize=(width, (0.9 + 0.18 * len(rows)) * down + 0.15),
    )
    for axes in panels.flat[len(pairs) :]:
        axes.remove()
    for axes, (a, b) in zip(panels.flat, pairs, strict=False):
        part = frame[(frame["a"] == a) & (frame["b"] == b)]
        for row in part.itertuples():
            y = len(rows) - 1 - rows.index((row.level, row.metric))
            _interval(axes, row, y, look(row.a).colour)
        known = set(zip(part["level"], part["metric"], strict=True))
        for y, row in enumerate(rows[::-1]):
            if row not in known:
                _say_none(axes, y)
        # Beside other panels a title has the width of its own alone.
        cut = " " if len(pairs) == 1 else "\n"
        axes.set_title(f"{look(a).name}{cut}minus {look(b).name}")
        _zero(axes)
    names = [
        f"{LEVEL_NAMES[level]}, {METRIC_NAMES.get(metric, metric)}"
        for level, metric in rows[::-1]
    ]
    panels[0, 0].set_yticks(range(len(rows)), names)
    panels[0, 0].set_ylim(-0.6, len(rows) - 0.4)
    fig.supxlabel(
        f"paired difference; bar: 95 % interval, {count(frame)} notes "
        "by patient;\nfull mark: interval excludes zero",
        fontsize=7,
    )
    return fig


def plot_against(frame: pd.DataFrame, levels=None) -> Figure:
    """Paired differences, one row a comparison and one panel a level.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns a, b, level, metric, value, low, high, clear, n: score of a minus b.

    Examples
    --------
    >>> row = {"a": "tree", "b": "flat", "level": "full", "metric": "accuracy",
    ...        "value": 0.05, "low": 0.01, "high": 0.09, "clear": True, "n": 100}
    >>> len(plot_against(pd.DataFrame([row]), ["full"]).axes)
    1
    """
    pairs = list(dict.fromkeys(zip(frame["a"], frame["b"], strict=True)))[::-1]
    metrics = [m for m in MARKS if m in set(frame["metric"])]
    levels = levels or shown_levels(frame["level"])
    fig, panels = plt.subplots(
        1,
        len(levels),
        figsize=(PAGE, 0.95 + 0.33 * len(pairs)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, level in zip(panels[0], levels, strict=True):
        for row in frame[frame["level"] == level].itertuples():
            up = 0.15 * (1 if row.metric == metrics[0] else -1) * (len(metrics) > 1)
            _interval(
                axes,
                row,
                pairs.index((row.a, row.b)) + up,
                COLOURS[row.metric],
                MARKS[row.metric],
            )
        axes.set_title(LEVEL_NAMES[level])
        _zero(axes)
    names, label = _names(pairs)
    panels[0, 0].set_yticks(range(len(pairs)), [n.replace("_", " ") for n in names])
    panels[0, 0].set_ylim(-0.6, len(pairs) - 0.4)
    panels[0, len(levels) // 2].set_xlabel(label.replace("_", " "))
    _key(fig, metrics, frame)
    return fig


def _names(pairs) -> tuple[list[str], str]:
    """Short names of comparisons, and what is subtracted."""
    ones, others = [a for a, _ in pairs], {b for _, b in pairs}
    if all(b in ("sft", f"{a}, SFT") for a, b in pairs):
        return ones, "SFT + GRPO minus SFT"
    if len(others) == 1:
        return ones, f"minus {look(others.pop()).name}"
    return [f"{a}\nminus {b}" for a, b in pairs], "paired difference"


def _interval(axes, row, y: float, colour: str, mark: str = "o") -> None:
    """A value with its interval; the mark is full where it excludes zero."""
    axes.plot(
        [row.low, row.high],
        [y, y],
        color=colour,
        linewidth=1.1,
        linestyle="-",
        zorder=2,
    )
    axes.plot(
        row.value,
        y,
        mark,
        color=colour,
        markersize=4,
        zorder=3,
        markerfacecolor=colour if row.clear else "white",
    )


def _say_none(axes, y: float) -> None:
    """In place of a drawn answer's row, where one of the two systems draws none."""
    axes.text(
        0.5,
        y,
        "draws no answers",
        transform=axes.get_yaxis_transform(),
        ha="center",
        va="center",
        fontsize=6,
        color="#777777",
    )


def _zero(axes) -> None:
    """The line of no difference, and a grid along the values alone."""
    axes.axvline(0, color="#222222", linewidth=0.7, linestyle="-", zorder=1)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.grid(axis="y", visible=False)


def _key(fig, metrics, frame) -> None:
    marks = [
        Line2D(
            [],
            [],
            marker=MARKS[m],
            linestyle="-",
            linewidth=1.1,
            markersize=4,
            color=COLOURS[m],
            markerfacecolor="white",
            label=METRIC_NAMES[m],
        )
        for m in metrics
    ]
    full = Line2D(
        [],
        [],
        marker="o",
        linestyle="",
        color="#555555",
        markersize=4,
        label="filled: excludes zero",
    )
    fig.legend(
        handles=[*marks, full],
        loc="outside lower center",
        ncols=3,
        title="95 % intervals by bootstrap over patients and seeds, "
        f"{frame['n'].max():,} notes",
    )
