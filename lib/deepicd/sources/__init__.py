"""One door to every data source; behind it all sources give the same raw tables.

Nothing after this room knows where a note came from. A source is a module with
`read(data_dir, options) -> RawTables`; `open_source` chooses it by name.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from pathlib import Path

import pandas as pd

from deepicd.errors import UserError

SOURCES = ("synthetic", "mimic", "eicu", "table")
ADMISSION_COLUMNS = [
    "subject_id", "hadm_id", "sex", "age", "race", "insurance", "language",
    "admission_type", "era",
]  # fmt: skip
DIAGNOSIS_COLUMNS = ["hadm_id", "seq_num", "icd_code", "icd_version"]
NOTE_COLUMNS = ["note_id", "subject_id", "hadm_id", "note_type", "note_seq", "text"]


@dataclass
class RawTables:
    """What every source gives: admissions, diagnoses and notes of one data set.

    Parameters
    ----------
    admissions : DataFrame
        One row per admission: `ADMISSION_COLUMNS`. Identifiers are text, age is
        in years (float, 90 for everybody older than 89 where the source hides it).
    diagnoses : DataFrame
        `DIAGNOSIS_COLUMNS`; `icd_code` is text exactly as found, `seq_num` 1 is
        the first-listed diagnosis.
    note_reader : callable or None
        `note_reader(hadm_ids)` yields frames with `NOTE_COLUMNS`, in bounded
        memory; None where the data set comes without notes.
    note_kind : {"discharge", "admission"}
        A discharge summary still needs its sections taken apart; an admission
        note is used as it is.
    private : bool
        Whether note text must stay in owner-only places.
    catalogue : dict or None
        ICD-10 code to title, where the data set brings its own code table.
    description : str
        One sentence for notebooks and reports.
    split : DataFrame or None
        `note_id, split`, where the data set brings its own split.
    skipped : dict
        What was left out while reading because the user allowed it: reason to count.
    oracle : Path or None
        The best possible answers, where the source knows them (synthetic).
    identity : str
        Tells the file with the notes from any other and from its older versions;
        empty where the notes are not streamed from a file.
    """

    admissions: pd.DataFrame
    diagnoses: pd.DataFrame
    note_reader: Callable[[Iterable[str] | None], Iterator[pd.DataFrame]] | None
    note_kind: str
    private: bool
    catalogue: dict[str, str] | None = None
    description: str = ""
    split: pd.DataFrame | None = None
    skipped: dict[str, int] | None = None
    oracle: Path | None = None
    identity: str = ""

    def iter_notes(self, hadm_ids: Iterable[str] | None = None):
        """Yield frames of notes, of the given admissions only where given."""
        if self.note_reader is None:
            return iter(())
        return self.note_reader(hadm_ids)

    @cached_property
    def notes(self) -> pd.DataFrame:
        """All notes in one frame; for small data sets and for looking at one."""
        frames = list(self.iter_notes())
        if not frames:
            return pd.DataFrame(columns=NOTE_COLUMNS, dtype=object)
        return pd.concat(frames, ignore_index=True)


def open_source(
    name: str,
    data_dir: str | Path = "",
    work_dir: str | Path = "",
    seed: int = 0,
    options: dict | None = None,
) -> RawTables:
    """Open a data source and give its raw tables.

    Parameters
    ----------
    name : {"synthetic", "mimic", "eicu", "table"}
        The source.
    data_dir : path-like
        Folder (mimic, eicu) or file or folder (table); unused by synthetic.
    work_dir : path-like
        Where synthetic writes its corpus.
    seed : int
        Seed of the synthetic corpus.
    options : dict, optional
        What the source understands: synthetic `notes`, `length`; eicu
        `include_admission_dx`; table `text_column`, `code_column`,
        `patient_column`, `split_column`, `id_column`, `skip_invalid`.

    Returns
    -------
    RawTables

    Raises
    ------
    UserError
        For an unknown name, and for data that cannot be used.

    Examples
    --------
    >>> open_source("mimc")
    Traceback (most recent call last):
        ...
    deepicd.errors.UserError: found data source 'mimc'; expected one of synthetic, \
mimic, eicu, table; do: --data mimic
    """
    options = dict(options or {})
    if name not in SOURCES:
        close = get_close_matches(name, SOURCES, n=1) or ["synthetic"]
        raise UserError(
            found=f"data source {name!r}",
            expected=f"one of {', '.join(SOURCES)}",
            do=f"--data {close[0]}",
        )
    if name == "synthetic":
        return _synthetic(work_dir, seed, options)
    module = import_module(f"deepicd.sources.{name}")
    return module.read(_given(name, data_dir), options)


def _given(name: str, data_dir: str | Path) -> Path:
    if not str(data_dir).strip():
        raise UserError(
            found=f"no data folder for the source {name!r}",
            expected="the folder (or, for table, the file) with the data",
            do=f"--data {name} --data-dir PATH",
        )
    path = Path(data_dir).expanduser()
    if not path.exists():
        parent = path.parent
        hint = "" if parent.exists() else f" ({parent} does not exist either)"
        raise UserError(
            found=f"nothing at {path}{hint}",
            expected=f"the data of the source {name!r}",
            do="check the path after --data-dir",
        )
    if path.is_dir() and not any(path.iterdir()):
        raise UserError(
            found=f"the empty folder {path}",
            expected=f"the data of the source {name!r}",
            do="finish the download or give another folder after --data-dir",
        )
    return path


def _synthetic(work_dir: str | Path, seed: int, options: dict) -> RawTables:
    """Write the synthetic corpus and read it as if it were MIMIC-IV."""
    from deepicd.sources import mimic, synthetic

    arguments = {k: options[k] for k in ("notes", "length") if k in options}
    folder = synthetic.write_corpus(
        Path(work_dir) / "synthetic", seed=seed, **arguments
    )
    raw = mimic.read(Path(folder), {})
    raw.private = False
    oracle = Path(folder) / "oracle.parquet"
    raw.oracle = oracle if oracle.exists() else None
    raw.description = (
        f"Synthetic discharge summaries in the MIMIC-IV layout (seed {seed})."
    )
    return raw
