"""Figures over strata: training frequency, subgroups, and confidence."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepicd.figures.evaluation import intervals
from deepicd.figures.palette import LEVEL_NAMES, METRIC_NAMES, in_order, look
from deepicd.figures.saving import COLUMN, PAGE


def plot_frequency(frame: pd.DataFrame) -> Figure:
    """F1 of each code against how often it was seen in training.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns system, code, train_n, test_n, f1. Dots are codes, sized by test
        notes; lines are means over up to eight groups of equally many codes.

    Examples
    --------
    >>> frame = pd.DataFrame({"system": "sft", "code": ["I10", "J18.9"],
    ...                       "train_n": [5, 50], "test_n": [2, 20], "f1": [0.1, 0.8]})
    >>> len(plot_frequency(frame).axes)
    2
    """
    systems = in_order(frame["system"])
    fig, (top, axes) = plt.subplots(
        2, 1, figsize=(COLUMN * 1.25, 2.9), sharex=True, height_ratios=(1, 5))
    codes = frame.drop_duplicates("code")
    seen = codes["train_n"].clip(lower=0.5)
    edges = np.geomspace(seen.min() * 0.9, seen.max() * 1.1, 25)
    top.hist(seen, bins=edges, color="#bbbbbb")
    top.set(ylabel="codes")
    top.grid(visible=False)
    for system in systems:
        rows = frame[frame["system"] == system]
        how = look(system, systems)
        axes.scatter(rows["train_n"].clip(lower=0.5), rows["f1"], color=how.colour,
                     s=2 + rows["test_n"] ** 0.5, alpha=0.25, linewidth=0)
        means = _binned(rows)
        axes.plot(means["train_n"], means["f1"], color=how.colour, marker=how.marker,
                  linestyle=how.line, label=how.name)
    _plain_log_ticks(axes, rare=codes["train_n"].min() < 1)
    axes.set( xlabel="training notes with the code",
             ylabel="F1 of the code", ylim=(-0.03, 1.03))
    fig.legend(loc="outside upper center", ncols=3)
    return fig


def _plain_log_ticks(axes, rare: bool) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    steps = [m * 10**e for e in range(7) for m in (1, 2, 5)]
    ticks = [step for step in steps if low <= step <= high]
    ticks = ticks if len(ticks) < 9 else [t for t in ticks if str(t)[0] == "1"]
    axes.set_xticks([0.5, *ticks] if rare else ticks,
                    ["0", *map("{:,}".format, ticks)] if rare else ticks)
    axes.xaxis.set_minor_locator(plt.NullLocator())


def _binned(rows: pd.DataFrame) -> pd.DataFrame:
    rows = rows.assign(train_n=rows["train_n"].clip(lower=0.5))
    ranks = rows["train_n"].rank(method="dense")
    groups = pd.qcut(ranks, min(8, int(ranks.max())), labels=False, duplicates="drop")
    return rows.groupby(groups.to_numpy())[["train_n", "f1"]].mean()


def plot_subgroups(frame: pd.DataFrame, metric: str = "accuracy",
                   level: str = "category") -> Figure:
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
    axes.set(ylim=(-0.6, len(strata) - 0.4),
             xlabel=f"{shown}; bar: 95 % interval, bootstrap by patient")
    axes.grid(axis="y", visible=False)
    handles = [plt.Line2D([], [], color=look(s, systems).colour, linestyle="-",
                          marker=look(s, systems).marker, linewidth=1, markersize=4,
                          label=look(s, systems).name) for s in systems]
    fig.legend(handles=handles, loc="outside upper center", ncols=len(systems))
    return fig


def _at_row(axes, one: pd.DataFrame, y: float, systems) -> None:
    intervals(axes, one, [one["system"].iloc[0]], shift=y)


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
    levels = list(dict.fromkeys(frame["level"]))
    systems = in_order(frame["system"])
    fig, panels = plt.subplots(1, len(levels), sharex=True, sharey=True,
                               squeeze=False,
                               figsize=(max(COLUMN, 2.33 * len(levels)), 2.1))
    for axes, level in zip(panels[0], levels, strict=True):
        for system in systems:
            rows = frame[(frame["system"] == system) & (frame["level"] == level)]
            how = look(system, systems)
            axes.plot(rows["coverage"], rows["risk"], color=how.colour, label=how.name,
                      linestyle=how.line, drawstyle="steps-post")
        axes.set(title=LEVEL_NAMES[level], xlabel="share answered", xlim=(0, 1))
    panels[0, 0].set(ylabel="error among answered", ylim=(0, None))
    panels[0, 0].legend()
    return fig
