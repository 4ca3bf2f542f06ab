"""Choosing among drawn answers: each rule, what it gains, where it harms."""

import numpy as np
import pandas as pd
import pytest

from deepicd.evaluation import best_of, verifying
from deepicd.icd import load_tree
from deepicd.views import figures

TREE = load_tree()
A, B, C = "I21.11", "I21.19", "J18.9"


class Words:
    """Counts words in place of tokens."""

    def __call__(self, texts):
        return {"input_ids": [text.split() for text in texts]}


def drawn(notes: dict, scores: dict | None = None) -> best_of.Drawn:
    """Answers to notes: gold code, then the greedy and the drawn codes."""
    rows, admissions = [], []
    for i, (note_id, (gold, *codes)) in enumerate(notes.items()):
        admissions.append((note_id, i, gold))
        rows += [(note_id, k, code, "a b c") for k, code in enumerate(codes)]
    table = pd.DataFrame(rows, columns=["note_id", "sample", "code", "completion"])
    admissions = pd.DataFrame(admissions, columns=["note_id", "subject_id", "label"])
    return best_of.drawn(table.assign(**(scores or {})), admissions, TREE, Words())


ONE = {"a": (A, C, B, A, A, None)}  # gold A; greedy C; drawn B, A, A and nothing


@pytest.mark.parametrize(
    "rule, n, right",
    [
        ("one", 1, 0.5),  # of four blocks of one, two are right
        ("one", 4, 0.0),
        ("majority", 4, 1.0),
        ("majority", 2, 0.5),  # B, A is a tie that the first wins; A, nothing is A
        ("last", 4, 0.0),
        ("minimum", 4, 1.0),
        ("weighted", 4, 1.0),
        ("ceiling", 2, 1.0),
    ],
)
def test_each_rule_chooses_by_its_own(rule, n, right):
    scores = {"last": [0, 0.6, 0.4, 0.4, 0.9], "minimum": [0, 0.1, 0.2, 0.3, 0.9]}
    if rule == "majority" and n == 2:
        right = 0.5
    found = best_of.right_of(drawn(ONE, scores), rule, n, "full")
    assert found.tolist() == [right]


def test_what_cannot_be_read_is_never_chosen_and_nothing_readable_is_wrong():
    answers = drawn({"a": (A, None, None, A), "b": (A, None, None, None)})
    assert best_of.right_of(answers, "majority", 2, "full").tolist() == [1.0, 0.0]
    assert best_of.right_of(answers, "ceiling", 2, "full").tolist() == [1.0, 0.0]


def test_a_choice_is_judged_at_every_level():
    answers = drawn({"a": (A, B, B, B)})
    assert best_of.right_of(answers, "majority", 2, "full").tolist() == [0.0]
    assert best_of.right_of(answers, "majority", 2, "category").tolist() == [1.0]


@pytest.fixture(scope="module")
def many():
    """Sixty notes; of four answers two are right, and the score knows which."""
    generator = np.random.default_rng(0)
    notes, last = {}, []
    for i in range(60):
        codes = generator.permutation([A, A, B, C]).tolist()
        notes[f"n{i}"] = (A, C, *codes)
        last += [0.0, *[0.9 if code == A else 0.2 for code in codes]]
    return drawn(notes, {"last": last, "outcome": 0.5})


def test_a_score_that_knows_reaches_the_ceiling_and_costs_what_is_drawn(many):
    table = best_of.accuracy_table(many, ["full"], n_boot=100)
    wide = table.pivot(index="rule", columns="n", values="value")
    assert wide.loc["last", 4] == wide.loc["ceiling", 4] == 1.0
    assert wide.loc["one", 1] == 0.5
    assert wide.loc["last", 2] == wide.loc["ceiling", 2] > wide.loc["one", 2]
    assert (table["low"] <= table["value"]).all()
    cost = table.groupby("n")["tokens"].first()
    assert cost.to_dict() == {1: 4.0, 2: 8.0, 4: 16.0}


