"""`--task all`: which tasks run, what they share, and the page that compares them."""

import os
import stat

import numpy as np
import pandas as pd
import pytest
from house import ListDisplay
from mimic_kit import mimic

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_json, write_parquet
from deepicd.data.sources import open_source
from deepicd.evaluation import best_reader, systems
from deepicd.evaluation.skill import skill_table
from deepicd.icd import load_tree
from deepicd.study.reference import tasks as across_tasks
from deepicd.study.reference.tasks import compare
from deepicd.study.runner import open_run
from deepicd.study.runner.__main__ import main
from deepicd.study.runner.all_tasks import lacking, run_all, share, write_comparison
from deepicd.study.runner.graph import EVALUATE, EXTRACT, GRPO
from deepicd.study.runner.plan import Options, default_sources, make_plan
from deepicd.tasks import TASKS, get_task
from deepicd.tasks.length_of_stay import BINS

TREE = load_tree()
UNITS = ["Medicine", "Surgery", "Medical Intensive Care Unit (MICU)"]


# --- skill --------------------------------------------------------------------


def cases(gold, **answers):
    notes = pd.DataFrame({"note_id": range(len(gold)), "label": gold})
    notes["subject_id"] = notes["note_id"]
    return systems.Cases(notes, {name: {0: said} for name, said in answers.items()}, {})


def skill_of(made, oracle=None, level=None):
    table = skill_table(made, TREE, oracle, level, n_boot=200)
    return table.set_index("system")


GOLD = (["I10"] * 2 + ["J18.9", "N17.9"]) * 25
COMMON = ["I10"] * 100


def test_skill_is_the_share_of_the_way_from_the_majority_to_the_best_reader():
    half = [g if i < 52 else "I10" for i, g in enumerate(GOLD)]
    most = [g if i < 80 else "I10" for i, g in enumerate(GOLD)]
    made = cases(GOLD, prior=COMMON, half=half, worse=["N17.9"] * 100, best=most)
    found = skill_of(made)
    assert found.loc["half", "value"] == pytest.approx(26 / 50)
    assert found.loc["worse", "value"] == pytest.approx(-0.5)
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()
    assert found.loc["worse", "high"] < 0 < found.loc["half", "low"]
    oracle = pd.DataFrame({"note_id": range(100)})
    for level in TREE.levels:
        oracle[level] = [TREE.at(code, level) for code in most]
    against = skill_of(made, oracle)
    assert against.loc["half", "value"] == pytest.approx(26 / 40)
    assert against.loc["best", "value"] == against.loc["best", "low"] == 1


def test_where_the_best_reader_knows_no_more_than_the_majority_there_is_no_skill():
    made = cases(GOLD, prior=COMMON, sft=GOLD)
    oracle = pd.DataFrame({"note_id": range(100)})
    for level in TREE.levels:
        oracle[level] = TREE.at("I10", level)
    assert skill_of(made, oracle)["value"].isna().all()


# --- the comparison of runs ---------------------------------------------------


def made_run(root, name, labels, with_oracle=False, own=None):
    """A run folder with what 01, 05 and 06 hand on, as they write it."""
    task = get_task(name)
    gold = np.resize(labels, 120)
    notes = pd.DataFrame({"note_id": [f"n{i}" for i in range(120)], "label": gold})
    notes = notes.assign(subject_id=notes["note_id"], split="test")
    first = open_run(root, EXTRACT)
    write_parquet(notes, first.dir / "admissions.parquet")
    write_json({"task": name, "private": False}, first.dir / "source.json")
    if own:
        write_json(own, first.dir / "catalogue.json")
    run, tree = open_run(root, EVALUATE), first.tree()
    rng = np.random.default_rng(0)
    right = {"prior": 0, "tfidf_lr": 0.5, "encoder": 0.6, "sft": 0.2, "sft_grpo": 0.4}
    said = {
        name: np.where(rng.random(120) < share, gold, labels[0])
        for name, share in right.items()
    }
    answers = pd.concat(
        notes[["note_id", "split"]].assign(
            system=name, seed=0, sample=0, code=codes, well_formed=True
        )
        for name, codes in said.items()
    )
    write_parquet(answers, run.dir / "predictions.parquet")
    made = systems.gather(answers, notes)
    scores = systems.metrics_table(made, tree, n_boot=100)
    if with_oracle:
        best = notes[["note_id"]].assign(
            **{level: [tree.at(g, level) for g in gold] for level in tree.levels}
        )
        write_parquet(best, first.dir / "oracle.parquet")
        ceiling = best_reader.oracle_metrics(made, best, tree, 100)
        scores = pd.concat([scores, ceiling], ignore_index=True)
    write_parquet(scores, run.dir / "metrics.parquet")
    write_json({"system": "sft_grpo"}, open_run(root, GRPO).dir / "arguments.json")
    assert task is run.task
    return root


