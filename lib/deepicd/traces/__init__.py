"""Traces: build, check and store the reasoning that the student learns from."""

from deepicd.common.faces import face

HOMES = {
    "AttemptLog": "teachers.attempts",
    "CHECKS": "checks",
    "COLUMNS": "judging",
    "Case": "case",
    "FAULTS": "faults",
    "Judge": "judging",
    "LABEL_ONLY": "judging",
    "Limits": "case",
    "build_traces": "distil",
    "catch_rates": "faults",
    "check_table": "check_counts",
    "continued": "monte_carlo",
    "estimate_cost": "cost",
    "export_dataset": "dataset",
    "answered_right": "step_labels",
    "kept_apart": "step_labels",
    "label_steps": "step_labels",
    "log_name": "teachers.attempts",
    "of_answers": "step_labels",
    "plant": "faults",
    "planted": "step_labels",
    "round_table": "check_counts",
    "run_checks": "checks",
    "step_table": "step_labels",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
