"""Rows and files of the MIMIC-IV layout."""

import csv
import gzip
import io
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from deepicd.sources.synthetic_knowledge import Entry, Knowledge
from deepicd.sources.synthetic_words import Draw

# Column names of MIMIC-IV 2.2 and MIMIC-IV-Note 2.2.
COLUMNS = {
    "hosp/patients": "subject_id gender anchor_age anchor_year anchor_year_group dod",
    "hosp/admissions": (
        "subject_id hadm_id admittime dischtime deathtime admission_type "
        "admit_provider_id admission_location discharge_location insurance language "
        "marital_status race edregtime edouttime hospital_expire_flag"
    ),
    "hosp/diagnoses_icd": "subject_id hadm_id seq_num icd_code icd_version",
    "hosp/d_icd_diagnoses": "icd_code icd_version long_title",
    "hosp/procedures_icd": (
        "subject_id hadm_id seq_num chartdate icd_code icd_version"
    ),
    "hosp/drgcodes": (
        "subject_id hadm_id drg_type drg_code description drg_severity drg_mortality"
    ),
    "hosp/services": "subject_id hadm_id transfertime prev_service curr_service",
    "hosp/transfers": (
        "subject_id hadm_id transfer_id eventtype careunit intime outtime"
    ),
    "note/discharge": (
        "note_id subject_id hadm_id note_type note_seq charttime storetime text"
    ),
}
UNITS = {
    "CMED": "Medicine/Cardiology", "NMED": "Neurology", "SURG": "Med/Surg",
    "OMED": "Hematology/Oncology", "PSYCH": "Psychiatry", "OBS": "Labor & Delivery",
    "ORTHO": "Med/Surg/Trauma", "TRAUM": "Trauma SICU (TSICU)", "NB": "Nursery",
    "NSURG": "Neurology", "GYN": "Med/Surg/GYN",
}
_RACES = ("WHITE",) * 13 + ("BLACK/AFRICAN AMERICAN",) * 3 + (
    "HISPANIC/LATINO - PUERTO RICAN", "ASIAN - CHINESE", "OTHER", "UNKNOWN",
)  # fmt: skip
_ERAS = ("2014 - 2016", "2017 - 2019", "2017 - 2019", "2020 - 2022")
_MARITAL = ("MARRIED", "MARRIED", "SINGLE", "WIDOWED", "DIVORCED", "")
HOMES = ("Home", "Home", "Home With Service", "Extended Care")
_HOME_NAMES = {
    "Home": "HOME", "Home With Service": "HOME HEALTH CARE",
    "Extended Care": "SKILLED NURSING FACILITY",
}


@dataclass
class Patient:
    """A person; what does not change between the admissions."""

    subject_id: int
    sex: str
    age: int
    year: int
    era: str
    race: str
    insurance: str
    language: str
    marital: str
    last_note: int = 0


def new_patient(subject_id: int, sex: str, age: int, draw: Draw) -> Patient:
    """Draw what the diagnosis does not depend on."""
    medicare = draw.chance(82 if age >= 65 else 12)
    insurance = "Medicare" if medicare else draw.pick(("Medicaid", "Other", "Other"))
    return Patient(
        subject_id, sex, age, 2110 + draw.below(90), draw.pick(_ERAS),
        draw.pick(_RACES), insurance, "ENGLISH" if draw.chance(90) else "?",
        draw.pick(_MARITAL if age > 30 else ("SINGLE", "SINGLE", "MARRIED")),
    )  # fmt: skip


@dataclass
class Admission:
    """One stay of a patient, ready for the tables."""

    patient: Patient
    hadm_id: int
    entry: Entry
    arrived: datetime
    left: datetime
    secondary: list[str]
    home: str
    icd9: str = ""
    kind: str = "usable"


def when(patient: Patient, number: int, of: int, draw: Draw):
    """Draw the stay: the admissions of a patient do not overlap."""
    day = 365 * number // of + draw.below(max(1, 365 // of - 26))
    start = datetime(patient.year, 1, 1) + timedelta(
        days=day, hours=draw.below(24), minutes=draw.below(60)
    )
    stay = timedelta(days=1 + draw.below(9), hours=draw.below(12))
    return start, start + stay


def _undotted(code: str) -> str:
    return code.replace(".", "")


