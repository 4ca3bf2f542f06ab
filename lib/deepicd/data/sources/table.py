"""Bring your own notes: any CSV, Parquet or JSON-lines file with text and code."""

from pathlib import Path

import pandas as pd
import polars as pl

from deepicd.common.errors import UserError
from deepicd.data.sources.raw_tables import (
    ADMISSION_COLUMNS,
    DIAGNOSIS_COLUMNS,
    RawTables,
)
from deepicd.data.sources.table_files import broken, column_names, need_columns
from deepicd.icd.load import load_tree

FORMATS = (".csv", ".csv.gz", ".parquet", ".jsonl", ".ndjson", ".jsonl.gz")
METADATA = ("sex", "age", "race", "insurance", "language", "admission_type", "era")
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def read(data_dir: Path, options: dict | None = None) -> RawTables:
    """Read a table of notes, one admission a row.

    Parameters
    ----------
    data_dir : Path
        The file, or a folder with exactly one such file in it.
    options : dict, optional
        `text_column` (default "text"), `code_column` ("icd_code"),
        `patient_column`, `split_column`, `id_column` (each default none), and
        `skip_invalid` (default False: a row without a valid ICD-10-CM code, or
        without a text, is an error). Metadata columns (sex, age, race, insurance,
        language, admission_type, era) are taken where the table has them.

    Returns
    -------
    RawTables
        Private, note kind "admission". Without a patient column, rows with the
        same text count as one patient, so that no text is in two splits.

    Raises
    ------
    UserError
        For a missing column, an unreadable file, invalid codes, unknown splits.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mine.csv"
    >>> _ = path.write_text("text,icd_code\\nChest pain since noon.,i2111\\n")
    >>> read(path).diagnoses["icd_code"].tolist()
    ['i2111']
    """
    options = dict(options or {})
    path = _file(Path(data_dir))
    frame = _load(path)
    text = options.get("text_column") or "text"
    code = options.get("code_column") or "icd_code"
    roles = {r: options.get(r) or "" for r in _OPTIONAL}
    need_columns(path, list(frame), [text, code, *filter(None, roles.values())])
    frame["row"] = range(1, len(frame) + 1)
    frame, skipped = _usable(
        frame, text, code, path, bool(options.get("skip_invalid", False))
    )
    return _raw(frame, text, code, roles, path, skipped)


_OPTIONAL = ("patient_column", "split_column", "id_column")


def _file(path: Path) -> Path:
    if path.is_file():
        if not path.name.endswith(FORMATS):
            raise UserError(
                found=f"the file {path.name}",
                expected=f"a file ending in {', '.join(FORMATS)}",
                do="save the table as CSV, Parquet or JSON lines",
            )
        return path
    files = sorted(p for p in path.iterdir() if p.name.endswith(FORMATS))
    if len(files) != 1:
        listed = ", ".join(p.name for p in files[:6]) or "none"
        raise UserError(
            found=f"{len(files)} tables in {path} ({listed})",
            expected="one CSV, Parquet or JSON-lines file",
            do="give the file itself after --data-dir",
        )
    return files[0]


