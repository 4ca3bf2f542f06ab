"""Reading tables so that a broken file ends in one sentence, not in a traceback."""

import gzip
import zlib
from pathlib import Path

import polars as pl

from deepicd.common.errors import UserError
from deepicd.common.parameters import nearest

SUFFIXES = (".parquet", ".csv.gz", ".csv")


def find_table(folder: Path, name: str) -> Path | None:
    """Give the file of a table, whichever of the known formats it has.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "patients.csv").write_text("subject_id\\n1\\n")
    >>> find_table(folder, "patients").name
    'patients.csv'
    >>> find_table(folder, "admissions") is None
    True
    """
    files = {p.name.lower(): p for p in sorted(folder.glob("*")) if p.is_file()}
    found = (files.get(f"{name}{suffix}") for suffix in SUFFIXES)
    return next(filter(None, found), None)


def need_table(folder: Path, name: str) -> Path:
    """Give the file of a table; UserError names the folder's tables if missing."""
    path = find_table(folder, name)
    if path is None:
        present = sorted(p.name for p in folder.iterdir() if p.is_file())
        listed = ", ".join(present[:8]) or "no files"
        raise UserError(
            found=f"{listed} in {folder}",
            expected=f"the table {name} ({' or '.join(name + s for s in SUFFIXES)})",
            do=f"download {name}.csv.gz into this folder",
        )
    return path


def read_table(
    path: Path, columns: list[str], optional: tuple[str, ...] | list[str] = ()
) -> pl.DataFrame:
    """Read columns of a CSV or Parquet file as text, nothing guessed.

    Parameters
    ----------
    path : Path
        `.csv`, `.csv.gz` or `.parquet`.
    columns : list of str
        Must be there.
    optional : list of str
        Read where there; filled with nulls where not.

    Returns
    -------
    polars.DataFrame
        All columns text; empty fields are null.

    Raises
    ------
    UserError
        For a missing column, a truncated or foreign file, text that is not UTF-8,
        an empty file, an ICD column that was stored as a number.
    """
    found = column_names(path)
    names = spelled(path, found, [*columns, *optional])
    need_columns(path, [*names, *found], columns)
    frame = _read_parquet(path, names) if is_parquet(path) else _read_csv(path, names)
    if frame.is_empty():
        raise UserError(
            found=f"{path} with a header and no rows",
            expected="at least one row",
            do="download the file again",
        )
    blank = [pl.lit(None, pl.String).alias(c) for c in optional if c not in names]
    return frame.with_columns(blank).select([*columns, *optional])


def is_parquet(path: Path) -> bool:
    """Whether the name says Parquet."""
    return path.suffix == ".parquet"


def column_names(path: Path) -> list[str]:
    """Give the column names of a CSV or Parquet file."""
    try:
        if is_parquet(path):
            return list(pl.read_parquet_schema(path))
        with _open_bytes(path) as handle:
            head = handle.readline(1_000_000)
        line = head.decode("utf-8-sig").strip("\r\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise broken(path, error) from None
    except pl.exceptions.PolarsError as error:
        raise broken(path, error) from None
    if not line:
        raise UserError(
            found=f"the empty file {path}",
            expected="a table with a header line",
            do="download the file again",
        )
    return [name.strip().strip('"') for name in line.split(",")]


def spelled(path: Path, names: list[str], columns: list[str]) -> dict[str, str]:
    """Map wanted columns to the file's spelling; capitals do not matter.

    Examples
    --------
    >>> spelled(Path("notes.csv"), ["HADM_ID", "text"], ["text", "hadm_id", "note_id"])
    {'text': 'text', 'hadm_id': 'HADM_ID'}
    """
    lower = {name.lower(): name for name in names} | {name: name for name in names}
    found = {c: lower[c] for c in columns if c in lower}
    for column, name in found.items():
        if names.count(name) > 1:
            raise UserError(
                found=f"two columns {column!r} in {path}",
                expected="one, since they may differ",
                do="rename or remove one of them",
            )
    return found


#: Whole numbers by nature: pandas writes them as 20000001.0 where one is missing.
WHOLE = ("subject_id", "hadm_id", "anchor_year", "seq_num", "patientunitstayid")


def as_text(frame: pl.DataFrame | pl.LazyFrame, name: str, column: str) -> pl.Expr:
    """Give a column of a file as text under our name, identifiers without `.0`."""
    values = pl.col(name)
    if column not in WHOLE:
        return values.cast(pl.String).alias(column)
    if frame.collect_schema()[name].is_float():
        values = values.cast(pl.Int64, strict=False)
    values = values.cast(pl.String).str.strip_chars()
    return values.str.replace(r"\.0*$", "").alias(column)


def need_columns(path: Path, names: list[str], columns: list[str]) -> None:
    """Raise a UserError that names the close match if a column is missing."""
    for column in columns:
        if column in names:
            continue
        close = nearest(column, names)
        hint = f" (closest: {close!r})" if close else ""
        raise UserError(
            found=f"columns {', '.join(map(repr, names[:20]))} in {path}{hint}",
            expected=f"the column {column!r}",
            do=f"rename the column, or check that {path.name} is the right table",
        )


def _open_bytes(path: Path):
    with open(path, "rb") as handle:
        zipped = handle.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if zipped else open(path, "rb")


def _read_csv(path: Path, names: dict[str, str]) -> pl.DataFrame:
    wanted = list(names.values())
    try:
        frame = pl.read_csv(path, columns=wanted, infer_schema=False, null_values=[""])
        return frame.select([as_text(frame, names[c], c) for c in names])
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        raise broken(path, error) from None


def _read_parquet(path: Path, names: dict[str, str]) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(path, columns=list(names.values()))
    except (pl.exceptions.PolarsError, OSError) as error:
        raise broken(path, error) from None
    if "icd_code" in names and frame.schema[names["icd_code"]].is_numeric():
        raise UserError(
            found=f"the column icd_code of {path} stored as a number",
            expected="text (leading zeros and letters belong to the code)",
            do="write the Parquet file again with icd_code read as text",
        )
    text = frame.select([as_text(frame, names[c], c) for c in names])
    return text.with_columns(pl.all().replace("", None))


def broken(path: Path, error: Exception) -> UserError:
    """Find out why a file could not be read and say it in one sentence.

    The library's own message is not passed on: it may quote a row, and rows may
    hold note text.
    """
    if not path.exists() or path.stat().st_size == 0:
        what = f"the empty file {path}"
    elif path.name.endswith(".gz"):
        what = _broken_gzip(path) or _not_utf8(path)
    else:
        what = _not_utf8(path)
    return UserError(
        found=what or f"{path}, which does not parse ({type(error).__name__})",
        expected="a complete UTF-8 CSV, CSV.GZ or Parquet file",
        do="download the file again and compare its SHA256 with the publisher's list",
    )


def _broken_gzip(path: Path) -> str | None:
    size = 0
    try:
        with gzip.open(path, "rb") as handle:
            while chunk := handle.read(1 << 22):
                size += len(chunk)
    except EOFError:
        return f"{path}, a gzip file that ends early (after {size:,} bytes of text)"
    except (OSError, zlib.error):
        return f"{path}, which is not a valid gzip file"
    return None


def _not_utf8(path: Path) -> str | None:
    if is_parquet(path):
        return f"{path}, which is not a valid Parquet file"
    with _open_bytes(path) as handle:
        for number, line in enumerate(handle, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return f"{path}, whose line {number} is not UTF-8"
    return None
