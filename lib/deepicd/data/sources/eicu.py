"""eICU folders: structured bedside charting turned into short admission notes.

Unit of observation: one unit stay. The note holds what was charted within 24 hours
of unit admission; the label is the earliest Primary diagnosis with a valid ICD-10-CM
code. The diagnosis table never reaches the note; fields that name the admission
diagnosis (`apacheadmissiondx`, `admissiondx`, `admitdiagnosis`) and what is known only
later (death, discharge, procedures of the first day) stay out.
"""

from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.data.sources import eicu_note as write
from deepicd.data.sources.eicu_numbers import APS, SUPPORT, physiology
from deepicd.data.sources.raw_tables import ADMISSION_COLUMNS, NOTE_COLUMNS, RawTables
from deepicd.data.sources.table_files import find_table, need_table, read_table
from deepicd.icd.editions import external_cause, spells_icd9
from deepicd.icd.load import load_tree

FIRST_DAY = 24 * 60  # minutes from unit admission
STAY = "patientunitstayid"
PATIENT = [
    STAY,
    "uniquepid",
    "gender",
    "age",
    "ethnicity",
    "unittype",
    "unitadmitsource",
    "hospitaldischargeyear",
    "apacheadmissiondx",
]
OPTIONAL = ["admissionheight", "admissionweight", "hospitaldischargeoffset"]


def read(data_dir: Path, options: dict | None = None) -> RawTables:
    """Read an eICU folder and write one admission note for each unit stay.

    Parameters
    ----------
    data_dir : Path
        Folder with `patient.csv.gz`, `diagnosis.csv.gz` and the charting tables
        (`pasthistory`, `physicalexam`, `apacheapsvar`, `apachepredvar`,
        `admissiondrug`, `allergy`; each may be missing). The official names with
        capitals (`pastHistory.csv.gz`) are accepted.
    options : dict, optional
        `include_admission_dx` (default False) adds the admission diagnosis that
        the unit recorded: it nearly gives the answer.

    Returns
    -------
    RawTables
        Not private (open licence of the demo), note kind "admission". Notes hold
        an empty text where nothing but demographics was charted.

    Raises
    ------
    UserError
        For another data set's folder, missing tables or columns, broken files.
    """
    folder = _tables(data_dir)
    options = options or {}
    patient = _patient(folder)
    charted = _charted(folder)
    if bool(options.get("include_admission_dx", False)):
        charted.insert(0, write.admission_diagnosis(patient))
    return RawTables(
        admissions=_admissions(patient),
        diagnoses=_diagnoses(folder),
        note_reader=_reader(patient, charted),
        note_kind="admission",
        private=False,
        description="eICU unit stays: structured charting of the first 24 hours.",
        stays=_stays(patient),
        undated=_UNDATED,
        open_table=lambda name, columns: _further(folder, name, columns),
        hide=lambda fact: _reader(_without(fact, patient), charted),
    )


_UNDATED = (
    "eICU, which orders the unit stays of one hospital stay (all of the same illness) "
    "but not the hospital stays of a patient: of those it tells the year alone"
)


def _stays(patient: pd.DataFrame) -> pd.DataFrame | None:
    """Days from the admission to the unit to the discharge from hospital."""
    days = patient["hospitaldischargeoffset"] / FIRST_DAY
    if days.isna().all():
        return None
    return pd.DataFrame({"hadm_id": patient[STAY], "admitted": True, "days": days})


def _further(tables, name: str, columns) -> pd.DataFrame | None:
    """Read the table of unit stays, once a stay; others say nothing of the stay."""
    if name != "patient":
        return None
    return _read(tables, name, list(columns)).drop_duplicates(STAY)


def _without(fact: str, patient: pd.DataFrame) -> pd.DataFrame:
    """Patients whose notes are not to say which unit they were written in."""
    if fact != "unit":
        return patient
    origin = patient["unitadmitsource"].replace("ICU to SDU", "ICU")
    return patient.assign(unittype=None, unitadmitsource=origin)


def _reader(patient: pd.DataFrame, charted: list[dict[str, str]]):
    """Give the reader of the notes of these patients."""
    notes = _notes(patient, charted)
    return lambda ids=None: iter([_only(notes, ids)])


def _only(notes: pd.DataFrame, hadm_ids) -> pd.DataFrame:
    return notes if hadm_ids is None else notes[notes["hadm_id"].isin(set(hadm_ids))]


def _tables(data_dir: Path) -> dict[str, Path]:
    """Map lower-case table names to files; the folder may be one level down."""
    if data_dir.is_dir():
        for folder in (data_dir, *sorted(p for p in data_dir.iterdir() if p.is_dir())):
            found = {p.name.lower(): p for p in folder.iterdir() if p.is_file()}
            tables = {
                name: found[name + suffix]
                for name in _NAMES
                for suffix in (".csv", ".csv.gz", ".parquet")
                if name + suffix in found
            }
            if {"patient", "pasthistory"} & tables.keys():
                return _complete(folder, tables)
    raise UserError(
        found=_looks_like(data_dir),
        expected="an eICU folder with patient.csv.gz and diagnosis.csv.gz in it",
        do="check the path after --data-dir, and the source after --data",
    )


_NAMES = (
    "patient",
    "diagnosis",
    "pasthistory",
    "physicalexam",
    "apacheapsvar",
    "apachepredvar",
    "admissiondrug",
    "allergy",
    "admissiondx",
)


def _complete(folder: Path, tables: dict[str, Path]) -> dict[str, Path]:
    for name in ("patient", "diagnosis"):
        if name not in tables:
            need_table(folder, name)
    return tables