def test_gains_are_paired_with_the_greedy_answer_and_the_majority(many):
    table = best_of.gains_table(many, ["full"], [4], n_boot=200).set_index(["a", "b"])
    assert table.loc[("last", "greedy"), "value"] == 1.0
    assert table.loc[("last", "greedy"), "clear"]
    assert ("majority", "majority") not in table.index
    assert set(table.index.get_level_values("a")) >= {"last", "outcome", "weighted"}


def test_harm_is_told_where_it_happens():
    notes = {f"n{i}": (A, A, A, A, A, B) for i in range(12)}
    notes |= {f"m{i}": (A, B, B, C, "I10", A) for i in range(12)}
    score = [0.0, 0.1, 0.1, 0.1, 0.9]  # always takes the last one
    answers = drawn(notes, {"last": score * 24})
    table = best_of.harm_table(answers, "last", [A] * 60, "full", 100)
    table = table.set_index("stratum")
    assert table.loc["all notes", ["won", "lost"]].tolist() == [12, 12]
    assert table.loc["agreement 50% and more", ["won", "lost"]].tolist() == [0, 12]
    assert table.loc["agreement below 50%", ["won", "lost"]].tolist() == [12, 0]


def test_a_sure_verifier_answers_more_at_the_same_error(many):
    share = best_of.automated(many, ["full"], 0.1, 100).set_index("system")["value"]
    assert share["PRM, last step"] == 1.0
    risk = best_of.risk_by_confidence(many, ["full"])
    assert set(risk["system"]) == set(best_of.SIGNS.values())
    assert (risk["coverage"] <= 1).all()


def planted():
    return pd.DataFrame(
        {
            "note_id": ["a", "a", "b", "b"],
            "fault": ["none", "as_given", "none", "as_given"],
            "minimum": [0.9, 0.1, 0.8, 0.8],
            "outcome": [0.5, 0.6, 0.5, 0.6],
        }
    )


def test_the_good_trace_is_chosen_by_its_score_and_a_tie_counts_half():
    people = pd.DataFrame({"note_id": ["a", "b"], "subject_id": [1, 2]})
    table = verifying.gold_chosen(planted(), people, ["minimum", "outcome"], 50)
    found = table[table["fault"] == "all"].set_index("score")["value"]
    assert found.to_dict() == {"minimum": 0.75, "outcome": 0.0}
    assert set(table["fault"]) == {"as_given", "all"}


def labelled(n: int = 80):
    generator = np.random.default_rng(1)
    right = generator.random(n) < 0.7
    chance = np.where(right, 0.7, 0.3) + generator.normal(0, 0.1, n)
    chance = chance.clip(0.01, 0.99)
    return pd.DataFrame(
        {
            "note_id": [f"n{i}" for i in range(n)],
            "kinds": [["evidence", "code"]] * n,
            "steps": [[0.99, float(c)] for c in chance],
            "right": [[True, bool(r)] for r in right],
        }
    )


def test_steps_that_are_told_apart_have_a_large_area_and_all_right_ones_none():
    table = labelled()
    people = table[["note_id"]].assign(subject_id=range(len(table)))
    area = verifying.step_auc(verifying.long_steps(table), people).set_index("kind")
    assert area.loc["code", "value"] > 0.95 and "evidence" not in area.index
    assert area.loc["code", "low"] <= area.loc["code", "value"]


def test_figures_and_metrics_are_made_of_the_same_tables(many):
    table = labelled()
    people = table[["note_id"]].assign(subject_id=range(len(table)))
    steps = verifying.steps_table({"own answers": table}, people, 50)
    assert set(steps["what"]) == {"auc", "calibration", "ece"}
    curves = best_of.accuracy_table(many, ["full"], 50).assign(panel="60 notes")
    chosen = verifying.gold_chosen(planted(), people, ["minimum", "outcome"], 50)
    for kind, frame in (
        ("best_of", curves),
        ("gold_chosen", chosen),
        ("steps", steps),
    ):
        assert getattr(figures, f"plot_{kind}")(frame).axes
        assert "None" not in figures.caption(kind, frame)
    metrics = best_of.as_metrics(curves, chosen, steps, "sft", 0)
    assert metrics["value"].between(0, 1).all() and metrics["metric"].notna().all()
    assert {"best_of_4_last", "step_auc", "gold_chosen_minimum"} <= set(
        metrics["metric"]
    )
