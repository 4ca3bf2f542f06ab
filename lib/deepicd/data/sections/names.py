"""The sections of a discharge summary, their order, and how their headers are named."""

from pathlib import Path

import yaml

DATA_FILES = ("names.yaml",)

# The usual order of a MIMIC-IV discharge summary. Medications on Admission comes
# after the hospital course.
ORDER = (
    "preamble",
    "admission_date",
    "date_of_birth",
    "service",
    "allergies",
    "attending",
    "chief_complaint",
    "major_procedure",
    "history_of_present_illness",
    "past_medical_history",
    "social_history",
    "family_history",
    "physical_exam",
    "discharge_exam",
    "pertinent_results",
    "brief_hospital_course",
    "medications_on_admission",
    "discharge_medications",
    "discharge_disposition",
    "facility",
    "discharge_diagnosis",
    "discharge_condition",
    "discharge_instructions",
    "followup_instructions",
    "addendum",
)
RANK = {name: rank for rank, name in enumerate(ORDER)}

# Known at admission, in the order of the assembled note.
KEPT = (
    "chief_complaint",
    "history_of_present_illness",
    "past_medical_history",
    "medications_on_admission",
    "allergies",
    "physical_exam",
    "family_history",
    "social_history",
)

# Not of a summary: what `data.history` puts behind a note.
EARLIER = "EARLIER ADMISSIONS"

# Left out, and about no time: these end a kept section wherever they stand.
ADMINISTRATIVE = (
    "admission_date",
    "date_of_birth",
    "service",
    "attending",
    "major_procedure",
)

_FILE = Path(__file__).parent / DATA_FILES[0]
_SAID = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
FULL, WEAK = _SAID["full"], _SAID["weak"]
FROM_EXAM_ON, IN_EXAM = _SAID["from_exam_on"], _SAID["in_exam"]
GAPPED = frozenset(_SAID["gapped"])
