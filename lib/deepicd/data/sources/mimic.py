"""MIMIC-IV and MIMIC-IV-Note folders, versions 2.2 and 3.x, as raw tables."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import polars as pl

from deepicd.common.errors import UserError
from deepicd.data.sources.raw_tables import (
    ADMISSION_COLUMNS,
    DIAGNOSIS_COLUMNS,
    NOTE_COLUMNS,
    RawTables,
)
from deepicd.data.sources.table_files import (
    as_text,
    broken,
    column_names,
    find_table,
    is_parquet,
    need_columns,
    need_table,
    read_table,
    spelled,
)
from deepicd.icd.editions import read_versions

NOTE_BATCH = 1024  # notes a batch: about 10 MB of text
ERAS = ("2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019", "2020 - 2022")


def read(data_dir: Path, options: dict | None = None) -> RawTables:
    """Read a MIMIC-IV folder: hosp tables now, notes when they are asked for.

    Parameters
    ----------
    data_dir : Path
        A folder with `hosp/` and, where there are notes, `note/`; or a folder that
        holds the two PhysioNet downloads side by side.
    options : dict, optional
        None is used.

    Returns
    -------
    RawTables
        `note_reader` is None where there is no note module.

    Raises
    ------
    UserError
        For another data set's folder, missing tables or columns, broken files.

    Examples
    --------
    >>> import tempfile
    >>> read(Path(tempfile.mkdtemp()))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    deepicd.common.errors.UserError: found ...
    """
    hosp = _module(data_dir, "hosp", "diagnoses_icd")
    if hosp is None:
        raise _wrong_folder(data_dir)
    note = _module(data_dir, "note", "discharge")
    path = find_table(note, "discharge") if note else None
    if path is not None:
        needed = [c for c in NOTE_COLUMNS if c not in ("note_type", "note_seq")]
        need_columns(path, list(spelled(path, column_names(path), needed)), needed)
    where = "with notes" if path else "without the note module"
    return RawTables(
        admissions=_admissions(hosp),
        diagnoses=_diagnoses(hosp),
        note_reader=None if path is None else lambda ids=None: iter_notes(path, ids),
        note_kind="discharge",
        private=True,
        catalogue=_catalogue(hosp),
        description=f"MIMIC-IV hospital module {where}.",
        identity=_identity(path) if path else "",
        stays=_stays(hosp),
        open_table=lambda name, columns: _further(hosp, name, columns),
    )


def _identity(path: Path) -> str:
    state = path.stat()
    return f"{path.resolve()} {state.st_size} {state.st_mtime_ns}"


_DEPTH = 4  # a recursive download: physionet.org/files/mimiciv/3.1/hosp


def _module(data_dir: Path, name: str, table: str) -> Path | None:
    """Find a module's folder: itself, or up to `_DEPTH` folders down."""
    depths = ["*/" * depth + name for depth in range(_DEPTH + 1)]
    for pattern in ("", *depths):
        folders = [data_dir] if not pattern else sorted(data_dir.glob(pattern))
        for folder in folders:
            if folder.is_dir() and find_table(folder, table):
                return folder
    return None


def _wrong_folder(data_dir: Path) -> UserError:
    """Say what the folder looks like instead."""
    if data_dir.is_file():
        looks = f"the file {data_dir}"
        do = "give the folder, or --data table for a file of your own notes"
    else:
        looks, do = _looks_like(data_dir)
    return UserError(
        found=looks,
        expected="a MIMIC-IV folder with hosp/diagnoses_icd.csv.gz in it",
        do=do,
    )


def _looks_like(folder: Path) -> tuple[str, str]:
    names = {
        p.name.lower().split(".")[0]
        for pattern in ("*", "*/*")
        for p in folder.glob(pattern)
    }
    if {"noteevents", "d_icd_diagnoses"} & names and "noteevents" in names:
        return f"a MIMIC-III folder ({folder})", "use MIMIC-IV (III has ICD-9 only)"
    if {"edstays", "triage"} & names:
        return f"the MIMIC-IV-ED module ({folder})", "add the hosp and note modules"
    if {"apacheapsvar", "pasthistory"} & names:
        return f"an eICU folder ({folder})", f"--data eicu --data-dir {folder}"
    if {"discharge", "radiology"} & names:
        return (
            f"MIMIC-IV-Note without the hospital module ({folder})",
            "put hosp/ of MIMIC-IV beside note/ and give the folder above both",
        )
    listed = ", ".join(sorted(names)[:6]) or "nothing"
    return f"{listed} in {folder}", "check the path after --data-dir"


