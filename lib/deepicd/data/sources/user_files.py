"""A file of the user's own, whichever of the usual kinds, as a table of text.

Only the wanted columns are kept. What cannot be read is refused with its line, its
byte, what it was read as and the setting to try; never with text of the file.
"""

import csv
import gzip
import io
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import polars as pl

from deepicd.common.errors import UserError
from deepicd.data.sources.table_files import need_columns

DELIMITED = (".csv", ".tsv", ".txt")
JSON = (".json", ".jsonl", ".ndjson")
FORMATS = (*DELIMITED, *JSON, ".parquet", ".xlsx")
SEPARATORS = (",", ";", "\t", "|")
_NAMED = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
csv.field_size_limit(1 << 30)


@dataclass
class UserTable:
    """Rows as text, where each stands, and how the file was read."""

    rows: pd.DataFrame
    places: list[str]
    read_as: str


def kind(path: Path) -> str:
    """Give the last suffix that says what is in a file; "" where none does.

    Examples
    --------
    >>> kind(Path("My.CSV")), kind(Path("a.tsv.gz")), kind(Path("my.csv.jsonl"))
    ('.csv', '.tsv', '.jsonl')
    >>> kind(Path("table.docx"))
    ''
    """
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    zipped = name.endswith(".gz")
    known = (*DELIMITED, *JSON) if zipped else FORMATS
    return suffix if suffix in known else ""


def read_user_table(
    path: Path, needed: list[str], optional=(), separator="", encoding=""
) -> UserTable:
    """Read columns of a user's file as text; empty fields are None.

    Parameters
    ----------
    path : Path
        CSV, TSV or TXT, JSON lines or a JSON array (each may be gzipped), Parquet,
        or the first sheet of an Excel file.
    needed, optional : list of str
        Columns that must be there, and those that are read where there. An
        optional column that holds no single values is as if it were not there.
    separator, encoding : str
        Given ones are kept; empty ones are found out.

    Raises
    ------
    UserError
        For what cannot be read, a missing column, a needed one that is there twice
        or holds no single values.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "mine.txt"
    >>> _ = path.write_text("text;code\\nCough, dry;J18.9\\n")
    >>> table = read_user_table(path, ["text", "code"])
    >>> table.rows["text"].tolist(), table.read_as
    (['Cough, dry'], "separator ';', utf-8")
    """
    needed = list(dict.fromkeys(needed))
    optional = [c for c in dict.fromkeys(optional) if c not in needed]
    form = kind(path)
    if form == ".parquet":
        table = _parquet(path, needed, optional)
    elif form == ".xlsx":
        table = _excel(path, needed, optional)
    else:
        text, encoding = _decoded(path, encoding)
        if form in JSON:
            table = _json(path, text, encoding, needed, optional)
        else:
            table = _delimited(path, text, encoding, separator, needed, optional)
    if not len(table.rows):
        raise UserError(
            found=f"{path} without rows (read as {table.read_as})",
            expected="one admission a row",
            do="export the table again",
        )
    return table


def _refuse(path: Path, what: str, read_as: str, do: str) -> UserError:
    return UserError(
        found=f"{what} in {path}, read as {read_as}",
        expected="a table that can be read without a guess",
        do=do,
    )


# -- bytes to text -----------------------------------------------------------


def _decoded(path: Path, encoding: str) -> tuple[str, str]:
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            what = "gzip data that end early or are broken"
            raise _refuse(path, what, "gzip", "copy the file again") from None
    if not data.strip():
        raise UserError(
            found=f"the empty file {path}",
            expected="a table with a header line",
            do="export the table again",
        )
    encoding = encoding.strip() or _encoding(path, data)
    try:
        text = data.decode(encoding)
    except LookupError:
        raise UserError(
            found=f"encoding={encoding!r}",
            expected="an encoding that Python knows, as utf-8, cp1252, utf-16",
            do="--set encoding=NAME, or leave it out to have it found",
        ) from None
    except UnicodeError as error:
        raise _undecodable(path, data, encoding, getattr(error, "start", 0)) from None
    return text.removeprefix("\ufeff"), encoding.removesuffix("-sig")


def _undecodable(path: Path, data: bytes, encoding: str, at: int) -> UserError:
    line = data.count(b"\n", 0, at) + 1
    what = f"line {line}, byte {at + 1:,} of the file, which is not {encoding}"
    do = "give the encoding it was written in, as --set encoding=cp1252"
    return _refuse(path, what, encoding, do)


