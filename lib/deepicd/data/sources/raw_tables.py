"""What every source gives: the same raw tables."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError

ADMISSION_COLUMNS = [
    "subject_id",
    "hadm_id",
    "sex",
    "age",
    "race",
    "insurance",
    "language",
    "admission_type",
    "era",
]
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
        the first-listed diagnosis. `icd_version` is 9 or 10, missing where it
        could not be read.
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
    mapped : dict
        Codes of another system that were changed into ICD-10-CM: how, to count.
    oracle : Path or None
        The best possible answers, where the source knows them (synthetic): the file
        for the diagnosis; see `synthetic.posterior_file.oracle_path` for other tasks.
    identity : str
        Tells the file with the notes from any other and from its older versions;
        empty where the notes are not streamed from a file.
    version_given : bool
        False where nothing says which edition of ICD the codes are of; they are
        then taken for ICD-10-CM, and those that ICD-9 spells as well are flagged.
    stays : DataFrame or None
        `hadm_id`, `admitted` (whether its time is known) and `days` from admission
        to discharge, parts of a day counted, missing while the stay is open. None
        where the source has no times.
    undated : str
        Why earlier stays of a patient cannot be told; empty where they can, from the
        tables `admissions` (admittime, dischtime) and `diagnoses_icd`.
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
    mapped: dict[str, int] | None = None
    oracle: Path | None = None
    identity: str = ""
    version_given: bool = True
    stays: pd.DataFrame | None = None
    undated: str = ""
    open_table: Callable[[str, Sequence[str]], pd.DataFrame | None] | None = None
    hide: Callable[[str], Callable] | None = None

    @cached_property
    def _tables(self) -> dict[tuple, pd.DataFrame | None]:
        return {}

    def table(
        self, name: str, columns: Sequence[str], needed: bool = True
    ) -> pd.DataFrame | None:
        """Columns of a further table, as text; read once, so not to be changed.

        Raises
        ------
        UserError
            If the source has no such table; None where it is not `needed`.
        """
        asked = name, tuple(columns)
        if self.open_table and asked not in self._tables:
            self._tables[asked] = self.open_table(*asked)
        found = self._tables.get(asked)
        if found is None and needed:
            raise UserError(
                f"a data set without the table {name}",
                f"{name} with {', '.join(columns)}",
                "take MIMIC-IV or the synthetic corpus, or ask another task",
            )
        return found

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
