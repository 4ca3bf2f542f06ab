"""Figure of several tasks: what of each can be told from an admission note."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from deepicd.views.figures.palette import in_order, look
from deepicd.views.figures.saving import PAGE

PANELS = (
    ("coarsest", "accuracy", "Coarsest level, accuracy"),
    ("finest", "accuracy", "Finest level, accuracy"),
    ("finest", "skill", "Finest level, skill"),
)


def plot_tasks(frame: pd.DataFrame) -> Figure:
    """Accuracy at both ends of each task's levels, and skill, one row a task.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns task, depth, level, labels, system, metric, value, low, high; see
        `deepicd.study.reference.tasks.compare`.

    Examples
    --------
    >>> row = {"task": "drg", "depth": "finest", "level": "drg", "labels": 9, "n": 50,
    ...        "system": "encoder", "value": 0.5, "low": 0.4, "high": 0.6}
    >>> frame = pd.DataFrame([row | {"metric": m} for m in ("accuracy", "skill")])
    >>> [axes.get_title(loc="left") for axes in plot_tasks(frame).axes][2]
    'Finest level, skill'
    """
    tasks, systems = list(dict.fromkeys(frame["task"]))[::-1], in_order(frame["system"])
    height = 0.9 + 0.42 * len(tasks)
    fig, panels = plt.subplots(1, len(PANELS), figsize=(PAGE, height), sharey=True)
    places = np.linspace(0.3, -0.3, len(systems)) if len(systems) > 1 else [0]
    shift = dict(zip(systems, places, strict=True))
    for axes, (depth, metric, title) in zip(panels, PANELS, strict=True):
        rows = frame[(frame["depth"] == depth) & (frame["metric"] == metric)]
        left, right = (0, 1) if metric == "accuracy" else _ends(rows)
        for row in rows.dropna(subset="value").itertuples():
            how = look(row.system, systems)
            y = tasks.index(row.task) + shift[row.system]
            axes.plot([row.low, row.high], [y, y], "-", color=how.colour, linewidth=1)
            mark = how.marker if row.value >= left else "<"  # it lies outside
            axes.plot(max(row.value, left), y, mark, color=how.colour, markersize=4)
        axes.set(title=title, xlim=(left - 0.02, right + 0.02))
        axes.grid(axis="y", visible=False)
    for axes in panels[:2]:
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    panels[2].axvline(0, color="#555555", linewidth=0.6, linestyle="-", zorder=1)
    panels[0].set_yticks(range(len(tasks)), [_name(frame, task) for task in tasks])
    panels[0].set_ylim(-0.6, len(tasks) - 0.4)
    fig.legend(handles=_key(systems), loc="outside lower center", ncols=6)
    return fig


def _ends(rows: pd.DataFrame) -> tuple[float, float]:
    """Limits that hold every skill; one far below zero is cut at -1."""
    low = rows[["value", "low"]].min().min()
    return max(min(0.0, low), -1.0) if pd.notna(low) else 0.0, 1.0


def _name(frame: pd.DataFrame, task: str) -> str:
    """Name of a task with its levels and how many labels each has."""
    rows = frame[frame["task"] == task].drop_duplicates("level")
    levels = ", ".join(f"{row.labels:,} {row.level}" for row in rows.itertuples())
    return f"{task.replace('_', ' ')}\n({levels})"


def _key(systems: list[str]) -> list[Line2D]:
    looks = [look(system, systems) for system in systems]
    return [
        Line2D(
            [], [], marker=how.marker, color=how.colour, linestyle="-", label=how.name
        )
        for how in looks
    ]
