"""Earlier admissions in a note: never this stay, a later one, or one that overlaps."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepicd.common.errors import UserError
from deepicd.data import history
from deepicd.data.admissions import build_admissions
from deepicd.data.cohort import build_cohort
from deepicd.data.sources import RawTables, open_source

SHARED = Path(__file__).parents[2] / "shared" / "data"
META = ["sex", "age", "race", "insurance", "language", "admission_type", "era"]
TEXT = "Chief Complaint: {}\nPhysical Exam: fine\nDischarge Diagnosis: Flu\n"


def tables(stays, codes=None, titles=None) -> RawTables:
    """Stays are (patient, stay, start, end); codes (stay, number, code, edition)."""
    codes = codes or [(stay, 1, f"J{stay}", 10) for _, stay, *_ in stays]
    made = {
        "admissions": (["subject_id", "hadm_id", "admittime", "dischtime"], stays),
        "diagnoses_icd": (["hadm_id", "seq_num", "icd_code", "icd_version"], codes),
    }
    if titles:
        made["d_icd_diagnoses"] = (["icd_code", "icd_version", "long_title"], titles)
    frames = {k: pd.DataFrame(rows, columns=c) for k, (c, rows) in made.items()}
    admissions = [
        dict.fromkeys(META) | {"subject_id": s, "hadm_id": h, "age": 60.0}
        for s, h, *_ in stays
    ]
    notes = [(f"{h}-DS-1", s, h, "DS", 1, TEXT.format(h)) for s, h, *_ in stays]
    columns = ["note_id", "subject_id", "hadm_id", "note_type", "note_seq", "text"]
    texts = pd.DataFrame(notes, columns=columns)
    return RawTables(
        pd.DataFrame(admissions),
        frames["diagnoses_icd"],
        lambda ids=None: iter([texts]),
        "discharge",
        private=False,
        open_table=lambda name, wanted: (
            frames[name][list(wanted)] if name in frames else None
        ),
    )


def past(stays, codes=None, limit=history.LIMIT, **more):
    return history.read_past(tables(stays, codes, **more), [s[1] for s in stays], limit)


def day(number: int, hour: int = 10) -> str:
    moment = pd.Timestamp("2150-01-01") + pd.Timedelta(days=number, hours=hour)
    return str(moment)


STAYS = {
    "interleaved": (
        # Two patients whose stays alternate, written in another order than they were.
        [
            ("1", "13", day(60), day(63)),
            ("2", "22", day(40), day(41)),
            ("1", "11", day(0), day(3)),
            ("2", "21", day(20), day(21)),
            ("1", "12", day(30), day(33)),
        ],
        {"12": ["11"], "13": ["12", "11"], "22": ["21"]},
    ),
    "overlapping": (
        # 12 begins before 11 has ended; 13 begins when 12 ends, to the minute.
        [
            ("1", "11", day(0), day(5)),
            ("1", "12", day(3), day(9)),
            ("1", "13", day(9), day(12)),
        ],
        {"13": ["11"]},
    ),
    "the same day": (
        [
            ("1", "11", day(0), day(3, 9)),
            ("1", "12", day(3, 15), day(6)),
            ("1", "13", day(3, 15), day(6)),
        ],
        {"12": ["11"], "13": ["11"]},
    ),
    "days without hours": (
        [
            ("1", "11", "2150-01-01", "2150-01-03"),
            ("1", "12", "2150-01-03", "2150-01-05"),
            ("1", "13", "2150-01-06", "2150-01-07"),
        ],
        {"13": ["12", "11"]},
    ),
    "missing dates": (
        [
            ("1", "11", day(0), None),
            ("1", "12", None, day(9)),
            ("1", "13", "not known", day(11)),
            ("1", "14", day(20), day(22)),
            ("1", "15", day(30), day(33)),
        ],
        {"15": ["14"]},
    ),
    "an end before the beginning": (
        [
            ("1", "11", day(10), day(3)),
            ("1", "12", day(6), day(8)),
            ("1", "13", day(30), day(33)),
        ],
        {"11": ["12"], "13": ["11", "12"]},
    ),
    "no patient": (
        [(None, "11", day(0), day(1)), (None, "12", day(5), day(6))]
        + [("", "13", day(7), day(8)), (" ", "14", day(9), day(10))],
        {},
    ),
}


@pytest.mark.parametrize("case", STAYS)
def test_earlier_is_what_had_ended_before(case):
    stays, expected = STAYS[case]
    found = past(stays).visits
    named = {
        h: [code for _, codes in told for code in codes] for h, told in found.items()
    }
    assert named == {h: [f"J{e}" for e in told] for h, told in expected.items()}


times = st.tuples(
    st.sampled_from("12"), st.integers(0, 40), st.one_of(st.none(), st.integers(0, 9))
)


@settings(max_examples=40, deadline=None)
@given(st.lists(times, min_size=1, max_size=9))
def test_no_code_comes_from_this_stay_a_later_or_an_open_one(drawn):
    stays = [
        (who, str(10 + i), day(start), None if long is None else day(start + long))
        for i, (who, start, long) in enumerate(drawn)
    ]
    by_code = {f"J{stay[1]}": stay for stay in stays}
    found = past(stays).visits
    for who, own, start, _ in stays:
        named = {c for _, codes in found.get(own, []) for c in codes}
        before = {
            code
            for code, (other, _, _, end) in by_code.items()
            if other == who
            and end is not None
            and pd.Timestamp(end) < pd.Timestamp(start)
        }
        assert named == before


def test_long_histories_keep_the_latest_and_say_that_they_are_cut():
    stays = [("1", str(n), day(10 * n), day(10 * n + 1)) for n in range(30)]
    codes = [
        (str(n), k, c, 10) for n in range(30) for k, c in enumerate(("I509", "I10"))
    ]
    found = past(stays, codes, limit=4)
    # The first-listed code of each stay; hypertension was named once.
    assert found.visits["29"] == [
        (9, ["I50.9", "I10"]),
        (19, ["I50.9"]),
        (29, ["I50.9"]),
    ]
    assert found.cut == 26  # stays 1 to 3 name four codes or fewer
    assert all(sum(len(c) for _, c in told) <= 4 for told in found.visits.values())


def test_titles_are_those_of_the_data_else_official_else_the_code():
    stays = [("1", "11", day(0), day(3)), ("1", "12", day(800), day(801))]
    codes = [("11", 2, "I10", 10), ("11", 1, "41071", 9), ("11", 3, "QQ1", 10)]
    found = past(stays, codes, titles=[("41071", 9, "Subendocardial infarction")])
    told = found.section("12", "titles")
    assert told == (
        "EARLIER ADMISSIONS: 2 years before: Subendocardial infarction; "
        "Essential (primary) hypertension; QQ1"
    )
    assert "410.71 (ICD-9); I10; QQ1" in found.section("12", "codes")
    assert found.section("11", "codes") == ""


def admissions(raw, form="none", limit=history.LIMIT, **options):
    known = None
    if form != "none":
        ids = build_cohort(raw)[0]["hadm_id"]
        known = history.read_past(raw, ids, limit, form)
    return build_admissions(raw, workers=1, past=known, **options)


def test_the_note_gets_a_section_the_flow_a_line_and_the_rest_stays():
    stays, _ = STAYS["interleaved"]
    codes = [(stay, 1, "J189", 10) for _, stay, *_ in stays]
    plain, flow = admissions(tables(stays, codes))
    told, longer = admissions(tables(stays, codes), form="codes", limit=1)
    assert not plain["note"].str.contains("EARLIER").any()
    pd.testing.assert_frame_equal(told.drop(columns="note"), plain.drop(columns="note"))
    note = told.set_index("hadm_id").loc["13", "note"]
    assert note.endswith("\n\nEARLIER ADMISSIONS: 27 days before: J18.9")
    whole = pd.concat([flow, longer]).drop_duplicates(keep=False)
    assert whole["step"].tolist() == ["history=codes"]
    assert whole["reason"].item() == (
        "3 notes name codes of 3 earlier stays; "
        "1 admissions had more than 1 codes, latest kept"
    )


def test_what_history_names_is_not_flagged_as_a_leak():
    stays = [("1", "11", day(0), day(3)), ("1", "12", day(30), day(33))]
    codes = [(stay, 1, "J189", 10) for _, stay, *_ in stays]
    plain, _ = admissions(tables(stays, codes))
    told, _ = admissions(tables(stays, codes), form="titles", drop_named=True)
    assert "Pneumonia" in told.set_index("hadm_id").loc["12", "note"]
    assert told["flags"].tolist() == plain["flags"].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "code"}, "codes"),
        ({"form": "codes", "limit": 0}, "one code or more"),
    ],
)
def test_wrong_values_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        admissions(tables(STAYS["interleaved"][0]), **options)


def test_sources_without_times_refuse(tmp_path):
    file = tmp_path / "own.csv"
    file.write_text("text,icd_code,who\nchest pain,I10,1\nchest pain,I10,1\n")
    own = open_source("table", file, options={"patient_column": "who"})
    with pytest.raises(UserError, match="no times of admission"):
        admissions(own, form="codes")


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_eicu_refuses_and_says_what_it_knows():
    raw = open_source("eicu", SHARED / "eicu_demo")
    with pytest.raises(UserError, match="not the hospital stays of a patient"):
        history.read_past(raw, raw.admissions["hadm_id"])


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")
def test_the_mimic_demo_has_earlier_stays():
    raw = open_source("mimic", SHARED / "mimic_iv_demo")
    labelled, _ = build_cohort(raw)
    found = history.read_past(raw, labelled["hadm_id"])
    assert 0.7 < len(found.visits) / len(labelled) < 0.9
    assert found.undated == 0
    # Most are longer than the limit: a stay of MIMIC-IV has a dozen codes.
    assert 0.5 < found.cut / len(found.visits) < 1


def test_the_forms_of_a_run_are_those_of_the_past_that_its_notes_tell(tmp_path):
    raw = tables(STAYS["interleaved"][0])
    ids = [stay for _, stay, *_ in STAYS["interleaved"][0]]
    known = history.read_past(raw, ids, limit=1, form="titles")
    rows, _ = build_admissions(raw, workers=1, past=known)
    history.save_forms(known, rows, tmp_path)
    forms = pd.read_parquet(tmp_path / history.FILE)
    again = history.with_form(rows, forms, "titles")
    pd.testing.assert_frame_equal(again, rows)
    assert forms.set_index("note_id").loc["13-DS-1", "codes"].endswith("before: J12")
    history.save_forms(None, rows, tmp_path / "none")
    assert not (tmp_path / "none").exists()
