"""The admissions table: a note, a label and a split to each admission of the cohort."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import write_json, write_parquet
from deepicd.data import history as earlier
from deepicd.data import splits
from deepicd.data.cohort import METADATA, Flow, build_cohort
from deepicd.data.extraction import extract
from deepicd.data.sections.content_guard import Guard
from deepicd.data.sections.last_look import FLAG as NAMED
from deepicd.data.sections.last_look import named, told, without
from deepicd.data.sources.raw_tables import RawTables
from deepicd.data.synthetic.posterior_file import ORACLE, oracle_path
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task

COLUMNS = [
    *("note_id", "subject_id", "hadm_id", "note", "label", "split", "sft_rank"),
    *METADATA,
    "flags",
]
TELLS = "tells_the_answer"


def build_admissions(
    raw: RawTables,
    tree=None,
    seed: int = 0,
    mode: str = "robust",
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    min_train: int = 1,
    split: pd.DataFrame | None = None,
    workers: int | None = None,
    work_dir=None,
    task: Task = PRINCIPAL_DIAGNOSIS,
    guard: Guard | None = None,
    drop_named: bool = False,
    past: earlier.Past | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Build the admissions table: note, code, patient, split, metadata, flags.

    Parameters
    ----------
    raw : RawTables
        From `sources.open_source`.
    tree : LabelSpace, optional
        Default: that of the task, joined with the codes that the data bring.
    seed : int
        Of the split and of `sft_rank`.
    mode : {"robust", "cop"}
        How admission notes are taken from discharge summaries.
    fractions : tuple of float
        Of train, val and test.
    min_train : int
        Patients of each code in train before one may go to val or test.
    split : DataFrame, optional
        `note_id, split`; replaces the drawn split. Notes without a line in it are
        left out and counted. Default: the split of the data, where they have one.
    workers : int, optional
        Processes for large data; default: all cores.
    work_dir : path-like, optional
        Where finished batches are kept, so that a stopped run goes on from them.
    task : Task
        What is asked of a note.
    guard : Guard, optional
        What cuts by content where headers fail, from `sections.learn_guard`.
    drop_named : bool
        Take sentences out that name what would tell the label (`Task.told_by`),
        beyond what history allows. Notes with such a sentence are flagged either way.
    past : Past, optional
        What was coded in the patients' earlier stays (`history.read_past`), as a last
        section of their notes; the last look does not see it.

    Returns
    -------
    admissions : DataFrame
        `COLUMNS`; one row per admission, sorted by `note_id`.
    flow : DataFrame
        `step, excluded, remaining, reason, unit`.

    Raises
    ------
    UserError
        If the data have no notes, if nothing remains, or if a given split puts a
        patient into two parts.
    """
    tree = tree or task.open(raw)[0]
    cohort, steps = build_cohort(raw, tree, task)
    flow = Flow(steps.to_dict("records"))
    raw = _source_of_notes(raw, task, len(cohort))
    notes = extract(raw, cohort["hadm_id"], mode, workers, work_dir, guard)
    frame = _with_notes(cohort, *notes, raw.note_kind, flow)
    given = raw.split if split is None else split
    frame = _split(frame, given, flow, seed, fractions, min_train)
    if task.told_by:
        frame = _last_look(frame, tree, task.told_by, drop_named, flow)
    if task.tells:
        frame = _look_for(task.tells, frame, drop_named, flow)
    frame["flags"] = _flags(frame, tree)
    if past:
        frame = earlier.with_history(frame, past, past.form)
        why = earlier.in_words(frame, past)
        flow.add(f"history={past.form}", 0, len(frame), why, "notes")
    flow.add("admissions used", 0, len(frame))
    return frame[COLUMNS], flow.frame()


def _source_of_notes(raw: RawTables, task: Task, labelled: int) -> RawTables:
    """The source with notes that leave out what the task asks for.

    Raises
    ------
    UserError
        Where it has no notes.
    """
    if raw.note_reader is None:
        raise UserError(
            found=f"{labelled:,} admissions with a label but no note module",
            expected="discharge summaries (note/discharge.csv.gz of MIMIC-IV-Note)",
            do="download MIMIC-IV-Note and put note/ beside hosp/; notebook 01 has "
            "written the cohort as flow.csv into the folder of its run",
        )
    hides = raw.hide and task.hides
    return replace(raw, note_reader=raw.hide(task.hides)) if hides else raw


