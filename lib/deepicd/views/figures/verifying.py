"""Figures of verifiers: what they see, and what choosing by them gains."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from deepicd.views.figures.palette import LEVEL_NAMES, Look, look
from deepicd.views.figures.saving import PAGE

#: Names and looks of the rules that choose an answer.
RULES = {
    "one": Look("One drawn answer", "#8c8c8c", "v", (0, (1, 1))),
    "greedy": Look("Greedy answer", "#56b4e9", "h", (0, (1, 2))),
    "majority": Look("Majority", "#222222", "s", "-"),
    "minimum": Look("PRM, minimum", "#e69f00", "^", (0, (3, 1, 1, 1))),
    "product": Look("PRM, product", "#d55e00", "D", "-."),
    "mean": Look("PRM, mean", "#b3a100", "P", (0, (2, 2))),
    "last": Look("PRM, last step", "#cc79a7", "X", "--"),
    "checked": Look("PRM and checks", "#8c510a", "d", "-"),
    "outcome": Look("Outcome model", "#0072b2", "o", "--"),
    "evidence": Look("Evidence", "#009e73", "p", ":"),
    "weighted": Look("PRM-weighted majority", "#6a51a3", ">", "-"),
    "ceiling": Look("Any of N right", "#999999", "*", (0, (5, 1))),
}


def rule_look(rule: str) -> Look:
    """How a rule is drawn.

    >>> rule_look("last").name
    'PRM, last step'
    """
    return RULES.get(rule) or look(rule, [rule])


def plot_best_of(frame: pd.DataFrame) -> Figure:
    """Accuracy against the number of drawn answers, a line for each rule.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns panel (its title), rule, n, level, value, low, high. Bars are drawn at
        the largest n of a panel, beside it so that they do not cover each other.

    Examples
    --------
    >>> row = {"panel": "all", "rule": "last", "n": 2, "level": "full", "value": 0.5,
    ...        "low": 0.4, "high": 0.6}
    >>> len(plot_best_of(pd.DataFrame([row])).axes)
    1
    """
    cells = list(dict.fromkeys(zip(frame["panel"], frame["level"], strict=True)))
    rows = -(-len(cells) // 2)
    fig, panels = plt.subplots(
        rows, 2 if len(cells) > 1 else 1, squeeze=False, figsize=(PAGE, 2.5 * rows)
    )
    for axes in list(panels.flat)[len(cells) :]:
        axes.remove()
    for axes, (panel, level) in zip(panels.flat, cells, strict=False):
        own = frame[(frame["panel"] == panel) & (frame["level"] == level)]
        _lines(axes, own)
        axes.set_title(f"{LEVEL_NAMES[level]}, {panel}")
    for axes in panels[:, 0]:
        axes.set_ylabel("accuracy of the chosen answer")
    handles, names = panels[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=4)
    return fig


def _lines(axes, frame: pd.DataFrame) -> None:
    rules = [rule for rule in RULES if rule in set(frame["rule"])]
    sizes = sorted(set(frame["n"]))
    for place, rule in enumerate(rules):
        own, how = frame[frame["rule"] == rule].sort_values("n"), rule_look(rule)
        axes.plot(
            own["n"],
            own["value"],
            color=how.colour,
            linestyle=how.line,
            marker=how.marker,
            label=how.name,
        )
        end = own.iloc[-1]
        aside = end["n"] * 2 ** (0.1 + 0.07 * place)
        axes.vlines(aside, end["low"], end["high"], color=how.colour, linewidth=0.9)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(n) for n in sizes])
    axes.set_xlabel("drawn answers N")


def plot_gold_chosen(frame: pd.DataFrame) -> Figure:
    """How often a good trace is chosen against each kind of faulty one.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns score, fault, value, low, high.

    Examples
    --------
    >>> row = {"score": "minimum", "fault": "all", "value": 0.9, "low": 0.8, "high": 1}
    >>> len(plot_gold_chosen(pd.DataFrame([row])).axes)
    1
    """
    faults = list(dict.fromkeys(frame["fault"]))[::-1]
    fig, axes = plt.subplots(figsize=(PAGE * 0.7, 0.9 + 0.24 * len(faults)))
    _dots(axes, frame, "fault", faults, "score")
    axes.axvline(0.5, color="#888888", linewidth=0.8)
    axes.set(xlabel="share of pairs in which the good trace is chosen", xlim=(0, 1.03))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def plot_steps(frame: pd.DataFrame) -> Figure:
    """Area under the curve of step scores by kind of step, and their calibration.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns source (of the steps), what ("auc" or "calibration"), kind, chance,
        value, low, high, n.

    Examples
    --------
    >>> rows = {"source": "own", "what": ["auc", "calibration"], "kind": ["code", ""],
    ...         "chance": [0.0, 0.9], "value": 0.8, "low": 0.7, "high": 0.9, "n": 50}
    >>> len(plot_steps(pd.DataFrame(rows)).axes)
    2
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(PAGE, 2.5))
    area = frame[frame["what"] == "auc"]
    kinds = list(dict.fromkeys(area["kind"]))[::-1]
    _dots(left, area, "kind", kinds, "source")
    left.axvline(0.5, color="#888888", linewidth=0.8)
    left.set(xlabel="area under the ROC curve", xlim=(0.45, 1.01))
    left.set_title("Right and wrong steps told apart")
    right.plot([0, 1], [0, 1], color="#888888", linewidth=0.8)
    bins = frame[frame["what"] == "calibration"]
    for source, own in bins.groupby("source", sort=False):
        how = look(source, list(dict.fromkeys(frame["source"])))
        drawn = {"color": how.colour, "linestyle": how.line, "marker": how.marker}
        right.vlines(own["chance"], own["low"], own["high"], how.colour, linewidth=0.9)
        right.plot(own["chance"], own["value"], label=how.name, **drawn)
    right.set(xlabel="probability that the step is right", ylabel="share right")
    right.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    right.set_title("Calibration")
    right.legend(loc="upper left")
    return fig


def _dots(axes, frame: pd.DataFrame, column: str, places: list, by: str) -> None:
    """Values with intervals, one line a place, one mark for each of `by`."""
    kinds = list(dict.fromkeys(frame[by]))
    shifts = np.linspace(0.22, -0.22, len(kinds)) if len(kinds) > 1 else [0.0]
    for kind, shift in zip(kinds, shifts, strict=True):
        own = frame[frame[by] == kind]
        at = [places.index(one) + shift for one in own[column]]
        how = RULES.get(kind) or look(kind, kinds)
        axes.hlines(at, own["low"], own["high"], color=how.colour, linewidth=0.9)
        mark = {"color": how.colour, "marker": how.marker, "linestyle": "none"}
        axes.plot(own["value"], at, label=how.name, **mark)
    axes.set_yticks(range(len(places)), [str(p).replace("_", " ") for p in places])
