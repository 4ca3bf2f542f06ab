"""Ask a teacher, judge what comes back, ask again, and keep count."""

import os

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.progress import Count
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.traces.case import Limits
from deepicd.traces.judging import Judge, as_frame
from deepicd.traces.teachers.attempts import AttemptLog
from deepicd.traces.teachers.records import Answer, Teacher


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
    recovery: bool = True,
    task: Task = PRINCIPAL_DIAGNOSIS,
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
    recovery : bool
        Whether the check "recovery" is made; it trains a classifier.
    task : Task
        Whose labels are explained; `tree` is its space.

    Returns
    -------
    pandas.DataFrame
        Columns note_id, label, teacher, attempt, trace, answer, accepted, reasons,
        scores: one row an attempt, then the label-only rows; `reasons`
        holds the failed checks joined with ";", `scores` a JSON object.

    Raises
    ------
    UserError
        Without training rows, or for a gold code that the tree does not hold.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> from deepicd.traces.teachers import RuleTeacher
    >>> frame = pd.DataFrame({
    ...     "note_id": [f"n{i}" for i in range(8)], "split": "train",
    ...     "note": ["Crushing chest pain, sweating."] * 4 + ["Wheeze, cough."] * 4,
    ...     "label": ["I21.11"] * 4 + ["J44.1"] * 4, "sft_rank": range(8)})
    >>> teacher = RuleTeacher(load_tree()).fit(frame)
    >>> traces = build_traces(frame, load_tree(), teacher, n=2)
    >>> traces["accepted"].tolist()
    [True, True]
    """
    train = _training_rows(admissions, tree, n)
    log = AttemptLog(log_path) if log_path else _Memory()
    judge = Judge(
        admissions, train, tree, later or {}, limits or Limits(), seed, recovery, task
    )
    rows: list[dict] = []
    pending = list(train["note_id"])
    try:
        for attempt in range(attempts):
            requests = [judge.request(note_id, attempt) for note_id in pending]
            _ask(teacher, requests, log, seed)
            answers = [log.answers[(note_id, attempt)] for note_id in pending]
            judged = judge.judge(answers, teacher.name)
            rows += judged
            pending = [row["note_id"] for row in judged if not row["accepted"]]
    finally:
        log.close()
    rows += [judge.label_only(note_id, teacher.name, attempts) for note_id in pending]
    return as_frame(rows)


def _training_rows(admissions, tree, n) -> pd.DataFrame:
    train = admissions[admissions["split"] == "train"].sort_values("sft_rank")
    train = train if n is None else train.head(n)
    if not len(train):
        raise UserError(
            found="no training notes",
            expected="rows with split 'train'",
            do="run notebook 01, or raise n_traces above 0",
        )
    unknown = sorted({c for c in train["label"] if tree.normalise(c) != c})
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

    def close(self) -> None:
        """Nothing is open."""

    missing = AttemptLog.missing


def _ask(teacher, requests, log, seed) -> None:
    """Put the answers that are not stored yet into the log, as they come."""
    missing = log.missing(requests)
    count = Count(len(requests), f"{teacher.name}: reasoning written")
    count.add(len(requests) - len(missing))
    for answer in teacher.answer(missing, seed):
        log.append([answer])
        count.add()
    lost = log.missing(missing)
    log.append(
        Answer(
            r.note_id, r.attempt, "", None, "the teacher gave no answer", failed=True
        )
        for r in lost
    )
