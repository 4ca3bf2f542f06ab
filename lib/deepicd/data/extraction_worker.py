"""Batches of summaries, as worker processes take them: an Arrow file in, one out.

Only Arrow and the sections are imported here, so that a worker starts fast and small.
"""

import gc
import os
import signal
from pathlib import Path

import pyarrow as pa

from deepicd.data.sections.content_guard import Guard
from deepicd.data.sections.lines import clean
from deepicd.data.sections.splitting import AT_ONCE, admission_notes

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
    batches = table.select(["text"]).to_batches(max_chunksize=AT_ONCE)
    texts = (clean(text) for batch in batches for text in batch["text"].to_pylist())
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
    # The GNU C library returns memory to the system after every few notes, to ask for
    # it again: a tenth of all time. It keeps up to twice the largest block ever freed.
    bytes(1 << 24)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_TAKING: dict = {}  # how this process takes notes


def hand_over(table: pa.Table, part: Path) -> None:
    """Write a batch beside the part to be made: a worker maps it into its memory."""
    write(table, _batch(part))


def work(part: Path) -> None:
    """Write the admission notes of a batch that was handed over; it is removed."""
    write(take(read(_batch(part)), **_TAKING), part)
    _batch(part).unlink()


def _batch(part: Path) -> Path:
    return part.with_name(f"batch-{part.name}")


def read(path: Path) -> pa.Table:
    """Map a file that `write` wrote into memory; nothing of it is copied."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def write(table: pa.Table, path: Path) -> None:
    """Write an Arrow file that is there as a whole or not at all."""
    temporary = path.with_name(f".{os.getpid()}.tmp-{path.name}")
    with pa.OSFile(str(temporary), "wb") as sink:
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    os.replace(temporary, path)
