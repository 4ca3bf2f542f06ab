"""Figures of notebook 01: cohort flow, note lengths, code frequencies, modes."""

from itertools import cycle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepicd.views.figures.palette import LEVEL_NAMES
from deepicd.views.figures.saving import COLUMN, PAGE

KEPT, OUT, AMBER = "#009e73", "#999999", "#e69f00"
_LOOKS = (("-", "#0072b2"), ("--", "#009e73"), (":", "#d55e00"), ("-.", "#cc79a7"))
_SPLITS = {"train": "#0072b2", "val": "#e69f00", "test": "#d55e00"}


def plot_flow(flow: pd.DataFrame) -> Figure:
    """Draw how many admissions each step leaves out and how many remain.

    Parameters
    ----------
    flow : DataFrame
        From `build_admissions`; only rows whose unit is admissions are drawn.

    Examples
    --------
    >>> flow = pd.DataFrame({"step": ["source", "newborn"], "excluded": [0, 3],
    ...                      "remaining": [10, 7], "unit": "admissions"})
    >>> len(plot_flow(flow).axes)
    1
    """
    rows = flow[flow["unit"] == "admissions"].reset_index(drop=True)
    fig, axes = plt.subplots(figsize=(PAGE * 0.75, 0.5 + 0.27 * len(rows)))
    where = np.arange(len(rows))
    axes.barh(where, rows["remaining"], color=KEPT, label="remain")
    axes.barh(
        where,
        rows["excluded"],
        left=rows["remaining"],
        color=OUT,
        hatch="////",
        edgecolor="white",
        label="left out here",
    )
    top = (rows["remaining"] + rows["excluded"]).max()
    for place, row in rows.iterrows():
        left_out = f"  (−{row['excluded']:,})" if row["excluded"] else ""
        end = row["remaining"] + row["excluded"] + 0.01 * top
        words = f"{row['remaining']:,}{left_out}"
        axes.text(end, place, words, va="center", fontsize=7)
    axes.set_yticks(where, rows["step"])
    axes.invert_yaxis()
    axes.set(xlabel="admissions", xlim=(0, top * 1.25))
    axes.grid(visible=False, axis="y")
    fig.legend(loc="outside upper right", ncols=2)
    return fig


def plot_lengths(words: pd.DataFrame) -> Figure:
    """Draw the distribution of note lengths by split.

    Parameters
    ----------
    words : DataFrame
        `split, words`, one row per note.

    Examples
    --------
    >>> words = pd.DataFrame({"split": ["train", "test"], "words": [80, 120]})
    >>> len(plot_lengths(words).axes)
    1
    """
    fig, axes = plt.subplots(figsize=(COLUMN, 2.2))
    top = max(float(words["words"].quantile(0.995)), 10.0)
    step = max(1, round(top / 30))
    edges = np.arange(0, top + step, step) - 0.5
    for (split, colour), line in zip(_SPLITS.items(), ("-", "--", ":"), strict=True):
        part = words.loc[words["split"] == split, "words"]
        if len(part):
            weights = np.full(len(part), 100 / len(part))
            axes.hist(
                part.clip(upper=edges[-1]),
                bins=edges,
                weights=weights,
                color=colour,
                histtype="step",
                linestyle=line,
                linewidth=1.2,
                label=f"{split}, median {part.median():.0f}",
            )
    axes.set(
        xlabel="words of the admission note",
        ylabel="% of the split's notes",
        xlim=(0, edges[-1]),
    )
    fig.legend(loc="outside upper center", ncols=2)
    return fig


