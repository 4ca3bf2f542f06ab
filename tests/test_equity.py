"""Gaps between groups of patients: found where they are, and not where they are not."""

import numpy as np
import pandas as pd
import pytest

from deepicd.evaluation import equity, strata
from deepicd.evaluation.systems import Cases
from deepicd.icd import load_tree
from deepicd.views.figures import caption

TREE = load_tree()
SIZE = 600


def world(easier: str = "", by: float = 0.0, mixed: bool = False, seed: int = 0):
    """Notes of patients who have two each; right answers are drawn, one system.

    Parameters
    ----------
    easier : str
        A column of the notes: its first group is answered better `by` so much.
    mixed : bool
        Whether sexes differ in their chapters, of which one is answered better.
    """
    draw = np.random.default_rng(seed)
    people = np.repeat(np.arange(SIZE // 2), 2)
    sex = np.where(draw.random(SIZE // 2) < 0.5, "F", "M")[people]
    heart = draw.random(SIZE) < (np.where(sex == "F", 0.9, 0.1) if mixed else 0.5)
    notes = pd.DataFrame(
        {
            "subject_id": people,
            "label": np.where(heart, "I10", "J18.9"),
            "sex": sex,
            "race": draw.choice(["ASIAN", "BLACK", "WHITE"], SIZE // 2)[people],
            "age": draw.integers(20, 90, SIZE),
        }
    )
    chance = np.full(SIZE, 0.5) + 0.4 * (heart if mixed else 0)
    if easier:
        chance += by * (notes[easier] == sorted(notes[easier].unique())[0])
    right = draw.random(SIZE) < chance
    said = np.where(right, notes["label"], "N17.9").tolist()
    return Cases(notes, {"sft": {0: said}}, {"sft": {0: [True] * SIZE}})


def gaps(cases, **more):
    table = equity.gaps_table(cases, TREE, n=400, **more)
    full = table[(table["level"] == "full") & (table["metric"] == "accuracy")]
    return full.set_index("kind")


@pytest.mark.parametrize("kind", ["sex", "race"])
def test_a_planted_gap_is_found_where_it_is(kind):
    found = gaps(world(kind, by=0.3))
    assert found.loc[kind, "p_holm"] < 0.02 > found.loc[kind, "p_mix_holm"]
    assert found.loc[kind, "best"] == {"sex": "F", "race": "ASIAN"}[kind]
    assert found.loc[kind, "low"] < 0.3 < found.loc[kind, "high"] + 0.1
    assert (found.drop(kind)["p_holm"] > 0.05).all()


def test_a_gap_by_other_diagnoses_is_told_from_one_by_group():
    found = gaps(world(mixed=True)).loc["sex"]
    assert found["p"] < 0.01 and found["gap"] > 0.2
    assert found["p_mix"] > 0.05 and found["mix"] > found["gap"] - 0.05


def test_without_a_gap_few_are_called_one():
    tables = [gaps(world(seed=seed)) for seed in range(25)]
    p = pd.concat(tables)["p"]
    assert (p < 0.05).mean() <= 0.1 and p.median() > 0.25
    any_kind = [(table["p_holm"] < 0.05).any() for table in tables]
    assert np.mean(any_kind) <= 0.12


def test_every_score_that_compares_is_there_with_an_interval():
    table = equity.gaps_table(world(), TREE, n=100)
    assert {"accuracy", "hierarchical_f1", "tree_distance", "well_formed"} <= set(
        table["metric"]
    )
    assert not table["metric"].str.startswith("macro").any()
    assert (table["low"] <= table["gap"]).all() and (
        table["gap"] <= table["high"]
    ).all()
    assert table.loc[table["kind"] == "chapter", "p_mix"].isna().all()
    assert table.drop(columns=["mix", "p_mix", "p_mix_holm"]).notna().all(axis=None)
    assert "by sex" in caption("gaps", table) or "by" in caption("gaps", table)


def test_several_seeds_count_as_their_mean():
    cases = world("sex", by=0.3)
    other = world("sex", by=0.3, seed=0).answers["sft"][0]
    wrong = ["N17.9"] * SIZE
    two = Cases(
        cases.notes,
        {"sft": {0: other, 1: wrong}},
        {"sft": {0: [True] * SIZE, 1: [True] * SIZE}},
    )
    one, half = gaps(cases)["gap"], gaps(two)["gap"]
    assert half.to_numpy() == pytest.approx(one.to_numpy() / 2)


def test_small_groups_are_put_together_named_and_scored():
    cases = world()
    race = cases.notes["race"].where(cases.notes.index >= 30, "WHITE - RUSSIAN")
    race[30:45], race[45:75] = "PORTUGUESE", "SOUTH AMERICAN"
    cases = Cases(cases.notes.assign(race=race), cases.answers, cases.well_formed)
    masks = strata.strata_of(cases.notes, cases.gold, minimum=40, tree=TREE)
    assert masks["race: small groups (2)"].sum() == 45
    assert "race: WHITE - RUSSIAN" not in masks
    assert masks["race: WHITE"].sum() == race.str.startswith("WHITE").sum()
    (said,) = equity.in_words(cases.notes, 40, TREE)
    assert "PORTUGUESE (15)" in said and "SOUTH AMERICAN (30)" in said
    assert gaps(cases, minimum=40).loc["race", "groups"] == 4


def test_one_group_alone_has_no_gap():
    cases = world()
    notes = cases.notes.assign(sex="F", race=None)[
        ["subject_id", "label", "sex", "race"]
    ]
    found = gaps(Cases(notes, cases.answers, cases.well_formed))
    assert list(found.index) == ["chapter"]
    none = equity.gaps_table(
        Cases(notes.assign(label="I10"), cases.answers, cases.well_formed), TREE, n=10
    )
    assert len(none) == 0
