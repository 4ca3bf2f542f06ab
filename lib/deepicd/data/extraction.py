"""Admission notes from a stream of notes: bounded memory, all cores, resumable.

Small data are done in this process. From `ALONE` batches on, worker processes take
the batches; each finished batch is a file in the work folder, so a run that was
stopped only reads again what it had already taken. The folder's name holds what the
result depends on: the file, the cohort, the mode and the rules themselves.
"""

import hashlib
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pyarrow as pa

from deepicd.common.errors import UserError
from deepicd.common.progress import Count
from deepicd.data import extraction_worker as batches_of
from deepicd.data import sections
from deepicd.data.sections.content_guard import Guard
from deepicd.data.sections.lines import clean
from deepicd.data.sources.raw_tables import RawTables

ALONE = 8  # batches that are worth no second process
COLUMNS = ["note_id", "hadm_id", "note", "flags", "diagnosis"]


def extract(
    raw: RawTables,
    hadm_ids,
    mode: str = "robust",
    workers=None,
    work_dir=None,
    guard: Guard | None = None,
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Take one admission note for each admission out of the source's notes.

    Of several summaries the last counts; addenda are joined to it.

    Parameters
    ----------
    raw : RawTables
        The source.
    hadm_ids : iterable of str
        The cohort's admissions; other notes are not looked at.
    mode : {"robust", "cop"}
        See `sections.admission_note`.
    workers : int, optional
        Processes; default: all cores. Small data are done in this process.
    work_dir : path-like, optional
        Where finished batches are kept until all are done. Default: a temporary
        folder, so that a stopped run starts again.
    guard : Guard, optional
        What cuts by content where headers fail.

    Returns
    -------
    notes : DataFrame
        `note_id, hadm_id, note, flags, diagnosis` (of the discharge, for a last look),
        one row per admission.
    counts : dict
        Duplicate rows, earlier summaries and addenda: how many notes each.
    """
    hadm_ids = sorted(set(hadm_ids))
    batches = raw.iter_notes(hadm_ids)
    if raw.note_kind == "admission":
        frames = [_as_they_are(batch) for batch in batches]
        if not frames:
            return pd.DataFrame(columns=COLUMNS), {}
        return one_each(pd.concat(frames, ignore_index=True))
    tables = (pa.Table.from_pandas(b, preserve_index=False) for b in batches)
    with _folder(work_dir, raw, hadm_ids, f"{mode} {guard}") as folder:
        done = stream(tables, mode, folder, workers, guard)
        parts = list(_counted(done, len(hadm_ids)))
        if not parts:
            return pd.DataFrame(columns=COLUMNS), {}
        return one_each(pa.concat_tables(parts).to_pandas())


def _as_they_are(batch: pd.DataFrame) -> pd.DataFrame:
    out = batch.drop(columns="text")
    note = batch["text"].map(clean).str.strip()
    return out.assign(note=note, flags="", diagnosis="")


def stream(
    tables: Iterable[pa.Table], mode: str, folder: Path, workers=None, guard=None
) -> Iterator[pa.Table]:
    """Take the notes of every batch, in order, with bounded memory.

    Parameters
    ----------
    tables : iterable of pyarrow.Table
        Batches with the note columns.
    mode : {"robust", "cop"}
    folder : Path
        Finished batches are files here, if there are more than `ALONE` of them;
        those that are there are not done again.
    workers : int, optional
        Processes; default: all cores.
    guard : Guard, optional

    Yields
    ------
    pyarrow.Table
        A finished batch; one that stands in a file takes no memory of its own.
    """
    tables = iter(tables)
    few = list(islice(tables, ALONE + 1))
    if len(few) <= ALONE:
        yield from (batches_of.take(table, mode, guard) for table in few)
        return
    tables = _chained(few, tables)
    workers = workers or os.cpu_count() or 1
    if workers > 1:
        yield from _parallel(tables, mode, folder, workers, guard)
        return
    for number, table in enumerate(tables):
        part = _part(folder, number)
        if not _finished(part, table):
            batches_of.write(batches_of.take(table, mode, guard), part)
        yield batches_of.read(part)


def _chained(few: list, rest: Iterator) -> Iterator:
    """Give the first ones without holding on to them, then the others."""
    few.reverse()
    while few:
        yield few.pop()
    yield from rest


def _part(folder: Path, number: int) -> Path:
    return folder / f"part-{number:05}.arrow"


def _finished(part: Path, table: pa.Table) -> bool:
    """Whether the file of this very batch is there."""
    if not part.exists():
        return False
    written = batches_of.read(part)["note_id"]
    return written.to_pylist() == table["note_id"].to_pylist()


def _parallel(tables, mode: str, folder: Path, workers: int, guard) -> Iterator:
    """Keep one batch a worker, and one more, in flight: memory stays bounded."""
    pool = ProcessPoolExecutor(
        workers, get_context("spawn"), batches_of.start, initargs=(mode, guard)
    )
    waiting: deque = deque()
    try:
        for number, table in enumerate(tables):
            part, job = _part(folder, number), None
            if not _finished(part, table):
                batches_of.hand_over(table, part)
                job = pool.submit(batches_of.work, part)
            del table
            waiting.append((part, job))
            while len(waiting) > workers + 1:
                yield _result(*waiting.popleft())
        while waiting:
            yield _result(*waiting.popleft())
    except BrokenProcessPool:
        raise UserError(
            found="a worker process that ended early, probably for lack of memory",
            expected=f"about 0.3 GB of free memory for each of {workers} workers",
            do="run the same command again; finished batches are kept",
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _result(part: Path, job) -> pa.Table:
    if job is not None:
        job.result()
    return batches_of.read(part)


@contextmanager
def _folder(work_dir, raw: RawTables, hadm_ids: list[str], how: str):
    """Give the folder of the finished batches; it stays if the work is stopped."""
    if work_dir is None or not raw.identity:
        with tempfile.TemporaryDirectory(dir=work_dir) as folder:
            yield Path(folder)
        return
    name = f"extract-{key(raw.identity, hadm_ids, how)}"
    folder = Path(work_dir) / name
    for old in Path(work_dir).glob("extract-*"):
        if old.name != name:
            shutil.rmtree(old)
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def key(identity: str, hadm_ids: list[str], how: str) -> str:
    """Name what finished batches depend on: data, cohort, mode, guard and the rules.

    Examples
    --------
    >>> key("file", ["1"], "robust") == key("file", ["1"], "cop")
    False
    """
    digest = hashlib.sha256("\n".join([identity, how, *hadm_ids]).encode())
    rules = Path(sections.__file__).parent.iterdir()
    for path in sorted(filter(Path.is_file, rules)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _counted(parts: Iterable[pa.Table], total: int) -> Iterator[pa.Table]:
    """Pass finished batches on and tell how many notes are done."""
    count = Count(total, "cutting notes")
    for part in parts:
        count.add(len(part))
        yield part


def one_each(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep the last summary of each admission and join its addenda.

    Parameters
    ----------
    frame : DataFrame
        `note_id, hadm_id, note_type, note_seq, note, flags, diagnosis`.

    Returns
    -------
    notes : DataFrame
        `note_id, hadm_id, note, flags, diagnosis`, sorted by admission.
    counts : dict
    """
    order = frame.drop(columns="note").reset_index(drop=True)
    distinct = order.drop_duplicates("note_id")
    ordered = distinct.sort_values(["hadm_id", "note_seq", "note_id"])
    own = ordered.loc[ordered["note_type"] != "AD", "hadm_id"]
    addendum = ordered["note_type"].eq("AD") & ordered["hadm_id"].isin(own)
    summaries = ordered[~addendum]
    last = summaries.drop_duplicates("hadm_id", keep="last")
    notes = frame["note"].take(last.index).to_numpy(dtype=object)
    added = ordered.index[addendum]
    place = dict(zip(last["hadm_id"], range(len(last)), strict=True))
    flags = last["flags"].to_numpy(dtype=object).copy()
    for hadm_id, text in zip(
        ordered["hadm_id"][addendum], frame["note"].take(added), strict=True
    ):
        if text:
            at = place[hadm_id]
            notes[at] = f"{notes[at]}\n\n{text}".strip()
            flags[at] = f"{flags[at].removesuffix(_JOINED)}{_JOINED}"
    counts = {
        "duplicate notes": len(frame) - len(distinct),
        "earlier summaries of the same admission": len(summaries) - len(last),
        "addenda joined to the summary": int(addendum.sum()),
    }
    out = last[["note_id", "hadm_id", "diagnosis"]].assign(note=notes, flags=flags)
    return out[COLUMNS].reset_index(drop=True), counts


_JOINED = ";addendum_joined"
