"""Rows and files of the MIMIC-IV layout."""

import gzip
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deepicd.data.synthetic.knowledge import Entry, Knowledge
from deepicd.data.synthetic.outcomes import came_urgently
from deepicd.data.synthetic.words import Draw

GZIP_LEVEL = 1  # a third of the time of level 4, a fifth more bytes
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
    "hosp/d_icd_procedures": "icd_code icd_version long_title",
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
PLACES = {
    "Home": "HOME",
    "Home With Service": "HOME HEALTH CARE",
    "Extended Care": "SKILLED NURSING FACILITY",
    "Expired": "DIED",
}
_URGENT_KINDS = ("OBSERVATION ADMIT", "URGENT", "EU OBSERVATION")


@dataclass(slots=True)
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
    dod: str = ""
    last_note: int = 0


@dataclass(slots=True)
class Admission:
    """One stay of a patient; `start` in minutes since 1970, other times as text.

    How it ends is known when its comorbidities are: `minutes` from arrival to
    discharge, `unit` that takes the patient first, number and title of the DRG.
    """

    patient: Patient
    hadm_id: int
    entry: Entry
    start: int
    came: str
    arrived: str
    delay: int
    home: str
    kind: str = "usable"
    icd9: str = ""
    secondary: list[str] = field(default_factory=list)
    minutes: int = 0
    left: str = ""
    charted: str = ""
    unit: str = ""
    drg: tuple[str, str] = ("", "")

    @property
    def died(self) -> bool:
        return self.home == "Expired"


def quoted(text: str) -> str:
    """Quote a CSV field where it needs quotes.

    Examples
    --------
    >>> quoted("FRACTURE, SPRAIN")
    '"FRACTURE, SPRAIN"'
    """
    if any(sign in text for sign in ',"\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _undotted(code: str) -> str:
    return code.replace(".", "")


def _admission_row(stay: Admission, ids: str, urgent: bool, draw: Draw) -> str:
    who, kind = stay.patient, stay.entry.admission
    if urgent and draw.chance(30):
        kind = draw.pick(_URGENT_KINDS)
    place = "EMERGENCY ROOM" if urgent else "PHYSICIAN REFERRAL"
    provider = f"P{draw.below(90):02d}{draw.pick('ABCDEFGHJK')}{draw.below(90):02d}"
    emergency = f"{stay.came},{stay.arrived}" if urgent else ","
    death = stay.left if stay.died else ""
    return (
        f"{ids},{stay.arrived},{stay.left},{death},{kind},{provider},{place},"
        f"{PLACES[stay.home]},{who.insurance},{who.language},{who.marital},{who.race},"
        f"{emergency},{int(stay.died)}\n"
    )


def _diagnosis_rows(stay: Admission, ids: str) -> str:
    if stay.icd9:
        return f"{ids},1,{stay.icd9},9\n"
    codes = [stay.entry.code, *stay.secondary]
    return "".join(
        [
            f"{ids},{number},{_undotted(code)},10\n"
            for number, code in enumerate(codes, 1)
        ]
    )


def _transfer_rows(stay: Admission, ids: str, urgent: bool, draw: Draw) -> str:
    first = stay.hadm_id * 10
    if not stay.died and stay.entry.drg[1].endswith("W MCC"):
        draw.below(100)  # passed over, so that notes stay as they were
    emergency = f"{ids},{first},ED,Emergency Department,{stay.came},{stay.arrived}\n"
    return (
        f"{emergency if urgent else ''}"
        f"{ids},{first + 1},admit,{stay.unit},{stay.arrived},{stay.left}\n"
        f"{ids},{first + 2},discharge,,{stay.left},\n"
    )


def add_stay(stay: Admission, draw: Draw, tables: dict[str, list[str]]) -> None:
    """Append the rows of one admission, notes aside."""
    entry, ids = stay.entry, f"{stay.patient.subject_id},{stay.hadm_id}"
    urgent = came_urgently(entry)
    tables["hosp/admissions"].append(_admission_row(stay, ids, urgent, draw))
    tables["hosp/diagnoses_icd"].append(_diagnosis_rows(stay, ids))
    if entry.procedure and not stay.icd9:
        code = entry.procedure[0]
        row = f"{ids},1,{stay.arrived[:10]},{code},10\n"
        tables["hosp/procedures_icd"].append(row)
    number, title = stay.drg
    tables["hosp/drgcodes"].append(f"{ids},HCFA,{number},{quoted(title)},,\n")
    tables["hosp/services"].append(f"{ids},{stay.arrived},,{entry.service}\n")
    tables["hosp/transfers"].append(_transfer_rows(stay, ids, urgent, draw))


def patient_row(person: Patient) -> str:
    """The row of the table patients."""
    return (
        f"{person.subject_id},{person.sex},{person.age},{person.year},{person.era},"
        f"{person.dod}\n"
    )


def note_row(stay: Admission, text: str, kind: str = "DS") -> str:
    """The row of a note; numbers the notes of the patient."""
    person = stay.patient
    person.last_note += 1
    number, day = person.last_note, stay.charted[:10]
    return (
        f"{person.subject_id}-{kind}-{number},{person.subject_id},{stay.hadm_id},"
        f"{kind},{number},{day} 00:00:00,{stay.charted},{quoted(text)}\n"
    )


def catalogue_rows(knowledge: Knowledge, newborn: Entry) -> str:
    """Rows of d_icd_diagnoses: every code the corpus may use, ICD-9 first."""
    old = sorted((str(code), title) for code, title in knowledge.icd9.values())
    titles = {**knowledge.titles, newborn.code: newborn.title}
    rows = [f"{code},9,{quoted(title)}\n" for code, title in old]
    rows += [f"{_undotted(c)},10,{quoted(titles[c])}\n" for c in sorted(titles)]
    return "".join(rows)


def procedure_rows(knowledge: Knowledge) -> str:
    """Rows of d_icd_procedures: every ICD-10-PCS code the corpus may use."""
    titles = dict(e.procedure for e in knowledge.entries if e.procedure)
    return "".join(f"{code},10,{quoted(titles[code])}\n" for code in sorted(titles))


@contextmanager
def open_tables(folder: Path, level: int = GZIP_LEVEL):
    """Open all tables for writing; the gzip headers hold no time and no name."""
    with ExitStack() as stack:
        writers = {}
        for name, columns in COLUMNS.items():
            path = folder / f"{name}.csv.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            raw = stack.enter_context(open(path, "wb"))
            zipped = stack.enter_context(
                gzip.GzipFile("", "wb", compresslevel=level, fileobj=raw, mtime=0)
            )
            zipped.write(f"{columns.replace(' ', ',')}\n".encode())
            writers[name] = zipped
        yield writers
