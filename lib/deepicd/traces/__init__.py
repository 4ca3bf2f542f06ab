"""Traces: build, check and store the reasoning that the student learns from."""

from deepicd.traces.building import COLUMNS, LABEL_ONLY, build_traces, check_table
from deepicd.traces.case import Case, Limits
from deepicd.traces.checks import CHECKS, run_checks
from deepicd.traces.estimate import estimate_cost
from deepicd.traces.faults import FAULTS, catch_rates, plant
from deepicd.traces.showing import case_of, highlight, highlight_note, verdict
from deepicd.traces.storage import AttemptLog, log_name

__all__ = [
    "CHECKS",
    "COLUMNS",
    "FAULTS",
    "LABEL_ONLY",
    "AttemptLog",
    "Case",
    "Limits",
    "build_traces",
    "case_of",
    "catch_rates",
    "check_table",
    "estimate_cost",
    "highlight",
    "highlight_note",
    "log_name",
    "plant",
    "run_checks",
    "verdict",
]
