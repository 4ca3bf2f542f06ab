"""Figures over strata: training frequency, subgroups, and confidence."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepicd.tasks.known import coarse_and_finest, shown_levels
from deepicd.views.figures.evaluation import intervals
from deepicd.views.figures.palette import LEVEL_NAMES, METRIC_NAMES, in_order, look
from deepicd.views.figures.saving import COLUMN, PAGE


def plot_frequency(frame: pd.DataFrame) -> Figure:
    """F1 of each code against how often it was seen in training.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, code, train_n, test_n, f1. One panel a system: shading is
        the density of codes, the line the mean over up to eight groups of equally
        many codes with its 95 % interval (normal, over the codes of the group).

    Examples
    --------
    >>> frame = pd.DataFrame({"system": "sft", "code": ["I10", "J18.9"],
    ...                       "train_n": [5, 50], "test_n": [2, 20], "f1": [0.1, 0.8]})
    >>> len(plot_frequency(frame).axes)
    1
    """
    systems = in_order(frame["system"])
    columns = min(len(systems), 4)
    rows = -(-len(systems) // columns)
    width = min(PAGE, max(COLUMN, 0.5 + 1.7 * columns))
    fig, panels = plt.subplots(
        rows,
        columns,
        figsize=(width, 0.35 + 1.6 * rows),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for axes, system in zip(panels.flat, systems, strict=False):
        _frequency_panel(axes, frame[frame["system"] == system], look(system, systems))
    for axes in panels.flat[len(systems) :]:
        axes.set_visible(False)
    codes = frame.drop_duplicates("code")
    _plain_log_ticks(panels[0, 0], rare=codes["train_n"].min() < 1)
    panels[0, 0].set_ylim(-0.06, 1.06)
    fig.supxlabel("training notes with the code", fontsize=7.5)
    fig.supylabel("F1 of the code", fontsize=7.5)
    return fig


def _frequency_panel(axes, rows: pd.DataFrame, how) -> None:
    seen = rows["train_n"].clip(lower=0.5)
    across = np.geomspace(seen.min() * 0.85, seen.max() * 1.15, 11)
    up = np.linspace(-0.05, 1.05, 12)
    counts, _, _ = np.histogram2d(seen, rows["f1"], (across, up))
    axes.pcolormesh(
        across,
        up,
        np.ma.masked_equal(counts.T, 0) ** 0.5,
        cmap="Greys",
        vmin=0,
        vmax=1.5 * max(counts.max(), 1) ** 0.5,
        linewidth=0,
    )
    means = _binned(rows)
    axes.fill_between(
        means["train_n"],
        (means["f1"] - means["half"]).clip(0, 1),
        (means["f1"] + means["half"]).clip(0, 1),
        color=how.colour,
        alpha=0.25,
        linewidth=0,
    )
    axes.plot(
        means["train_n"],
        means["f1"],
        color=how.colour,
        marker=how.marker,
        linestyle="-",
    )
    axes.set_title(how.name)
    axes.grid(visible=False)


def _plain_log_ticks(axes, rare: bool) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = [m * 10**e for e in range(7) for m in (1, 2, 5)]
    ticks = [step for step in steps if low <= step <= high]
    ticks = ticks if len(ticks) < 6 else [t for t in ticks if str(t)[0] == "1"]
    axes.set_xticks(
        [0.5, *ticks] if rare else ticks,
        ["0", *map("{:,}".format, ticks)] if rare else ticks,
    )
    axes.xaxis.set_minor_locator(plt.NullLocator())


def _binned(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.assign(train_n=rows["train_n"].clip(lower=0.5))
    ranks = rows["train_n"].rank(method="dense")
    groups = pd.qcut(ranks, min(8, int(ranks.max())), labels=False, duplicates="drop")
    groups = rows.groupby(groups.to_numpy())
    means = groups[["train_n", "f1"]].mean()
    return means.assign(half=1.96 * groups["f1"].sem().fillna(0.0))


def plot_subgroups(
    frame: pd.DataFrame, metric: str = "accuracy", level: str = ""
) -> Figure:
    """Score of each system in each stratum, with intervals.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, stratum ("sex: F"), level, metric, value, low, high, n.

    Examples
    --------
    >>> row = {"system": "sft", "stratum": "sex: F", "level": "category", "n": 40,
    ...        "metric": "accuracy", "value": 0.5, "low": 0.4, "high": 0.6}
    >>> len(plot_subgroups(pd.DataFrame([row])).axes)
    1
    """
    level = level or coarse_and_finest(frame["level"])[0]
    rows = frame[(frame["metric"] == metric) & (frame["level"] == level)]
    strata = list(dict.fromkeys(rows["stratum"]))[::-1]
    systems = in_order(rows["system"])
    counts = rows.groupby("stratum")["n"].max()
    fig, axes = plt.subplots(figsize=(PAGE * 0.72, 0.8 + 0.2 * len(strata)))
    for place, system in enumerate(systems):
        part = rows[rows["system"] == system]
        shift = 0.5 * ((place + 0.5) / len(systems) - 0.5)
        for row in part.itertuples():
            one = pd.DataFrame([row._asdict()])
            _at_row(axes, one, strata.index(row.stratum) - shift, systems)
    for place, one in enumerate(strata):
        if place and one.split(":")[0] != strata[place - 1].split(":")[0]:
            axes.axhline(place - 0.5, color="#bbbbbb", linewidth=0.6, linestyle="-")
    axes.set_yticks(range(len(strata)), [f"{s}  ({counts[s]:,})" for s in strata])
    shown = f"{METRIC_NAMES.get(metric, metric)}, {LEVEL_NAMES[level].lower()}"
    axes.set(
        ylim=(-0.6, len(strata) - 0.4),
        xlabel=f"{shown}\n(notes in brackets; bars: 95 % interval by patient)",
    )
    axes.grid(axis="y", visible=False)
    _legend(fig, systems)
    return fig


def _legend(fig, systems) -> None:
    handles = [
        plt.Line2D(
            [],
            [],
            color=look(s, systems).colour,
            linestyle="-",
            marker=look(s, systems).marker,
            linewidth=1,
            markersize=4,
            label=look(s, systems).name,
        )
        for s in systems
    ]
    fig.legend(handles=handles, loc="outside upper center", ncols=len(systems))


def plot_gaps(frame: pd.DataFrame, metric: str = "accuracy", level: str = "") -> Figure:
    """Largest gap between groups of patients of each kind, and what chance gives.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `equity.gaps_table`. The broad grey bar ends at what 95 of 100 deals of
        the groups among patients do not exceed, the narrow one at that of deals
        within chapters.

    Examples
    --------
    >>> row = {"system": "sft", "kind": "sex", "level": "category", "groups": 2,
    ...        "metric": "accuracy", "gap": 0.1, "low": 0.02, "high": 0.18,
    ...        "chance": 0.08, "mix": 0.12}
    >>> len(plot_gaps(pd.DataFrame([row])).axes)
    1
    """
    level = level or coarse_and_finest(frame["level"])[0]
    rows = frame[(frame["metric"] == metric) & (frame["level"] == level)]
    kinds = list(dict.fromkeys(rows["kind"]))[::-1]
    systems = in_order(rows["system"])
    fig, axes = plt.subplots(
        figsize=(PAGE * 0.72, 0.9 + 0.14 * len(kinds) * (len(systems) + 1))
    )
    for place, system in enumerate(systems):
        shift = 0.8 * ((place + 0.5) / len(systems) - 0.5)
        for row in rows[rows["system"] == system].itertuples():
            y = kinds.index(row.kind) - shift
            axes.barh(y, row.chance, 0.7 / len(systems), color="#dddddd")
            axes.barh(y, row.mix, 0.25 / len(systems), color="#aaaaaa")
            one = pd.DataFrame([{"system": system, "value": row.gap} | _ends(row)])
            _at_row(axes, one, y, systems)
    many = rows.groupby("kind")["groups"].max()
    axes.set_yticks(range(len(kinds)), [f"{k}  ({many[k]} groups)" for k in kinds])
    shown = f"{METRIC_NAMES.get(metric, metric)}, {LEVEL_NAMES[level].lower()}"
    axes.set(
        ylim=(-0.6, len(kinds) - 0.4),
        xlim=(0, None),
        xlabel=f"largest gap in {shown}\n(bar: 95 % interval by patient; grey: what "
        "chance gives in 95 of 100\ndeals, broad among all, narrow within chapters)",
    )
    axes.grid(axis="y", visible=False)
    _legend(fig, systems)
    return fig


def _ends(row) -> dict:
    return {"low": max(row.low, 0.0), "high": row.high}


def _at_row(axes, one: pd.DataFrame, y: float, systems) -> None:
    intervals(axes, one, [one["system"].iloc[0]], shift=y)


def plot_note_length(
    frame: pd.DataFrame,
    metric: str = "accuracy",
    levels=None,
) -> Figure:
    """Score against the length of the note, one panel a level.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, level, metric, words (mean of the group), value, low, high, n.

    Examples
    --------
    >>> row = {"system": "sft", "level": "full", "metric": "accuracy", "words": 90.0,
    ...        "value": 0.5, "low": 0.4, "high": 0.6, "n": 40}
    >>> len(plot_note_length(pd.DataFrame([row]), levels=["full"]).axes)
    1
    """
    rows = frame[frame["metric"] == metric]
    systems = in_order(rows["system"])
    levels = levels or shown_levels(frame["level"])
    fig, panels = plt.subplots(
        1,
        len(levels),
        sharex=True,
        sharey=True,
        squeeze=False,
        figsize=(max(COLUMN, 2.33 * len(levels)), 2.3),
    )
    for axes, level in zip(panels[0], levels, strict=True):
        for place, system in enumerate(systems):
            part = rows[(rows["system"] == system) & (rows["level"] == level)]
            how = look(system, systems)
            x = part["words"] * (1 + 0.006 * (place - (len(systems) - 1) / 2))
            axes.vlines(x, part["low"], part["high"], color=how.colour, linewidth=0.9)
            axes.plot(
                x,
                part["value"],
                color=how.colour,
                marker=how.marker,
                linestyle=how.line,
                label=how.name,
            )
        axes.set_title(LEVEL_NAMES[level])
    low, high = int(rows["n"].min()), int(rows["n"].max())
    named = f"{low:,}" if low == high else f"{low:,}–{high:,}"
    fig.supxlabel(
        f"words in the note (groups of {named} notes; bars: 95 % interval, "
        "bootstrap by patient)",
        fontsize=7,
    )
    panels[0, 0].set(ylabel=METRIC_NAMES.get(metric, metric), ylim=(None, 1.0))
    fig.legend(
        *panels[0, 0].get_legend_handles_labels(), ncols=5, loc="outside upper center"
    )
    return fig