def _with_notes(
    cohort: pd.DataFrame,
    notes: pd.DataFrame,
    counts: dict[str, int],
    kind: str,
    flow: Flow,
) -> pd.DataFrame:
    """Put notes beside labels, sorted by note; count who has none, or an empty one."""
    frame = cohort.merge(notes, on="hadm_id", how="left")
    frame = flow.keep(frame, frame["note_id"].notna(), "no note", "no summary found")
    for name, count in counts.items():
        if count:
            flow.add(name, count, len(frame), "one note per admission", "notes")
    empty = "no complaint, present illness or past history"
    if kind == "admission":
        empty = "nothing charted but demographics"
    filled = frame["note"].fillna("") != ""
    frame = flow.keep(frame, filled, "empty admission note", empty)
    flow.someone_left(frame)
    return frame.sort_values("note_id").reset_index(drop=True)


def _last_look(
    frame: pd.DataFrame, tree, told_by: tuple[str, ...], drop: bool, flow: Flow
) -> pd.DataFrame:
    """Flag the notes that name their answer; drop those sentences where asked."""
    titles = {
        c: tree.title(c) if "title" in told_by else "" for c in frame["label"].unique()
    }
    final = frame["diagnosis"] if "diagnosis" in told_by else [""] * len(frame)
    columns = zip(frame["note"], final, frame["label"], strict=True)
    found = [named(note, said, titles[label]) for note, said, label in columns]
    if drop:
        why = "their sentences that name the diagnosis, beyond history, are taken out"
        count = sum(map(bool, found))
        flow.add("notes that name the diagnosis", count, len(frame), why, "notes")
    return _marked(frame, found, NAMED, drop)


def _look_for(tells, frame: pd.DataFrame, drop: bool, flow: Flow) -> pd.DataFrame:
    """Flag the notes that tell the answer in other words, and count them."""
    found = [told(note, tells) for note in frame["note"]]
    kept = "those sentences are taken out" if drop else "kept as they are"
    why = f"{sum(map(bool, found)):,} notes tell the answer beyond history: {kept}"
    flow.add(f"flagged {TELLS}", 0, len(frame), why, "notes")
    return _marked(frame, found, TELLS, drop)


def _marked(frame: pd.DataFrame, found: list[list], flag: str, drop: bool):
    """Flag the notes in which sentences were found; take these out where asked."""
    there = pd.Series(list(map(bool, found)), index=frame.index)
    marked = [f"{flags};{flag}".lstrip(";") for flags in frame["flags"].fillna("")]
    frame = frame.assign(flags=frame["flags"].mask(there, marked))
    if drop:
        pairs = zip(frame["note"], found, strict=True)
        frame = frame.assign(note=[without(note, those) for note, those in pairs])
    return frame


def _split(frame, given, flow: Flow, seed, fractions, min_train) -> pd.DataFrame:
    if given is None:
        frame = frame.assign(split=splits.assign(frame, seed, fractions, min_train))
    else:
        frame = frame.merge(given[["note_id", "split"]], on="note_id", how="left")
        if frame["split"].isna().any():
            known = frame["split"].notna()
            frame = flow.keep(frame, known, "not in the given split", "no line for it")
            frame = frame.reset_index(drop=True)
        flow.someone_left(frame)
        shared = splits.overlap(frame)
        if shared:
            raise UserError(
                found=f"{shared} patients in more than one part of the given split",
                expected="every patient in one part only",
                do="split by patient, or leave the split column or file out",
            )
    return frame.assign(sft_rank=splits.sft_ranks(frame, seed))


def _flags(frame: pd.DataFrame, tree) -> pd.Series:
    billable = {c: tree.is_billable(c) for c in frame["label"].unique()}
    extra = frame["label"].map(lambda c: "" if billable[c] else "code_not_billable")
    pairs = zip(frame["flags"].fillna(""), extra, frame["doubts"], strict=True)
    return pd.Series([";".join(filter(None, p)) for p in pairs], index=frame.index)


def note_ids(raw: RawTables, cohort: pd.DataFrame) -> pd.Series:
    """Give the identifiers of the cohort's notes without keeping a text."""
    batches = raw.iter_notes(cohort["hadm_id"])
    return pd.concat([batch["note_id"] for batch in batches], ignore_index=True)


def hand_on(
    raw: RawTables,
    extra: dict[str, str],
    folder: Path,
    task: Task = PRINCIPAL_DIAGNOSIS,
    history: str = earlier.NONE,
) -> None:
    """Write what only some sources bring: further labels, the oracle's answers.

    With history these are those of who knows all earlier codes.
    """
    if extra:
        write_json(extra, folder / "catalogue.json")
    knows = history != earlier.NONE
    best = raw.oracle and oracle_path(raw.oracle, task.name, knows)
    if best and best.exists():
        write_parquet(pd.read_parquet(best), folder / ORACLE)
