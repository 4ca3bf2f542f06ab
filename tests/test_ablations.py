"""Grids: what is run, what is reused, what a kill costs, what the answers say."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import training_kit as kit

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_json, write_parquet
from deepicd.data import history
from deepicd.icd import load_tree
from deepicd.study import ablations
from deepicd.study.ablations import comparison, inputs, jobs, one_run, verdicts, workers
from deepicd.study.ablations.kept_runs import Kept
from deepicd.study.ablations.points import resolve
from deepicd.traces import build_traces
from deepicd.traces.teachers import RuleTeacher
from deepicd.views import figures

LIB = str(Path(__file__).parents[1] / "lib")
#: The smallest run that still trains, samples and answers.
TINY = {
    "start": "scratch",
    "sft.steps": 2,
    "sft.batch_size": 4,
    "sft.max_length": 200,
    "grpo.steps": 2,
    "completions": 0,
    "grpo.prompts": 2,
    "grpo.group_size": 2,
    "grpo.max_completion": 4,
    "grpo.validate_notes": 2,
    "grpo.guard_patience": 0,
    "grpo.max_prompt": 196,
}


def make_run_dir(root: Path) -> Path:
    """A run folder as notebooks 01, 03 and 04 leave it."""
    table = kit.admissions()
    tokenizer = kit.tokenizer_of(table)
    write_parquet(table, root / "01_extract_admission_notes" / "admissions.parquet")
    write_json({"private": False}, root / "01_extract_admission_notes" / "source.json")
    teacher = RuleTeacher(load_tree()).fit(table)
    traces = build_traces(table, load_tree(), teacher)
    write_parquet(traces, root / "03_distill_traces" / "traces.parquet")
    taught = root / "04_train_sft"
    from deepicd.training import models
    from deepicd.training.models import generate

    net = kit.network(tokenizer)
    models.save(net, tokenizer, taught / "model")
    test = table[table["split"] == "test"]
    found = generate.predict(
        net, test, tokenizer=tokenizer, system="sft", max_new_tokens=2
    )
    write_parquet(found, taught / "predictions.parquet")
    said = {
        "style": "reasoning",
        "instruction": "brief",
        "max_length": 200,
        "max_new_tokens": 4,
        "sft_ranks": 10,
    }
    write_json(said, taught / "arguments.json")
    return root


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return ablations.Study(make_run_dir(tmp_path_factory.mktemp("run")))


def points(**axes):
    return [TINY | one for one in ablations.grid(**axes)]


@pytest.fixture
def counted(monkeypatch):
    """Jobs that were really trained."""
    done, whole = [], workers.execute

    def count(job, *rest):
        done.append(
            (
                job.kind,
                job.point.seed,
                job.point.reward.name,
                job.point.reward.credit["category"],
            )
        )
        whole(job, *rest)

    monkeypatch.setattr(workers, "execute", count)
    return done


def test_points_share_their_sft_run_and_other_grids_reuse_finished_runs(study, counted):
    first = points(reward=["tree", "flat"], seed=[0])
    plan = study.plan(first)
    assert plan["kind"].tolist() == ["sft", "grpo", "grpo"]
    assert (plan["state"] == "new").all() and (plan["minutes"] > 0).all()
    assert study.run(first) == 3
    assert [kind for kind, *_ in counted] == ["sft", "grpo", "grpo"]
    assert study.run(first) == 0 and (study.plan(first)["state"] == "finished").all()
    assert study.plan(first)["minutes"].sum() == 0

    other = points(reward=["flat", "chapter"], seed=[0])
    assert study.plan(other)["state"].tolist() == ["finished", "finished", "new"]
    assert study.run(other) == 1 and counted[-1][2] == "chapter"


def test_one_more_reward_weight_runs_only_its_own_points(study, counted):
    grid = points(reward=["tree"], seed=[0])
    study.run(grid)
    counted.clear()
    more = grid + [one | {"reward.weight_category": 0.3} for one in grid]
    assert study.run(more) == 1
    assert counted == [("grpo", 0, "tree", 0.3)]


def test_a_run_from_the_model_of_notebook_04_has_no_sft_of_its_own(study):
    given = TINY | {"start": "study", "grpo.steps": 1}
    first, second = study.jobs(given)
    assert first is None and second.model == study.material.model
    other = study.jobs(given | {"sft.steps": 50})[1]
    assert other.key == second.key  # nothing of SFT matters


def test_the_key_holds_what_a_run_depends_on_and_nothing_else(study):
    key = study.jobs(TINY)[1].key
    for change in (
        {"seed": 1},
        {"reward": "flat"},
        {"grpo.beta": 0.1},
        {"reward.weight_full": 0.9},
        {"sft.steps": 3},
        {"traces": 0.5},
        {"test_notes": 2},
        {"threads": 2},
        {"style": "code_only"},
    ):
        assert study.jobs(TINY | change)[1].key != key, change
    assert study.jobs(TINY | {"filtered": True})[1].key == key  # no faults to filter
    assert study.jobs(TINY | {"reward": "flat"})[0].key == study.jobs(TINY)[0].key
    changed = study.material.hashes | {"admissions": "other"}
    other = inputs.Material(**vars(study.material) | {"hashes": changed})
    point = resolve(TINY, other.taught)
    assert jobs.jobs_of(point, other)[1].key != key


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rewrad": "tree"}, "'rewrad'; expected 'reward'"),
        ({"grpo.group_sise": 4}, "expected 'grpo.group_size'"),
        ({"reward.weight_categroy": 0.3}, "expected 'reward.weight_category'"),
        ({"grpo.loss_type": "dappo"}, "dappo.*dapo"),
        ({"grpo.steps": "many"}, "many"),
        ({"traces": 200.0}, "a share"),
        ({"reward": "treee"}, "tree"),
        ({"start": "zero"}, "study or scratch"),
        ({"sft.seed": 3}, "sft.seed"),
        ({"reward.style": "code_only"}, "'style' in reward."),
        ({"completions": 8}, "set completions to 0"),
    ],
)
def test_a_wrong_name_or_value_is_told_before_anything_runs(
    study, counted, given, message
):
    with pytest.raises(UserError, match=message):
        study.run([TINY, TINY | given])
    assert counted == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ablations.load_sections("quik"), "quick"),
        (lambda: ablations.load_sections(chosen=["rewrad"]), r"reward \(a\)"),
        (lambda: ablations.load_sections(own={"grpo_group": [4]}), "grpo.group_size"),
        (lambda: ablations.load_sections(own={"reward": "tree"}), "write a list"),
        (
            lambda: ablations.load_sections(
                chosen=["style"], changes=ablations.Changes(options={"start": "study"})
            ),
            "scratch",
        ),
        (lambda: workers.check_workers(workers.cores() + 1), "cores here"),
    ],
)
def test_a_wrong_choice_is_told(call, message):
    with pytest.raises(UserError, match=message):
        call()


def test_every_section_of_full_has_five_seeds_and_resolves(study):
    sections = ablations.load_sections("full")
    assert [one.letter for one in sections.values()] == list("abcdefg")
    for section in sections.values():
        assert len(section.seeds) == 5 and section.against in section.variants
        for _, given in section.points():
            resolve(given, study.material.taught)
    assert ("tree", "tree_codes_alone") in sections["reward"].pairs
    quick = ablations.load_sections("quick")
    assert quick["reward"].pairs == ()  # its variants are not all there
    assert len(quick["reward"].points()) == 2
    assert not quick["style"].runs and len(quick["style"].points()) == 15


def test_changes_of_the_notebook_reach_the_sections():
    changes = ablations.Changes([7], 5, ["tree", "sapphire"], {"test_notes": 9})
    found = ablations.load_sections("quick", ["a"], changes)
    assert [n for n, s in found.items() if s.runs] == ["reward"]
    assert found["reward"].points()[1] == (
        "sapphire",
        found["reward"].variants["tree"] | {"reward": "sapphire", "seed": 7},
    )
    assert found["reward"].variants["tree"]["grpo.steps"] == 5
    assert found["reward"].variants["tree"]["test_notes"] == 9
    faults = found["traces"].variants["half faulty"]
    assert faults["grpo.steps"] == 0  # SFT alone stays SFT alone


GRID = """
import sys
from deepicd.study import ablations
study = ablations.Study(sys.argv[1], report=lambda done, total, text: print(text))
given = eval(sys.argv[2])
study.run([given | {"seed": seed} for seed in (0, 1)])
"""


def test_a_killed_grid_loses_at_most_the_run_in_progress(tmp_path):
    root = make_run_dir(tmp_path / "run")
    given = TINY | {"grpo.steps": 300, "grpo.save_every": 2, "start": "study"}
    short = ablations.Study(root)
    begun = TINY | {"start": "study", "seed": 5}
    short.run([begun])
    child = subprocess.Popen(
        [sys.executable, "-c", GRID, str(root), repr(given)],
        env=os.environ | {"PYTHONPATH": LIB},
        stdout=subprocess.DEVNULL,
    )
    job = short.jobs(given | {"seed": 0})[1]
    limit = time.monotonic() + 100
    marks = job.folder / "checkpoints"
    while not list(marks.glob("checkpoint-*/COMPLETE")):
        assert child.poll() is None and time.monotonic() < limit
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    states = short.plan([begun, *(given | {"seed": s} for s in (0, 1))])["state"]
    assert states.tolist() == ["finished", "interrupted", "new"]
    saved = int(sorted(marks.glob("checkpoint-*"))[-1].name.rpartition("-")[2])

    steps = []
    with pytest.raises(kit.Interruption):
        one_run.execute(
            job,
            short.material,
            lambda step, *rest: (steps.append(step), kit.stop_at(0)(1, 1, "")),
        )
    assert job.started and not job.finished
    assert steps[0] >= saved >= 2  # it went on from the checkpoint


def test_several_workers_give_the_same_runs_with_the_threads_of_the_grid(tmp_path):
    root = make_run_dir(tmp_path / "run")
    grid = points(seed=[0], start=["study", "scratch"], reward=["tree"])
    many = [job.key for job in ablations.Study(root).all_jobs(grid)]
    if workers.cores() < 2:
        pytest.skip("one core")
    two = ablations.Study(root, workers=2)
    assert two.run(grid) == 3 and set(two.table()["key"]) == set(many)
    assert (two.table()["threads"] == 1).all()


def test_the_table_of_runs_holds_settings_and_scores(study):
    study.run(points(reward=["tree"], seed=[0]))
    file = study.save_table()
    table = pd.read_parquet(file)
    wanted = {
        "key",
        "kind",
        "seed",
        "seconds",
        "needs",
        "reward",
        "grpo.steps",
        "n_traces",
        *(
            f"{m}_{level}"
            for m in ("accuracy", "macro_f1")
            for level in ("chapter", "category", "full")
        ),
    }
    assert wanted <= set(table.columns)
    grpo = table[(table["kind"] == "grpo") & (table["reward"] == "tree")]
    assert len(grpo) and set(grpo["grpo.steps"]) == {2}
    sft = table[table["kind"] == "sft"]
    assert sft["reward"].isna().all()  # an SFT run knows no reward


def all_done(study, given):
    return [job for job in study.all_jobs(given) if job.finished]


def test_runs_that_a_reference_keeps_are_taken_from_it(study, tmp_path, counted):
    grid, folder = points(reward=["tree", "flat"], seed=[0]), tmp_path / "kept"
    study.run(grid)
    Kept(folder).add(all_done(study, grid[:1]))
    listed = (folder / "runs.jsonl").read_text()
    Kept(folder).add(all_done(study, grid))  # what was kept before stays, once
    (folder / "runs.jsonl").write_text(listed)  # a kill before the list was written
    Kept(folder).add(all_done(study, grid))
    assert len(pd.read_parquet(folder / "answers.parquet")) == 3 * len(
        study.material.test()
    )
    elsewhere = tmp_path / "run"
    shutil.copytree(study.run_dir, elsewhere, ignore=shutil.ignore_patterns("07*"))
    assert (ablations.Study(elsewhere, kept=None).plan(grid)["state"] == "new").all()
    other = ablations.Study(elsewhere, kept=folder)
    plan = other.plan(grid)
    assert (plan["state"] == "kept").all() and plan["minutes"].sum() == 0
    assert verdicts.tell_plan(plan, 1) == (
        "3 runs: 0 new, 3 taken from the reference kept in outputs/reference; "
        "nothing to do."
    )
    assert verdicts.tell_plan(plan.assign(state="new", minutes=0.7, basis="x"), 2) == (
        "3 runs: 3 new; about 1 minute, 2 side by side (x)."
    )
    counted.clear()
    assert other.run(grid) == 0 and counted == []
    table = study.table().set_index("key")[list(other.table().columns[1:])]
    pd.testing.assert_frame_equal(
        other.table().set_index("key"), table.loc[other.table()["key"]]
    )
    for one, there in zip(study.all_jobs(grid), other.all_jobs(grid), strict=True):
        mine, theirs = study.predictions(one), other.predictions(there)
        assert mine[["note_id", "code"]].equals(theirs[["note_id", "code"]])

    # A new run starts from the kept SFT run: that one is trained again, with its model.
    more = grid + points(reward=["chapter"], seed=[0])
    assert other.plan(more)["state"].tolist() == ["new", "finished", "finished", "new"]
    assert other.run(more) == 2 and [kind for kind, *_ in counted] == ["sft", "grpo"]
    again = other.jobs(grid[0])[0]
    assert again.has_model and "from" not in again.done()
    assert again.done()["scores"] == study.jobs(grid[0])[0].done()["scores"]


def section_of(study, **own):
    changes = ablations.Changes([0, 1], 0, (), TINY | {"start": "study"})
    return ablations.load_sections(own=own, changes=changes)["own"]


def test_the_short_answer_names_what_is_clear_of_zero():
    section = ablations.load_sections("full")["reward"]
    rows = [
        ("tree", "flat", "chapter", 0.03, True),
        ("prefix", "flat", "chapter", -0.03, True),
        ("prefix", "tree", "chapter", -0.05, True),
        ("tree", "flat", "full", 0.01, False),
    ]
    table = pd.DataFrame(rows, columns=["a", "b", "level", "value", "clear"]).assign(
        comparison="against", stratum="overall", metric="accuracy"
    )
    assert verdicts._short(section, table) == (
        "In short, accuracy against flat. Chapter: better with tree; worse with prefix."
        " Full code: no difference is shown."
    )


def test_an_own_question_is_answered_with_figures_and_words(study, tmp_path, capsys):
    question = ablations.Question(
        study, section_of(study, reward=["flat", "tree"]), 100, 0
    )
    question.show(tmp_path)
    scores = question.run()
    assert {"reward flat", "reward tree", "SFT"} <= set(scores.index)
    for name in ("own_differences", "own_curves"):
        assert {(tmp_path / f"{name}.{s}").exists() for s in ("pdf", "png", "csv")} == {
            True
        }
    said = capsys.readouterr().out
    assert "runs: " in said.splitlines()[2] and "reward flat" in said
    assert "**In short, accuracy against reward flat. Chapter: no difference" in said
    assert "by chance alone" in said
    table = question.differences
    assert set(table["comparison"]) == {"against", "gain"}
    assert (table["seeds"] == 2).all()


def test_a_section_that_is_not_run_tells_its_plan_and_the_reference(
    study, capsys, monkeypatch, tmp_path
):
    from deepicd.study.ablations import kept_answers, one_question

    details = tmp_path / "ablations"
    details.mkdir()
    monkeypatch.setattr(one_question, "kept_of", lambda task: details)
    asked = ablations.ask(study, ablations.load_sections("quick"))["objective"]
    plan = asked.plan()
    assert plan["runs"].tolist() == [45, 5] and asked.run() is None
    asked.draw(tmp_path)
    none = kept_answers.NONE.format(tmp_path.name)
    assert none in capsys.readouterr().out

    mine = ablations.Question(study, section_of(study, reward=["tree"]), 50)
    mine.run()
    ablations.save_reference([mine], tmp_path)
    assert sorted(pd.read_csv(tmp_path / "ablations.csv")["key"]) == sorted(
        job.key for job in study.all_jobs(mine.givens)
    )  # not the study's other runs
    told = kept_answers.answer(details, mine.section)
    assert told[0] == f"{kept_answers.MARK} (own, seeds 0, 1). {mine.answer()[0]}"
    assert told[1:] == mine.answer()[1:]
    assert kept_answers.scores(details, "own").shape[0] == 2

    # What another section kept stays.
    kept = tmp_path / "ablations" / "manifest.json"
    text = read_json(kept)
    write_json(text | {"sections": {"style": ["full", [0]]}}, kept)
    more = ablations.Question(study, section_of(study, reward=["flat"]), 50)
    more.run()
    ablations.save_reference([more], tmp_path)
    both = {job.key for job in study.all_jobs(mine.givens + more.givens)}
    assert set(pd.read_csv(tmp_path / "ablations.csv")["key"]) == both
    assert read_json(kept)["runs"] == len(both) > len(study.all_jobs(more.givens))
    assert set(read_json(kept)["sections"]) == {"style", "own"}


def test_progress_names_the_settings_in_which_jobs_differ(study):
    from deepicd.study.ablations.workers import describe

    varied = {"reward.weight_category": [0.2, 0.4], "grpo.group_size": [4]}
    jobs = [study.jobs(one)[1] for one in points(**varied)]
    assert "weight_category 0.2" in describe(jobs[0], jobs)
    assert "weight_category 0.4" in describe(jobs[1], jobs)
    assert "group_size" not in describe(jobs[0], jobs)
    assert "weight_category" not in describe(jobs[0])


def test_only_the_warning_on_times_of_checkpoints_is_left_out(caplog):
    import logging

    from deepicd.study.ablations.workers import _hush

    _hush()
    _hush()
    logger = logging.getLogger("transformers.trainer_utils")
    logger.addHandler(caplog.handler)  # transformers lets nothing reach the root
    logger.warning("mtime may not be reliable on this filesystem, falling back")
    logger.warning("disk full")
    logger.removeHandler(caplog.handler)
    assert {record.message for record in caplog.records} == {"disk full"}


def test_the_law_against_a_line_worked_by_hand():
    # log2 of the sizes: 0, 1, 2, 3; scores 1, 2, 2, 3. By hand: mean x 1.5, mean y 2,
    # Sxx 5, Sxy 3, slope 0.6, intercept 1.1; residual sum 0.2, total 2, R² 0.9;
    # standard error sqrt(0.1 / 5), t(0.975, 2) = 4.3027.
    law = ablations.fit_law([1, 2, 4, 8], [1.0, 2.0, 2.0, 3.0])
    assert law.slope == pytest.approx(0.6) and law.at([1])[0] == pytest.approx(1.1)
    assert law.r2 == pytest.approx(0.9)
    reach = 4.30265 * np.sqrt(0.1 / 5)
    assert (law.low, law.high) == pytest.approx((0.6 - reach, 0.6 + reach), rel=1e-4)
    assert not law.clear
    value, low, high = law.at([2**1.5])
    assert value[0] == pytest.approx(2.0)
    assert high[0] - value[0] == pytest.approx(4.30265 * np.sqrt(0.1 / 4), rel=1e-4)
    assert ablations.fit_law([8, 8], [0.1, 0.2]) is None


def said_of(sizes, scores) -> str:
    points = pd.DataFrame({"size": sizes, "value": scores, "after": True})
    [row] = comparison.law_table(points.assign(level="full")).itertuples()
    return verdicts.tell_law(row)


def test_the_law_says_how_little_few_runs_tell():
    assert "no interval" in said_of([1, 2], [0.0, 1.0])
    assert "one degree of freedom" in said_of([1, 2, 4], [0.1, 0.2, 0.2])
    assert "one degree of freedom" not in said_of([1, 2, 4, 8], [0.1, 0.2, 0.2, 0.3])
    assert "no law to see" in said_of([1, 2, 4], [0.1, 0.1, 0.1])
    seeds = said_of([64, 64, 256, 256], [0.6, 0.62, 0.8, 0.82])
    assert "over 4 runs of 2 sizes" in seeds and "no slope" not in seeds
    assert comparison.law_table(None).empty


def test_laws_before_and_after_rl_are_fitted_apart():
    scores = {False: [0.1, 0.2, 0.3], True: [0.5, 0.5, 0.5]}
    both = [
        pd.DataFrame({"size": [2, 4, 8], "value": value, "after": after})
        for after, value in scores.items()
    ]
    points = pd.concat(both).assign(level="full")
    table = comparison.law_table(points).set_index("after")
    assert table.loc[False, "slope"] == pytest.approx(0.1)
    before, after = map(verdicts.tell_law, table.reset_index().itertuples())
    assert (
        "accuracy before RL" in before and "all runs score the same after RL" in after
    )
    lines = comparison.law_lines(points)
    panel = figures.plot_law(points, lines).axes[0]
    drawn = [line for line in panel.lines if "line through" in line.get_label()]
    assert [list(line.get_ydata()) for line in drawn] == [
        pytest.approx(value) for value in scores.values()
    ]


def test_the_command_line_tells_a_plan_and_a_wrong_section(study, capsys):
    from deepicd.study.ablations.__main__ import main

    wanted = ["--ablation", "quick", "--sections", "a", "--seeds", "0", "--plan"]
    assert main([study.run_dir, *wanted]) == 0
    assert capsys.readouterr().out.startswith("2 runs: 2 new")
    assert main([study.run_dir, *wanted, "--rewards", "flat,sapphire,tree"]) == 0
    assert capsys.readouterr().out.startswith("3 runs: 3 new")
    assert main([study.run_dir, "--sections", "z"]) == 2
    two = ["--sections", "a,c", "--variants", "flat", "answer_first", "--plan"]
    assert main([study.run_dir, *two, "--seeds", "0"]) == 0
    assert capsys.readouterr().out.startswith("4 runs: 4 new")  # SFT, too
    assert main([study.run_dir, "--variants", "answers_first", "--plan"]) == 2
    assert "answer_first" in capsys.readouterr().err


def test_faulty_traces_change_what_sft_reads_and_nothing_else_is_shared(study):
    clean, bad = (study.jobs(TINY | {"faults": f, "grpo.steps": 0}) for f in (0.0, 0.5))
    assert clean[1] is None and clean[0].key != bad[0].key
    study.run([TINY | {"faults": 0.5, "grpo.steps": 0}])
    done = read_json(bad[0].folder / "done.json")
    assert done["given"]["faults"] == 0.5 and done["n_traces"] >= 1


FORMS = ("", *history.FORMS)


@pytest.fixture
def with_past(study) -> inputs.Material:
    """The same run where every second note names an earlier stay."""
    table = study.material.admissions.copy()
    forms = pd.DataFrame({"note_id": table["note_id"], "codes": "", "titles": ""})
    forms.loc[::2, "codes"] = "EARLIER ADMISSIONS: 9 days before: I50.9; I10"
    forms.loc[::2, "titles"] = "EARLIER ADMISSIONS: 9 days before: Heart failure"
    told = history.with_form(table, forms, "codes")
    hashes = study.material.hashes | {"history": "one"}
    changed = {"admissions": told, "past": forms, "hashes": hashes}
    return inputs.Material(**vars(study.material) | changed)


def test_forms_of_history_are_compared_on_the_same_notes_and_traces(study, with_past):
    assert with_past.told("") is with_past
    none, codes, titles = (with_past.told(form) for form in history.FORMS)
    pd.testing.assert_frame_equal(none.admissions, study.material.admissions)
    pd.testing.assert_frame_equal(codes.admissions, with_past.admissions)
    named = titles.admissions["note"].str.endswith("Heart failure")
    assert named.tolist() == [i % 2 == 0 for i in range(len(named))]
    assert len(none.traces) == len(codes.traces) == len(titles.traces) > 0
    quoting = with_past.traces.assign(trace='The note says "I50.9; I10".')
    spoilt = inputs.Material(**vars(with_past) | {"traces": quoting})
    assert len(spoilt.told("codes").traces) == 0


def test_the_form_of_history_is_part_of_the_key_only_where_it_is_asked(
    study, with_past
):
    asked = [resolve(TINY | {"history": form}, with_past.taught) for form in FORMS]
    keys = [jobs.jobs_of(point, with_past)[0].key for point in asked]
    assert len(set(keys)) == len(FORMS)
    assert keys[0] == study.jobs(TINY)[0].key  # as it was before there were forms
    assert "history" not in asked[0].of("sft") and "history" in asked[1].of("sft")


def test_history_is_refused_where_the_notes_have_none(study, counted):
    with pytest.raises(UserError, match="set history=codes"):
        study.run([TINY | {"history": "codes"}])
    with pytest.raises(UserError, match="section g"):
        ablations.load_sections("full", ["g"])
    assert not counted and not ablations.load_sections("full")["history"].runs
    knows = {"history": "codes"}
    told = ablations.load_sections("full", history=knows)["history"]
    assert told.runs and len(told.points()) == 15
    assert not ablations.load_sections("quick", history=knows)["history"].runs


def test_a_run_without_history_learns_from_notes_without_it(with_past, monkeypatch):
    class Seen(Exception):
        pass

    def train(job, found, report):
        raise Seen(found.admissions["note"].str.contains("EARLIER").any())

    monkeypatch.setattr(one_run, "_train_sft", train)
    for form, expected in (("none", False), ("titles", True)):
        point = resolve(TINY | {"history": form}, with_past.taught)
        job, _ = jobs.jobs_of(point, with_past)
        with pytest.raises(Seen, match=str(expected)):
            one_run.execute(job, with_past)
        shutil.rmtree(job.folder)
