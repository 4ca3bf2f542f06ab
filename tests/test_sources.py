"""Sources: the same tables whatever the data, and one sentence for what is wrong."""

import gzip
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from deepicd.common.errors import UserError
from deepicd.data.admissions import build_admissions
from deepicd.data.cohort import build_cohort
from deepicd.data.sources import (
    ADMISSION_COLUMNS,
    NOTE_COLUMNS,
    eicu,
    mimic,
    open_source,
)
from deepicd.data.splits import overlap

SHARED = Path(__file__).parents[2] / "shared" / "data"
EICU, MIMIC = SHARED / "eicu_demo", SHARED / "mimic_iv_demo"
needs_eicu = pytest.mark.skipif(not EICU.is_dir(), reason=f"no folder {EICU}")
needs_mimic = pytest.mark.skipif(not MIMIC.is_dir(), reason=f"no folder {MIMIC}")

HOSP = {
    "admissions": "subject_id,hadm_id,admittime,admission_type,insurance,language,"
    "race\n"
    "1,10,2150-01-05 10:00:00,EW EMER.,Medicare,?,WHITE\n"
    "1,11,2152-01-05 10:00:00,URGENT,Medicare,ENGLISH,WHITE\n",
    "patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n"
    "1,F,60,2149,2011 - 2013\n",
    "diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version\n"
    "1,10,1,I2111,10\n1,10,2,I10,10\n1,11,1,0389,9\n",
    "d_icd_diagnoses": "icd_code,icd_version,long_title\n"
    'I2111,10,"STEMI, right"\n0389,9,Septicemia\n',
}
DISCHARGE = (
    "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n"
    '1-DS-1,1,10,DS,1,2150-01-06 00:00:00,,"Chief Complaint:\nqxpain, ""sharp""\n\n'
    'Discharge Diagnosis:\nqxstemi\n"\n'
)


@pytest.fixture
def folder(tmp_path):
    write_mimic(tmp_path)
    return tmp_path


def write_mimic(folder, suffix=".csv.gz", hosp="hosp", note="note"):
    for name, text in HOSP.items():
        write(folder / hosp / f"{name}{suffix}", text)
    write(folder / note / f"discharge{suffix}", DISCHARGE)


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif path.suffix == ".parquet":
        from io import StringIO

        pd.read_csv(StringIO(text), dtype=str).to_parquet(path)
    else:
        path.write_text(text)


@pytest.mark.parametrize("suffix", [".csv.gz", ".csv", ".parquet"])
@pytest.mark.parametrize(
    ("hosp", "note"),
    [
        ("hosp", "note"),
        ("mimic-iv-2.2/hosp", "mimic-iv-note-2.2/note"),
        (
            "physionet.org/files/mimiciv/3.1/hosp",
            "physionet.org/files/mimic-iv-note/2.2/note",
        ),
    ],
)
def test_mimic_layouts_give_the_same(tmp_path, suffix, hosp, note):
    write_mimic(tmp_path, suffix, hosp, note)
    raw = mimic.read(tmp_path)
    assert list(raw.admissions) == ADMISSION_COLUMNS and raw.private
    assert raw.admissions["age"].tolist() == [61, 63]
    assert raw.admissions["era"].tolist() == ["2011 - 2013", "2014 - 2016"]
    assert list(raw.notes) == NOTE_COLUMNS
    frame, flow = build_admissions(raw)
    assert frame["note"].tolist() == ['CHIEF COMPLAINT: qxpain, "sharp"']
    assert frame["label"].tolist() == ["I21.11"]
    assert (
        dict(zip(flow["step"], flow["excluded"], strict=True))[
            "first-listed diagnosis not ICD-10"
        ]
        == 1
    )


def changed(folder, table, change):
    """Rewrite one table through pandas."""
    path = next(folder.rglob(f"{table}.csv.gz"))
    frame = pd.read_csv(path, dtype=str)
    change(frame).to_csv(path, index=False)


def with_zero(*columns):
    return lambda frame: frame.assign(**{c: frame[c] + ".0" for c in columns})


POINT_ZERO = {
    "admissions": ("subject_id", "hadm_id"),
    "patients": ("subject_id", "anchor_year", "anchor_age"),
    "diagnoses_icd": ("subject_id", "hadm_id", "seq_num", "icd_version"),
    "d_icd_diagnoses": ("icd_version",),
    "discharge": ("subject_id", "hadm_id", "note_seq"),
}


