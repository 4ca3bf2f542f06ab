"""Figures in one style: `plot_x(frame) -> Figure`, written by `save`."""

from importlib import import_module

from deepicd.common.faces import face

HOMES = {
    "COLUMN": "saving",
    "PAGE": "saving",
    "caption": "captions",
    "plot_against": "differences",
    "plot_best_of": "verifying",
    "plot_chapters": "hierarchy",
    "plot_confusion": "evaluation",
    "plot_differences": "differences",
    "plot_frequency": "strata",
    "plot_gaps": "strata",
    "plot_gold_chosen": "verifying",
    "plot_grpo": "training",
    "plot_icicle": "hierarchy",
    "plot_law": "ablations",
    "plot_levels": "evaluation",
    "plot_note_length": "strata",
    "plot_oracle_gap": "hierarchy",
    "plot_outcomes": "evaluation",
    "plot_reliability": "confidence",
    "plot_risk_coverage": "confidence",
    "plot_steps": "verifying",
    "plot_subgroups": "strata",
    "plot_tasks": "tasks",
    "plot_training": "training",
    "plot_variants": "ablations",
    "save": "saving",
    "use_style": "saving",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)

# Every figure has the house's look.
import_module("deepicd.views.figures.saving").use_style()
