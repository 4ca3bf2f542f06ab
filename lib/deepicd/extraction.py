"""Admission notes from a stream of notes: bounded memory, all cores for large data."""

import os
import time
from collections import deque
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context

import pandas as pd

from deepicd.sections import admission_note
from deepicd.sources import RawTables

ALONE = 3  # batches that are worth no second process


def extract(
    raw: RawTables, hadm_ids, mode: str = "robust", workers=None, progress=None
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
    progress : callable, optional
        Called as `progress(done, total, text)` after each batch; the text says how
        many notes a second.

    Returns
    -------
    notes : DataFrame
        `note_id, hadm_id, note, flags`, one row per admission.
    counts : dict
        Duplicate rows, earlier summaries and addenda: how many notes each.
    """
    hadm_ids = list(hadm_ids)
    batches = raw.iter_notes(hadm_ids)
    if raw.note_kind == "admission":
        frames = [_as_they_are(batch) for batch in batches]
    else:
        many = workers or os.cpu_count() or 1
        mapped = _mapped(batches, mode, many)
        frames = list(_reported(mapped, len(hadm_ids), progress))
    if not frames:
        return pd.DataFrame(columns=["note_id", "hadm_id", "note", "flags"]), {}
    return _one_each(pd.concat(frames, ignore_index=True))


def _as_they_are(batch: pd.DataFrame) -> pd.DataFrame:
    out = batch.drop(columns="text")
    return out.assign(note=batch["text"].str.strip(), flags="")


def _reported(frames, total: int, progress):
    """Pass the frames on and tell how far the work is."""
    start, done = time.perf_counter(), 0
    for frame in frames:
        done += len(frame)
        if progress:
            rate = done / (time.perf_counter() - start)
            progress(min(done, total), total, f"{rate:,.0f} notes/s")
        yield frame


def _mapped(batches, mode: str, workers: int):
    """Take the batches through one process, or through several if there are many."""
    batches = iter(batches)
    few = list(islice(batches, ALONE + 1))
    stream = chain(few, batches)
    if len(few) > ALONE and workers > 1:
        return _parallel(stream, mode, workers)
    return (take_batch(batch, mode) for batch in stream)


def _parallel(batches, mode: str, workers: int):
    """Keep at most two batches a worker in flight: memory stays bounded."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque = deque()
        for batch in batches:
            waiting.append(pool.submit(take_batch, batch, mode))
            del batch
            while len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def take_batch(batch: pd.DataFrame, mode: str) -> pd.DataFrame:
    """Take the admission notes out of one batch of discharge summaries.

    Examples
    --------
    >>> batch = pd.DataFrame({"note_id": ["1"], "subject_id": ["2"],
    ...     "hadm_id": ["3"], "note_type": ["DS"], "note_seq": [1],
    ...     "text": ["Chief Complaint: Cough\\nDischarge Diagnosis: Flu"]})
    >>> take_batch(batch, "robust")["note"].tolist()
    ['CHIEF COMPLAINT: Cough']
    """
    taken = [admission_note(text, mode) for text in batch["text"]]
    out = batch[["note_id", "hadm_id", "note_type", "note_seq"]].copy()
    out["note"] = [note.text for note in taken]
    out["flags"] = [";".join(note.flags) for note in taken]
    return out


def _one_each(frame: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Keep the last summary of each admission and join its addenda."""
    distinct = frame.drop_duplicates("note_id")
    ordered = distinct.sort_values(["hadm_id", "note_seq", "note_id"])
    addendum = ordered["note_type"].eq("AD") & ordered["hadm_id"].isin(
        ordered.loc[ordered["note_type"] != "AD", "hadm_id"]
    )
    summaries = ordered[~addendum]
    last = summaries.drop_duplicates("hadm_id", keep="last").set_index("hadm_id")
    added = ordered[addendum & ordered["note"].ne("")]
    for hadm_id, note in zip(added["hadm_id"], added["note"], strict=True):
        last.loc[hadm_id, "note"] = f"{last.loc[hadm_id, 'note']}\n\n{note}".strip()
    joined = last.index.isin(set(added["hadm_id"]))
    last.loc[joined, "flags"] += ";addendum_joined"
    counts = {
        "duplicate notes": len(frame) - len(distinct),
        "earlier summaries of the same admission": len(summaries) - len(last),
        "addenda joined to the summary": int(addendum.sum()),
    }
    return last.reset_index()[["note_id", "hadm_id", "note", "flags"]], counts
