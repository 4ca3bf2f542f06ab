"""Answers of a teacher on disk: one line an attempt, appended, never rewritten.

A killed run loses the requests in flight and nothing else. The next run skips what
is stored and, because validation is made anew from the stored answers, ends with
the same table as a run that nobody killed.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from deepicd.teachers.records import Answer, Request


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
        """Write answers that are not stored yet; on disk when this returns.

        A failed request is only remembered, so that the next run asks again.
        """
        new = []
        for answer in answers:
            key = (answer.note_id, answer.attempt)
            if key in self.answers:
                continue
            self.answers[key] = answer
            if not answer.failed:
                new.append(json.dumps(answer.as_dict(), ensure_ascii=False) + "\n")
        if not new:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = "".join(new).encode()
        with open(self.path, "r+b" if self.path.exists() else "w+b") as file:
            file.truncate(self._end)
            file.seek(self._end)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._end += len(data)

    def missing(self, requests: list[Request]) -> list[Request]:
        """Requests that have no stored answer."""
        return [r for r in requests if (r.note_id, r.attempt) not in self.answers]


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
    ...                       "icd_code": ["J44.1"]})
    >>> log_name(frame, teacher="vllm") == log_name(frame, teacher="vllm")
    True
    >>> log_name(frame, teacher="vllm") == log_name(frame, teacher="openai")
    False
    """
    rows = admissions[["note_id", "note", "icd_code"]]
    notes = int(pd.util.hash_pandas_object(rows, index=False).sum())
    text = json.dumps([notes, settings], sort_keys=True, default=str)
    return f"attempts-{hashlib.sha256(text.encode()).hexdigest()[:12]}.jsonl"


def in_batches(answers: Iterator[Answer], size: int) -> Iterator[list[Answer]]:
    """Group answers as they come, so that one write stores several.

    Examples
    --------
    >>> [len(b) for b in in_batches(iter([Answer("a", i, "", None)
    ...                                   for i in range(5)]), 2)]
    [2, 2, 1]
    """
    batch: list[Answer] = []
    for answer in answers:
        batch.append(answer)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
