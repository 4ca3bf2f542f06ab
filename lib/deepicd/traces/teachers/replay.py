"""The replay teacher: stored answers, to judge them again without a model."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.traces.teachers.records import Answer, Request


class ReplayTeacher:
    """Give the answers that another teacher gave before.

    Parameters
    ----------
    answers : iterable of Answer
        Later answers to the same note and attempt are ignored.

    Examples
    --------
    >>> teacher = ReplayTeacher([Answer("n1", 0, "Cough. So J44.1.", "J44.1")])
    >>> [a.answer for a in teacher.answer([Request("n1", "Cough.", "J44.1")])]
    ['J44.1']
    """

    name = "replay"

    def __init__(self, answers: Iterable[Answer]):
        self._stored: dict[tuple[str, int], Answer] = {}
        for answer in answers:
            self._stored.setdefault((answer.note_id, answer.attempt), answer)

    @classmethod
    def from_file(cls, path: str | os.PathLike) -> "ReplayTeacher":
        """Read a traces.parquet, or a JSONL log of attempts.

        Raises
        ------
        UserError
            Where the file is neither.
        """
        path = Path(path)
        if not path.is_file():
            raise UserError(
                found=f"no file {path}",
                expected="traces.parquet or attempts-….jsonl",
                do="set replay_from to the answers of an earlier run",
            )
        if path.suffix == ".parquet":
            return cls.from_frame(pd.read_parquet(path))
        from deepicd.traces.teachers.attempts import AttemptLog

        return cls(AttemptLog(path).answers.values())

    @classmethod
    def from_frame(cls, traces: pd.DataFrame) -> "ReplayTeacher":
        """Take the attempts of a traces table; label-only rows are left out."""
        tried = traces[traces["trace"] != ""]
        columns = tried[["note_id", "attempt", "trace", "answer"]]
        return cls(
            Answer(note_id, int(attempt), trace, answer)
            for note_id, attempt, trace, answer in columns.itertuples(
                index=False, name=None
            )
        )

    def stored(self) -> list[Answer]:
        """All stored answers, in the order they came."""
        return list(self._stored.values())

    def answer(self, requests: list[Request], seed: int = 0) -> Iterator[Answer]:
        """Give the stored answers; a request without one is passed over."""
        for request in requests:
            stored = self._stored.get((request.note_id, request.attempt))
            if stored is not None:
                yield stored