@pytest.fixture(scope="module")
def plans(tmp_path_factory):
    """Plans of three tasks whose folders hold evaluated runs."""
    outputs = tmp_path_factory.mktemp("runs")
    wanted = {
        "principal_diagnosis": (["I10", "I10", "J18.9"], True, None),
        "routing": ([UNITS[0], *UNITS], False, {unit: unit for unit in UNITS}),
        "length_of_stay": ([*BINS], False, None),
    }
    found = {}
    for name, (labels, oracle, own) in wanted.items():
        options = Options("smoke", sets={"task": name}, outputs=outputs)
        found[name] = make_plan(options, default_sources())
        made_run(found[name].run_dir, name, labels, oracle, own)
    return found


def test_runs_are_compared_at_the_levels_of_their_tasks(plans):
    frame = compare([plan.run_dir for plan in plans.values()], n_boot=100)
    levels = frame.groupby("task")["level"].unique().map(list).to_dict()
    assert levels["routing"] == ["care", "unit"]
    assert levels["principal_diagnosis"] == ["chapter", "category", "full"]
    ends = frame.loc[frame["metric"] == "skill", "depth"]
    assert set(ends) == {"coarsest", "finest"}
    shown = {"prior", "tfidf_lr", "encoder", "sft_grpo"}
    assert set(frame.loc[frame["task"] == "routing", "system"]) == shown
    assert "oracle" in set(frame.loc[frame["task"] == "principal_diagnosis", "system"])
    unit = frame[(frame["task"] == "routing") & (frame["level"] == "unit")]
    score = unit[unit["metric"] == "accuracy"].set_index("system")["value"]
    skill = unit[unit["metric"] == "skill"].set_index("system")["value"]
    floor = score["prior"]
    assert skill["encoder"] == pytest.approx((score["encoder"] - floor) / (1 - floor))
    assert unit["labels"].unique().tolist() == [3]
    best = frame[(frame["metric"] == "skill") & (frame["depth"] == "finest")]
    order = best.groupby("task", sort=False)["value"].max().tolist()
    assert order == sorted(order, reverse=True)


def test_what_is_kept_of_the_tasks_stands_on_the_page_of_the_reference(plans, tmp_path):
    assert across_tasks.task_tables(tmp_path) == []
    runs = [str(plan.run_dir) for plan in plans.values()]
    across_tasks.keep(runs, tmp_path)
    _, _, accuracy, _, macro_f1 = across_tasks.task_tables(tmp_path)
    levels = sum(len(plan.task.shown) for plan in plans.values())
    for table in (accuracy, macro_f1):
        head, _, *rows = table.splitlines()
        assert head.startswith("| task | level | different labels | test notes | Most")
        assert "skill" not in head and len(rows) == levels
        assert {row.count("|") for row in rows} == {head.count("|")}
    assert "skill" in set(pd.read_csv(tmp_path / across_tasks.FILE)["metric"])


def test_the_page_has_one_table_one_figure_and_links_to_the_runs(plans):
    page = write_comparison(plans, {"drg": "found a data set without drgcodes"})
    assert page.parent.name == "smoke-synthetic-all-seed0"
    text = page.read_text(encoding="utf-8")
    assert text.count('class="dataframe results"') == text.count("<figure>") == 1
    assert "Encoder, skill" in text and "Oracle, accuracy" in text
    for plan in plans.values():
        assert f"../{plan.run_dir.name}/index.html" in text
    assert "found a data set without drgcodes" in text
    figures = {file.name for file in (page.parent / "figures").iterdir()}
    assert figures == {"tasks.csv", "tasks.pdf", "tasks.png"}
    drawn = pd.read_csv(page.parent / "figures" / "tasks.csv")
    assert set(drawn["task"]) == set(plans)


