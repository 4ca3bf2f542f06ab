"""The best possible answers: one row per usable summary, a file for each task."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deepicd.data.synthetic.model import Model
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS

ORACLE = "oracle.parquet"
HISTORY = "_history"  # behind a task: answers of who also knows all earlier codes
TOP = 5
ROWS = 10_000  # rows of one row group
LEVELS = PRINCIPAL_DIAGNOSIS.levels[:-1]
_FINE = 2.0**40


def best_codes(probability: np.ndarray, top: int = TOP) -> np.ndarray:
    """Give the columns of the most probable codes, best first.

    Ties go to the first code: whole numbers without ties are sorted, so that the
    order is the same on every platform.

    Examples
    --------
    >>> best_codes(np.array([[0.2, 0.5, 0.2, 0.1]]), 3).tolist()
    [[1, 0, 2]]
    """
    count = probability.shape[1]
    key = np.floor(probability * _FINE).astype(np.int64) * count
    key += np.arange(count - 1, -1, -1)
    top = min(top, count)
    found = np.argpartition(-key, top - 1, axis=1)[:, :top]
    order = np.argsort(-np.take_along_axis(key, found, axis=1), axis=1)
    return np.take_along_axis(found, order, axis=1)


def level_shares(model: Model, probability: np.ndarray, level: str):
    """Add up the probabilities within a level; gives the names and the sums.

    Entries are sorted by code, so the codes of a chapter, block or category stand
    side by side.
    """
    names = np.array([getattr(entry, level) for entry in model.knowledge.entries])
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    return names[starts], np.add.reduceat(probability, starts, axis=1)


def answers_of(model: Model, ids: list[str], code, probability) -> pa.Table:
    """The oracle's answers: best at each level, and the most probable codes."""
    codes = np.array(model.codes)
    best = best_codes(probability)
    rounded = np.round(probability, 6)
    rows = np.arange(len(ids))
    columns = {
        "note_id": ids,
        "icd_code": codes[code],
        "p_gold": rounded[rows, code],
    }
    for level in LEVELS:
        names, share = level_shares(model, probability, level)
        columns[level] = names[share.argmax(axis=1)]
        columns[f"p_{level}"] = np.round(share.max(axis=1), 6)
    columns["full"], columns["p_full"] = codes[best[:, 0]], rounded[rows, best[:, 0]]
    ends = np.arange(len(ids) + 1) * best.shape[1]
    for name, values in (
        ("top_codes", codes[best]),
        ("top_probabilities", np.take_along_axis(rounded, best, axis=1)),
    ):
        columns[name] = pa.ListArray.from_arrays(
            pa.array(ends, pa.int32()), pa.array(values.ravel())
        )
    return pa.table(columns)


class OracleWriter:
    """Append the answers of each chunk to the file of their task."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.files: dict[str, pq.ParquetWriter] = {}
        self.waiting: dict[str, list[pa.Table]] = {}

    def __enter__(self):
        return self

    def add(self, answers: dict[str, pa.Table]) -> None:
        """Take the answers of a chunk, by task."""
        for task, table in answers.items():
            self.waiting.setdefault(task, []).append(table)
            if sum(map(len, self.waiting[task])) >= ROWS:
                self._flush(task)

    def _flush(self, task: str) -> None:
        tables = self.waiting.pop(task)
        if task not in self.files:
            path = oracle_path(
                self.folder / ORACLE, task.removesuffix(HISTORY), HISTORY in task
            )
            self.files[task] = pq.ParquetWriter(path, tables[0].schema)
        self.files[task].write_table(pa.concat_tables(tables))

    def __exit__(self, *_):
        for task in list(self.waiting):
            self._flush(task)
        for file in self.files.values():
            file.close()


def oracle_path(path: Path, task: str, history: bool = False) -> Path:
    """File with the answers to a task; that of the diagnosis names no task.

    Examples
    --------
    >>> oracle_path(Path("oracle.parquet"), "drg").name
    'oracle_drg.parquet'
    >>> oracle_path(Path("oracle.parquet"), "principal_diagnosis", history=True).name
    'oracle_history.parquet'
    """
    own = "" if task == PRINCIPAL_DIAGNOSIS.name else f"_{task}"
    return path.with_stem(path.stem + own + HISTORY * history)