def _encoding(path: Path, data: bytes) -> str:
    """Find the encoding: a mark, UTF-16 by its zeros, UTF-8, else Windows-1252.

    A file that holds valid UTF-8 beyond ASCII and a byte that is not is a broken
    UTF-8 file; read as Windows-1252 its letters would be silently wrong.
    """
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            return name
    head = data[:1000]
    if 3 * head.count(0) > len(head):
        return "utf-16-le" if head[1::2].count(0) >= head[::2].count(0) else "utf-16-be"
    try:
        data.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError as error:
        read = data.decode("utf-8", errors="ignore")
        if not read.isascii():
            raise _undecodable(path, data, "utf-8", error.start) from None
    try:
        data.decode("cp1252")
        return "cp1252"
    except UnicodeDecodeError:
        return "latin-1"


# -- text with separators ----------------------------------------------------


def _delimited(path, text, encoding, separator, needed, optional) -> UserTable:
    start, separator = _found_separator(text, separator, needed)
    read_as = f"separator {separator!r}, {encoding}"
    try:
        lines, places = _rows(text, separator, None)
    except _Ragged as plain:
        if '\\"' not in text:
            raise _ragged(path, text, encoding, plain, read_as) from None
        try:  # quotes inside quotes escaped by a backslash instead of doubled
            lines, places = _rows(text, separator, "\\")
        except _Ragged:
            raise _ragged(path, text, encoding, plain, read_as) from None
    names = start if not lines else [name.strip() for name in lines[0]]
    frame = pd.DataFrame(
        _picked(path, names, lines[1:], needed, optional), dtype=object
    )
    return UserTable(frame, places[1:], read_as)


def _found_separator(text: str, given: str, needed) -> tuple[list[str], str]:
    """Give the header and the separator under which it holds what is needed."""
    given = _NAMED.get(given.strip().lower(), given)
    if len(given) > 1:
        raise UserError(
            found=f"separator={given!r}",
            expected="one character",
            do="--set separator=';' or --set separator=tab",
        )
    headers = {}
    for separator in (given,) if given else SEPARATORS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        headers[separator] = [name.strip() for name in next(reader, [])]
    best = max(
        headers,
        key=lambda s: (sum(name in headers[s] for name in needed), len(headers[s])),
    )
    return headers[best], best


class _Ragged(Exception):
    def __init__(self, line: int, what: str):
        self.line, self.what = line, what


def _rows(text: str, separator: str, escape: str | None):
    """Split text into rows of as many fields as the header; blank lines are kept."""
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        escapechar=escape,
        strict=True,
    )
    rows, places, line = [], [], 1
    try:
        for row in reader:
            if rows and row and len(row) != len(rows[0]):
                count = f"{len(row)} fields under a header of {len(rows[0])}"
                raise _Ragged(line, count)
            rows.append(row or [""] * (len(rows[0]) if rows else 0))
            places.append(f"line {line}")
            line = reader.line_num + 1
    except csv.Error:
        raise _Ragged(line, "a quote that is not closed, or not doubled") from None
    return rows, places


def _ragged(path, text, encoding, error: _Ragged, read_as: str) -> UserError:
    before = "".join(text.splitlines(keepends=True)[: error.line - 1])
    byte = len(before.encode(encoding, errors="replace")) + 1
    return _refuse(
        path,
        f"line {error.line} (from byte {byte:,}): {error.what}",
        read_as,
        "put texts with separators or line ends in quotes, or give the separator, "
        "as --set separator=';' or --set separator=tab",
    )


def _picked(path: Path, names: list[str], rows, needed, optional) -> dict:
    """Take the wanted columns out of rows of text."""
    need_columns(path, names, needed)
    for name in [*needed, *[c for c in optional if c in names]]:
        if names.count(name) > 1:
            raise _twice(path, name)
    places = {c: names.index(c) for c in [*needed, *optional] if c in names}
    return {c: [row[i] or None for row in rows] for c, i in places.items()}


def _twice(path: Path, name: str) -> UserError:
    return UserError(
        found=f"two columns {name!r} in {path}",
        expected="one, since they may differ",
        do="rename or remove one of them",
    )


# -- JSON --------------------------------------------------------------------


