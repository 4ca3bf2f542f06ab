"""Curves of ablations: the same curve for every variant and seed."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from deepicd.figures.palette import LEVEL_NAMES, look
from deepicd.figures.saving import PAGE


def plot_variants(
    frame: pd.DataFrame, levels=("chapter", "category", "full"), by: str = "reward"
) -> Figure:
    """Validation accuracy by step for each variant: mean of seeds and each seed.

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
    seeds = frame["seed"].nunique()
    rows = -(-len(variants) // 4)
    fig, panels = plt.subplots(
        1, len(levels), figsize=(PAGE, 2.2 + 0.15 * rows), sharey=True, squeeze=False
    )
    for axes, level in zip(panels[0], levels, strict=True):
        part = frame[frame["name"] == f"val_accuracy_{level}"]
        for variant in variants:
            _lines(axes, part[part[by] == variant], look(variant, variants), seeds)
        axes.set(title=LEVEL_NAMES[level], xlabel="GRPO step", ylim=(0, 1))
    panels[0, 0].set_ylabel("validation accuracy")
    handles, names = panels[0, 0].get_legend_handles_labels()
    title = f"mean of {seeds} seeds; thin: each seed" if seeds > 1 else "one seed"
    fig.legend(
        handles, names, loc="outside lower center", ncols=min(len(variants), 4),
        title=title,
    )  # fmt: skip
    return fig


def _lines(axes, rows, how, seeds: int) -> None:
    if seeds > 1:
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
