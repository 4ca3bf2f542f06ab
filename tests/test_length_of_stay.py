"""The length of stay as a task: its bins, labels, words and the cohort's flow."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from deepicd.common.errors import UserError
from deepicd.data.cohort import build_cohort
from deepicd.data.sources import open_source
from deepicd.evaluation.metrics import evaluate
from deepicd.evaluation.ordered import confusion
from deepicd.evaluation.ranking import auroc
from deepicd.evaluation.systems import Cases
from deepicd.rewards import get_spec, score
from deepicd.study.ablations import comparison
from deepicd.tasks import get_task, prompts
from deepicd.tasks.correct import Judge
from deepicd.tasks.length_of_stay import BINS, Stays, bin_of
from deepicd.views.in_words import wide_table

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
    assert set(cohort["stratum"]) == {"at most 7 days"}
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


@pytest.mark.parametrize(
    ("reward", "paid"),
    [
        ("ordered", [2 / 3, 1, 2 / 3, 1 / 3]),
        ("ordered_quadratic", [8 / 9, 1, 8 / 9, 5 / 9]),
    ],
)
def test_the_reward_pays_less_for_each_bin_away(reward, paid):
    said = [prompts.format_completion("because", b, tag=SPACE.tag) for b in BINS]
    found = [row.total for row in score(said, BINS[1], reward, SPACE)]
    assert found == pytest.approx(paid)
    nothing = prompts.format_completion("because", "a while", tag=SPACE.tag)
    assert score([nothing], BINS[1], reward, SPACE)[0].total == -0.2
    assert TASK.reward == "ordered"


def test_a_reward_by_order_needs_labels_that_have_one():
    said = "<think>because</think><diagnosis>I10</diagnosis>"
    with pytest.raises(UserError, match="without an order"):
        score([said], "I10", "ordered")
    with pytest.raises(UserError, match="exact code to earn more"):
        get_spec("ordered", weight_none=1.0)


def test_bounds_by_parameter_make_bins_space_and_words(tmp_path):
    task = get_task("length_of_stay-2-5.5")
    space = task.space(None)
    assert space.order == ("up to 2 days", "up to 5.5 days", "over 5.5 days")
    assert space.path("over 5.5 days") == ("more than 5.5 days", "over 5.5 days")
    assert "up to 5.5 days or over 5.5 days" in task.instructions["full"]["reasoning"]
    rows = (
        "7,1,2150-01-01 10:00:00,2150-01-06 10:00:00,URGENT\n"
        "7,2,2150-02-01 10:00:00,2150-02-06 23:00:00,URGENT\n"
    )
    cohort, _ = build_cohort(mimic(tmp_path, rows), task=task)
    assert cohort["label"].tolist() == ["up to 5.5 days", "over 5.5 days"]
    assert get_task("length_of_stay-2-5.5") is task


@pytest.mark.parametrize("name", ["7-3", "0-3", "3-x", "", "3--7"])
def test_bounds_that_do_not_rise_are_refused(name):
    with pytest.raises(UserError, match="length_of_stay-3-7-14"):
        get_task(f"length_of_stay-{name}")


def test_metrics_count_steps_between_bins_and_an_unread_answer_as_the_farthest():
    gold = [BINS[i] for i in (0, 0, 1, 2, 3, 3, 2, 1)]
    said = [BINS[i] for i in (0, 2, 1, 3, 3, 0, 2)] + [None]
    table = evaluate(gold, said, tree=SPACE, n_boot=100).set_index(["level", "metric"])
    steps = [0, 2, 0, 1, 0, 3, 0, 2]
    off = table.loc[("all", "bins_off")]
    assert off["value"] == np.mean(steps) and 0 < off["low"] < off["high"] <= 3
    read = [BINS.index(b) if b else 3 for b in said]
    kappa = cohen_kappa_score([BINS.index(b) for b in gold], read, weights="quadratic")
    assert table.loc[("all", "quadratic_kappa"), "value"] == pytest.approx(kappa)


def test_kappa_agrees_with_scikit_learn_and_is_0_where_nothing_can_be_off():
    rng = np.random.default_rng(0)
    for _ in range(5):
        gold, said = rng.integers(0, 4, (2, 30))
        found = confusion([BINS[i] for i in gold], [BINS[i] for i in said], SPACE, gold)
        kappa = cohen_kappa_score(gold, said, labels=range(4), weights="quadratic")
        assert found.scores(found.totals, "quadratic_kappa")[0] == pytest.approx(kappa)
    found = confusion(BINS[:1], BINS[:1], SPACE, np.zeros(1, int))
    assert found.scores(found.totals, "quadratic_kappa")[0] == 0


def test_auroc_is_that_of_each_bin_against_the_rest_and_resamples_patients():
    rng = np.random.default_rng(1)
    gold = np.array(BINS[:3], dtype=object)[rng.integers(0, 3, 60)]
    shares = rng.random((60, 4)) + 0.5 * (gold[:, None] == np.array(BINS))
    table = auroc(gold, shares, BINS, np.arange(60) // 2, 50).set_index("label")
    assert list(table.index) == [*BINS[:3], "macro"]
    for i, name in enumerate(BINS[:3]):
        area = roc_auc_score(gold == name, shares[:, i])
        assert table.loc[name, "value"] == pytest.approx(area)
        assert table.loc[name, "low"] <= area <= table.loc[name, "high"]
    assert table.loc["macro", "value"] == pytest.approx(table["value"][:3].mean())


@pytest.mark.skipif(not DEMO.is_dir(), reason="needs ../shared/data/mimic_iv_demo")
def test_every_stay_of_the_demo_has_a_length():
    raw = open_source("mimic", DEMO)
    cohort, _ = build_cohort(raw, task=TASK)
    assert len(raw.admissions) == 275 and raw.stays["days"].ge(0).all()
    assert set(cohort["label"]) == set(BINS)


def test_a_grid_of_runs_shows_how_many_steps_its_variants_are_off():
    notes = pd.DataFrame({"note_id": range(4), "subject_id": range(4), "label": BINS})
    said = {"sft": {0: [*BINS[:3], BINS[0]]}}
    cases = Cases(notes, said, {"sft": {0: [True] * 4}})
    table = comparison.scores(
        comparison.Comparison(None, cases, [], [], []), SPACE, 20, 0
    )
    wide = wide_table(table, [*SPACE.shown, "all"], comparison.SHOWN)
    assert wide["steps off"].iloc[0].startswith("0.750")
    assert {"Bin, accuracy", "quadratic kappa"} <= set(wide.columns)
