"""Traces: build, check and store the reasoning that the student learns from."""

from deepicd.traces.building import build_traces
from deepicd.traces.case import Case, Limits
from deepicd.traces.checks import CHECKS, run_checks
from deepicd.traces.estimate import estimate_cost
from deepicd.traces.export import export_dataset
from deepicd.traces.faults import FAULTS, catch_rates, plant
from deepicd.traces.judging import COLUMNS, LABEL_ONLY, Judge
from deepicd.traces.showing import case_of, highlight, highlight_note, verdict
from deepicd.traces.storage import AttemptLog, log_name
from deepicd.traces.tables import check_table, round_table

__all__ = [
    "CHECKS",
    "COLUMNS",
    "FAULTS",
    "LABEL_ONLY",
    "AttemptLog",
    "Case",
    "Judge",
    "Limits",
    "build_traces",
    "case_of",
    "catch_rates",
    "check_table",
    "estimate_cost",
    "export_dataset",
    "highlight",
    "highlight_note",
    "log_name",
    "plant",
    "round_table",
    "run_checks",
    "verdict",
]