def test_nothing_is_compared_before_a_run_is_evaluated(tmp_path):
    options = Options("smoke", outputs=tmp_path)
    assert write_comparison({"any": make_plan(options, default_sources())}, {}) is None
    assert not list(tmp_path.iterdir())


# --- which tasks run ----------------------------------------------------------


def test_tasks_that_the_data_lack_are_left_out_with_the_reason(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    flags = {"hospital_expire_flag": ["0", "1"] * 4}
    mimic(folder, flags)
    options = Options("smoke", "mimic", str(folder), outputs=tmp_path / "out")
    display, ran = ListDisplay(), []

    def work(plan, display):
        ran.append(plan.run_dir.name)
        return 0

    done, rest = run_all(options, default_sources(), display, work)
    assert list(done) == ["principal_diagnosis", "mortality"]
    assert ran == ["smoke-mimic-seed0", "smoke-mimic-mortality-seed0"]
    assert set(done) | set(rest) == set(TASKS)
    said = "\n".join(display.lines)
    assert "task drg left out: found a data set without the table drgcodes" in said
    assert "task length_of_stay left out: found a data set without times" in said
    assert "task 2 of 2: mortality" in said


def test_a_task_that_fails_is_told_and_the_others_still_run(tmp_path, capsys):
    def work(plan, display):
        if plan.task.name == "drg":
            raise UserError("one label only", "two", "take more data")
        return int(plan.task.name == "routing")

    options = Options("smoke", outputs=tmp_path)
    done, rest = run_all(options, default_sources(), ListDisplay(), work)
    assert set(TASKS) - set(done) == {"drg", "routing"} and not rest
    assert "error: task drg: found one label only" in capsys.readouterr().err


def test_a_dry_run_of_all_tasks_says_what_would_run_and_writes_nothing(
    tmp_path, capsys
):
    words = ["run", "--task", "all", "--profile", "smoke", "--dry-run", "--only", "01"]
    assert main([*words, "--outputs", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("01 would run: it has not run yet") == len(TASKS)
    assert not list(tmp_path.iterdir())


# --- what runs share ----------------------------------------------------------


def test_runs_share_the_synthetic_corpus_and_another_seed_makes_its_own(tmp_path):
    found = []
    for name in ("drg", "mortality"):
        sets = {"task": name, "notes": "40"}
        options = Options("smoke", sets=sets, outputs=tmp_path)
        found.append(make_plan(options, default_sources()))
    share(found)
    folders = [plan.run_dir / EXTRACT for plan in found]
    notes = [f / "synthetic" / "note" / "discharge.csv.gz" for f in folders]
    kept = notes[0].stat().st_ino
    assert kept == notes[1].stat().st_ino

    def opened(seed):
        options = {"notes": 40, "length": "brief", "task": "mortality"}
        return open_source("synthetic", "", folders[1], seed, options)

    assert len(opened(0).admissions) and notes[1].stat().st_ino == kept
    assert len(opened(1).admissions) and notes[1].stat().st_ino != kept
    first = read_json(folders[0] / "synthetic" / "corpus.json")
    assert first["seed"] == 0 and notes[0].stat().st_ino == kept


@pytest.fixture
def own_umask():
    """A run folder of private data sets it for the whole process."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def test_the_comparison_of_private_runs_is_for_the_owner_only(tmp_path, own_umask):
    folder = tmp_path / "data"
    folder.mkdir()
    mimic(folder)
    outputs = tmp_path / "outputs"
    options = Options("smoke", "mimic", str(folder), outputs=outputs)
    plan = make_plan(options, default_sources())
    assert list(lacking(plan)) == [name for name in TASKS if name != plan.task.name]
    made_run(plan.run_dir, plan.task.name, ["I10", "I10", "J18.9"])
    page = write_comparison({plan.task.name: plan}, {})
    assert page.parent.parent.name == "private"
    assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
    assert not stat.S_IMODE(page.stat().st_mode) & 0o077
    assert "must not be shared" in page.read_text(encoding="utf-8")
