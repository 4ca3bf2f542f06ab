"""`bench tasks`: cohorts and labels of open data, and the page made of them."""

from pathlib import Path

import pytest
from mimic_kit import mimic

from deepicd.common.errors import UserError
from deepicd.common.files import read_json
from deepicd.study.bench import tasks
from deepicd.study.bench.__main__ import main
from deepicd.study.reference import open_data
from deepicd.tasks import TASKS

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
REFERENCE = ROOT / "outputs" / "reference" / "cpu"
needs_demos = pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data")


def test_cohorts_of_a_folder_are_counted_and_missing_tables_told(tmp_path):
    mimic(tmp_path, {"hospital_expire_flag": ["0", "1", "", "0", "0", "1", "0", "0"]})
    found = {r.name.split(" | ", 1)[1]: r.value for r in tasks.run(str(tmp_path))}
    assert found["mortality | used | all"] == 7
    assert found["mortality | different | outcome"] == 2
    left = [name for name in found if name.startswith("mortality | left out")]
    assert len(left) == 1 and found[left[0]] == 1
    assert found["mortality | outcome | survives"] == 5
    assert found["mortality | outcome | 1 with fewer than 5 each"] == 2
    assert any(n.startswith("drg | not asked | found a data set") for n in found)


def test_without_data_it_says_what_to_give(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(tasks, "BESIDE", tmp_path)
    with pytest.raises(UserError, match="--mimic DIR --eicu DIR"):
        tasks.run()
    assert main(["tasks", "--mimic", str(tmp_path / "none")]) == 2
    assert "nothing at" in capsys.readouterr().err


@needs_demos
def test_the_kept_counts_are_those_of_the_demos():
    kept = {row["name"]: row["value"] for row in read_json(REFERENCE / open_data.FILE)}
    made = tasks.run(str(SHARED / "mimic_iv_demo"))
    assert made and all(kept[result.name] == result.value for result in made)
    names = [name for name in kept if name.startswith(tasks.NAMES["mimic"])]
    assert len(names) == len(made)


@needs_demos
def test_the_unit_is_in_the_notes_of_eicu_unless_it_is_asked_for():
    raw = tasks.open_source("eicu", SHARED / "eicu_demo")
    asked = {r.name.split(" | ")[2]: r.value for r in tasks._naming("eICU", raw, "")}
    assert asked["names its own unit"] == 0
    assert 0 < asked["flagged tells_the_answer"] < 0.5
    cut = tasks._naming("eICU", raw, "", drop_named=True)
    assert {r.name.split(" | ")[2]: r.value for r in cut}[
        "names a unit or a place to go"
    ] < asked["names a unit or a place to go"]


def test_the_page_tells_every_task_and_every_score_with_its_interval():
    _, cohorts, _, scores, leaks = open_data.open_data_tables(REFERENCE)
    for name in TASKS:
        assert f"| MIMIC-IV demo | {name} |" in cohorts
    for row in ("length_of_stay, bin", "routing, unit", "mortality, outcome"):
        line = next(line for line in scores.splitlines() if f"| {row} |" in line)
        assert line.count("[") == 3 and line.count(" to ") == 2
    assert "the task is given, 0.0 % do" in leaks