def _diagnosis_rows(stay: Admission):
    ids = (stay.patient.subject_id, stay.hadm_id)
    if stay.icd9:
        yield (*ids, 1, stay.icd9, 9)
        return
    for number, code in enumerate([stay.entry.code, *stay.secondary], 1):
        yield (*ids, number, _undotted(code), 10)


def _admission_row(stay: Admission, draw: Draw):
    person, urgent = stay.patient, stay.entry.admission.startswith("EW")
    kind = stay.entry.admission
    if urgent and draw.chance(30):
        kind = draw.pick(("OBSERVATION ADMIT", "URGENT", "EU OBSERVATION"))
    came = "EMERGENCY ROOM" if urgent else "PHYSICIAN REFERRAL"
    before = stay.arrived - timedelta(hours=5)
    return (
        person.subject_id, stay.hadm_id, stay.arrived, stay.left, "", kind,
        f"P{draw.below(90):02d}{draw.pick('ABCDEFGHJK')}{draw.below(90):02d}", came,
        _HOME_NAMES[stay.home], person.insurance, person.language, person.marital,
        person.race, before if urgent else "", stay.arrived if urgent else "", 0,
    )  # fmt: skip


def _transfer_rows(stay: Admission):
    ids = (stay.patient.subject_id, stay.hadm_id)
    first = stay.hadm_id * 10
    unit = UNITS.get(stay.entry.service, "Medicine")
    if stay.entry.admission.startswith("EW"):
        before = stay.arrived - timedelta(hours=5)
        yield (*ids, first, "ED", "Emergency Department", before, stay.arrived)
    yield (*ids, first + 1, "admit", unit, stay.arrived, stay.left)
    yield (*ids, first + 2, "discharge", "", stay.left, "")


def stay_rows(stay: Admission, draw: Draw):
    """Yield (table, row) for one admission, notes aside."""
    ids, entry = (stay.patient.subject_id, stay.hadm_id), stay.entry
    yield "hosp/admissions", _admission_row(stay, draw)
    for row in _diagnosis_rows(stay):
        yield "hosp/diagnoses_icd", row
    if entry.procedure and not stay.icd9:
        day = stay.arrived.date()
        yield "hosp/procedures_icd", (*ids, 1, day, entry.procedure[0], 10)
    if entry.drg[0]:
        code, text = entry.drg
        yield "hosp/drgcodes", (*ids, "HCFA", f"{int(code):03d}", text, "", "")
    service = (*ids, stay.arrived, "", entry.service)
    yield "hosp/services", service
    for row in _transfer_rows(stay):
        yield "hosp/transfers", row


def patient_row(person: Patient):
    """The row of the table patients."""
    return (
        person.subject_id, person.sex, person.age, person.year, person.era, "",
    )  # fmt: skip


def note_row(stay: Admission, text: str, kind: str = "DS"):
    """The row of a note; numbers the notes of the patient."""
    person = stay.patient
    person.last_note += 1
    number = person.last_note
    chart = datetime(stay.left.year, stay.left.month, stay.left.day)
    return (
        f"{person.subject_id}-{kind}-{number}", person.subject_id, stay.hadm_id, kind,
        number, chart, chart + timedelta(hours=30), text,
    )  # fmt: skip


def catalogue_rows(knowledge: Knowledge, newborn: Entry):
    """Rows of d_icd_diagnoses: every code the corpus may use, ICD-9 first."""
    old = sorted((str(code), title) for code, title in knowledge.icd9.values())
    yield from ((code, 9, title) for code, title in old)
    titles = {**knowledge.titles, newborn.code: newborn.title}
    yield from ((_undotted(code), 10, titles[code]) for code in sorted(titles))


@contextmanager
def open_tables(folder: Path):
    """Open all tables for writing; the gzip headers hold no time and no name."""
    with ExitStack() as stack:
        writers = {}
        for name, columns in COLUMNS.items():
            path = folder / f"{name}.csv.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            raw = stack.enter_context(open(path, "wb"))
            zipped = stack.enter_context(
                gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0)
            )
            writers[name] = _Table(zipped)
            writers[name].write([columns.split()])
        yield writers


class _Table:
    """One compressed CSV file, written a batch of rows at a time."""

    def __init__(self, zipped: gzip.GzipFile):
        self.zipped = zipped

    def write(self, rows) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        self.zipped.write(text.getvalue().encode("utf-8"))
