"""Figures in one style: `plot_x(frame) -> Figure`, written by `save`."""

from deepicd.figures.ablations import plot_law, plot_variants
from deepicd.figures.captions import caption
from deepicd.figures.confidence import plot_reliability, plot_risk_coverage
from deepicd.figures.differences import plot_against, plot_differences
from deepicd.figures.evaluation import plot_confusion, plot_levels, plot_outcomes
from deepicd.figures.hierarchy import plot_chapters, plot_icicle, plot_oracle_gap
from deepicd.figures.saving import COLUMN, PAGE, save, use_style
from deepicd.figures.strata import plot_frequency, plot_note_length, plot_subgroups
from deepicd.figures.training import plot_grpo, plot_training

__all__ = [
    "COLUMN",
    "PAGE",
    "caption",
    "plot_against",
    "plot_chapters",
    "plot_confusion",
    "plot_differences",
    "plot_frequency",
    "plot_grpo",
    "plot_icicle",
    "plot_law",
    "plot_levels",
    "plot_note_length",
    "plot_oracle_gap",
    "plot_outcomes",
    "plot_reliability",
    "plot_risk_coverage",
    "plot_subgroups",
    "plot_training",
    "plot_variants",
    "save",
    "use_style",
]

use_style()
