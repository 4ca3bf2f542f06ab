"""Judge the answers of a teacher: each alone, then against all others."""

import json
import math

import pandas as pd

from deepicd.common.progress import counted
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.traces import corpus_checks
from deepicd.traces.case import Case
from deepicd.traces.checks import fitting, run_checks, scores
from deepicd.traces.claims import lexicon
from deepicd.traces.teachers.records import Answer, Request

COLUMNS = [
    "note_id",
    "label",
    "teacher",
    "attempt",
    "trace",
    "answer",
    "accepted",
    "reasons",
    "scores",
]
CORPUS_CHECKS = ("near_duplicate", "overlap", "recovery")
LABEL_ONLY = "label_only"


class Judge:
    """Turn answers into judged rows; remembers what was accepted before.

    Parameters
    ----------
    admissions : pandas.DataFrame
        All splits; validation and test serve the check "overlap".
    train : pandas.DataFrame
        The notes that are explained.
    tree : deepicd.icd.IcdTree
    later : dict of str to str
        By note_id, what the summary says after admission.
    limits : Limits
    seed : int
        Of the folds of the check "recovery".
    recovery : bool
        Whether an independent reader is trained, which takes most of the time.
    task : Task
        Whose labels are explained; checks that do not fit it are left out.
    """

    def __init__(
        self,
        admissions,
        train,
        tree,
        later,
        limits,
        seed,
        recovery=True,
        task: Task = PRINCIPAL_DIAGNOSIS,
    ):
        self.checks = fitting(task)
        self.notes = dict(zip(train["note_id"], train["note"], strict=True))
        self.gold = dict(zip(train["note_id"], train["label"], strict=True))
        held_out = admissions[admissions["split"].isin(["val", "test"])]
        self.held_out = corpus_checks.HeldOut(held_out["note"].tolist())
        self.tree, self.later, self.limits, self.seed = tree, later, limits, seed
        self.recovery = recovery
        self.lexicon = lexicon(train["note"].tolist(), tree)
        self.copies = corpus_checks.CopyCounter()
        self.accepted: list[tuple[str, str]] = []

    def request(self, note_id: str, attempt: int) -> Request:
        """Make the request for one note."""
        return Request(note_id, self.notes[note_id], self.gold[note_id], attempt)

    def judge(self, answers: list[Answer], teacher: str) -> list[dict]:
        """Judge one round of answers; a row each, in the order given."""
        cases = [self._case(a) for a in answers]
        ranks = self._recovery(cases)
        rows, judged = [], list(zip(answers, cases, ranks, strict=True))
        for answer, case, rank in counted(judged, "checking traces"):
            reasons = list(run_checks(case, self.checks))
            if self.held_out.holds(case.trace, case.note):
                reasons.append("overlap")
            reasons += ["recovery"] if rank > corpus_checks.RANK else []
            if not reasons and self.copies.is_copy(case.gold, case.words):
                reasons.append("near_duplicate")
            rows.append(_row(answer, case, teacher, reasons, rank))
        self.accepted += [
            (case.trace, case.gold)
            for case, row in zip(cases, rows, strict=True)
            if row["accepted"]
        ]
        return rows

    def _case(self, answer: Answer) -> Case:
        note_id = answer.note_id
        return Case(
            self.notes[note_id],
            self.gold[note_id],
            answer.trace,
            answer.answer,
            answer.problem,
            self.tree,
            self.later.get(note_id),
            self.lexicon,
            self.limits,
        )

    def _recovery(self, cases: list[Case]) -> list[float]:
        """Ranks for these cases; the reader also learns from accepted traces."""
        if not self.recovery:
            return [math.nan] * len(cases)
        traces = [c.trace for c in cases] + [t for t, _ in self.accepted]
        codes = [c.gold for c in cases] + [g for _, g in self.accepted]
        ranks = corpus_checks.recovery_ranks(traces, codes, self.tree, self.seed)
        return ranks[: len(cases)]

    def label_only(self, note_id: str, teacher: str, attempts: int) -> dict:
        """Make the row of a note that never got an accepted trace."""
        return {
            "note_id": note_id,
            "label": self.gold[note_id],
            "teacher": teacher,
            "attempt": attempts,
            "trace": "",
            "answer": self.gold[note_id],
            "accepted": False,
            "reasons": LABEL_ONLY,
            "scores": "{}",
        }


def _row(answer, case, teacher, reasons, rank) -> dict:
    numbers = scores(case)
    numbers["recovery_rank"] = None if math.isnan(rank) else rank
    numbers["prompt_tokens"] = answer.prompt_tokens
    numbers["completion_tokens"] = answer.completion_tokens
    return {
        "note_id": answer.note_id,
        "label": case.gold,
        "teacher": teacher,
        "attempt": answer.attempt,
        "trace": answer.trace,
        "answer": answer.answer,
        "accepted": not reasons,
        "reasons": ";".join(reasons),
        "scores": json.dumps(numbers),
    }


def as_frame(rows: list[dict]) -> pd.DataFrame:
    """Judged rows as the table of traces."""
    return pd.DataFrame(rows, columns=COLUMNS)
