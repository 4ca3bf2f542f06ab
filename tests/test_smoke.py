"""All notebooks, smallest sizes: a run, the same again, one with a changed weight."""

import pandas as pd
import pytest
from smoke_kit import Study

from deepicd.common.files import read_json
from deepicd.study.runner.graph import (
    EVALUATE,
    EXTRACT,
    GRPO,
    SFT,
    STAGES,
    missing_outputs,
)

pytestmark = pytest.mark.smoke
COLUMNS = ["system", "seed", "level", "stratum", "metric", "value", "low", "high", "n"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    made = Study(tmp_path_factory.mktemp("smoke test"))
    made.text = made.run()
    return made


def test_every_notebook_ends_and_writes_what_it_declares(study):
    assert set(study.status().values()) == {"ran"} and len(study.status()) == 9
    for stage in STAGES:
        folder = study.run_dir / stage.name
        assert missing_outputs(stage, folder) == []
        manifest = read_json(folder / "manifest.json")
        assert manifest["seeds"]["seed"] == 0 and manifest["hashes_out"]
        pictures = list((folder / "figures").glob("*.png"))
        for picture in pictures:
            assert picture.with_suffix(".pdf").exists(), picture
            assert picture.with_suffix(".csv").exists(), picture
        assert pictures, stage.name
    assert study.text.splitlines()[-1].endswith("index.html")
    assert "figures" in study.text.splitlines()[-2]


def test_metrics_cover_every_system_and_level_with_intervals(study):
    metrics = pd.read_parquet(study.run_dir / EVALUATE / "metrics.parquet")
    assert set(COLUMNS) <= set(metrics.columns)
    made = {"base", "sft", "sft_rft", "sft_rft_grpo", "tfidf_lr"}
    assert made <= set(metrics["system"])
    main = metrics[metrics["metric"].isin(["accuracy", "macro_f1"])]
    assert {"chapter", "category", "full"} <= set(main["level"])
    assert (main["low"] <= main["high"]).all()
    assert main["value"].between(0, 1).all()


def test_every_system_says_how_many_labelled_notes_it_has_learned_from(study):
    metrics = pd.read_parquet(study.run_dir / EVALUATE / "metrics.parquet")
    known = metrics.groupby("system")["labelled_notes"].agg(["min", "max"])
    assert known["min"].equals(known["max"])
    found = known["min"].dropna().to_dict()
    notes = pd.read_parquet(study.run_dir / EXTRACT / "admissions.parquet")
    train = notes[notes["split"] == "train"]
    learned = pd.read_parquet(study.run_dir / SFT / "learned.parquet")["note_id"]
    assert learned.is_unique and learned.isin(train["note_id"]).all()
    assert found["sft"] == found["tfidf_lr_traced"] == len(learned)
    rollouts = pd.read_parquet(study.run_dir / GRPO / "rollouts.parquet")["note_id"]
    assert len({*learned, *rollouts}) <= found["sft_rft_grpo"] <= len(train)
    assert found["prior"] == found["encoder"] == found["tfidf_lr"] == len(train)
    assert found["base"] == 0 and len(learned) < len(train)
    assert set(metrics["system"]) - set(found) == {"oracle"}


def test_report_shows_every_figure_and_only_what_is_there(study):
    page = (study.run_dir / "index.html").read_text()
    for picture in study.run_dir.glob("0*/figures/*.png"):
        assert picture.relative_to(study.run_dir).as_posix() in page
    for word in ("macro F1", "Research only", "before and after", "SFT + RFT + GRPO"):
        assert word in page
    links = [part.split('"')[0] for part in page.split('href="')[1:]]
    assert links and all((study.run_dir / link).exists() for link in links)


def test_executed_notebooks_are_free_of_errors_and_bars(study):
    for stage in STAGES:
        book = read_json(study.run_dir / "notebooks" / f"{stage.name}.ipynb")
        outputs = [out for cell in book["cells"] for out in cell.get("outputs", [])]
        assert all(out["output_type"] != "error" for out in outputs)
        text = "".join("".join(out.get("text", "")) for out in outputs)
        assert "it/s]" not in text and "%|" not in text, stage.name


def test_second_call_executes_nothing(study):
    text = study.run()
    assert set(study.status().values()) == {"skipped"}
    assert "0 notebooks executed, 9 skipped" in text


def test_changed_reward_weight_runs_training_and_what_reads_it(study):
    before = (study.run_dir / SFT / ".stamp.json").read_bytes()
    text = study.run("--set", 'reward_weights={"weight_category": 0.3}')
    ran = {number for number, status in study.status().items() if status == "ran"}
    assert {"05"} <= ran <= {"05", "06", "07", "08"}
    assert "05 runs: parameter reward_weights changed" in text
    assert (study.run_dir / SFT / ".stamp.json").read_bytes() == before
    arguments = read_json(study.run_dir / GRPO / "manifest.json")["parameters"]
    assert arguments["reward_weights"] == {"weight_category": 0.3}
