"""Curves of training: what the optimiser saw, step by step."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from deepicd.views.figures.palette import LEVEL_NAMES, validated
from deepicd.views.figures.saving import PAGE

LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
MARKS = ("o", "D", "^", "s", "v", "P", "X")


def long_metrics(frame: pd.DataFrame) -> pd.DataFrame:
    """Training log as rows of step, name, value, whichever way it was written.

    Parameters
    ----------
    frame : pandas.DataFrame
        Long (columns step, name, value, perhaps seed) or wide (step and one
        column for each quantity).

    Examples
    --------
    >>> long_metrics(pd.DataFrame({"step": [1], "reward": [0.5]})).values.tolist()
    [[1, 'reward', 0.5]]
    """
    if {"name", "value"} <= set(frame.columns):
        table = frame
    else:
        table = frame.melt("step", var_name="name", value_name="value")
    table = table.assign(value=pd.to_numeric(table["value"], errors="coerce"))
    return table.dropna(subset=["value"]).sort_values(["name", "step"], kind="stable")


def smooth(values: np.ndarray, width: int | None = None) -> np.ndarray:
    """Centred running mean over `width` points; shorter at both ends.

    >>> smooth(np.array([0.0, 3.0, 6.0, 9.0]), 3).tolist()
    [1.5, 3.0, 6.0, 7.5]
    """
    width = width or max(1, len(values) // 20)
    series = pd.Series(np.asarray(values, dtype=float))
    return series.rolling(width, center=True, min_periods=1).mean().to_numpy()


def plot_training(frame: pd.DataFrame) -> Figure:
    """Loss and validation accuracy of supervised fine-tuning.

    Parameters
    ----------
    frame : pandas.DataFrame
        See `long_metrics`; draws train_loss, val_loss and val_accuracy_<level>,
        whichever are there.

    Examples
    --------
    >>> log = pd.DataFrame({"step": [1, 2], "train_loss": [2.0, 1.0]})
    >>> len(plot_training(log).axes)
    1
    """
    table = long_metrics(frame)
    levels = validated(table["name"])
    read = reasoned(table["name"], "val_")
    n = 1 + bool(levels) + bool(read)
    fig, panels = plt.subplots(1, n, figsize=(PAGE * n / max(n, 2), 2.2), squeeze=False)
    names = {"train_loss": "training", "val_loss": "validation"}
    _curves(panels[0, 0], table, names)
    panels[0, 0].set(title="Loss", ylabel="cross-entropy per token", ylim=(0, None))
    if panels[0, 0].get_legend():
        panels[0, 0].legend(loc="upper right")
    if levels:
        names = {f"val_accuracy_{level}": LEVEL_NAMES[level] for level in levels}
        _curves(panels[0, 1], table, names)
        panels[0, 1].set(
            title="Validation accuracy", ylim=(0, 1), ylabel="share of notes"
        )
    if read:
        _curves(panels[0, -1], table, read)
        panels[0, -1].set(title="Its reasoning", ylabel="share", ylim=(0, 1.5))
        panels[0, -1].set_yticks(np.linspace(0, 1, 6))
        panels[0, -1].legend(loc="upper left")
    return fig


#: Shares of `deepicd.tasks.coherence`, as legends.
COHERENCE = {
    "quotes_found": "quotes found",
    "quoted_words": "words quoted",
    "codes_on_path": "codes on path",
}


def reasoned(names, prefix: str) -> dict[str, str]:
    """Curves of the reasoning that are there, with their legends.

    Examples
    --------
    >>> reasoned(["val_quotes_found", "val_loss"], "val_")
    {'val_quotes_found': 'quotes found'}
    """
    there = set(names)
    found = {f"{prefix}{name}": text for name, text in COHERENCE.items()}
    return {name: text for name, text in found.items() if name in there}


def plot_grpo(frame: pd.DataFrame) -> Figure:
    """Health of reinforcement learning: reward, its parts, spread, entropy, length.

    Parameters
    ----------
    frame : pandas.DataFrame
        See `long_metrics`; draws reward, reward/<part>, reward_std, frac_zero_std,
        entropy, completion_length, val_accuracy_<level> and the shares of the drawn
        reasoning, whichever are there. Points are steps; lines are running means over
        a twentieth of them.

    Examples
    --------
    >>> log = pd.DataFrame({"step": [1, 2], "reward": [0.1, 0.4]})
    >>> len(plot_grpo(log).axes)
    1
    """
    table = long_metrics(frame)
    drawn = [panel for panel in _grpo_panels(table) if panel[2]]
    columns = min(len(drawn), 4 if len(drawn) in (4, 7, 8) else 3)
    rows = -(-len(drawn) // columns)
    fig, panels = plt.subplots(
        rows,
        columns,
        squeeze=False,
        sharex=True,
        figsize=(PAGE * max(columns, 2) / 4, 1.75 * rows),
    )
    for axes, (title, unit, names) in zip(panels.flat, drawn, strict=False):
        _curves(axes, table, names)
        if unit == "share":  # of these shares one is near 1 and one near 0
            axes.set_ylim(0, 1.05)
        axes.set_title(f"{title}\n", pad=5)
        axes.text(0, 1.03, unit, transform=axes.transAxes, fontsize=7)
    for axes in list(panels.flat)[len(drawn) :]:
        axes.remove()
    for axes in fig.axes:
        axes.xaxis.set_tick_params(labelbottom=True)
    return fig


def _grpo_panels(table: pd.DataFrame) -> list[tuple[str, str, dict]]:
    there = list(dict.fromkeys(table["name"]))
    parts = {
        name: name.split("/", 1)[1].replace("_", " ")
        for name in there
        if name.startswith("reward/")
    }
    levels = {f"val_accuracy_{level}": LEVEL_NAMES[level] for level in validated(there)}
    single = (
        ("Spread in a group", "standard deviation", "reward_std"),
        ("Useless groups", "share without spread", "frac_zero_std"),
        ("Entropy", "nats per token", "entropy"),
        ("Completion length", "tokens", "completion_length"),
    )
    # Answers that groups were shown are no success of the policy.
    reward = "sampled_reward" if "sampled_reward" in there else "reward"
    panels = [
        ("Reward", "mean of completions", {reward: ""} if reward in there else {})
    ]
    panels.append(("Parts of the reward", "mean of completions", parts))
    panels += [
        (title, unit, {name: ""} if name in there else {})
        for title, unit, name in single
    ]
    panels.append(("Validation accuracy", "share of notes", levels))
    read = reasoned(there, "sampled_")
    panels.append(("Reasoning drawn", "share", read))
    return panels


def _curves(axes, table: pd.DataFrame, names: dict[str, str]) -> None:
    """Points of each step and their running mean, one line style a quantity."""
    for place, (name, text) in enumerate(names.items()):
        rows = table[table["name"] == name].groupby("step")["value"].mean()
        if rows.empty:
            continue
        colour = f"C{place % 7}"
        sparse = len(rows) < 30
        if not sparse:
            axes.plot(
                rows.index,
                rows,
                ".",
                color=colour,
                alpha=0.25,
                markersize=2,
                markeredgewidth=0,
            )
        axes.plot(
            rows.index,
            rows if sparse else smooth(rows.to_numpy()),
            color=colour,
            linestyle=LINES[place % 7],
            label=text or None,
            marker=MARKS[place % 7] if sparse else "",
            markersize=3,
        )
    axes.set(xlabel="optimiser step")
    axes.margins(x=0.02)
    if any(names.values()) and axes.lines:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.17 * len(names) * (high - low))
        axes.legend(loc="best")