def plot_codes(curve: pd.DataFrame) -> Figure:
    """Draw class frequency against rank, both logarithmic.

    Parameters
    ----------
    curve : DataFrame
        `level, rank, admissions`.

    Examples
    --------
    >>> curve = pd.DataFrame({"level": "full", "rank": [1, 2], "admissions": [9, 3]})
    >>> len(plot_codes(curve).axes)
    1
    """
    fig, axes = plt.subplots(figsize=(COLUMN, 2.2))
    levels = list(dict.fromkeys(curve["level"]))  # from coarse to fine
    looks = dict(zip(levels[::-1], cycle(_LOOKS), strict=False))
    for level in levels:
        part, (line, colour) = curve[curve["level"] == level], looks[level]
        axes.plot(
            part["rank"],
            part["admissions"],
            line,
            color=colour,
            marker="." if len(part) < 30 else "",
            label=f"{LEVEL_NAMES[level]} ({len(part):,})",
        )
    axes.set(
        xscale="log", yscale="log", xlabel="rank of the class", ylabel="admissions"
    )
    fig.legend(loc="outside upper center", ncols=3)
    return fig


def plot_modes(kept: pd.DataFrame) -> Figure:
    """Draw which share of every section each mode keeps.

    Parameters
    ----------
    kept : DataFrame
        `mode, section, known, notes, share`.

    Examples
    --------
    >>> kept = pd.DataFrame({"mode": ["robust", "cop"], "section": "allergies",
    ...                      "known": True, "notes": 2, "share": [1.0, 0.5]})
    >>> len(plot_modes(kept).axes)
    1
    """
    grid = kept.pivot(index="section", columns="mode", values="share")
    known = kept.drop_duplicates("section").set_index("section")["known"]
    order = [*known[known].index, *known[~known].index]
    grid = grid.reindex(order)
    fig, axes = plt.subplots(figsize=(PAGE * 0.75, 0.6 + 0.2 * len(grid)))
    where = np.arange(len(grid))
    looks = (("robust", -0.2, KEPT, ""), ("cop", 0.2, AMBER, "////"))
    for mode, shift, colour, hatch in looks:
        if mode in grid:
            axes.barh(
                where + shift,
                100 * grid[mode],
                0.38,
                color=colour,
                hatch=hatch,
                edgecolor="white",
                label=f"mode {mode}",
            )
    axes.axhline(known.sum() - 0.5, color="#444444", linewidth=0.8)
    axes.text(
        100,
        known.sum() - 0.4,
        "↓ not part of the note",
        ha="right",
        va="top",
        fontsize=7,
    )
    axes.set_yticks(where, [s.replace("_", " ") for s in grid.index])
    axes.set_ylim(len(grid) - 0.4, -0.6)
    axes.set(xlabel="% of the section's letters that the note keeps", xlim=(0, 101))
    axes.grid(visible=False, axis="y")
    fig.legend(loc="outside upper right", ncols=2)
    return fig


def plot_guard(trade_off: pd.DataFrame) -> Figure:
    """Draw what leaks and what is lost against the limit of the guard by content.

    Parameters
    ----------
    trade_off : DataFrame
        `limit, lost, lost_gone, leaking` from `sections.trade_off`; the row without
        a limit is the guard in use.

    Examples
    --------
    >>> rows = {"limit": [0.0, np.inf, np.nan], "leaking": [0, 0.2, 0]}
    >>> frame = pd.DataFrame(rows).assign(lost=0.0, lost_gone=0.01)
    >>> len(plot_guard(frame).axes)
    1
    """
    curve = trade_off.dropna(subset="limit")
    used = trade_off[trade_off["limit"].isna()].iloc[0]
    fig, axes = plt.subplots(figsize=(COLUMN, 2.6))
    where = np.arange(len(curve))
    looks = (
        ("leaking", "leaking summaries, headers gone", "-", AMBER),
        ("lost_gone", "words lost, headers gone", "-.", "#0072b2"),
        ("lost", "words lost, intact", "--", KEPT),
    )
    for column, label, line, colour in looks:
        label = f"{label}: {100 * used[column]:.2f} % in use"
        values = 100 * curve[column]
        axes.plot(where, values, line, marker="o", color=colour, label=label)
        axes.axhline(100 * used[column], color=colour, linestyle=":", linewidth=0.8)
    names = [f"{x:g}" if np.isfinite(x) else "none" for x in curve["limit"]]
    axes.set_xticks(where, names)
    axes.set(xlabel="evidence from which lines are cut, in nats", ylabel="%")
    fig.legend(loc="outside upper center", ncols=1)
    return fig