def _looks_like(path: Path) -> str:
    if path.is_file():
        return f"the file {path}"
    if any(find_table(f, "diagnoses_icd") for f in (path, path / "hosp")):
        return f"a MIMIC-IV folder ({path}; --data mimic reads it)"
    listed = ", ".join(sorted(p.name for p in path.iterdir())[:6])
    return f"{listed} in {path}"


def _read(tables, name: str, columns: list[str], optional=()) -> pd.DataFrame:
    """Read a table as text with eICU's literal NA as missing."""
    if name not in tables:
        return pd.DataFrame(columns=[*columns, *optional], dtype=object)
    frame = read_table(tables[name], columns, list(optional)).to_pandas()
    frame = frame.astype(object)
    return frame.where(frame.notna() & ~frame.isin(["NA", "null", "NULL"]), None)


def _patient(tables) -> pd.DataFrame:
    frame = _read(tables, "patient", PATIENT, OPTIONAL)
    frame["years"] = pd.to_numeric(
        frame["age"].replace({"> 89": "90", ">89": "90"}), errors="coerce"
    )
    for column in OPTIONAL:
        frame[column] = pd.to_numeric(frame[column], errors="coerce")
    return frame.drop_duplicates(STAY)


def _admissions(patient: pd.DataFrame) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "subject_id": patient["uniquepid"],
            "hadm_id": patient[STAY],
            "sex": patient["gender"].map({"Male": "M", "Female": "F"}),
            "age": patient["years"],
            "race": patient["ethnicity"],
            "insurance": None,
            "language": None,
            "admission_type": patient["unitadmitsource"].fillna(patient["unittype"]),
            "era": patient["hospitaldischargeyear"],
        }
    )
    return frame[ADMISSION_COLUMNS]


def _diagnoses(tables) -> pd.DataFrame:
    """Choose each stay's earliest Primary diagnosis with a valid ICD-10-CM code.

    A stay whose Primary rows hold no valid code keeps its earliest code as found,
    so that the cohort flow can say why it is left out.
    """
    rows = _read(
        tables,
        "diagnosis",
        ["diagnosisid", STAY, "diagnosisoffset", "icd9code", "diagnosispriority"],
    )
    rows = rows[(rows["diagnosispriority"] == "Primary") & rows["icd9code"].notna()]
    order = {c: pd.to_numeric(rows[c], errors="coerce") for c in _ORDER}
    rows = rows.assign(**order).sort_values([STAY, *_ORDER])
    rows["pieces"] = rows["icd9code"].str.split(",")
    pieces = rows.explode("pieces")
    pieces["icd_code"] = pieces["pieces"].str.strip()
    tree = load_tree()
    valid = {c: _is_ten(c, tree) for c in pieces["icd_code"].unique()}
    pieces["icd_version"] = pieces["icd_code"].map(valid)
    ranked = pieces.sort_values("icd_version", ascending=False, kind="stable")
    first = ranked.drop_duplicates(STAY).rename(columns={STAY: "hadm_id"})
    return first.assign(seq_num=1)[["hadm_id", "seq_num", "icd_code", "icd_version"]]


_ORDER = ["diagnosisoffset", "diagnosisid"]


def _is_ten(code: str, tree) -> int:
    """Give 10 for a code of ICD-10-CM, else 9.

    E and V codes of ICD-9 (E879.8, V42.0) may look like ICD-10 codes. An external
    cause (V to Y) is no diagnosis, so where ICD-10 knows V42.0 too it is ICD-9's.

    Examples
    --------
    >>> [_is_ten(c, load_tree()) for c in ("V42.0", "Z94.0", "E87.1", "428.0")]
    [9, 10, 10, 9]
    """
    known = tree.normalise(code) is not None
    return 10 if known and not (spells_icd9(code) or external_cause(code)) else 9


def _charted(tables) -> list[dict[str, str]]:
    """Write what was charted of every stay, part by part."""
    return [
        write.history(
            _first_day(
                tables,
                "pasthistory",
                "pasthistoryenteredoffset",
                ["pasthistorypath"],
                "pasthistoryoffset",
            )
        ),
        write.comorbidities(_read(tables, "apachepredvar", [STAY, *write.CHRONIC])),
        write.drugs(
            _first_day(tables, "admissiondrug", "drugenteredoffset", ["drugname"])
        ),
        write.allergies(
            _first_day(tables, "allergy", "allergyenteredoffset", ["allergyname"])
        ),
        *write.exam(
            _first_day(
                tables,
                "physicalexam",
                "physicalexamoffset",
                ["physicalexampath", "physicalexamtext"],
            )
        ),
        physiology(_read(tables, "apacheapsvar", [STAY, *APS, *SUPPORT])),
    ]


def _notes(patient: pd.DataFrame, charted: list[dict[str, str]]) -> pd.DataFrame:
    """Put the parts of every stay's note together, behind who came from where."""
    stays = patient[STAY].tolist()
    lead = write.demographics(patient)
    texts = [write.join(lead[s], [p.get(s, "") for p in charted]) for s in stays]
    frame = pd.DataFrame({"note_id": [f"{s}-AN" for s in stays], "text": texts})
    frame["subject_id"], frame["hadm_id"] = patient["uniquepid"].tolist(), stays
    frame["note_type"], frame["note_seq"] = "AN", 0
    return frame[NOTE_COLUMNS]


def _first_day(tables, name: str, offset: str, columns: list[str], also: str = ""):
    """Read rows charted, and meant for, at most 24 hours after unit admission."""
    offsets = [offset, *([also] if also else [])]
    frame = _read(tables, name, [STAY, *offsets, *columns])
    minutes = frame[offsets].apply(pd.to_numeric, errors="coerce")
    keep = (minutes <= FIRST_DAY).all(axis=1)
    frame = frame[keep].assign(minute=minutes.loc[keep, offset].astype(float))
    return frame.sort_values([STAY, "minute"], kind="stable")
