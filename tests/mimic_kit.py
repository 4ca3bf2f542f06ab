"""A folder in the layout of MIMIC-IV with eight admissions and the tables of a test."""

import pandas as pd

from deepicd.data.sources import open_source

IDS = [str(number) for number in range(1, 9)]
_ADMISSIONS = {
    "subject_id": IDS,
    "hadm_id": IDS,
    "admittime": "2150-01-01 10:00:00",
    "admission_type": "URGENT",
}
_PATIENTS = {"subject_id": IDS, "gender": "F", "anchor_age": 60, "anchor_year": 2150}
_DIAGNOSES = {"hadm_id": IDS, "seq_num": 1, "icd_code": "I10", "icd_version": 10}


def mimic(folder, admissions=None, **tables):
    """Open a source with further tables: name to (columns in one text, rows)."""
    hosp = folder / "hosp"
    hosp.mkdir()
    made = {
        "admissions": pd.DataFrame(_ADMISSIONS | (admissions or {})),
        "patients": pd.DataFrame(_PATIENTS),
        "diagnoses_icd": pd.DataFrame(_DIAGNOSES),
    }
    for name, (columns, rows) in tables.items():
        made[name] = pd.DataFrame(rows, columns=columns.split())
    for name, frame in made.items():
        frame.to_csv(hosp / f"{name}.csv", index=False)
    return open_source("mimic", folder)
