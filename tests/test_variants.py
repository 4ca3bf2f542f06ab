"""Runs with another setting are paired with the default's, seed by seed."""

import pandas as pd
import pytest
from test_check import make_run

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_json, write_parquet
from deepicd.study.reference import variants
from deepicd.study.reference.__main__ import main


def changed(run, **facts):
    write_json(read_json(run / "manifest.json") | facts, run / "manifest.json")
    return run


@pytest.fixture
def runs(tmp_path):
    """The default's runs of three seeds, and those whose SFT is five points better."""
    default = [make_run(tmp_path / f"d{seed}", seed) for seed in range(3)]
    better = [make_run(tmp_path / f"b{seed}", seed, shift=0.05) for seed in range(3)]
    return default, [changed(run, set={"candidates": 5}, threads=1) for run in better]


def test_each_run_stands_beside_that_of_its_seed(runs, tmp_path):
    default, better = runs
    found = variants.paired(better[::-1], default)
    assert set(found["variant"]) == {"candidates=5"} and set(found["threads"]) == {1}
    change = found["value"] - found["against"]
    assert change[found["system"] == "sft"].round(9).isin([0.05, 0.0]).all()
    assert (change[found["system"] == "sft_grpo"] == 0).all()
    assert set(found["system"]) == {"sft", "sft_grpo"}  # nothing that was not trained


def test_the_page_tells_means_and_paired_differences(runs, tmp_path, capsys):
    default, better = runs
    assert variants.variant_tables(tmp_path) == []
    names = [*map(str, better), "--against", *map(str, default), "--to", str(tmp_path)]
    for _ in range(2):  # kept once, however often it is called
        assert main(["variants", *names]) == 0
    one = changed(make_run(tmp_path / "one", 0), set={"style": "code_only"})
    names = [str(one), "--against", *map(str, default), "--to", str(tmp_path)]
    assert main(["variants", *names]) == 0
    _, first, second = variants.variant_tables(tmp_path)
    assert "SFT + GRPO" not in first  # it is the default's own model
    assert "candidates=5` (3 seeds)" in first and "+5.0 (+5.0 to +5.0)" in first
    assert "style=code_only` (1 seed)" in second and "(0.0 to" not in second
    assert len(pd.read_csv(tmp_path / variants.FILE).dropna(subset="level")) == 16


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"profile": "gpu"}, "has profile gpu"),
        ({"set": {}}, "differs from its counterpart in nothing"),
        ({"seed": 9}, "of seed 9"),
        ({"set": {"style": "code_only"}}, "differ in their seed alone"),
    ],
)
def test_runs_that_are_no_counterparts_are_refused(runs, facts, text):
    default, better = runs
    changed(better[0], **facts)
    with pytest.raises(UserError, match=text):
        variants.paired(better, default)


def test_no_folder_of_a_machine_comes_into_the_name(runs):
    default, better = runs
    weights = '{"weight_process": 0.5, "verifier": "/home/me/runs/a/process/model"}'
    changed(better[0], set={"reward_weights": weights})
    [name] = variants.paired(better[:1], default)["variant"].unique()
    assert name == ('reward_weights={"weight_process": 0.5, "verifier": "model"}')


def test_private_runs_are_refused(runs, capsys, tmp_path):
    default, better = runs
    write_json({"private": True}, better[0] / "run.json")
    names = [*map(str, better), "--against", *map(str, default), "--to", str(tmp_path)]
    assert main(["variants", *names]) == 2 and "private run" in capsys.readouterr().err


def test_of_a_run_that_ends_with_sft_the_answers_are_scored(runs, tmp_path):
    default, _ = runs
    run = tmp_path / "short"
    facts = read_json(default[0] / "manifest.json")
    write_json(facts | {"set": {"candidates": 5}}, run / "manifest.json")
    write_json({"data": "synthetic"}, run / "run.json")
    notes = pd.DataFrame({"note_id": list("ab"), "subject_id": [1, 2], "note": "..."})
    notes = notes.assign(split="test", label=["I21.19", "I10"])
    write_parquet(notes, run / "01_extract_admission_notes" / "admissions.parquet")
    said = notes[["note_id", "split"]].assign(system="sft", seed=0, sample=0)
    said = said.assign(code=["I21.11", "I10"], well_formed=True, completion="")
    file = run / "04_train_sft" / "predictions.parquet"
    with pytest.raises(UserError, match="no answers"):
        variants.paired([run], default)
    write_parquet(said, file)
    found = variants.paired([run], default).set_index(["level", "metric"])["value"]
    assert found["category", "accuracy"] == 1.0 and found["full", "accuracy"] == 0.5
