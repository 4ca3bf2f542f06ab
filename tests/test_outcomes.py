"""Routing, procedure and mortality as tasks: labels, spaces, leaks, bad input."""

from pathlib import Path

import pandas as pd
import pytest
from mimic_kit import IDS, mimic

from deepicd.common.errors import UserError
from deepicd.data.admissions import build_admissions
from deepicd.data.cohort import build_cohort
from deepicd.data.sections.last_look import told
from deepicd.data.sources import open_source
from deepicd.rewards import score
from deepicd.tasks import get_task, prompts
from deepicd.tasks.correct import Judge
from deepicd.tasks.procedure import Procedures
from deepicd.tasks.routing import TELLS, Units

SHARED = Path(__file__).parents[2] / "shared" / "data"
DEMO, EICU = SHARED / "mimic_iv_demo", SHARED / "eicu_demo"
needs_demo = pytest.mark.skipif(
    not DEMO.is_dir(), reason="needs ../shared/data/mimic_iv_demo"
)
needs_eicu = pytest.mark.skipif(
    not EICU.is_dir(), reason="needs ../shared/data/eicu_demo"
)
ROUTING, SERVICE, PROCEDURE, MORTALITY = map(
    get_task, ("routing", "routing-service", "procedure", "mortality")
)
MICU = "Medical Intensive Care Unit (MICU)"


def excluded(flow):
    return flow.set_index("step")["excluded"].to_dict()


# --- routing ------------------------------------------------------------------

TRANSFERS = "hadm_id eventtype careunit intime"


def moves(hadm_id, *units):
    kinds = {"Emergency Department": "ED", None: "discharge"}
    return [
        (hadm_id, kinds.get(unit, "transfer"), unit, f"2150-01-01 {hour:02d}:00:00")
        for hour, unit in enumerate(units)
    ]


def test_the_first_unit_after_the_emergency_department_counts(tmp_path):
    rows = [
        *moves("1", "Emergency Department", MICU, "Medicine", None),
        *moves("2", "Emergency Department", "Discharge Lounge", "Med/Surg", MICU),
        *moves("3", MICU, "Medicine", None),
        *moves("4", "Emergency Department", "Emergency Department Observation", None),
        *moves("5", "Medicine", "Emergency Department", "PACU", "Neuro Stepdown"),
        *moves("6", "Emergency Department", MICU)[::-1],
    ]
    raw = mimic(tmp_path, transfers=(TRANSFERS, rows))
    cohort, flow = build_cohort(raw, task=ROUTING)
    found = cohort.set_index("hadm_id")["label"].to_dict()
    assert found == {"1": MICU, "2": "Med/Surg", "5": "Neuro Stepdown", "6": MICU}
    care = cohort.set_index("hadm_id")["stratum"].to_dict()
    assert care == {"1": "intensive care", "2": "ward", "5": "ward", "6": care["1"]}
    left = excluded(flow)
    assert left["not through the emergency department"] == 3
    assert left["no unit after the emergency department"] == 1


def test_the_first_service_counts_and_a_source_without_the_table_says_so(tmp_path):
    rows = [("1", "2150-01-02", "SURG"), ("1", "2150-01-01", "MED"), ("2", "", "CMED")]
    raw = mimic(tmp_path, services=("hadm_id transfertime curr_service", rows))
    cohort, flow = build_cohort(raw, task=SERVICE)
    assert cohort["label"].tolist() == ["MED", "CMED"]
    assert excluded(flow)["no service"] == 6
    with pytest.raises(UserError, match="without the table transfers"):
        build_cohort(raw, task=ROUTING)


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        (MICU.lower(), MICU),
        ("MICU", MICU),
        ("med/surg.", "Med/Surg"),
        ("MICU or Med/Surg", None),
        ("the moon", None),
    ],
)
def test_a_unit_is_read_by_its_name_or_its_abbreviation(answer, read):
    said = prompts.format_completion("because", answer, tag="unit")
    assert Judge(Units([MICU, "Med/Surg"])).codes([said]) == [read]


@pytest.mark.parametrize(
    ("sentence", "tells"),
    [
        ("She was admitted to the MICU for pressors.", True),
        ("The patient was transferred to the medicine floor.", True),
        ("Taken to the cardiology service.", True),
        ("He is admitted to the hospital with fever.", False),
        ("Prior ICU stay in 2010.", False),
        ("Sent to the emergency department by her doctor.", False),
        ("Drinks a unit of alcohol a day.", False),
    ],
)
def test_sentences_that_name_the_unit_are_found_beyond_history(sentence, tells):
    assert bool(told(f"PRESENT ILLNESS: Fever. {sentence} Cough.", TELLS)) == tells


def admitted(tmp_path, drop):
    folder = tmp_path / str(drop)
    folder.mkdir()
    units = [MICU if i in "1234" else "Medicine" for i in IDS]
    pairs = zip(IDS, units, strict=True)
    rows = [row for i, unit in pairs for row in moves(i, "Emergency Department", unit)]
    raw = mimic(folder, transfers=(TRANSFERS, rows))
    text = (
        "Chief Complaint:\nFever\n\nHistory of Present Illness:\nHad fever. {}\n\n"
        "Past Medical History:\nDiabetes\n\nBrief Hospital Course:\nBetter.\n"
    )
    words = ["Admitted to the MICU." if i in "12" else "No cough." for i in IDS]
    notes = pd.DataFrame(
        {
            "note_id": IDS,
            "subject_id": IDS,
            "hadm_id": IDS,
            "note_type": "DS",
            "note_seq": 1,
            "text": [text.format(word) for word in words],
        }
    )
    raw.note_reader = lambda ids=None: iter([notes])
    return build_admissions(raw, task=ROUTING, drop_named=drop, workers=1)


