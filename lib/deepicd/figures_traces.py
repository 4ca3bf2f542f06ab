"""Figures of trace distillation: what the checks reject, what the traces are like."""

import json
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepicd.figures.saving import COLUMN, PAGE
from deepicd.traces.judging import LABEL_ONLY

_GOOD, _BAD, _GREY = "#0072b2", "#d55e00", "#9a9a9a"
_NOT_CHECKS = ("accepted", LABEL_ONLY)


def plot_checks(checks: pd.DataFrame) -> Figure:
    """Share of attempts that each check rejects, in the order they are made.

    Parameters
    ----------
    checks : pandas.DataFrame
        As `deepicd.traces.check_table` gives it.

    Examples
    --------
    >>> frame = pd.DataFrame({"check": ["format"], "n": [10], "failed": [1],
    ...                       "share": [0.1]})
    >>> len(plot_checks(frame).axes)
    1
    """
    frame = checks[~checks["check"].isin(_NOT_CHECKS)].iloc[::-1]
    fig, axes = plt.subplots(figsize=(PAGE * 0.66, 0.6 + 0.17 * len(frame)))
    places = np.arange(len(frame))
    axes.hlines(places, 0, frame["share"], color=_BAD, linewidth=2.2)
    axes.plot(frame["share"], places, "o", color=_BAD, linestyle="none")
    top = max(0.05, 1.25 * float(frame["share"].max()))
    for place, (failed, share) in enumerate(
        zip(frame["failed"], frame["share"], strict=True)
    ):
        axes.text(share + 0.02 * top, place, f"{failed:,}", va="center", fontsize=7)
    axes.set_yticks(places, frame["check"].str.replace("_", " "))
    axes.set(xlim=(-0.01 * top, top), ylim=(-0.7, len(frame) - 0.3))
    n = int(frame["n"].max()) if len(frame) else 0
    axes.set(
        title="What the checks reject",
        xlabel=f"share of {n:,} attempts (number beside)",
    )
    axes.grid(axis="y", visible=False)
    return fig


def shapes(traces: pd.DataFrame) -> pd.DataFrame:
    """Words and evidence share of every attempt.

    Parameters
    ----------
    traces : pandas.DataFrame
        As `deepicd.traces.build_traces` gives it.

    Returns
    -------
    pandas.DataFrame
        Columns attempt, accepted, words, quotes, evidence_share; no text.

    Examples
    --------
    >>> row = {"attempt": 0, "accepted": True, "reasons": "", "scores":
    ...        '{"words": 20, "quotes": 2, "evidence_share": 0.3}'}
    >>> shapes(pd.DataFrame([row]))["words"].tolist()
    [20]
    """
    tried = traces[traces["reasons"] != LABEL_ONLY]
    numbers = pd.DataFrame([json.loads(s) for s in tried["scores"]], index=tried.index)
    numbers = numbers.reindex(columns=["words", "quotes", "evidence_share"])
    return tried[["attempt", "accepted"]].join(numbers).reset_index(drop=True)


def plot_shapes(frame: pd.DataFrame) -> Figure:
    """Length of the traces and how much of them is evidence.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `shapes` gives it.

    Examples
    --------
    >>> frame = pd.DataFrame({"accepted": [True, False], "words": [20, 5],
    ...                       "evidence_share": [0.3, 0.0]})
    >>> len(plot_shapes(frame).axes)
    2
    """
    fig, panels = plt.subplots(1, 2, figsize=(PAGE, 2.1))
    kinds = ((True, "accepted", _GOOD, "-"), (False, "rejected", _BAD, "--"))
    low, high = frame["words"].min(), frame["words"].max()
    whole = np.unique(np.linspace(low - 0.5, high + 0.5, 31).round()) - 0.5
    grids = {"words": whole, "evidence_share": np.linspace(0, 1, 31)}
    for axes, (name, bins) in zip(panels, grids.items(), strict=True):
        for accepted, label, colour, line in kinds:
            rows = frame[frame["accepted"] == accepted]
            if len(rows):
                axes.hist(
                    rows[name], bins=bins, histtype="stepfilled", color=colour,
                    alpha=0.25,
                )  # fmt: skip
                axes.hist(
                    rows[name], bins=bins, histtype="step", color=colour,
                    linestyle=line, linewidth=1.2, label=f"{label} ({len(rows):,})",
                )  # fmt: skip
        axes.set_ylabel("attempts")
    panels[0].set(title="Length", xlabel="words of the trace")
    panels[1].set(
        title="Evidence", xlabel="share of the words that are quoted", xlim=(0, 1)
    )
    panels[1].legend(loc="upper right")
    return fig