@pytest.mark.parametrize("table", POINT_ZERO)
def test_identifiers_with_point_zero_give_the_same(folder, table):
    before, flow = build_admissions(mimic.read(folder))
    titles = mimic.read(folder).catalogue
    changed(folder, table, with_zero(*POINT_ZERO[table]))
    after, same_flow = build_admissions(mimic.read(folder))
    pd.testing.assert_frame_equal(before, after)
    pd.testing.assert_frame_equal(flow, same_flow)
    assert mimic.read(folder).catalogue == titles == {"I2111": "STEMI, right"}
    changed(folder, table, lambda frame: frame.rename(columns=str.upper))
    pd.testing.assert_frame_equal(before, build_admissions(mimic.read(folder))[0])


def test_float_identifiers_in_parquet_give_the_same(folder, tmp_path):
    before, _ = build_admissions(mimic.read(folder))
    for table, columns in POINT_ZERO.items():
        path = next(folder.rglob(f"{table}.csv.gz"))
        frame = pd.read_csv(path, dtype=str).astype(dict.fromkeys(columns, float))
        frame.to_parquet(str(path).replace(".csv.gz", ".parquet"))
        path.unlink()
    pd.testing.assert_frame_equal(before, build_admissions(mimic.read(folder))[0])


@pytest.mark.parametrize(
    ("version", "step"),
    [
        ("ICD-9", "first-listed diagnosis not ICD-10"),
        ("", "ICD version unknown"),
        ("x", "ICD version unknown"),
    ],
)
def test_a_version_is_never_assumed(folder, version, step):
    def change(frame):
        nine = frame["icd_version"] == "9"
        frame.loc[nine, ["icd_code", "icd_version"]] = ["V420", version]
        return frame

    changed(folder, "diagnoses_icd", change)
    frame, flow = build_admissions(mimic.read(folder))
    assert frame["label"].tolist() == ["I21.11"]
    assert dict(zip(flow["step"], flow["excluded"], strict=True))[step] == 1


def test_line_ends_of_windows_do_not_reach_the_note(folder):
    path = folder / "note" / "discharge.csv.gz"
    write(path, DISCHARGE.replace("qxpain, ", "qxpain\0,\r\n"))
    note = build_admissions(mimic.read(folder))[0]["note"][0]
    assert note == 'CHIEF COMPLAINT: qxpain,\n"sharp"'


def test_modules_side_by_side_and_without_notes(folder):
    shutil.rmtree(folder / "note")
    raw = mimic.read(folder)
    assert raw.note_reader is None and "without the note module" in raw.description
    assert len(build_cohort(raw)[0]) == 1
    assert raw.notes.empty


def broken(folder, name, change):
    path = folder / name
    data = path.read_bytes()
    path.write_bytes(change(data))
    return folder