def _load(path: Path) -> pd.DataFrame:
    """Read everything as text; empty fields become None."""
    try:
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
        elif ".csv" in path.suffixes:
            column_names(path)
            frame = pl.read_csv(path, infer_schema=False, null_values=[""])
        else:
            frame = pl.read_ndjson(path, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        raise broken(path, error) from None
    if frame.is_empty():
        raise UserError(
            found=f"{path} without rows",
            expected="one admission a row",
            do="export the table again",
        )
    return frame.with_columns(pl.all().cast(pl.String)).to_pandas().astype(object)


def _usable(frame, text: str, code: str, path: Path, skip: bool):
    """Take out rows without a text or a valid code, or refuse the table."""
    tree = load_tree()
    known = {c: tree.normalise(str(c)) is not None for c in frame[code].unique()}
    valid = frame[code].map(known).astype(bool)
    filled = frame[text].fillna("").str.strip().ne("")
    skipped = {}
    for what, good, expected in (
        (f"a code in {code!r} outside ICD-10-CM", valid, "valid ICD-10-CM codes"),
        (f"no text in {text!r}", filled, "a note in every row"),
    ):
        count = int((~good).sum())
        if not count:
            continue
        if not skip:
            rows = ", ".join(map(str, frame.loc[~good, "row"].head(5)))
            raise UserError(
                found=f"{count} of {len(frame)} rows with {what} "
                f"(first: data row {rows} of {path.name})",
                expected=expected,
                do="correct them, or leave them out with --set skip_invalid=true",
            )
        skipped[f"row with {what}"] = count
    if not (valid & filled).any():
        raise UserError(
            found=f"no row of {path} with a note and a valid ICD-10-CM code",
            expected=f"notes in {text!r} and codes in {code!r}",
            do="check the names of the two columns",
        )
    return frame[valid & filled].reset_index(drop=True), skipped


def _raw(frame, text, code, roles, path, skipped) -> RawTables:
    note_id = _note_ids(frame, roles["id_column"], path)
    hadm_id = frame["hadm_id"] if _unique(frame, "hadm_id") else note_id
    patient = roles["patient_column"]
    if patient:
        subject = frame[patient]
    else:
        subject = note_id.groupby(frame[text]).transform("first")
    admissions = pd.DataFrame({"subject_id": subject, "hadm_id": hadm_id})
    for column in METADATA:
        admissions[column] = frame[column] if column in frame else None
    admissions["age"] = pd.to_numeric(admissions["age"], errors="coerce")
    diagnoses = pd.DataFrame(
        {"hadm_id": hadm_id, "seq_num": 1, "icd_code": frame[code], "icd_version": 10}
    )
    notes = pd.DataFrame(
        {
            "note_id": note_id,
            "subject_id": subject,
            "hadm_id": hadm_id,
            "note_type": "AN",
            "note_seq": 0,
            "text": frame[text],
        }
    )
    return RawTables(
        admissions=admissions[ADMISSION_COLUMNS],
        diagnoses=diagnoses[DIAGNOSIS_COLUMNS],
        note_reader=lambda ids=None: iter([_only(notes, ids)]),
        note_kind="admission",
        private=True,
        description=f"Your own table {path.name}: {len(frame):,} notes.",
        split=_split(frame, roles["split_column"], note_id, path),
        skipped=skipped,
    )


def _unique(frame, column: str) -> bool:
    return column in frame and frame[column].notna().all() and frame[column].is_unique


def _only(notes: pd.DataFrame, hadm_ids) -> pd.DataFrame:
    return notes if hadm_ids is None else notes[notes["hadm_id"].isin(set(hadm_ids))]


def _note_ids(frame, column: str, path: Path) -> pd.Series:
    if not column:
        return frame["row"].map("row-{:07d}".format)
    twice = frame[column].duplicated(keep=False)
    if twice.any() or frame[column].isna().any():
        rows = ", ".join(map(str, frame.loc[twice | frame[column].isna(), "row"][:5]))
        raise UserError(
            found=f"{column!r} empty or not unique (data rows {rows} of {path.name})",
            expected="one identifier a row",
            do="choose another id_column, or none",
        )
    return frame[column]


def _split(frame, column: str, note_id, path: Path) -> pd.DataFrame | None:
    if not column:
        return None
    split = frame[column].fillna("").str.strip().str.lower().map(SPLIT_NAMES)
    if split.isna().any():
        bad = sorted(map(repr, frame.loc[split.isna(), column].unique()))[:5]
        raise UserError(
            found=f"{', '.join(bad)} in {column!r} of {path.name}",
            expected="train, val or test",
            do="rename the values, or leave split_column empty",
        )
    return pd.DataFrame({"note_id": note_id, "split": split})
