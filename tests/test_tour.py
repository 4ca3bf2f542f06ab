"""The tour's frames and figures, for codes of every shape; the benchmark command."""

import importlib
import json
import subprocess
import sys

import matplotlib.pyplot as plt
import pytest

from deepicd.common.errors import UserError
from deepicd.icd import load_tree
from deepicd.rewards import SPECS, advantages, get_spec
from deepicd.study.bench import __main__ as bench
from deepicd.study.bench.measure import Result
from deepicd.views import tour
from deepicd.views.figures import tour as tour_figures
from deepicd.views.reward_landscape import landscape

TREE = load_tree()
GOLDS = ["I21.11", "I10", "C50.411", "S52.501A", "T07.XXXA", "Z3A.20", "I21"]


@pytest.mark.parametrize("gold", GOLDS)
def test_the_tree_picture_shows_the_path_among_its_siblings(gold):
    frame = tour.tree_picture(gold, TREE)
    assert tuple(frame[frame.on_path].name) == TREE.path(gold)
    assert frame[frame.on_path].earns.is_monotonic_increasing
    assert frame[frame.on_path].earns.iloc[-1] == 1.0
    assert frame.groupby("depth").size().max() <= 5
    figure = tour_figures.plot_tree(frame)
    figure.canvas.draw()
    plt.close(figure)


@pytest.mark.parametrize("gold", GOLDS)
def test_the_landscape_is_drawn_for_every_reward(gold):
    frame = landscape(gold, tour.spec_names(), TREE, most=3)
    assert set(frame.spec) == set(tour.spec_names())
    figure = tour_figures.plot_landscape(frame)
    figure.canvas.draw()
    plt.close(figure)


def test_every_reward_is_shown_once():
    assert {SPECS[name] for name in tour.spec_names()} == set(SPECS.values())


def test_an_explanation_adds_up():
    spec = get_spec("tree", weight_evidence=0.5, weight_format=0.25)
    text = '<think>"chest pain"</think><diagnosis>I21.19</diagnosis>'
    row = tour.explain(text, "i2111", [spec], TREE, note="Chest pain.").iloc[0]
    assert row.total == row.outcome + row.evidence + row["format"]
    assert row.outcome + row["format"] == 0.75 and row.evidence > 0
    assert (row.code, row.shares, row.problem) == ("I21.19", "subcategory", None)


def test_an_unknown_gold_code_is_said_so():
    with pytest.raises(UserError, match="I21.11X"):
        tour.known_code("I21.11X", TREE)


@pytest.mark.parametrize("order", advantages.ORDERS)
def test_advantages_are_centred_in_their_group(order):
    values = [[1, 0.1], [0, 0.2], [0.5, 0.3], [0, 0], [0, 0], [0, 0.5], [1, 1], [0, 1]]
    result = advantages.group_advantages(values, [1.0, 0.5], 4, order)
    assert result.reshape(2, 4).mean(axis=1) == pytest.approx(0, abs=1e-6)
    with pytest.raises(UserError, match="normalize_then_sum"):
        advantages.group_advantages(values, [1.0, 0.5], 4, "normalise_then_sum")


def test_a_group_without_spread_has_no_advantage():
    values = [[0.4, 1.0]] * 4
    for order in advantages.ORDERS:
        assert not advantages.group_advantages(values, [1.0, 1.0], 4, order).any()


# -- bench -----------------------------------------------------------------------


def test_benchmarks_that_are_listed_can_run():
    fixed = {"icd", "rewards", "extract", "metrics", "generate", "grpo"}
    assert fixed <= set(bench.names())
    for name in bench.names():
        assert callable(importlib.import_module(f"deepicd.study.bench.{name}").run), (
            name
        )
    with pytest.raises(UserError, match="benchmark 'icdd'"):
        bench.run("icdd")


def test_a_goal_is_met_or_not():
    table = bench.table(
        [Result("slow", 60.0, "ms", 50.0), Result("fast", 5.0, "x", 4.0, True)]
    )
    assert table.splitlines()[0].endswith("NOT met")
    assert table.splitlines()[1].endswith("goal >= 4: met")
    assert json.dumps(Result("plain", 1.0, "s").to_dict())


def test_the_command_refuses_an_unknown_name():
    command = [sys.executable, "-m", "deepicd.study.bench", "rewards?", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "expected" in done.stderr and not done.stdout
