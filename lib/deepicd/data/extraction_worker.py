"""Batches of summaries, as worker processes take them: Arrow in, a Parquet file out.

Only Arrow and the sections are imported here, so that a worker starts fast and small.
"""

import gc
import os
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from deepicd.data.sections.guard import Guard
from deepicd.data.sections.lines import clean
from deepicd.data.sections.splitting import admission_notes

KEYS = ("note_id", "hadm_id", "note_type", "note_seq")


def take(table: pa.Table, mode: str, guard: Guard | None = None) -> pa.Table:
    """Take the admission notes out of one batch of discharge summaries.

    Examples
    --------
    >>> batch = pa.table({"note_id": ["1"], "hadm_id": ["3"], "note_type": ["DS"],
    ...     "note_seq": [1], "text": ["Chief Complaint: Cough\\nDischarge ___: Flu"]})
    >>> take(batch, "robust")["note"].to_pylist()
    ['CHIEF COMPLAINT: Cough']
    """
    texts = list(map(clean, table["text"].to_pylist()))
    notes, flags, diagnoses = zip(*admission_notes(texts, mode, guard), strict=True)
    columns = {name: table[name] for name in KEYS}
    columns["note"] = pa.array(notes, pa.large_string())
    columns["flags"] = pa.array(map(";".join, flags), pa.large_string())
    columns["diagnosis"] = pa.array(diagnoses, pa.large_string())
    return pa.table(columns)


def start(mode: str, guard: Guard | None) -> None:
    """Prepare a worker: no circular garbage is made, and the parent hears Ctrl-C."""
    _TAKING.update(mode=mode, guard=guard)
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_TAKING: dict = {}  # how this process takes notes


def work(batch: bytes, path: str) -> int:
    """Write the admission notes of a batch to a file; give the number of summaries."""
    table = pa.ipc.open_stream(pa.py_buffer(batch)).read_all()
    write(take(table, **_TAKING), Path(path))
    return len(table)


def write(table: pa.Table, path: Path) -> None:
    """Write a Parquet file that is there as a whole or not at all."""
    temporary = path.with_name(f".{os.getpid()}.tmp-{path.name}")
    pq.write_table(table, temporary, compression="zstd", use_dictionary=False)
    os.replace(temporary, path)


def message(table: pa.Table) -> bytes:
    """Pack a batch for another process."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