CASES = {
    "truncated": ("note/discharge.csv.gz", lambda d: d[: len(d) // 2], "ends early"),
    "truncated hosp": ("hosp/admissions.csv.gz", lambda d: d[:60], "ends early"),
    "empty": ("hosp/patients.csv.gz", lambda d: b"", "empty file"),
    "not gzip": ("hosp/patients.csv.gz", lambda d: b"\x1f\x8bqxqxqxqx", "gzip"),
    "column": (
        "hosp/diagnoses_icd.csv.gz",
        lambda d: gzip.compress(gzip.decompress(d).replace(b"icd_code", b"icd9_code")),
        "'icd_code'",
    ),
    "number": (
        "hosp/diagnoses_icd.csv.gz",
        lambda d: gzip.compress(
            gzip.decompress(d).replace(b"I2111", b"2111").replace(b"I10", b"10")
        ),
        "without a letter",
    ),
    "not utf-8": (
        "note/discharge.csv.gz",
        lambda d: gzip.compress(gzip.decompress(d).replace(b"qxpain", b"qx\xff\xfe")),
        "line 3 is not UTF-8",
    ),
    "no rows": (
        "hosp/admissions.csv.gz",
        lambda d: gzip.compress(gzip.decompress(d).split(b"\n")[0] + b"\n"),
        "no rows",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_broken_mimic_files_end_in_one_sentence(folder, case):
    name, change, words = CASES[case]
    with pytest.raises(UserError) as error:
        build_admissions(mimic.read(broken(folder, name, change)))
    said = str(error.value)
    assert words in said and Path(name).name.split(".")[0] in said
    assert "qx" not in said


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["NOTEEVENTS.csv.gz", "PATIENTS.csv.gz"], "MIMIC-III"),
        (["ed/edstays.csv.gz", "ed/triage.csv.gz"], "MIMIC-IV-ED"),
        (
            ["patient.csv.gz", "pastHistory.csv.gz", "apacheApsVar.csv.gz"],
            "--data eicu",
        ),
        (["note/discharge.csv.gz"], "without the hospital module"),
        (["cats.txt"], "cats in"),
    ],
)
def test_a_wrong_folder_is_named(tmp_path, files, words):
    for name in files:
        write(tmp_path / name, "x")
    with pytest.raises(UserError, match=words):
        open_source("mimic", tmp_path)


@pytest.mark.parametrize("name", ["mimic", "eicu", "table"])
def test_missing_and_empty_places(tmp_path, name):
    for place, words in (
        ("", "no data folder"),
        (tmp_path / "x" / "y", "nothing at"),
        (tmp_path, "empty folder"),
    ):
        with pytest.raises(UserError, match=words):
            open_source(name, place)


def test_eicu_given_a_mimic_folder_says_so(folder):
    with pytest.raises(UserError, match="a MIMIC-IV folder"):
        open_source("eicu", folder)


def test_a_missing_table_is_named(folder):
    (folder / "hosp" / "patients.csv.gz").unlink()
    with pytest.raises(UserError, match="the table patients"):
        open_source("mimic", folder)


TABLE = "note,code,who,part\nqxone pain,I2111,a,train\nqxtwo cough,J18.9,b,test\n"
NAMES = {"text_column": "note", "code_column": "code"}


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl"])
def test_table_formats_give_the_same(tmp_path, kind):
    path = tmp_path / f"mine.{kind}"
    if kind == "jsonl":
        from io import StringIO

        pd.read_csv(StringIO(TABLE)).to_json(path, orient="records", lines=True)
    else:
        write(path, TABLE)
    options = NAMES | {"patient_column": "who", "split_column": "part"}
    raw = open_source("table", path, options=options)
    frame, _ = build_admissions(raw)
    assert raw.private and frame["note"].tolist() == ["qxone pain", "qxtwo cough"]
    assert frame["label"].tolist() == ["I21.11", "J18.9"]
    assert frame["split"].tolist() == ["train", "test"]


@pytest.mark.parametrize(
    ("options", "text", "words"),
    [
        ({"text_column": "nots"}, TABLE, "closest: 'note'"),
        ({"code_column": "icd"}, TABLE, "'code'"),
        (
            {},
            TABLE.replace("I2111", "XX1"),
            "1 of 2 rows with a code outside ICD-10-CM, in 'code'",
        ),
        ({}, TABLE.replace("qxone pain", ""), "no text in 'note'"),
        ({"split_column": "who"}, TABLE, "train, val or test"),
        ({"id_column": "part"}, TABLE + "qxthree,I10,c,test\n", "not unique"),
        ({}, "", "empty file"),
        ({}, "note,code\n", "without rows"),
    ],
)
def test_bad_tables(tmp_path, options, text, words):
    write(tmp_path / "mine.csv", text)
    with pytest.raises(UserError) as error:
        open_source("table", tmp_path / "mine.csv", options=NAMES | options)
    assert words in str(error.value) and "qx" not in str(error.value)


def test_bad_rows_are_skipped_and_counted_where_allowed(tmp_path):
    write(tmp_path / "mine.csv", TABLE + "qxthree,XX1,c,test\n,I10,d,test\n")
    options = NAMES | {"skip_invalid": True}
    frame, flow = build_admissions(open_source("table", tmp_path, options=options))
    assert len(frame) == 2
    assert flow.loc[flow["unit"] == "rows", "excluded"].tolist() == [1, 1]


def test_same_text_is_one_patient_without_a_patient_column(tmp_path):
    rows = "".join(f"qxsame text,I10,{i},x\n" for i in range(30))
    write(tmp_path / "mine.csv", "note,code,who,part\n" + rows + "qxother,I10,z,x\n")
    frame, _ = build_admissions(open_source("table", tmp_path, options=NAMES))
    assert frame.groupby("note")["split"].nunique().max() == 1


def write_eicu(folder):
    """Two stays of one patient; what is charted late or names the diagnosis is qx."""
    tables = {
        "patient": "patientunitstayid,uniquepid,gender,age,ethnicity,unittype,"
        "unitadmitsource,hospitaldischargeyear,apacheadmissiondx,admissionheight,"
        "admissionweight\n1,p1,Male,> 89,Caucasian,MICU,Floor,2015,qxadmitdx,NA,70\n"
        "2,p1,Male,NA,NA,MICU,NA,2015,NA,,\n"
        "3,p3,Male,50,NA,MICU,NA,2015,NA,,\n4,p4,Male,50,NA,MICU,NA,2015,NA,,\n",
        "diagnosis": "diagnosisid,patientunitstayid,activeupondischarge,"
        "diagnosisoffset,diagnosisstring,icd9code,diagnosispriority\n"
        '5,1,True,900,qxlater,"038.9, A41.9",Primary\n'
        '7,3,True,9,qxkidney,"V42.0, Z94.0",Primary\n'
        '8,4,True,9,qxfall,"E879.8, V42.0",Primary\n'
        '4,1,True,100,qxfirst,"486, J18.9",Primary\n'
        '3,1,True,10,qxnine,518.82,Primary\n2,1,True,1,qxmajor,"427.5, I46.9",Major\n'
        "1,1,True,5,qxnone,NA,Primary\n6,2,True,1,qxnine,995.90,Primary\n",
        "pasthistory": "patientunitstayid,pasthistoryoffset,pasthistoryenteredoffset,"
        "pasthistorypath\n1,5,9,notes/Progress Notes/Past History/Organ Systems/"
        "Pulmonary/Asthma/asthma\n1,5,2000,notes/Progress Notes/Past History/"
        "Organ Systems/Neurologic/Dementia/qxdementia\n",
        "physicalexam": "patientunitstayid,physicalexamoffset,physicalexampath,"
        "physicalexamtext\n1,2,notes/Progress Notes/Physical Exam/Physical Exam/"
        "Skin/Rash/rash,rash\n1,1500,notes/Progress Notes/Physical Exam/Physical Exam/"
        "Skin/Rash/qxlate,qxlate\n",
    }
    for name, text in tables.items():
        write(folder / f"{name}.csv.gz", text)


def test_eicu_note_holds_the_first_day_and_no_diagnosis(tmp_path):
    write_eicu(tmp_path)
    raw = open_source("eicu", tmp_path)
    note = raw.notes.set_index("hadm_id")["text"]["1"]
    assert "qx" not in note
    assert "asthma" in note and "rash" in note and "90 years or older" in note
    frame, flow = build_admissions(raw)
    assert frame["label"].tolist() == ["J18.9"]
    left = dict(zip(flow["step"], flow["excluded"], strict=True))
    assert left["first-listed diagnosis not ICD-10"] == 2
    labels = build_cohort(raw)[0].set_index("hadm_id")["label"]
    assert labels.to_dict() == {"1": "J18.9", "3": "Z94.0"}
    asked = eicu.read(tmp_path, {"include_admission_dx": True}).notes
    assert "qxadmitdx" in asked["text"].iloc[0]


@needs_eicu
def test_eicu_demo_counts_and_table_gives_the_same(tmp_path):
    raw = open_source("eicu", EICU)
    frame, flow = build_admissions(raw)
    assert flow["remaining"].tolist()[0] == 1776 and len(frame) == 962
    assert overlap(frame) == 0 and not raw.private
    words = frame["note"].str.split().str.len()
    assert 70 <= words.median() <= 160
    frame.to_csv(tmp_path / "mine.csv", index=False)
    options = {
        "text_column": "note",
        "code_column": "label",
        "patient_column": "subject_id",
        "id_column": "note_id",
    }
    again, _ = build_admissions(open_source("table", tmp_path, options=options))
    same = ["note_id", "subject_id", "hadm_id", "note", "label", "split", "sft_rank"]
    pd.testing.assert_frame_equal(frame[same], again[same], check_dtype=False)


@needs_eicu
def test_eicu_demo_notes_do_not_name_the_admission_diagnosis():
    patient = pd.read_csv(EICU / "patient.csv.gz", dtype=str, keep_default_na=False)
    given = patient.set_index("patientunitstayid")["apacheadmissiondx"]
    notes = eicu.read(EICU).notes.set_index("hadm_id")["text"]
    long = given[given.str.len() > 12]
    assert not any(dx.lower() in notes[stay].lower() for stay, dx in long.items())


@needs_mimic
def test_mimic_demo_cohort():
    raw = open_source("mimic", MIMIC)
    cohort, flow = build_cohort(raw)
    assert flow["remaining"].tolist()[0] == 275 and len(cohort) == 123
    assert len(raw.catalogue) > 90_000
    with pytest.raises(UserError, match="123 admissions with a label but no note"):
        build_admissions(raw)


def test_synthetic_is_read_like_mimic_and_is_not_private(tmp_path):
    raw = open_source("synthetic", "", tmp_path, 1, {"notes": 40, "length": "brief"})
    frame, _ = build_admissions(raw)
    assert len(frame) == 40 and not raw.private and raw.oracle is not None
    assert json.loads((tmp_path / "synthetic" / "corpus.json").read_text())["seed"] == 1