def _admissions(hosp: Path) -> pd.DataFrame:
    """Join admissions and patients: age and era at admission from the shifted dates."""
    admissions = read_table(
        need_table(hosp, "admissions"),
        ["subject_id", "hadm_id", "admittime", "admission_type"],
        ["insurance", "language", "race", "ethnicity"],
    )
    patients = read_table(
        need_table(hosp, "patients"),
        ["subject_id", "gender", "anchor_age", "anchor_year"],
        ["anchor_year_group"],
    ).unique("subject_id", keep="first", maintain_order=True)
    shift = pl.col("admittime").str.slice(0, 4).cast(pl.Int32, strict=False) - pl.col(
        "anchor_year"
    ).cast(pl.Int32, strict=False)
    joined = admissions.join(patients, on="subject_id", how="left").with_columns(
        shift.alias("shift")
    )
    frame = joined.with_columns(
        age=(pl.col("anchor_age").cast(pl.Float64, strict=False) + pl.col("shift")),
        sex=pl.col("gender"),
        race=pl.coalesce("race", "ethnicity"),
    ).to_pandas()
    frame["era"] = [
        _era(group, shift)
        for group, shift in zip(frame["anchor_year_group"], frame["shift"], strict=True)
    ]
    frame["language"] = frame["language"].replace("?", "other")
    return frame[ADMISSION_COLUMNS]


def _stays(hosp: Path) -> pd.DataFrame | None:
    """Read how many days each stay lasts; None without times of discharge."""
    path = need_table(hosp, "admissions")
    if not spelled(path, column_names(path), ["dischtime"]):
        return None
    frame = read_table(path, ["hadm_id", "admittime", "dischtime"]).to_pandas()
    times = frame[["admittime", "dischtime"]].apply(pd.to_datetime, errors="coerce")
    days = (times["dischtime"] - times["admittime"]) / pd.Timedelta(days=1)
    known = times["admittime"].notna()
    return frame[["hadm_id"]].assign(admitted=known, days=days)


def _further(hosp: Path, name: str, columns) -> pd.DataFrame | None:
    """Read a table that only some tasks need; None where it is not there."""
    path = find_table(hosp, name)
    return None if path is None else read_table(path, list(columns)).to_pandas()


def _era(group, shift) -> str | None:
    """Move the patient's three-year group by the years since the anchor year.

    Examples
    --------
    >>> _era("2011 - 2013", 3)
    '2014 - 2016'
    """
    if not isinstance(group, str) or pd.isna(shift):
        return None
    middle = int(group[:4]) + 1 + int(shift)
    index = min(max((middle - 2008) // 3, 0), len(ERAS) - 1)
    return ERAS[index]


def _diagnoses(hosp: Path) -> pd.DataFrame:
    """Read the first-listed diagnoses; the others are not used."""
    path = need_table(hosp, "diagnoses_icd")
    frame = read_table(path, DIAGNOSIS_COLUMNS)
    frame = frame.with_columns(pl.col("seq_num").cast(pl.Float64, strict=False)).filter(
        pl.col("seq_num") == 1
    )
    out = frame.to_pandas().astype({"seq_num": "Int64"})
    out["icd_version"] = read_versions(out["icd_version"])
    ten = out[out["icd_version"].eq(10).fillna(False)]
    digits = ten[ten["icd_code"].str.fullmatch(r"\s*[\d.]+\s*", na=False)]
    if len(ten) and len(digits) == len(ten):
        raise UserError(
            found=f"{len(digits)} ICD-10 codes without a letter in {path}",
            expected="icd_code as text, such as I2111",
            do="write the table again with icd_code read as text, not as a number",
        )
    return out


def _catalogue(hosp: Path) -> dict[str, str] | None:
    path = find_table(hosp, "d_icd_diagnoses")
    if path is None:
        return None
    frame = read_table(path, ["icd_code", "icd_version", "long_title"]).to_pandas()
    version = read_versions(frame["icd_version"])
    ten = frame[version.eq(10).fillna(False)].dropna()
    return dict(zip(ten["icd_code"], ten["long_title"], strict=True))


def iter_notes(
    path: Path, hadm_ids: Iterable[str] | None = None
) -> Iterator[pd.DataFrame]:
    """Stream discharge summaries in bounded memory, in the order of the file.

    Parameters
    ----------
    path : Path
        `discharge.csv.gz`, `.csv` or `.parquet`.
    hadm_ids : iterable of str, optional
        Only these admissions.

    Yields
    ------
    DataFrame
        At most `NOTE_BATCH` rows with `NOTE_COLUMNS`.

    Raises
    ------
    UserError
        For a file that ends early or does not parse.
    """
    names = spelled(path, column_names(path), NOTE_COLUMNS)
    try:
        scan = (
            pl.scan_parquet(path)
            if is_parquet(path)
            else pl.scan_csv(path, infer_schema=False)
        )
        query = scan.select([as_text(scan, names[c], c) for c in names])
        if hadm_ids is not None:
            ids = pl.Series(sorted(set(hadm_ids)), dtype=pl.String).implode()
            query = query.filter(pl.col("hadm_id").is_in(ids))
        for batch in query.collect_batches(chunk_size=NOTE_BATCH, lazy=True):
            yield _note_frame(batch)
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        raise broken(path, error) from None


def _note_frame(batch: pl.DataFrame) -> pd.DataFrame:
    frame = batch.with_columns(pl.col("text").fill_null(""))
    if "note_type" not in frame.columns:
        frame = frame.with_columns(note_type=pl.lit("DS"))
    if "note_seq" not in frame.columns:
        frame = frame.with_columns(note_seq=pl.lit("0"))
    frame = frame.with_columns(
        pl.col("note_seq").cast(pl.Float64, strict=False).fill_null(0).cast(pl.Int64)
    )
    return frame.select(NOTE_COLUMNS).to_pandas()
