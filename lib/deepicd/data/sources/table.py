"""Bring your own notes: any table with one admission a row, its text and its label."""

from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.data.sources import table_labels
from deepicd.data.sources.raw_tables import (
    ADMISSION_COLUMNS,
    DIAGNOSIS_COLUMNS,
    RawTables,
)
from deepicd.data.sources.table_codes import read_codes
from deepicd.data.sources.user_files import FORMATS, kind, read_user_table
from deepicd.icd.code_systems import OWN
from deepicd.icd.editions import read_versions
from deepicd.icd.load import load_tree
from deepicd.tasks.task import Task

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
_OPTIONAL = ("patient_column", "split_column", "id_column")
_OF_CODES, _OF_LABELS = ("version_column",), ("title_column",)


def read(data_dir: Path, options: dict | None = None) -> RawTables:
    """Read a table of notes, one admission a row.

    Parameters
    ----------
    data_dir : Path
        The file, or a folder with exactly one such file in it: CSV, TSV, TXT, JSON
        lines or a JSON array (each may be gzipped), Parquet, Excel.
    options : dict, optional
        `text_column` (default "text"), `code_column` ("icd_code"), or for another
        `task` than the diagnosis `label_column` and `title_column` (words of a label);
        `patient_column`, `split_column`, `id_column` (each default none),
        `version_column` (default "icd_version" where the table has it),
        `code_system` (of `icd.code_systems.SYSTEMS`; default ICD-10-CM, but a table
        whose codes or language are of elsewhere has to name it), `code_separator`
        (between several codes of a cell, of which the first counts), `separator` and
        `encoding` (default: found out), and `skip_invalid` (default False: a row
        without a code that ICD-10-CM has, or without a text, is an error). Metadata
        columns (sex, age, race, insurance, language, admission_type, era) are taken
        where the table has them.

    Returns
    -------
    RawTables
        Private, note kind "admission". Without a patient column, rows with the
        same text count as one patient, so that no text is in two splits.

    Raises
    ------
    UserError
        For a missing column, an unreadable file, invalid codes, codes of a system that
        is not named, unknown splits.

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
    task, labelled = table_labels.asked_of_table(options)
    given = {"text_column": options.get("text_column") or "text"}
    if labelled:
        given["label_column"] = options["label_column"]
    else:
        given["code_column"] = options.get("code_column") or "icd_code"
    further = (*_OPTIONAL, *(_OF_LABELS if labelled else _OF_CODES))
    given |= {role: options[role] for role in further if options.get(role)}
    table = read_user_table(
        path,
        list(given.values()),
        ("icd_version", "hadm_id", *METADATA),
        options.get("separator") or "",
        options.get("encoding") or "",
    )
    frame = _by_role(table, given, "" if labelled else options.get("code_separator"))
    system, skip = options.get("code_system") or "", bool(options.get("skip_invalid"))
    if labelled:
        bad = table_labels.no_days(frame["label"], task)
        told = bad.map({True: "a label that is no number of days", False: ""})
        frame = frame.assign(found=frame["label"], told=told, bad=bad)
    else:
        codes = frame["code"]
        frame, told = read_codes(frame, system)
        frame = frame.assign(found=codes, told=told, bad=frame["code"].isna())
    frame, skipped = _usable(frame, given, path, skip, task)
    raw = _raw(frame, given, path, skipped, table.read_as)
    if labelled:
        return _with_labels(raw, frame, task, options["label_column"])
    told = frame["told"][frame["told"] != ""]
    raw.mapped = {f"{system} {what}": n for what, n in told.value_counts().items()}
    raw.version_given |= bool(system)
    raw.description += f" Codes: {system or OWN}."
    return raw


def _with_labels(raw: RawTables, frame, task: Task, column: str) -> RawTables:
    """Hand the labels on in the tables that the task reads; there are no diagnoses."""
    rows = raw.admissions[["hadm_id"]].assign(label=frame["label"])
    if "title" in frame:
        rows["title"] = frame["title"]
    raw.diagnoses = raw.diagnoses.iloc[:0]
    raw.stays = table_labels.stays_of(rows, task)
    raw.open_table = table_labels.opened(rows, task)
    raw.description += f" Labels: {task.about}, in {column!r}."
    return raw


def _file(path: Path) -> Path:
    if path.is_file():
        if not kind(path):
            raise UserError(
                found=f"the file {path.name}",
                expected=f"a file ending in {', '.join(FORMATS)}",
                do="save the table as CSV, Excel, Parquet or JSON lines",
            )
        return path
    files = sorted(p for p in path.iterdir() if p.is_file() and kind(p))
    if len(files) != 1:
        listed = ", ".join(p.name for p in files[:6]) or "none"
        raise UserError(
            found=f"{len(files)} tables in {path} ({listed})",
            expected="one table of a CSV, Excel, Parquet or JSON kind",
            do="give the file itself after --data-dir",
        )
    return files[0]


def _by_role(table, given: dict[str, str], code_separator: str | None) -> pd.DataFrame:
    """Name columns by what they are to us, so that no name shadows the user's.

    Examples
    --------
    >>> from deepicd.data.sources.user_files import UserTable
    >>> rows = pd.DataFrame({"place": ["a"], "code": ["I10; E11.9"]})
    >>> given = {"text_column": "place", "code_column": "code"}
    >>> _by_role(UserTable(rows, ["line 2"], ""), given, ";").to_dict("records")
    [{'place': 'line 2', 'text': 'a', 'code': 'I10', 'blank': False}]
    """
    rows = table.rows
    frame = pd.DataFrame({"place": table.places}, index=rows.index)
    for role, column in given.items():
        frame[role.removesuffix("_column")] = rows[column]
    if "version" not in frame and "icd_version" in rows:
        frame["version"] = rows["icd_version"]
    for column in ("hadm_id", *METADATA):
        if column in rows:
            frame[f"meta {column}"] = rows[column]
    if code_separator:
        frame["code"] = frame["code"].str.split(code_separator, regex=False).str[0]
        frame["code"] = frame["code"].str.strip()
    answer = frame["label" if "label_column" in given else "code"]
    frame["blank"] = _empty(frame["text"]) & _empty(answer)
    return frame


def _empty(values: pd.Series) -> pd.Series:
    return values.fillna("").astype(str).str.replace("\0", "").str.strip().eq("")


def _usable(frame, given: dict[str, str], path: Path, skip: bool, task: Task):
    """Take out rows without a text or a valid code or label, or refuse the table.

    A row is counted for one reason only, so that the counts add up.
    """
    kind = "code" if task.tabular else "label"
    valid = "codes that ICD-10-CM has" if task.tabular else task.about
    text, column = given["text_column"], given[f"{kind}_column"]
    problems = [
        (frame["blank"], f"neither text nor {kind}", "no blank rows"),
        (_empty(frame["text"]), f"no text in {text!r}", "a note in every row"),
        (_empty(frame["found"]), f"no {kind} in {column!r}", f"a {kind} in every row"),
    ]
    wrong = frame["told"].where(frame["bad"], "")
    for what in sorted(set(wrong) - {""}):
        problems.append((wrong == what, f"{what}, in {column!r}", valid))
    left = pd.Series(True, index=frame.index)
    skipped = {}
    for bad, what, expected in problems:
        bad = bad & left
        if not bad.any():
            continue
        if not skip:
            places = ", ".join(frame.loc[bad, "place"].head(5))
            raise UserError(
                found=f"{int(bad.sum())} of {len(frame)} rows with {what} "
                f"(first: {places} of {path.name})",
                expected=expected,
                do="correct them, or leave them out with --set skip_invalid=true"
                + (_several(frame.loc[bad, "found"]) if task.tabular else ""),
            )
        skipped[f"row with {what}"] = int(bad.sum())
        left &= ~bad
    if not left.any():
        raise UserError(
            found=f"no row of {path} with a note and a {kind} that can be used",
            expected=f"notes in {text!r} and {valid} in {column!r}",
            do="check the names of the two columns",
        )
    return frame[left].reset_index(drop=True), skipped


def _several(codes: pd.Series) -> str:
    """Say how to take the first code of a cell, where cells hold several.

    Examples
    --------
    >>> _several(pd.Series(["I21.11;I10"])), _several(pd.Series(["XX1", None]))
    ("; where a cell holds several codes, --set code_separator=';' takes the first", '')
    """
    tree = load_tree()
    for code in codes.dropna():
        for mark in ";,|/":
            if mark in code and tree.normalise(code.split(mark)[0]) is not None:
                return (
                    "; where a cell holds several codes, --set "
                    f"code_separator={mark!r} takes the first"
                )
    return ""


def _raw(frame, given: dict, path: Path, skipped: dict, read_as: str) -> RawTables:
    note_id = _note_ids(frame, given.get("id_column", ""), path)
    own = "meta hadm_id"
    hadm_id = frame[own] if _unique(frame, own) else note_id
    if "patient" in frame:
        subject = frame["patient"]
    else:
        subject = note_id.groupby(frame["text"]).transform("first")
    admissions = pd.DataFrame({"subject_id": subject, "hadm_id": hadm_id})
    for column in METADATA:
        admissions[column] = frame.get(f"meta {column}")
    admissions["age"] = pd.to_numeric(admissions["age"], errors="coerce")
    diagnoses = pd.DataFrame(
        {"hadm_id": hadm_id, "seq_num": 1, "icd_code": frame.get("code")}
    )
    versions = read_versions(frame["version"]) if "version" in frame else 10
    notes = pd.DataFrame(
        {
            "note_id": note_id,
            "subject_id": subject,
            "hadm_id": hadm_id,
            "note_type": "AN",
            "note_seq": 0,
            "text": frame["text"],
        }
    )
    return RawTables(
        admissions=admissions[ADMISSION_COLUMNS],
        diagnoses=diagnoses.assign(icd_version=versions)[DIAGNOSIS_COLUMNS],
        note_reader=lambda ids=None: iter([_only(notes, ids)]),
        note_kind="admission",
        private=True,
        description=f"Your own table {path.name} ({read_as}): {len(frame):,} notes.",
        split=_split(frame, given.get("split_column", ""), note_id, path),
        skipped=skipped,
        version_given="version" in frame,
        undated="a table of notes, which has no times of admission and discharge",
    )


def _unique(frame, column: str) -> bool:
    return column in frame and frame[column].notna().all() and frame[column].is_unique


def _only(notes: pd.DataFrame, hadm_ids) -> pd.DataFrame:
    return notes if hadm_ids is None else notes[notes["hadm_id"].isin(set(hadm_ids))]


def _note_ids(frame, column: str, path: Path) -> pd.Series:
    if not column:
        return pd.Series([f"row-{i:07d}" for i in range(1, len(frame) + 1)])
    bad = frame["id"].duplicated(keep=False) | frame["id"].isna()
    if bad.any():
        places = ", ".join(frame.loc[bad, "place"][:5])
        raise UserError(
            found=f"{column!r} empty or not unique ({places} of {path.name})",
            expected="one identifier a row",
            do="choose another id_column, or none",
        )
    return frame["id"]


def _split(frame, column: str, note_id, path: Path) -> pd.DataFrame | None:
    if not column:
        return None
    split = frame["split"].fillna("").str.strip().str.lower().map(SPLIT_NAMES)
    if split.isna().any():
        bad = sorted(map(repr, frame.loc[split.isna(), "split"].unique()))[:5]
        raise UserError(
            found=f"{', '.join(bad)} in {column!r} of {path.name}",
            expected="train, val or test",
            do="rename the values, or leave split_column empty",
        )
    return pd.DataFrame({"note_id": note_id, "split": split})
