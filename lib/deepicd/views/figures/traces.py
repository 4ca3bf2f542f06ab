"""Figures of trace distillation: what the checks reject, what the traces are like."""

import json
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepicd.tasks.known import node_name
from deepicd.traces.judging import LABEL_ONLY
from deepicd.views.figures.evaluation import heat_map
from deepicd.views.figures.saving import PAGE

_GOOD, _BAD, _GREY = "#0072b2", "#d55e00", "#9a9a9a"
_NOT_CHECKS = ("accepted", LABEL_ONLY)


def rejected(checks: pd.DataFrame, faults: pd.DataFrame) -> pd.DataFrame:
    """Share of each group of traces that each check rejects.

    Parameters
    ----------
    checks, faults : pandas.DataFrame
        As `deepicd.traces.check_table` and `deepicd.traces.catch_rates` give them.

    Returns
    -------
    pandas.DataFrame
        Columns traces, n, check, share: the teacher's attempts, then each planted
        fault, then the traces without one; the check "any" is true of any check.

    Examples
    --------
    >>> checks = pd.DataFrame({"check": ["format", "accepted"], "n": [10, 10],
    ...                        "failed": [1, 9], "share": [0.1, 0.9]})
    >>> faults = pd.DataFrame({"fault": ["truncated"], "n": [4], "caught": [3],
    ...                        "share": [0.75], "format": [3]})
    >>> rejected(checks, faults)["share"].round(2).tolist()
    [0.1, 0.1, 0.75, 0.75]
    """
    named = checks.set_index("check")
    names = [name for name in named.index if name not in _NOT_CHECKS]
    n, kept = named.loc["accepted", ["n", "failed"]]
    teacher = named.loc[names, "share"].to_dict() | {"any": 1 - kept / max(1, n)}
    groups = [("teacher", int(n), teacher)]
    for row in faults.to_dict("records"):
        shares = {name: row[name] / max(1, row["n"]) for name in names}
        groups.append((row["fault"], row["n"], shares | {"any": row["share"]}))
    return pd.DataFrame(
        [(g, n, name, x) for g, n, shares in groups for name, x in shares.items()],
        columns=["traces", "n", "check", "share"],
    )


def _per_cent(share: float) -> str:
    if not share > 0:
        return ""
    return f"{100 * share:.0f}" if share >= 0.01 else "<1"


def plot_checks(frame: pd.DataFrame) -> Figure:
    """What each check rejects: of the teacher's attempts, and of planted faults.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `rejected` gives it.

    Examples
    --------
    >>> frame = pd.DataFrame({"traces": ["teacher", "none"], "n": [10, 5],
    ...                       "check": ["format", "format"], "share": [0.1, 0.0]})
    >>> len(plot_checks(frame).axes)
    1
    """
    checks, groups = frame["check"].unique(), frame["traces"].unique()
    grid = frame.pivot(index="check", columns="traces", values="share")
    grid = grid.reindex(index=checks, columns=groups)
    size = frame.drop_duplicates("traces").set_index("traces")["n"]
    height = 1.5 + 0.17 * len(checks)
    fig, axes = plt.subplots(figsize=(PAGE, height), layout="constrained")
    labels = {"teacher": "teacher's attempts", "none": "no fault"}
    ticks = [f"{labels.get(g, g).replace('_', ' ')} ({size[g]:,})" for g in groups]
    rows = [check.replace("_", " ") for check in checks]
    heat_map(axes, grid, _per_cent, ticks, rows, cbar=False)
    axes.set_xticks(axes.get_xticks(), ticks, rotation=35, ha="right")
    axes.axvline(1, color="white", linewidth=3)
    axes.set_title("Per cent of the traces that each check rejects (empty: none)")
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
                    rows[name],
                    bins=bins,
                    histtype="stepfilled",
                    color=colour,
                    alpha=0.25,
                )
                axes.hist(
                    rows[name],
                    bins=bins,
                    histtype="step",
                    color=colour,
                    linestyle=line,
                    linewidth=1.2,
                    label=f"{label} ({len(rows):,})",
                )
        axes.set_ylabel("attempts")
    panels[0].set(title="Length", xlabel="words of the trace")
    panels[1].set(
        title="Evidence", xlabel="share of the words that are quoted", xlim=(0, 1)
    )
    panels[1].legend(loc="upper right")
    return fig


def coverage(traces: pd.DataFrame, tree) -> pd.DataFrame:
    """Notes with an accepted trace, at the first try or later, by coarsest node.

    Returns
    -------
    pandas.DataFrame
        Columns level, node, title, notes, first_try, later, label_only.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> frame = pd.DataFrame({"note_id": ["a"], "label": ["I10"], "attempt": [0],
    ...                       "accepted": [True], "reasons": [""]})
    >>> coverage(frame, load_tree())[["node", "first_try"]].values.tolist()
    [['9', 1]]
    """
    top = tree.levels[0]
    nodes = traces["label"].map(lambda code: tree.at(code, top))
    first = traces["accepted"] & (traces["attempt"] == 0)
    frame = pd.DataFrame(
        {
            "node": nodes,
            "first_try": first,
            "later": traces["accepted"] & ~first,
            "label_only": traces["reasons"] == LABEL_ONLY,
        }
    )
    table = frame.groupby("node").sum().reset_index()
    table.insert(1, "title", table["node"].map(tree.title))
    notes = table[["first_try", "later", "label_only"]].sum(axis=1)
    table.insert(2, "notes", notes)
    table.insert(0, "level", top)
    return table.sort_values(
        "node", key=lambda nodes: nodes.str.zfill(3), ignore_index=True
    )


def plot_coverage(frame: pd.DataFrame) -> Figure:
    """Notes by node of the coarsest level and how each got its trace.

    Parameters
    ----------
    frame : pandas.DataFrame
        As `coverage` gives it.

    Examples
    --------
    >>> frame = pd.DataFrame({"node": ["9"], "title": ["Circulatory (I00-I99)"],
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
            places,
            rows[name],
            left=left,
            color=colour,
            hatch=hatch,
            label=label,
            edgecolor="white",
            height=0.72,
        )
        left = left + rows[name].to_numpy()
    names = rows["title"].str.split(" (", regex=False).str[0]
    names = names.map(lambda title: textwrap.shorten(title, 48, placeholder=" …"))
    axes.set_yticks(places, rows["node"] + "  " + names)
    axes.set(
        xlabel="training notes", title=f"Traces by {node_name(frame)} of the label"
    )
    axes.grid(axis="y", visible=False)
    axes.legend(loc="best")
    return fig
