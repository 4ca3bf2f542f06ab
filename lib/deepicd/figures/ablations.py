"""Figures of grids: variants against one of them, and the law of the SFT size."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from deepicd.figures.palette import LEVEL_NAMES, METRIC_NAMES, look
from deepicd.figures.saving import PAGE

MARKS = {"accuracy": "o", "macro_f1": "s"}
COLOURS = {"accuracy": "#0072b2", "macro_f1": "#d55e00"}
BEFORE, AFTER = look("sft"), look("sft_grpo")


def plot_against(frame: pd.DataFrame, levels=("chapter", "category", "full")) -> Figure:
    """Paired differences, one row a comparison and one panel a level.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns a, b, level, metric, value, low, high, n: score of a minus b.

    Examples
    --------
    >>> row = {"a": "tree", "b": "flat", "level": "full", "metric": "accuracy",
    ...        "value": 0.05, "low": 0.01, "high": 0.09, "n": 100}
    >>> len(plot_against(pd.DataFrame([row]), ["full"]).axes)
    1
    """
    pairs = list(dict.fromkeys(zip(frame["a"], frame["b"], strict=True)))[::-1]
    metrics = [m for m in MARKS if m in set(frame["metric"])]
    fig, panels = plt.subplots(
        1, len(levels), figsize=(PAGE, 0.95 + 0.33 * len(pairs)), sharex=True,
        sharey=True, squeeze=False,
    )  # fmt: skip
    for axes, level in zip(panels[0], levels, strict=True):
        for row in frame[frame["level"] == level].itertuples():
            up = 0.15 * (1 if row.metric == metrics[0] else -1) * (len(metrics) > 1)
            _interval(axes, row, pairs.index((row.a, row.b)) + up)
        axes.axvline(0, color="#222222", linewidth=0.7, linestyle="-", zorder=1)
        axes.set_title(LEVEL_NAMES[level])
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
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
    return [f"{a} minus\n{b}" for a, b in pairs], "paired difference"


def _interval(axes, row, y: float) -> None:
    colour, clear = COLOURS[row.metric], row.low > 0 or row.high < 0
    axes.plot([row.low, row.high], [y, y], color=colour, linewidth=1.1, linestyle="-")
    axes.plot(row.value, y, MARKS[row.metric], color=colour, markersize=4,
              markerfacecolor=colour if clear else "white", zorder=3)


def _key(fig, metrics, frame) -> None:
    marks = [
        Line2D([], [], marker=MARKS[m], linestyle="-", linewidth=1.1, markersize=4,
               color=COLOURS[m], markerfacecolor="white", label=METRIC_NAMES[m])
        for m in metrics
    ]  # fmt: skip
    full = Line2D([], [], marker="o", linestyle="", color="#555555", markersize=4,
                  label="filled: excludes zero")
    fig.legend(handles=[*marks, full], loc="outside lower center", ncols=3,
               title="95 % intervals by bootstrap over patients and seeds, "
               f"{frame['n'].max():,} notes")


def plot_law(points: pd.DataFrame, lines: pd.DataFrame) -> Figure:
    """Score by the number of SFT traces, before and after RL, with fitted lines.

    Parameters
    ----------
    points : pandas.DataFrame
        One row a run: level, after (bool), size, value.
    lines : pandas.DataFrame
        Of the runs after RL: level, size, value, low, high, r2.

    Examples
    --------
    >>> points = pd.DataFrame({"level": "full", "after": True, "size": [64, 128],
    ...                        "value": [0.1, 0.2]})
    >>> lines = points.assign(low=0.0, high=0.3, r2=1.0)
    >>> len(plot_law(points, lines).axes)
    1
    """
    levels = list(dict.fromkeys(points["level"]))
    fig, panels = plt.subplots(1, len(levels), figsize=(PAGE, 2.5), sharey=True,
                               squeeze=False)
    for axes, level in zip(panels[0], levels, strict=True):
        _law_panel(axes, points[points["level"] == level],
                   lines[lines["level"] == level])
        axes.set_title(LEVEL_NAMES[level])
        axes.set_xlabel("SFT traces (log scale)")
    panels[0, 0].set_ylim(0, max(0.1, 1.15 * points["value"].max()))
    panels[0, 0].set_ylabel("test accuracy")
    handles, names = panels[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=4)
    return fig


def _law_panel(axes, points, line) -> None:
    sizes = sorted(points["size"].unique())
    for after, how, shift in ((False, BEFORE, 0.98), (True, AFTER, 1.02)):
        rows = points[points["after"] == after]
        axes.plot(rows["size"] * shift, rows["value"], how.marker, color=how.colour,
                  markersize=3.5, linestyle="", label=f"{how.name} (each run)",
                  markerfacecolor="white" if not after else how.colour)
    if len(line):
        axes.plot(line["size"], line["value"], color=AFTER.colour, linestyle="-",
                  linewidth=1, label="line through SFT + GRPO")
        if np.isfinite(line["low"]).all():
            axes.fill_between(line["size"], line["low"], line["high"], linewidth=0,
                              color=AFTER.colour, alpha=0.15,
                              label="its 95 % band over runs")
        if line["r2"].notna().all():
            axes.text(0.96, 0.05, f"R² {line['r2'].iloc[0]:.2f}", ha="right",
                      transform=axes.transAxes)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.minorticks_off()
