"""What 08 found of several seeds is kept and told with intervals over seeds."""

import pandas as pd
import pytest

from deepicd.common.errors import UserError
from deepicd.common.files import write_csv, write_json, write_parquet
from deepicd.study.reference import verifiers as kept
from deepicd.study.reference.__main__ import main


def make_run(folder, seed, private=False, **facts):
    told = {"profile": "cpu", "data": "synthetic", "seed": seed, "set": {}}
    write_json(told | {"model": "base"} | facts, folder / "manifest.json")
    write_json({"private": private}, folder / "run.json")
    scores = [
        ("gold_chosen_" + rule, of, "all", value + 0.01 * seed)
        for rule, value in (("minimum", 0.8), ("checked", 0.98))
        for of in ("wrong_code", "all")
    ]
    scores += [("step_auc", "own answers", "code", 0.6 + 0.01 * seed)]
    scores += [("best_of_4_minimum", "400 notes", "category", 0.5)]
    names = ["metric", "stratum", "level", "value"]
    table = pd.DataFrame(scores, columns=names).assign(n=640)
    write_parquet(table, folder / kept.VERIFY / "metrics.parquet")
    gains = [
        ("minimum", b, answers, "category", -0.02 + 0.01 * seed)
        for answers in (32, 4)
        for b in ("majority", "greedy")
    ]
    names = ["a", "b", "answers", "level", "value"]
    gains = pd.DataFrame(gains, columns=names).assign(n=400)
    write_csv(gains, folder / kept.VERIFY / "gains.csv")
    return folder


def test_the_page_tells_what_verifiers_find_and_gain(tmp_path):
    runs = [str(make_run(tmp_path / f"run{seed}", seed)) for seed in range(3)]
    assert kept.verifier_tables(tmp_path) == []
    assert main(["verifiers", *runs, "--to", str(tmp_path)]) == 0
    _, chosen, _, gains, _, greedy, _, steps = kept.verifier_tables(tmp_path)
    head, _, code, _ = chosen.splitlines()
    assert head == "| 3 seeds, fault | PRM, minimum | PRM and checks |"
    # 80, 81 and 82 per cent; t(2) = 4.303 times 1 / sqrt(3)
    assert code.startswith("| wrong code | 81.0 [78.5, 83.5] |")
    assert code.endswith("99.0 [96.5, 100.0] |")  # no share is above one
    head, _, row = gains.splitlines()
    places = [f"best of {n}, 400 notes, category" for n in (4, 32)]
    assert head == f"| chosen by | {places[0]} | {places[1]} |"
    assert row.startswith("| PRM, minimum | −1.0 (−3.5 to +1.5) |")
    assert greedy == gains  # the same numbers were made for both
    assert "| own answers, area under the curve | code | 61.0 [58.5, 63.5] |" in steps


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"private": True}, "private"),
        ({"set": {"monte_carlo": 4}}, "differ in their seed alone"),
        ({"seed": 0}, r"seeds \[0, 0\]"),
        ({"model": "scratch"}, "differ in model"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(tmp_path, facts, text):
    first = make_run(tmp_path / "first", 0)
    second = make_run(tmp_path / "second", **({"seed": 1} | facts))
    with pytest.raises(UserError, match=text):
        kept.found_in([first, second])


def test_a_run_without_08_is_a_clear_error(tmp_path, capsys):
    run = make_run(tmp_path / "run", 0)
    (run / kept.VERIFY / "metrics.parquet").unlink()
    assert main(["verifiers", str(run), "--to", str(tmp_path)]) == 2
    assert "notebook 08 done" in capsys.readouterr().err
