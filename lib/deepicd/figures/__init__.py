"""Figures in one style: `plot_x(frame) -> Figure`, written by `save`."""

from deepicd.figures.ablation import plot_variants
from deepicd.figures.evaluation import (
    plot_confusion,
    plot_differences,
    plot_levels,
    plot_outcomes,
)
from deepicd.figures.saving import COLUMN, PAGE, save, use_style
from deepicd.figures.strata import plot_frequency, plot_risk_coverage, plot_subgroups
from deepicd.figures.training import plot_grpo, plot_training

__all__ = [
    "COLUMN",
    "PAGE",
    "plot_confusion",
    "plot_differences",
    "plot_frequency",
    "plot_grpo",
    "plot_levels",
    "plot_outcomes",
    "plot_risk_coverage",
    "plot_subgroups",
    "plot_training",
    "plot_variants",
    "save",
    "use_style",
]

use_style()
