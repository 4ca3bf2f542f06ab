"""Cohort, labels and splits: every exclusion counted, no patient in two splits."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepicd.common import progress
from deepicd.common.errors import UserError
from deepicd.data import splits
from deepicd.data.admissions import COLUMNS, build_admissions
from deepicd.data.cohort import build_cohort
from deepicd.data.privacy import check_place
from deepicd.data.sources import RawTables
from deepicd.icd import load_tree
from deepicd.views import sections as views

META = ["sex", "age", "race", "insurance", "language", "admission_type", "era"]
TEXT = "Chief Complaint: {}\nPhysical Exam: fine\nDischarge Diagnosis: qxsecret\n"


def raw_tables(rows, notes=None, **changes) -> RawTables:
    """Rows are (subject, hadm, code, version, admission type)."""
    admissions = pd.DataFrame(
        [
            dict.fromkeys(META)
            | {"subject_id": s, "hadm_id": h, "admission_type": kind, "age": 60.0}
            for s, h, _, _, kind in rows
        ]
    )
    diagnoses = pd.DataFrame(
        [
            {"hadm_id": h, "seq_num": 1, "icd_code": c, "icd_version": v}
            for _, h, c, v, _ in rows
            if c
        ]
    )
    if notes is None:
        notes = [(f"{h}-DS-1", s, h, "DS", 1, TEXT.format(h)) for s, h, *_ in rows]
    columns = ["note_id", "subject_id", "hadm_id", "note_type", "note_seq", "text"]
    frame = pd.DataFrame(notes, columns=columns)

    def reader(ids=None):
        yield frame if ids is None else frame[frame["hadm_id"].isin(list(ids))]

    given_ = dict(note_reader=reader, note_kind="discharge", private=False) | changes
    return RawTables(admissions, diagnoses, **given_)


ROWS = [
    ("1", "10", "I2111", 10, "URGENT"),
    ("1", "11", "i21.11", 10, "URGENT"),
    ("2", "20", "4280", 9, "URGENT"),
    ("3", "30", "Z3800", 10, "URGENT"),
    ("4", "40", "I10", 10, "NEWBORN"),
    ("5", "50", "QQQ99", 10, "URGENT"),
    ("6", "60", None, 10, "URGENT"),
    ("7", "70", "J189", 10, "ELECTIVE"),
    ("8", "80", "J189", 10, "ELECTIVE"),
]


def excluded(flow) -> dict:
    return {r.step: r.excluded for r in flow.itertuples() if r.excluded}


def test_admissions_without_a_patient_are_patients_of_their_own_and_counted():
    rows = [
        (s, str(i), "I10", 10, "URGENT") for i, s in enumerate([None, "1", " ", "1"])
    ]
    frame, flow = build_cohort(raw_tables(rows))
    assert frame["subject_id"].nunique() == 3 and frame["subject_id"].notna().all()
    step = flow.set_index("step").loc["no patient's id"]
    assert step["excluded"] == 0 and step["remaining"] == 4
    assert step["reason"].startswith("2 admissions")


def test_every_exclusion_is_counted():
    notes = [
        ("a", "1", "10", "DS", 1, TEXT.format("x")),
        ("b", "1", "11", "DS", 1, "Discharge Diagnosis: only"),
        ("c", "7", "70", "DS", 1, TEXT.format("x")),
    ]
    frame, flow = build_admissions(raw_tables(ROWS, notes))
    assert excluded(flow) == {
        "newborn admissions": 2,
        "no first-listed diagnosis": 1,
        "first-listed diagnosis not ICD-10": 1,
        "code outside ICD-10-CM": 1,
        "no note": 1,
        "empty admission note": 1,
    }
    assert list(frame.columns) == COLUMNS
    assert frame["label"].tolist() == ["I21.11", "J18.9"]
    whole = flow[flow["unit"] == "admissions"]
    before = whole["remaining"].shift().fillna(len(ROWS))
    assert (before - whole["excluded"] == whole["remaining"]).all()
    assert not frame["note"].str.contains("qxsecret").any()


def test_codes_of_the_data_join_the_tree():
    rows = [("1", "10", "V270XXA", 10, "URGENT")]
    with pytest.raises(UserError, match="code outside ICD-10-CM"):
        build_cohort(raw_tables(rows))
    own = {"V270XXA": "Unspecified motorcycle rider injured"}
    cohort, _ = build_cohort(raw_tables(rows, catalogue=own))
    assert cohort["label"].tolist() == ["V27.0XXA"]


def test_last_summary_counts_and_addenda_are_joined():
    rows = [("1", "10", "I10", 10, "URGENT")]
    notes = [
        ("1-DS-3", "1", "10", "DS", 3, TEXT.format("qxlast")),
        ("1-DS-2", "1", "10", "DS", 2, TEXT.format("qxfirst")),
        ("1-AD-4", "1", "10", "AD", 4, "Addendum:\nqxcourse\nPMH:\nqxpmh"),
        ("1-AD-4", "1", "10", "AD", 4, "Addendum:\nqxcourse\nPMH:\nqxpmh"),
    ]
    frame, flow = build_admissions(raw_tables(rows, notes))
    note = frame["note"].iloc[0]
    assert frame["note_id"].tolist() == ["1-DS-3"]
    assert "qxlast" in note and "qxpmh" in note
    assert "qxfirst" not in note and "qxcourse" not in note
    notes_left = flow[flow["unit"] == "notes"].set_index("step")["excluded"].to_dict()
    assert notes_left == {
        "duplicate notes": 1,
        "addenda joined to the summary": 1,
        "earlier summaries of the same admission": 1,
    }


def test_without_notes_it_says_so_after_the_cohort():
    raw = raw_tables(ROWS, note_reader=None)
    assert len(build_cohort(raw)[0]) == 4
    with pytest.raises(UserError, match="4 admissions with a label but no note module"):
        build_admissions(raw)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("1", "10", "4280", 9, "URGENT")], "ICD-9"),
        (
            [("1", "10", "I10", 10, "URGENT"), ("2", "10", "I11", 10, "URGENT")],
            "hadm_id",
        ),
        (
            [("1", "10", "I10", 10, "URGENT"), ("1", "10", "I119", 10, "URGENT")],
            "two different first-listed",
        ),
    ],
)
def test_bad_tables_end_in_one_sentence(rows, words):
    with pytest.raises(UserError, match=words):
        build_admissions(raw_tables(rows))


def test_identical_duplicate_rows_are_dropped_and_counted():
    rows = [("1", "10", "I10", 10, "URGENT")] * 2
    notes = [("a", "1", "10", "DS", 1, TEXT.format("x"))]
    frame, flow = build_admissions(raw_tables(rows, notes))
    assert len(frame) == 1 and excluded(flow)["duplicate rows"] == 1


def many(patients=400, seed=0):
    codes = ["I21.4", "I21.11", "J18.9", "A41.9", "K92.2", "E11.9", "I50.9"]
    rows = [
        {
            "subject_id": str(i // 2 if i % 3 else i),
            "note_id": f"n{i}",
            "label": codes[(i * i + seed) % 7] if i % 41 else f"S06.{i % 7}",
        }
        for i in range(patients)
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(stratum=frame["label"].str[:3])


def test_split_is_by_patient_stratified_and_reproducible():
    frame = many()
    split = splits.assign(frame, 3)
    again = splits.assign(frame.sample(frac=1, random_state=1), 3)
    assert (again.reindex(frame.index) == split).all()
    assert (splits.assign(frame, 4) != split).any()
    whole = frame.assign(split=split)
    assert splits.overlap(whole) == 0
    shares = split.value_counts(normalize=True)
    assert abs(shares["train"] - 0.7) < 0.05 and abs(shares["test"] - 0.2) < 0.05
    large = whole[whole["stratum"] == "I21"]["split"].value_counts(normalize=True)
    assert abs(large["test"] - 0.2) < 0.06


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), min_size=1),
    st.integers(0, 5),
)
def test_no_patient_in_two_splits_and_every_code_is_learnable(pairs, seed):
    frame = pd.DataFrame(pairs, columns=["subject_id", "code"]).astype(str)
    frame = frame.assign(label="C" + frame["code"], stratum="C")
    frame["split"] = splits.assign(frame, seed)
    assert splits.overlap(frame) == 0
    train = set(frame.loc[frame["split"] == "train", "label"])
    assert set(frame["label"]) == train


def test_sft_rank_numbers_the_training_rows():
    frame = many()
    frame["split"] = splits.assign(frame)
    ranks = splits.sft_ranks(frame)
    train = frame["split"] == "train"
    assert sorted(ranks[train]) == list(range(train.sum()))
    assert (ranks[~train] == -1).all()


def test_published_split_is_found_again_and_holds_no_identifier(tmp_path):
    frame = many(60)
    frame["split"] = splits.assign(frame)
    frame["sft_rank"] = splits.sft_ranks(frame)
    published = splits.publish(frame, "salt")
    assert not set(published["id_hash"]) & set(frame["note_id"])
    published.to_csv(tmp_path / "split.csv", index=False)
    found = splits.read_split(tmp_path / "split.csv", frame["note_id"], "salt")
    both = frame.merge(found, on="note_id", suffixes=("", "_found"))
    assert len(both) == 60 and (both["split"] == both["split_found"]).all()
    with pytest.raises(UserError, match="none of 60 notes"):
        splits.read_split(tmp_path / "split.csv", frame["note_id"], "other")


def test_a_given_split_that_shares_patients_is_refused():
    rows = [("1", "10", "I10", 10, "U"), ("1", "11", "I10", 10, "U")]
    ids = ["10-DS-1", "11-DS-1"]
    split = pd.DataFrame({"note_id": ids, "split": ["train", "test"]})
    with pytest.raises(UserError, match="1 patients in more than one part"):
        build_admissions(raw_tables(rows), split=split)


def test_fractions_must_sum_to_one():
    with pytest.raises(UserError, match="sum to 1"):
        splits.assign(many(20), fractions=(0.7, 0.1, 0.1))


def test_many_batches_go_through_processes_and_give_the_same():
    rows = [(str(i), str(i), "I10", 10, "URGENT") for i in range(24)]
    whole = raw_tables(rows)

    def reader(ids=None):
        frame = next(iter(whole.note_reader(ids)))
        for start in range(0, len(frame), 2):
            yield frame.iloc[start : start + 2]

    parts = raw_tables(rows, note_reader=reader)
    one, _ = build_admissions(whole)
    told = []
    progress.send_to(lambda *a: told.append(a))
    two, _ = build_admissions(parts, workers=2)
    progress.send_to(progress.line)
    pd.testing.assert_frame_equal(one, two)
    assert told[0] == (0, 24, "cutting notes") and told[-1][:2] == (24, 24)


def test_views_compare_the_modes():
    kept = views.kept_by_mode(
        [
            "HPI: ill\nPhysical Exam: a\nDISCHARGE EXAM (___):\nbetter\n"
            "Pertinent Results: x"
        ]
    )
    cop = kept[kept["mode"] == "cop"].set_index("section")["share"]
    robust = kept[kept["mode"] == "robust"].set_index("section")["share"]
    assert cop["discharge_exam"] == 1.0 and robust["discharge_exam"] == 0.0
    assert cop["history_of_present_illness"] == 0.0
    assert robust["history_of_present_illness"] == 1.0


def test_private_notes_are_refused_outside_the_private_folder():
    check_place(True, "/x/outputs/private/cpu-mimic-seed0")
    with pytest.raises(UserError, match="outputs/private"):
        check_place(True, "/x/outputs/cpu-mimic-seed0")


def test_marked_text_is_escaped():
    assert "<b>x" not in views.highlighted("Chief Complaint: <b>x")


def test_split_table_counts_what_training_never_shows():
    frame = pd.DataFrame(
        {
            "subject_id": ["1", "2"],
            "label": ["I10", "J18.9"],
            "split": ["train", "test"],
        }
    )
    table = views.split_table(frame, load_tree())
    assert table.loc["test", "unseen label"] == 1
