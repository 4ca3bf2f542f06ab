"""A run is compared with a reference by tolerances that its own seeds give."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_csv, write_json, write_parquet
from deepicd.evaluation import reasoning
from deepicd.study.reference import page as readme
from deepicd.study.reference import scores as check
from deepicd.study.reference.__main__ import main
from deepicd.views.in_words import score_columns

SYSTEMS = ("prior", "sft", "sft_grpo")


def scores(seed, shift=0.0, spread=0.01):
    generator = np.random.default_rng(seed)
    rows = []
    for i, system in enumerate(SYSTEMS):
        for level in ("category", "full"):
            noise = 0 if system == "prior" else spread * generator.standard_normal()
            value = 0.2 + 0.2 * i + noise + (shift if system == "sft" else 0)
            rows.append(
                (
                    system,
                    level,
                    "overall",
                    "accuracy",
                    value,
                    value - 0.03,
                    value + 0.03,
                    800,
                    "",
                )
            )
            rows.append((system, level, "sex: F", "accuracy", 0.0, 0.0, 0.0, 40, ""))
    return pd.DataFrame(
        rows,
        columns=[
            "system",
            "level",
            "stratum",
            "metric",
            "value",
            "low",
            "high",
            "n",
            "label_set",
        ],
    )


def make_run(folder, seed, private=False, **more):
    table = scores(seed, **more).assign(seed="0")
    write_parquet(table, folder / check.EVALUATED)
    write_json(
        {
            "profile": "cpu",
            "data": "synthetic",
            "seed": seed,
            "set": {},
            "model": "scratch",
        },
        folder / "manifest.json",
    )
    write_json({"private": private}, folder / "run.json")
    row = {
        "a": "sft_grpo",
        "b": "sft",
        "level": "full",
        "metric": "accuracy",
        "value": 0.02 + 0.01 * seed,
        "clear": seed > 0,
        "low": 0.01 * seed,
        "high": 0.05,
        "n": 800,
    }
    rows = [
        row,
        row
        | {
            "metric": "one_sample",
            "value": -0.03,
            "clear": True,
            "low": -0.05,
            "high": -0.01,
        },
    ]
    write_csv(pd.DataFrame(rows), folder / check.EVALUATED.parent / check.DIFFERENCES)
    thoughts = [
        (system, metric, share + 0.01 * seed * (system == "sft_grpo"), 0.0, 1.0, 800)
        for system, share in (("sft", 0.5), ("sft_grpo", 0.8))
        for metric in reasoning.METRICS
    ]
    names = ["system", "metric", "value", "low", "high", "n"]
    table = pd.DataFrame(thoughts, columns=names)
    write_csv(table, folder / check.EVALUATED.parent / check.REASONING)
    return folder


@pytest.fixture
def reference(tmp_path):
    runs = [make_run(tmp_path / f"run{seed}", seed) for seed in range(3)]
    return check.save_reference(runs, tmp_path / "reference" / "cpu")


def test_another_seed_agrees_and_a_worse_run_does_not(tmp_path, reference):
    good = check.check_run(make_run(tmp_path / "good", 7), reference)
    assert (good["verdict"] == "agrees").all() and len(good) == 6
    bad = check.check_run(make_run(tmp_path / "bad", 7, shift=-0.15), reference)
    assert set(bad.loc[bad["verdict"] == "differs", "system"]) == {"sft"}
    said = check.lines(bad)
    assert said[0].startswith("differs sft") and "4 of 6 scores agree" in said[-1]


def test_the_tolerance_follows_the_spread_over_seeds(tmp_path):
    wide = [make_run(tmp_path / f"w{s}", s, spread=0.03) for s in range(3)]
    narrow = [make_run(tmp_path / f"n{s}", s, spread=0.003) for s in range(3)]
    limits = []
    for name, runs in (("wide", wide), ("narrow", narrow)):
        folder = check.save_reference(runs, tmp_path / name)
        table = check.check_run(runs[0], folder)
        limits.append(table.set_index(["system", "level"])["tolerance"])
        assert set(table["from"]) == {"3 seeds"}
        assert table["same_seed"].abs().max() < 1e-5
    assert limits[0]["sft", "full"] > 4 * limits[1]["sft", "full"]


def test_one_seed_borrows_the_interval_and_says_so(tmp_path):
    run = make_run(tmp_path / "one", 0)
    table = check.check_run(run, check.save_reference([run], tmp_path / "ref"))
    assert set(table["from"]) == {"interval, one seed"}
    assert table["tolerance"].tolist() == pytest.approx([0.03] * 6)


def test_missing_and_new_scores_are_told(tmp_path, reference):
    run = make_run(tmp_path / "other", 5)
    table = pd.read_parquet(run / check.EVALUATED)
    table["system"] = table["system"].replace("sft", "mine")
    write_parquet(table, run / check.EVALUATED)
    verdicts = check.check_run(run, reference)["verdict"].value_counts()
    assert verdicts.to_dict() == {"agrees": 4, "missing": 2, "new": 2}


def test_a_system_that_the_reference_has_not_is_told_once(tmp_path, reference):
    run = make_run(tmp_path / "more", 5)
    table = pd.read_parquet(run / check.EVALUATED)
    mine = table[table["system"] == "sft"].assign(system="tfidf_lr_traced")
    table = pd.concat([table, mine]).assign(labelled_notes=400)
    write_parquet(table, run / check.EVALUATED)
    found = check.check_run(run, reference)
    assert not found["verdict"].isin(["differs", "missing"]).any()
    said = check.lines(found)
    assert [line for line in said if "tfidf_lr_traced" in line] == [
        "new     tfidf_lr_traced: not in the reference, 2 scores are not compared"
    ]
    assert "6 of 6 scores agree" in said[-1]


def test_a_reference_says_how_many_labelled_notes_each_system_saw(tmp_path):
    row = {"level": "chapter", "metric": "accuracy", "stratum": "overall"}
    row |= {"value": 0.5, "low": 0.4, "high": 0.6, "n": 800, "label_set": ""}
    columns = score_columns(["chapter", "category", "full"])
    places = [{"level": level, "metric": metric} for level, metric in columns]
    systems = ("base", "sft", "oracle")
    rows = [row | {"system": s} | place for s in systems for place in places]
    table, run = pd.DataFrame(rows), make_run(tmp_path / "run", 0)
    cells = " | ".join(["50.0 [40.0, 60.0]"] * 4)

    def lines(table, name):
        write_parquet(table, run / check.EVALUATED)
        return readme.scores_table(check.save_reference([run], tmp_path / name))

    assert f"| Oracle | {cells} |" in lines(table, "old").splitlines()
    numbers = table["system"].map({"base": 0, "sft": 1119}).astype("Int64")
    found = lines(table.assign(labelled_notes=numbers), "new").splitlines()
    assert found[0].startswith(
        "| system, per cent | labelled notes | Chapter, accuracy"
    )
    assert {line.count("|") for line in found} == {7}
    assert found[2:] == [
        f"| LM before SFT | 0 | {cells} |",
        f"| SFT | 1,119 | {cells} |",
        f"| Oracle |  | {cells} |",
    ]


def test_the_figures_of_the_first_run_are_kept(tmp_path):
    run = make_run(tmp_path / "one", 0)
    for name in ("a.png", "a.csv", "a.pdf"):
        file = run / "06_evaluate_hierarchy" / "figures" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"x")
    folder = check.save_reference([run], tmp_path / "ref")
    names = sorted(f.name for f in (folder / "figures").iterdir())
    assert names == ["06_a.csv", "06_a.png"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda runs: runs + runs[:1], "a different seed"),
        (lambda runs: [runs[0].parent / "nowhere"], "no manifest"),
    ],
)
def test_a_reference_that_would_mean_nothing_is_refused(tmp_path, change, text):
    runs = [make_run(tmp_path / f"run{seed}", seed) for seed in range(2)]
    with pytest.raises(UserError, match=text):
        check.save_reference(change(runs), tmp_path / "ref")
    assert not (tmp_path / "ref").exists()


def test_runs_of_another_profile_are_refused(tmp_path):
    runs = [make_run(tmp_path / f"run{seed}", seed) for seed in range(2)]
    write_json(
        {
            "profile": "gpu",
            "data": "synthetic",
            "seed": 1,
            "set": {},
            "model": "scratch",
        },
        runs[1] / "manifest.json",
    )
    with pytest.raises(UserError, match="differ in profile"):
        check.save_reference(runs, tmp_path / "ref")


def test_another_number_of_threads_is_named_as_a_cause(tmp_path):
    one, two = (make_run(tmp_path / f"run{seed}", seed) for seed in (0, 1))
    for run in (one, two):
        told = read_json(run / "manifest.json") | {"threads": 1}
        write_json(told | {"versions": {"torch": "2.13.0"}}, run / "manifest.json")
    folder = check.save_reference([one, two], tmp_path / "ref")
    assert check.why_different(two, folder) == []
    told = read_json(two / "manifest.json") | {"threads": 2}
    write_json(told, two / "manifest.json")
    [said] = check.why_different(two, folder)
    assert "threads: 2 here, 1 in the reference" in said
    with pytest.raises(UserError, match="differ in threads"):
        check.save_reference([one, two], tmp_path / "other")


def test_a_private_run_is_no_reference(tmp_path):
    run = make_run(tmp_path / "run", 0, private=True)
    with pytest.raises(UserError, match="private"):
        check.save_reference([run], tmp_path / "ref")


def test_no_reference_is_a_clear_error(tmp_path, capsys):
    run = make_run(tmp_path / "run", 0)
    with pytest.raises(UserError, match="no reference"):
        check.check_run(run, tmp_path / "none")
    assert main(["save", str(tmp_path), "--to", str(tmp_path / "ref")]) == 2
    assert "no manifest" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("page", "name"), [("README.md", "cpu"), ("GUIDE.md", "cpu-eicu")]
)
def test_tables_of_the_readme_are_those_of_the_reference(page, name):
    root = Path(__file__).parents[1]
    text = (root / page).read_text(encoding="utf-8")
    again = readme.rewritten(text, root / "outputs" / "reference" / name)
    assert again == text, (
        f"run python -m deepicd.study.reference page outputs/reference/{name} {page}"
    )


@pytest.mark.parametrize("profile", ["cpu", "cpu-drg", "cpu-eicu", "scratch"])
def test_the_page_of_the_reference_is_written_from_the_reference(profile):
    folder = Path(__file__).parents[1] / "outputs" / "reference" / profile
    page = (folder / readme.PAGE).read_text(encoding="utf-8")
    assert readme.reference_page(folder) == page, (
        f"run python -m deepicd.study.reference page outputs/reference/{profile}"
    )
    links = [part.partition(")")[0] for part in page.split("](")[1:]]
    assert links or profile == "cpu-eicu"
    assert all((folder / link).exists() for link in links)


def test_the_reasoning_is_told_over_seeds(reference):
    lines = "\n".join(readme.reasoning_tables(reference)).splitlines()
    [before] = [li for li in lines if li.startswith("| SFT |")]
    assert before.startswith("| SFT | 0.5 (0.5 to 0.5) | 50.0 (50.0 to 50.0) |")
    # 80, 81 and 82 per cent; t(2) = 4.303 times 1 / sqrt(3)
    [change] = [li for li in lines if li.startswith("| SFT + GRPO minus SFT |")]
    assert change.startswith(
        "| SFT + GRPO minus SFT | +0.3 (+0.3 to +0.3) | +31.0 (+28"
    )
    assert readme.reasoning_tables(reference.parent) == []


def test_differences_are_told_over_seeds(reference):
    text = readme.differences_table(pd.read_csv(reference / check.DIFFERENCES))
    mean = "+3.0 (+0.5 to +5.5); 2 up"  # of 2, 3 and 4 points; t(2) = 4.303
    assert f"SFT + GRPO minus SFT | {mean} |" in text
    assert "drawn answers | −3.0 (−3.0 to −3.0); 3 down |" in text


def with_clear(table, **more):
    return table.assign(clear=table["low"] * table["high"] > 0, **more)


def test_kept_grids_are_told_beside_the_reference(tmp_path):
    rows = [
        ("tree", "flat", level, metric, value, low, high, "against", "overall", 5)
        for level, metric, value, low, high in (
            ("chapter", "accuracy", 0.02, 0.01, 0.03),
            ("category", "accuracy", 0.02, -0.01, 0.05),
            ("full", "accuracy", -0.02, -0.03, -0.01),
            ("full", "macro_f1", 0.0, -0.01, 0.01),
        )
    ]
    rows += [(*rows[0][:2], "full", "accuracy", 0.5, 0.4, 0.6, "against", "head", 5)]
    columns = [
        "a",
        "b",
        "level",
        "metric",
        "value",
        "low",
        "high",
        "comparison",
        "stratum",
        "seeds",
    ]
    assert readme.grid_tables(tmp_path) == []
    for name, compare in (("reward", "against"), ("sizes", "gain")):
        table = with_clear(pd.DataFrame(rows, columns=columns), comparison=compare)
        write_csv(table, tmp_path / "ablations" / f"{name}_differences.csv")
    laws = [
        {
            "level": level,
            "after": after,
            "slope": 0.05 if after else 0.02,
            "low": 0.04 if after else -0.01,
            "high": 0.06 if after else 0.05,
            "clear": after,
            "r2": 0.875,
            "sizes": 5,
            "runs": 25,
        }
        for level in ("chapter", "category", "full")
        for after in (True, False)
    ]
    write_csv(pd.DataFrame(laws), tmp_path / "ablations" / "sizes_laws.csv")
    table = with_clear(pd.DataFrame(rows, columns=columns))
    write_csv(table, tmp_path / "ablations" / "style_differences.csv")
    first, link, second, _, style, _ = readme.grid_tables(tmp_path)
    assert "(ablations/reward_scores.csv)" in link
    assert style.startswith("| c. ")
    assert first.startswith("| a. Which reward? (5 seeds) | Chapter, accuracy |")
    assert first.splitlines()[2:] == [
        "| tree minus flat | **+2.0 (+1.0 to +3.0)** | +2.0 (−1.0 to +5.0) "
        "| **−2.0 (−3.0 to −1.0)** | 0.0 (−1.0 to +1.0) |"
    ]
    before, after = second.splitlines()[-2:]
    cell = "**+5.0 (+4.0 to +6.0)**, R² 0.88"
    assert after.endswith(
        f"after RL: line over 5 sizes, 25 runs | {cell} | {cell} | {cell} |  |"
    )
    assert "before RL: " in before and "| +2.0 (−1.0 to +5.0), R² 0.88 |" in before


def test_a_readme_without_marks_is_refused(tmp_path, reference, capsys):
    page = tmp_path / "README.md"
    page.write_text("no marks")
    assert main(["page", str(reference), str(page)]) == 2
    assert "marks" in capsys.readouterr().err and page.read_text() == "no marks"
