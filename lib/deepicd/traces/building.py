"""Ask a teacher, judge what comes back, ask again, and keep count."""

import json
import math
import os
from collections.abc import Callable

import pandas as pd

from deepicd.errors import UserError
from deepicd.teachers.records import Answer, Request, Teacher
from deepicd.traces import corpus_checks
from deepicd.traces.case import Case, Limits
from deepicd.traces.checks import CHECKS, run_checks, scores
from deepicd.traces.storage import AttemptLog, in_batches

COLUMNS = [
    "note_id", "icd_code", "teacher", "attempt", "trace", "answer", "accepted",
    "reasons", "scores",
]  # fmt: skip
CORPUS_CHECKS = ("near_duplicate", "overlap", "recovery")
LABEL_ONLY = "label_only"
_BATCH = 64


def build_traces(
    admissions: pd.DataFrame,
    tree,
    teacher: Teacher,
    seed: int = 0,
    attempts: int = 2,
    n: int | None = None,
    log_path: str | os.PathLike | None = None,
    later: dict[str, str] | None = None,
    limits: Limits | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """Distil traces for the first n training notes and judge each of them.

    A rejected note is asked again, up to `attempts` times. A note that never gets
    an accepted trace ends as a label-only record: an empty trace with the reason
    "label_only", so that its label is still there for training.

    Parameters
    ----------
    admissions : pandas.DataFrame
        As notebook 01 writes it. Only rows of the train split are explained, in the
        order of `sft_rank`; the others serve the contamination check.
    tree : deepicd.icd.IcdTree
    teacher : Teacher
        `RuleTeacher`, `OpenAITeacher`, `VllmTeacher` or `ReplayTeacher`.
    seed : int
        Of wording, sampling and folds.
    attempts : int
        Tries a note.
    n : int, optional
        Notes; all of the train split by default.
    log_path : path-like, optional
        Where answers are stored as they come; a file of an earlier, killed run is
        gone on with.
    later : dict of str to str, optional
        By note_id, what the summary says after admission.
    limits : Limits, optional
    progress : callable, optional
        Called with done, total and a text.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: one row an attempt, then the label-only rows; `reasons`
        holds the failed checks joined with ";", `scores` a JSON object.

    Raises
    ------
    UserError
        Without training rows, or for a gold code that the tree does not hold.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> from deepicd.teachers import RuleTeacher
    >>> frame = pd.DataFrame({
    ...     "note_id": [f"n{i}" for i in range(8)], "split": "train",
    ...     "note": ["Crushing chest pain, sweating."] * 4 + ["Wheeze, cough."] * 4,
    ...     "icd_code": ["I21.11"] * 4 + ["J44.1"] * 4, "sft_rank": range(8)})
    >>> teacher = RuleTeacher(load_tree()).fit(frame)
    >>> traces = build_traces(frame, load_tree(), teacher, n=2)
    >>> traces["accepted"].tolist()
    [True, True]
    """
    train = _training_rows(admissions, tree, n)
    log = AttemptLog(log_path) if log_path else _Memory()
    judge = _Judge(admissions, train, tree, later or {}, limits or Limits(), seed)
    rows: list[dict] = []
    pending = list(train["note_id"])
    for attempt in range(attempts):
        requests = [judge.request(note_id, attempt) for note_id in pending]
        _ask(teacher, requests, log, seed, progress)
        answers = [log.answers[(note_id, attempt)] for note_id in pending]
        judged = judge.judge(answers, teacher.name)
        rows += judged
        pending = [row["note_id"] for row in judged if not row["accepted"]]
    rows += [judge.label_only(note_id, teacher.name, attempts) for note_id in pending]
    return pd.DataFrame(rows, columns=COLUMNS)


def _training_rows(admissions, tree, n) -> pd.DataFrame:
    train = admissions[admissions["split"] == "train"].sort_values("sft_rank")
    train = train if n is None else train.head(n)
    if not len(train):
        raise UserError(
            found="no training notes", expected="rows with split 'train'",
            do="run notebook 01, or raise n_traces above 0",
        )  # fmt: skip
    unknown = sorted({c for c in train["icd_code"] if tree.normalise(c) != c})
    if unknown:
        raise UserError(
            found=f"{len(unknown)} gold codes outside the tree, such as {unknown[0]}",
            expected="normalised codes of the tree",
            do="load the tree with the catalogue of the source (extra_codes)",
        )
    return train


class _Memory:
    """Stands in for `AttemptLog` where nothing is to be stored."""

    def __init__(self):
        self.answers: dict[tuple[str, int], Answer] = {}

    def append(self, answers) -> None:
        for answer in answers:
            self.answers.setdefault((answer.note_id, answer.attempt), answer)

    missing = AttemptLog.missing


def _ask(teacher, requests, log, seed, progress) -> None:
    """Put the answers that are not stored yet into the log, as they come."""
    missing = log.missing(requests)
    done = len(requests) - len(missing)
    for batch in in_batches(teacher.answer(missing, seed), _BATCH):
        log.append(batch)
        done += len(batch)
        if progress:
            progress(done, len(requests), f"{teacher.name}: reasoning written")
    lost = log.missing(missing)
    log.append(
        Answer(r.note_id, r.attempt, "", None, "the teacher gave no answer")
        for r in lost
    )


class _Judge:
    """Turn answers into judged rows; remembers what was accepted before."""

    def __init__(self, admissions, train, tree, later, limits, seed):
        self.notes = dict(zip(train["note_id"], train["note"], strict=True))
        self.gold = dict(zip(train["note_id"], train["icd_code"], strict=True))
        held_out = admissions[admissions["split"].isin(["val", "test"])]
        self.held_out = held_out["note"].tolist()
        self.tree, self.later, self.limits, self.seed = tree, later, limits, seed
        self.lexicon = corpus_checks.lexicon(train["note"].tolist())
        self.copies = corpus_checks.CopyCounter()
        self.accepted: list[tuple[str, str]] = []

    def request(self, note_id: str, attempt: int) -> Request:
        return Request(note_id, self.notes[note_id], self.gold[note_id], attempt)

    def judge(self, answers: list[Answer], teacher: str) -> list[dict]:
        cases = [self._case(a) for a in answers]
        failed = [list(run_checks(case)) for case in cases]
        ranks = self._recovery(cases)
        notes = [case.note for case in cases]
        overlap = corpus_checks.overlapping(
            [case.trace for case in cases], notes, self.held_out
        )
        rows = []
        for i, (answer, case) in enumerate(zip(answers, cases, strict=True)):
            reasons = failed[i] + (["overlap"] if overlap[i] else [])
            reasons += ["recovery"] if ranks[i] > corpus_checks.RANK else []
            if not reasons and self.copies.is_copy(case.gold, case.words):
                reasons.append("near_duplicate")
            rows.append(self._row(answer, case, teacher, reasons, ranks[i]))
        self.accepted += [
            (case.trace, case.gold)
            for case, row in zip(cases, rows, strict=True)
            if row["accepted"]
        ]
        return rows

    def _case(self, answer: Answer) -> Case:
        note_id = answer.note_id
        return Case(
            self.notes[note_id], self.gold[note_id], answer.trace, answer.answer,
            answer.problem, self.tree, self.later.get(note_id),
            self.lexicon, self.limits,
        )  # fmt: skip

    def _recovery(self, cases: list[Case]) -> list[float]:
        """Ranks for these cases; the reader also learns from accepted traces."""
        traces = [c.trace for c in cases] + [t for t, _ in self.accepted]
        codes = [c.gold for c in cases] + [g for _, g in self.accepted]
        ranks = corpus_checks.recovery_ranks(traces, codes, self.tree, self.seed)
        return ranks[: len(cases)]

    def _row(self, answer, case, teacher, reasons, rank) -> dict:
        numbers = scores(case)
        numbers["recovery_rank"] = None if math.isnan(rank) else rank
        numbers["prompt_tokens"] = answer.prompt_tokens
        numbers["completion_tokens"] = answer.completion_tokens
        return {
            "note_id": answer.note_id, "icd_code": case.gold, "teacher": teacher,
            "attempt": answer.attempt, "trace": answer.trace,
            "answer": answer.answer, "accepted": not reasons,
            "reasons": ";".join(reasons), "scores": json.dumps(numbers),
        }  # fmt: skip

    def label_only(self, note_id: str, teacher: str, attempts: int) -> dict:
        return {
            "note_id": note_id, "icd_code": self.gold[note_id], "teacher": teacher,
            "attempt": attempts, "trace": "", "answer": self.gold[note_id],
            "accepted": False, "reasons": LABEL_ONLY, "scores": "{}",
        }  # fmt: skip


def check_table(traces: pd.DataFrame, with_later: bool = False) -> pd.DataFrame:
    """How many attempts each check rejects, alone or with others.

    Parameters
    ----------
    traces : pandas.DataFrame
        As `build_traces` gives it.
    with_later : bool
        Whether the text after admission was there to compare with.

    Returns
    -------
    pandas.DataFrame
        Columns check, n, failed, share, remark; then the rows "accepted" (attempts)
        and "label_only" (notes).
    """
    tried = traces[traces["reasons"] != LABEL_ONLY]
    failures = tried["reasons"].str.split(";")
    rows = []
    for name in (*CHECKS, *CORPUS_CHECKS):
        failed = int(failures.map(lambda reasons, name=name: name in reasons).sum())
        remark = _REMARKS.get(name, "")
        if name == "after_admission" and with_later:
            remark = ""
        rows.append((name, len(tried), failed, remark))
    notes = traces["note_id"].nunique()
    rows.append(("accepted", len(tried), int(tried["accepted"].sum()), "kept attempts"))
    rows.append((LABEL_ONLY, notes, len(traces) - len(tried), "notes without a trace"))
    table = pd.DataFrame(rows, columns=["check", "n", "failed", "remark"])
    table.insert(3, "share", table["failed"] / table["n"].clip(lower=1))
    return table


_REMARKS = {
    "after_admission": "by wording only: the text after admission was not given",
    "near_duplicate": "asked only of traces that pass everything else",
    "recovery": "codes that only one fold holds cannot be recovered and pass",
}
