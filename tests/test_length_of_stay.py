"""The length of stay as a task: its bins, labels, words and the cohort's flow."""

from pathlib import Path

import pytest

from deepicd.common.errors import UserError
from deepicd.data.cohort import build_cohort
from deepicd.data.sources import open_source
from deepicd.rewards import score
from deepicd.tasks import get_task, prompts
from deepicd.tasks.correct import Judge
from deepicd.tasks.length_of_stay import BINS, Stays, bin_of

TASK, SPACE = get_task("length_of_stay"), Stays()
DEMO = Path(__file__).parents[2] / "shared" / "data" / "mimic_iv_demo"
PATIENTS = "subject_id,gender,anchor_age,anchor_year,anchor_year_group\n"
ADMISSIONS = "subject_id,hadm_id,admittime,dischtime,admission_type\n"
DIAGNOSES = "hadm_id,seq_num,icd_code,icd_version\n1,1,I10,10\n"


def mimic(folder, rows, columns=ADMISSIONS):
    hosp = folder / "hosp"
    hosp.mkdir()
    (hosp / "admissions.csv").write_text(columns + rows)
    (hosp / "patients.csv").write_text(PATIENTS + "7,F,60,2150,2014 - 2016\n")
    (hosp / "diagnoses_icd.csv").write_text(DIAGNOSES)
    return open_source("mimic", folder)


@pytest.mark.parametrize(
    ("days", "name"),
    [(0, 0), (3, 0), (3.001, 1), (7, 1), (7.5, 2), (14, 2), (14.01, 3), (400, 3)],
)
def test_a_bound_belongs_to_the_bin_below_and_parts_of_a_day_count(days, name):
    assert bin_of(days) == BINS[name]


def test_labels_count_whole_and_part_days_and_steps_count_the_rest(tmp_path):
    rows = (
        "7,1,2150-01-01 10:00:00,2150-01-04 10:00:00,URGENT\n"
        "7,2,2150-02-01 10:00:00,2150-02-04 10:01:00,URGENT\n"
        "7,3,2150-03-01 10:00:00,,URGENT\n"
        "7,4,2150-04-02 10:00:00,2150-04-01 10:00:00,URGENT\n"
    )
    cohort, flow = build_cohort(mimic(tmp_path, rows), task=TASK)
    assert cohort["label"].tolist() == ["up to 3 days", "up to 7 days"]
    assert set(cohort["stratum"]) == {"up to a week"}
    left = flow.set_index("step")["excluded"]
    assert left["stay still open"] == left["discharge before admission"] == 1


def test_a_source_without_times_says_so(tmp_path):
    columns = ADMISSIONS.replace("dischtime,", "")
    raw = mimic(tmp_path, "7,1,2150-01-01 10:00:00,URGENT\n", columns)
    with pytest.raises(UserError, match="without times"):
        build_cohort(raw, task=TASK)
    assert build_cohort(raw)[0]["label"].tolist() == ["I10"]


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("up to 3 days", BINS[0]),
        ("Over 14 days.", BINS[3]),
        ("up to 5 days", None),
        ("3 days", None),
    ],
)
def test_an_answer_is_a_bin_alone(answer, read):
    said = prompts.format_completion("because", answer, tag=SPACE.tag)
    assert Judge(SPACE).codes([said]) == [read]


def test_the_reward_pays_more_for_the_right_side_of_a_week():
    said = [prompts.format_completion("because", b, tag=SPACE.tag) for b in BINS]
    right, near, far, farther = [
        row.total for row in score(said, BINS[0], TASK.reward, SPACE)
    ]
    assert right > near > far == farther


@pytest.mark.skipif(not DEMO.is_dir(), reason="needs ../shared/data/mimic_iv_demo")
def test_every_stay_of_the_demo_has_a_length():
    raw = open_source("mimic", DEMO)
    cohort, _ = build_cohort(raw, task=TASK)
    assert len(raw.admissions) == 275 and raw.stays["days"].ge(0).all()
    assert set(cohort["label"]) == set(BINS)
