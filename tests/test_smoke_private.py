"""The notebooks on private notes: none of their text stands where people look."""

import pandas as pd
import pytest
from smoke_kit import Study

from deepicd.data.admissions import build_admissions
from deepicd.data.sources import open_source
from deepicd.study.runner.graph import EXTRACT

pytestmark = pytest.mark.smoke
CANARY = "quokkacanary"
NOTES = {"notes": 400}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("smoke test"))


@pytest.fixture(scope="module")
def private(study, tmp_path_factory):
    """Notebooks 01 to 06 on a table with a canary word in every note."""
    made = open_source("synthetic", "", tmp_path_factory.mktemp("corpus"), 0, NOTES)
    rows = build_admissions(made)[0].head(250)
    notes = [f"{CANARY} {note} {CANARY}" for note in rows["note"]]
    table = pd.DataFrame(
        {"text": notes, "icd_code": rows["label"], "patient": rows["subject_id"]}
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