def coverage(traces: pd.DataFrame, tree) -> pd.DataFrame:
    """Notes with an accepted trace, at the first try or later, by chapter.

    Returns
    -------
    pandas.DataFrame
        Columns chapter, title, notes, first_try, later, label_only.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> frame = pd.DataFrame({"note_id": ["a"], "icd_code": ["I10"], "attempt": [0],
    ...                       "accepted": [True], "reasons": [""]})
    >>> coverage(frame, load_tree())[["chapter", "first_try"]].values.tolist()
    [['9', 1]]
    """
    chapter = traces["icd_code"].map(lambda code: tree.at(code, "chapter"))
    first = traces["accepted"] & (traces["attempt"] == 0)
    frame = pd.DataFrame(
        {
            "chapter": chapter,
            "first_try": first,
            "later": traces["accepted"] & ~first,
            "label_only": traces["reasons"] == LABEL_ONLY,
        }
    )
    table = frame.groupby("chapter").sum().reset_index()
    table.insert(1, "title", table["chapter"].map(tree.title))
    notes = table[["first_try", "later", "label_only"]].sum(axis=1)
    table.insert(2, "notes", notes)
    return table.sort_values("chapter", key=lambda c: c.astype(int), ignore_index=True)


def plot_coverage(frame: pd.DataFrame) -> Figure:
    """Notes by chapter and how each got its trace.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `coverage` gives it.

    Examples
    --------
    >>> frame = pd.DataFrame({"chapter": ["9"], "title": ["Circulatory (I00-I99)"],
    ...                       "first_try": [5], "later": [1], "label_only": [0]})
    >>> len(plot_coverage(frame).axes)
    1
    """
    rows = frame.iloc[::-1]
    height = 0.75 + 0.17 * len(rows)
    fig, axes = plt.subplots(figsize=(PAGE, height), layout="constrained")
    places, left = np.arange(len(rows)), np.zeros(len(rows))
    parts = (
        ("first_try", "accepted at the first try", _GOOD, ""),
        ("later", "accepted later", "#56b4e9", "////"),
        ("label_only", "label only", _GREY, "...."),
    )
    for name, label, colour, hatch in parts:
        axes.barh(
            places, rows[name], left=left, color=colour, hatch=hatch, label=label,
            edgecolor="white", height=0.72,
        )  # fmt: skip
        left = left + rows[name].to_numpy()
    names = rows["title"].str.split(" (", regex=False).str[0]
    names = names.map(lambda title: textwrap.shorten(title, 48, placeholder=" …"))
    axes.set_yticks(places, rows["chapter"] + "  " + names)
    axes.set(xlabel="training notes", title="Traces by chapter of the gold code")
    axes.grid(axis="y", visible=False)
    axes.legend(loc="best")
    return fig


def plot_faults(frame: pd.DataFrame) -> Figure:
    """Share of planted faults that the checks catch, and of good traces rejected.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `deepicd.traces.catch_rates` gives it.

    Examples
    --------
    >>> frame = pd.DataFrame({"fault": ["truncated", "none"], "n": [10, 50],
    ...                       "caught": [10, 0], "share": [1.0, 0.0]})
    >>> len(plot_faults(frame).axes)
    1
    """
    rows = frame.iloc[::-1]
    fig, axes = plt.subplots(figsize=(COLUMN * 1.3, 0.6 + 0.19 * len(rows)))
    places = np.arange(len(rows))
    colours = [_GOOD if fault != "none" else _GREY for fault in rows["fault"]]
    axes.hlines(places, 0, rows["share"], color=colours, linewidth=2.2)
    axes.scatter(rows["share"], places, c=colours, s=14, zorder=3)
    for place, (caught, n) in enumerate(zip(rows["caught"], rows["n"], strict=True)):
        axes.text(1.04, place, f"{caught:,} of {n:,}", va="center", fontsize=7)
    names = rows["fault"].str.replace("_", " ").replace("none", "no fault (good)")
    axes.set_yticks(places, names)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set(xlim=(-0.01, 1.35), xlabel="share rejected", title="Planted faults")
    axes.grid(axis="y", visible=False)
    return fig
