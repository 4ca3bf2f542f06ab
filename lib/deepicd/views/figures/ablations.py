"""Figures of grids: curves of variants, and the law of the SFT size."""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from deepicd.views.figures.palette import LEVEL_NAMES, look, validated
from deepicd.views.figures.saving import PAGE

BEFORE, AFTER = look("sft"), look("sft_grpo")
FEW = 4  # variants whose seeds can be told apart


def plot_law(points: pd.DataFrame, lines: pd.DataFrame) -> Figure:
    """Score by the number of SFT traces, before and after RL, with fitted lines.

    Parameters
    ----------
    points : pandas.DataFrame
        One row a run: level, after (bool), size, value.
    lines : pandas.DataFrame
        Of these runs: level, after, size, value, low, high, r2.

    Examples
    --------
    >>> points = pd.DataFrame({"level": "full", "after": True, "size": [64, 128],
    ...                        "value": [0.1, 0.2]})
    >>> lines = points.assign(low=0.0, high=0.3, r2=1.0)
    >>> len(plot_law(points, lines).axes)
    1
    """
    levels = list(dict.fromkeys(points["level"]))
    fig, panels = plt.subplots(
        1, len(levels), figsize=(PAGE, 2.5), sharey=True, squeeze=False
    )
    for axes, level in zip(panels[0], levels, strict=True):
        _law_panel(
            axes, points[points["level"] == level], lines[lines["level"] == level]
        )
        axes.set_title(LEVEL_NAMES[level])
        axes.set_xlabel("SFT traces (log scale)")
    panels[0, 0].set_ylim(0, max(0.1, 1.15 * points["value"].max()))
    panels[0, 0].set_ylabel("test accuracy")
    handles, names = panels[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=3)
    return fig


def _law_panel(axes, points, line) -> None:
    sizes = sorted(points["size"].unique())
    for after, how, shift in ((False, BEFORE, 0.98), (True, AFTER, 1.02)):
        rows = points[points["after"] == after]
        if rows.empty:
            continue
        axes.plot(
            rows["size"] * shift,
            rows["value"],
            how.marker,
            color=how.colour,
            markersize=3.5,
            linestyle="",
            label=f"{how.name} (each run)",
            markerfacecolor="white" if not after else how.colour,
        )
        own = line[line["after"] == after]
        if len(own):
            _law_line(axes, own, how, 0.05 + 0.09 * after)
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.minorticks_off()


def _law_line(axes, line, how, height) -> None:
    """Line, band and R² of the runs before or after RL."""
    axes.plot(
        line["size"],
        line["value"],
        color=how.colour,
        linestyle=how.line,
        linewidth=1,
        label=f"line through {how.name}",
    )
    if np.isfinite(line["low"]).all():
        axes.fill_between(
            line["size"],
            line["low"],
            line["high"],
            linewidth=0,
            color=how.colour,
            alpha=0.15,
            label="its 95 % band over runs",
        )
    if line["r2"].notna().all():
        axes.text(
            0.96,
            height,
            f"R² {line['r2'].iloc[0]:.2f}",
            ha="right",
            color=how.colour,
            transform=axes.transAxes,
        )


def plot_variants(frame: pd.DataFrame, levels=None, by: str = "reward") -> Figure:
    """Validation accuracy by step for each variant: mean of seeds, of few each seed.

    Each panel has its own scale, because levels differ more than variants.

    Parameters
    ----------
    frame : DataFrame
        Columns `by`, seed, step, name (val_accuracy_<level>), value.
    levels : sequence of str
        One panel a level.
    by : str
        Column that names the variant.

    Examples
    --------
    >>> row = {"reward": "tree", "seed": 0, "step": 1, "value": 0.5,
    ...        "name": "val_accuracy_full"}
    >>> len(plot_variants(pd.DataFrame([row]), ["full"]).axes)
    1
    """
    variants = list(dict.fromkeys(frame[by]))
    seeds, each = frame["seed"].nunique(), len(variants) <= FEW
    rows = -(-len(variants) // 4)
    levels = levels or validated(frame["name"])
    fig, panels = plt.subplots(
        1, len(levels), figsize=(PAGE, 2.2 + 0.15 * rows), squeeze=False
    )
    for axes, level in zip(panels[0], levels, strict=True):
        part = frame[frame["name"] == f"val_accuracy_{level}"]
        for variant in variants:
            _lines(axes, part[part[by] == variant], look(variant, variants), each)
        axes.set(title=LEVEL_NAMES[level], xlabel="GRPO step")
        axes.xaxis.set_major_locator(_step_ticks(part["step"]))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    panels[0, 0].set_ylabel("validation accuracy")
    handles, names = panels[0, 0].get_legend_handles_labels()
    title = f"mean of {seeds} seeds" if seeds > 1 else "one seed"
    title += "; thin: each seed" if seeds > 1 and each else ""
    fig.legend(
        handles,
        names,
        loc="outside lower center",
        ncols=min(len(variants), 4),
        title=title,
    )
    return fig


def _step_ticks(steps):
    """Ticks where there are points, if those are few; of two neighbours the later.

    Examples
    --------
    >>> _step_ticks([33, 66, 99, 100]).locs.tolist()
    [33, 66, 100]
    """
    places = sorted(set(steps))
    if len(places) <= FEW:
        near = (places[-1] - places[0]) / 20
        apart = [a for a, b in pairwise([*places, np.inf]) if b - a > near]
        return FixedLocator(apart)
    return MaxNLocator(FEW, integer=True)


def _lines(axes, rows, how, each: bool) -> None:
    if each and rows["seed"].nunique() > 1:
        for _, one in rows.groupby("seed"):
            axes.plot(
                one["step"], one["value"], color=how.colour, linewidth=0.5, alpha=0.5
            )
    mean = rows.groupby("step")["value"].mean()
    axes.plot(
        mean.index,
        mean,
        color=how.colour,
        linestyle=how.line,
        marker=how.marker,
        markersize=3,
        label=how.name,
    )
