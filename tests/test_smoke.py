"""All notebooks, smallest sizes: one public run, a changed weight, a private run."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from deepicd.files import read_json
from deepicd.stages.graph import EVALUATE, EXTRACT, GRPO, SFT, STAGES, missing_outputs

pytestmark = pytest.mark.smoke
LIB = str(Path(__file__).parents[1] / "lib")
CANARY = "quokkacanary"
COLUMNS = ["system", "seed", "level", "stratum", "metric", "value", "low", "high", "n"]


class Study:
    """Calls the runner on the real notebooks, with its outputs in a test folder."""

    def __init__(self, root: Path):
        self.root = root
        self.outputs = root / "outputs"
        self.home = root / "home"
        self.home.mkdir()

    def call(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "deepicd.stages", "run", "--profile", "smoke"]
        places = {"PYTHONPATH": LIB, "HOME": str(self.home), "TMPDIR": str(self.home)}
        return subprocess.run(
            [*command, "--outputs", str(self.outputs), *arguments],
            cwd=self.root,
            env=os.environ | places | {"CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            timeout=1200,
        )

    def run(self, *arguments: str) -> str:
        done = self.call(*arguments)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    @property
    def run_dir(self) -> Path:
        return self.outputs / "smoke-synthetic-seed0"

    def status(self, run_dir: Path | None = None) -> dict[str, str]:
        stages = read_json((run_dir or self.run_dir) / "manifest.json")["stages"]
        return {name[:2]: state["status"] for name, state in stages.items()}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    made = Study(tmp_path_factory.mktemp("smoke test"))
    made.text = made.run()
    return made


def test_every_notebook_ends_and_writes_what_it_declares(study):
    assert set(study.status().values()) == {"ran"} and len(study.status()) == 8
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


def test_second_call_executes_nothing_within_ten_seconds(study):
    begin = time.monotonic()
    text = study.run()
    seconds = time.monotonic() - begin
    assert set(study.status().values()) == {"skipped"}
    assert "0 notebooks executed, 8 skipped" in text
    assert seconds < 10 * (1 + os.getloadavg()[0] / (os.cpu_count() or 1))


def test_changed_reward_weight_runs_training_and_what_reads_it(study):
    before = (study.run_dir / SFT / ".stamp.json").read_bytes()
    text = study.run("--set", 'reward_weights={"weight_category": 0.3}')
    ran = {number for number, status in study.status().items() if status == "ran"}
    assert {"05"} <= ran <= {"05", "06", "07"}
    assert "05 runs: parameter reward_weights changed" in text
    assert (study.run_dir / SFT / ".stamp.json").read_bytes() == before
    arguments = read_json(study.run_dir / GRPO / "manifest.json")["parameters"]
    assert arguments["reward_weights"] == {"weight_category": 0.3}


@pytest.fixture(scope="module")
def private(study):
    """The same study on a table with a canary word in every note."""
    rows = pd.read_parquet(study.run_dir / EXTRACT / "admissions.parquet").head(250)
    notes = [f"{CANARY} {note} {CANARY}" for note in rows["note"]]
    table = pd.DataFrame(
        {"text": notes, "icd_code": rows["icd_code"], "patient": rows["subject_id"]}
    )
    study.table = study.root / "table.csv"
    table.to_csv(study.table, index=False)
    only = [word for n in range(1, 7) for word in ("--only", f"{n:02}")]
    data = ["--data", "table", "--data-dir", str(study.table)]
    smaller = {"sft_steps": 4, "grpo_steps": 2, "n_boot": 50, "n_traces": 60}
    smaller["patient_column"] = "patient"
    sets = [word for k, v in smaller.items() for word in ("--set", f"{k}={v}")]
    return study.call(*data, *only, *sets)


def test_private_run_ends_well(private):
    assert private.returncode == 0, private.stderr[-2000:]


def test_canary_is_nowhere_outside_the_private_folder(study, private):
    run_dir = study.outputs / "private" / "smoke-table-seed0"
    assert CANARY not in private.stdout + private.stderr
    assert (run_dir / EXTRACT / "admissions.parquet").exists()
    outside = [
        file
        for file in study.root.rglob("*")
        if file.is_file() and file != study.table and run_dir not in file.parents
    ]
    assert outside and _with_canary(outside) == []


def test_canary_is_in_nothing_that_people_look_at(study, private):
    run_dir = study.outputs / "private" / "smoke-table-seed0"
    shown = [
        file
        for pattern in ("*.ipynb", "*.html", "*.log", "figures/*", "manifest.json")
        for file in run_dir.rglob(pattern)
    ]
    assert len(shown) > 20 and _with_canary(shown) == []
    others = [f for f in run_dir.rglob("*") if f.lstat().st_mode & 0o077]
    assert others == []


def _with_canary(files) -> list[str]:
    word = CANARY.encode()
    return [str(file) for file in files if word in file.read_bytes().lower()]
