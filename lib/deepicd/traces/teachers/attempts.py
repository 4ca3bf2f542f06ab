"""Answers of a teacher on disk: one line an attempt, appended, never rewritten.

A killed run loses the requests in flight and nothing else. The next run skips what
is stored and, because validation is made anew from the stored answers, ends with
the same table as a run that nobody killed.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.traces.teachers.records import Answer, Request

_SYNC_EVERY = 1.0  # seconds; a kill loses nothing, a power cut at most so much


class AttemptLog:
    """Append-and-resume store of answers.

    Parameters
    ----------
    path : path-like
        A JSONL file; made when the first answer comes. A last line that a kill
        tore is ignored and cut off before the next write.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "attempts.jsonl"
    >>> AttemptLog(path).append([Answer("n1", 0, "Cough. So J44.1.", "J44.1")])
    >>> sorted(AttemptLog(path).answers)
    [('n1', 0)]
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.answers: dict[tuple[str, int], Answer] = {}
        self.torn = 0
        self._end = 0
        self._file = None
        self._synced = 0.0
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        with open(self.path, "rb") as file:
            for line in file:
                answer = _parse(line)
                if answer is None:
                    self.torn += 1
                    if not line.endswith(b"\n"):
                        break
                else:
                    self.answers.setdefault((answer.note_id, answer.attempt), answer)
                self._end += len(line)

    def append(self, answers: Iterable[Answer]) -> None:
        """Store answers that are not stored yet; a kill after this cannot lose them.

        A failed request is only remembered, so that the next run asks again.

        Raises
        ------
        UserError
            Where another run writes into the same file.
        """
        new = []
        for answer in answers:
            key = (answer.note_id, answer.attempt)
            if key in self.answers:
                continue
            self.answers[key] = answer
            if not answer.failed:
                new.append(json.dumps(answer.as_dict(), ensure_ascii=False) + "\n")
        if new:
            self._write("".join(new).encode("utf-8", "replace"))

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._open()
        self._file.write(data)
        self._file.flush()
        now = time.monotonic()
        if now - self._synced > _SYNC_EVERY:
            os.fsync(self._file.fileno())
            self._synced = now

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, "ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise _in_use(self.path) from error
        if os.fstat(file.fileno()).st_size < self._end or _grew(file, self):
            file.close()
            raise _in_use(self.path)
        file.truncate(self._end)
        self._file = file

    def close(self) -> None:
        """Let another run write; done by itself when the log is forgotten."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None

    def missing(self, requests: list[Request]) -> list[Request]:
        """Requests that have no stored answer."""
        return [r for r in requests if (r.note_id, r.attempt) not in self.answers]


def _grew(file, log: AttemptLog) -> bool:
    """Whether whole lines were added since the log was read."""
    with open(file.name, "rb") as reader:
        reader.seek(log._end)
        return b"\n" in reader.read()


def _in_use(path: Path) -> UserError:
    return UserError(
        found=f"another run writes into {path.name}",
        expected="one run at a time",
        do="wait for the other run to end, then start again: it goes on from there",
    )


def _parse(line: bytes) -> Answer | None:
    try:
        return Answer(**json.loads(line))
    except (ValueError, TypeError):
        return None


def log_name(admissions: pd.DataFrame, **settings) -> str:
    """File name of a log that belongs to these notes and settings and no others.

    Examples
    --------
    >>> frame = pd.DataFrame({"note_id": ["a"], "note": ["Cough."],
    ...                       "label": ["J44.1"]})
    >>> log_name(frame, teacher="vllm") == log_name(frame, teacher="vllm")
    True
    >>> log_name(frame, teacher="vllm") == log_name(frame, teacher="openai")
    False
    """
    rows = admissions[["note_id", "note", "label"]]
    notes = int(pd.util.hash_pandas_object(rows, index=False).sum())
    text = json.dumps([notes, settings], sort_keys=True, default=str)
    return f"attempts-{hashlib.sha256(text.encode()).hexdigest()[:12]}.jsonl"