def test_notes_that_name_the_unit_are_counted_and_cut_where_asked(tmp_path):
    kept, flow = admitted(tmp_path, False)
    assert kept["flags"].str.contains("tells_the_answer").sum() == 2
    assert kept["note"].str.contains("MICU").sum() == 2
    reason = flow.set_index("step").loc["flagged tells_the_answer", "reason"]
    assert reason.startswith("2 notes")
    cut, _ = admitted(tmp_path, True)
    assert not cut["note"].str.contains("MICU").any()
    assert cut["note"].str.contains("Had fever").all()


# --- procedure ----------------------------------------------------------------

PROCEDURES = "hadm_id seq_num icd_code icd_version"
TITLES = {
    "0DTJ4ZZ": "Resection of Appendix, Percutaneous Endoscopic Approach",
    "0DTJ0ZZ": "Resection of Appendix, Open Approach",
    "0DT": "Gastrointestinal System, Resection",
    "B24": "Imaging, Heart, Ultrasonography",
    "B245ZZZ": "Ultrasonography of Left Heart",
}


def test_the_first_listed_procedure_counts_and_others_are_counted(tmp_path):
    rows = [
        ("1", 2, "B245ZZZ", 10),
        ("1", 1, "0DTJ4ZZ", 10),
        ("2", 1, "4701", 9),
        ("3", 1, "0DTJ0ZZ", 10),
        ("3", 1, "B245ZZZ", 10),
        ("4", 2, "0DTJ0ZZ", 10),
        ("5", 1, "0XXXXXX", 10),
        ("6", 1, "b245zzz", 10),
    ]
    names = [(code, 10, text) for code, text in TITLES.items()]
    names.append(("4701", 9, "Laparoscopic appendectomy"))
    raw = mimic(
        tmp_path,
        procedures_icd=(PROCEDURES, rows),
        d_icd_procedures=("icd_code icd_version long_title", names),
    )
    cohort, flow = build_cohort(raw, task=PROCEDURE)
    assert cohort["label"].tolist() == ["0DTJ4ZZ", "B245ZZZ"]
    left = excluded(flow)
    assert left["no procedure"] == 3
    assert left["first-listed procedure not ICD-10"] == 1
    assert left["two first-listed procedures"] == left["code outside ICD-10-PCS"] == 1
    assert PROCEDURE.open(raw)[1] == TITLES


def test_without_a_table_of_titles_the_codes_of_the_stays_are_the_catalogue(tmp_path):
    rows = [("1", 1, "0DTJ4ZZ", 10), ("2", 1, "4701", 9)]
    raw = mimic(tmp_path, procedures_icd=(PROCEDURES, rows))
    space, own = PROCEDURE.open(raw)
    assert own == {"0DTJ4ZZ": "0DTJ4ZZ"} and space.title("0") == "Medical and Surgical"


def test_the_ladder_of_a_procedure_has_a_step_for_each_character():
    codes = ["0DTJ4ZZ", "0DTJ0ZZ", "B245ZZZ"]
    said = [prompts.format_completion("so", c, tag="procedure") for c in codes]
    space = Procedures(TITLES)
    found = score(said, codes[0], "tree", space)
    assert [row.total for row in found] == [1.0, 0.5, 0.0]
    assert space.at(codes[0], "operation") == "0DT"
    assert space.title("B2") == "Imaging, Heart" and space.title("7") == "Osteopathic"
    text = "Resection of appendix, 0DTJ4ZZ"
    said = prompts.format_completion("so", text, tag="procedure")
    assert Judge(space).codes([said]) == ["0DTJ4ZZ"]


# --- mortality ----------------------------------------------------------------


def test_death_in_hospital_is_read_from_its_flag(tmp_path):
    flags = {"hospital_expire_flag": ["0", "1", "", "0", "0", "1", "0", "?"]}
    cohort, flow = build_cohort(mimic(tmp_path, flags), task=MORTALITY)
    assert cohort["label"].value_counts().to_dict() == {"survives": 4, "dies": 2}
    assert excluded(flow)["no word on survival"] == 2


def test_a_task_with_one_label_only_is_refused(tmp_path):
    raw = mimic(tmp_path, {"hospital_expire_flag": "0"})
    with pytest.raises(UserError, match="one label only: survives"):
        build_cohort(raw, task=MORTALITY)


# --- open data ----------------------------------------------------------------


@needs_demo
@pytest.mark.parametrize(
    ("task", "count", "labels"),
    [(ROUTING, 157, 20), (SERVICE, 275, 13), (PROCEDURE, 76, 55), (MORTALITY, 275, 2)],
)
def test_cohorts_of_the_demo(task, count, labels):
    cohort, flow = build_cohort(open_source("mimic", DEMO), task=task)
    assert len(cohort) == count and cohort["label"].nunique() == labels
    assert flow["excluded"].sum() == 275 - count


@needs_eicu
def test_notes_of_eicu_do_not_say_the_unit_that_is_asked_for():
    raw = open_source("eicu", EICU)
    admissions, _ = build_admissions(raw, task=ROUTING, workers=1)
    pairs = zip(admissions["note"], admissions["label"], strict=True)
    assert not any(f"Admitted to {unit}" in note for note, unit in pairs)
    assert not admissions["note"].str.contains("ICU to SDU").any()
    whole, _ = build_admissions(raw, task=get_task("length_of_stay"), workers=1)
    assert whole["note"].str.contains("Admitted to Med-Surg ICU").sum() > 500
    assert set(whole["label"]) == set(get_task("length_of_stay").space(None).order)