def _json(path, text: str, encoding: str, needed, optional) -> UserTable:
    wanted = {*needed, *optional}

    def once(pairs):
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            for name in wanted & set(names):
                if names.count(name) > 1:
                    raise _twice(path, name)
        return found

    array = text.lstrip().startswith("[")
    read_as = f"{'a JSON array' if array else 'JSON lines'}, {encoding}"
    records, places = [], []
    pieces = [text] if array else text.split("\n")
    for number, piece in enumerate(pieces, start=1):
        if not piece.strip():
            continue
        try:
            value = json.loads(piece, object_pairs_hook=once)
        except ValueError as error:
            line = getattr(error, "lineno", 1) + number - 1
            raise _bad_json(path, text, encoding, line, read_as) from None
        records += value if array else [value]
        places.append(f"line {number}")
    if array:
        places = [f"element {i}" for i in range(1, len(records) + 1)]
    for place, record in zip(places, records, strict=True):
        if not isinstance(record, dict):
            do = "write one object {...} an admission"
            raise _refuse(path, f"{place}, which is no object", read_as, do)
    names = list(dict.fromkeys(name for record in records for name in record))
    if records:
        need_columns(path, names, needed)
    columns = {}
    for name in [*needed, *[c for c in optional if c in names]]:
        values = [record.get(name) for record in records]
        bad = next((i for i, v in enumerate(values) if isinstance(v, list | dict)), -1)
        if bad < 0:
            columns[name] = [_as_text(v) for v in values]
        elif name in needed:
            raise _wrong_kind(path, name, f"a list or an object ({places[bad]})")
    return UserTable(pd.DataFrame(columns, dtype=object), places, read_as)


def _bad_json(path, text, encoding, line: int, read_as: str) -> UserError:
    before = "\n".join(text.split("\n")[: line - 1])
    byte = len(before.encode(encoding, errors="replace")) + (2 if line > 1 else 1)
    what = f"line {line} (from byte {byte:,}): no valid JSON"
    do = "write one object a line, or one array; name a table with separators .csv"
    return _refuse(path, what, read_as, do)


def _wrong_kind(path: Path, name: str, what: str) -> UserError:
    return UserError(
        found=f"{what} in the column {name!r} of {path}",
        expected="one text or number a row",
        do="write the table again with one value in each row of that column",
    )


def _as_text(value) -> str | None:
    """Give a value as text; whole numbers have no `.0`.

    Examples
    --------
    >>> [_as_text(v) for v in ("I10", 20000001.0, 7, 0.5, "", None, float("nan"))]
    ['I10', '20000001', '7', '0.5', None, None, None]
    """
    if value is None or value == "" or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


# -- Parquet and Excel -------------------------------------------------------


def _parquet(path: Path, needed, optional) -> UserTable:
    try:
        schema = pl.read_parquet_schema(path)
        need_columns(path, list(schema), needed)
        for name in needed:
            if not _single(schema[name]):
                raise _wrong_kind(
                    path, name, f"values of the kind {schema[name].base_type()}"
                )
        names = [*needed, *[c for c in optional if _single(schema.get(c))]]
        frame = pl.read_parquet(path, columns=names)
    except (pl.exceptions.PolarsError, OSError):
        do = "write the Parquet file again"
        raise _refuse(path, "data that do not parse", "Parquet", do) from None
    whole = frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))
    columns = {name: [_as_text(v) for v in whole[name].to_list()] for name in names}
    places = [f"row {i}" for i in range(1, len(frame) + 1)]
    return UserTable(pd.DataFrame(columns, dtype=object), places, "Parquet")


def _single(dtype) -> bool:
    bad = (pl.Binary, pl.Object)
    return dtype is not None and not dtype.is_nested() and dtype not in bad


def _excel(path: Path, needed, optional) -> UserTable:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
        lines = sheet.to_python(skip_empty_area=False)
    except (CalamineError, IndexError, OSError):
        do = "save it as .xlsx or .csv again"
        raise _refuse(path, "data that do not parse", "Excel", do) from None
    rows = [[_as_text(value) or "" for value in line] for line in lines]
    names = [name.strip() for name in rows[0]] if rows else []
    columns = _picked(path, names, rows[1:], needed, optional)
    places = [f"row {i}" for i in range(2, len(rows) + 1)]
    read_as = f"the first sheet, {sheet.name!r}, of an Excel file"
    return UserTable(pd.DataFrame(columns, dtype=object), places, read_as)
