"""Agreement of samples as a confidence, and what the reasoning is worth."""

import numpy as np
import pandas as pd
import pytest

from deepicd.evaluation import abstaining, calibration, reasoning
from deepicd.icd import load_tree

TREE = load_tree()
NOTES = pd.DataFrame(
    {
        "note_id": ["a", "b"],
        "label": ["I10", "J18.9"],
        "subject_id": [1, 2],
        "note": ["High blood pressure.", "Cough and fever."],
    }
)


def drawn(**answers):
    rows = [
        (note, k + 1, code)
        for note, codes in answers.items()
        for k, code in enumerate(codes)
    ]
    samples = pd.DataFrame(rows, columns=["note_id", "sample", "code"])
    return samples.assign(system="sft", seed=0)


SAMPLES = drawn(a=["I10", "I10", "I10"], b=["J18.9", "I21.9", None])


def test_risk_falls_when_only_agreeing_notes_are_answered():
    samples = drawn(a=["I10"] * 3, b=["I10", "I21.9", None])
    curve = abstaining.risk_coverage(samples, NOTES, TREE, ["full"])
    assert curve["coverage"].tolist() == [0.5, 1.0]
    assert curve["risk"].tolist() == [0.0, 0.5]
    greedy = samples.assign(sample=0)
    assert len(abstaining.risk_coverage(greedy, NOTES, TREE)) == 0


@pytest.mark.parametrize(("error", "share"), [(0.0, 0.5), (0.49, 0.5), (0.5, 1.0)])
def test_share_that_can_be_automated_worked_by_hand(error, share):
    samples = drawn(a=["I10"] * 3, b=["I10", "I21.9", None])
    table = abstaining.automated_share(samples, NOTES, TREE, error, ["full"], 50)
    assert table["value"].item() == share
    assert table["low"].item() <= share <= table["high"].item()
    assert table["n"].item() == 2


def test_scores_of_samples_worked_by_hand():
    # a: 3 of 3 right. b: 1 of 3 right; J18.9 and I21.9 tie, the first by name wins.
    table = calibration.sample_scores(SAMPLES, NOTES, TREE, ["full"], n_boot=50)
    value = table.set_index("metric")["value"]
    assert value["one_sample"] == pytest.approx((1 + 1 / 3) / 2)
    assert value["pass_at_k"] == 1.0
    assert value["majority"] == 0.5  # I21.9 comes first
    # a is right with agreement 1: no gap. b is wrong with agreement 1/3.
    assert value["ece"] == pytest.approx((0 + 1 / 3) / 2)
    assert (table["n"] == 2).all() and (table["samples"] == 3).all()
    assert table[["low", "high"]].notna().all(axis=None)


def test_drawn_answers_are_compared_note_by_note():
    better = drawn(a=["I10", None, None], b=["J18.9"] * 3).assign(system="sft_grpo")
    both = pd.concat([SAMPLES, better])
    pairs = [("sft_grpo", "sft"), ("sft_grpo", "nobody")]
    table = calibration.sample_differences(both, NOTES, pairs, TREE, ["full"], 200)
    row = table.iloc[0]
    assert len(table) == 1 and (row["n"], row["patients"]) == (2, 2)
    assert row["value"] == pytest.approx(((1 / 3 - 1) + (1 - 1 / 3)) / 2)
    assert row["low"] <= -2 / 3 + 1e-6 and row["high"] >= 2 / 3 - 1e-6


def test_an_unreadable_sample_counts_against_agreement():
    table = abstaining.votes(SAMPLES, "full", TREE)
    assert table["agreement"].tolist() == pytest.approx([1.0, 1 / 3])
    nothing = abstaining.votes(drawn(a=[None, None]), "full", TREE)
    assert nothing["agreement"].tolist() == [0.0] and nothing["label"][0] is None


def test_reliability_of_an_honest_model_lies_on_the_diagonal():
    generator = np.random.default_rng(0)
    notes = pd.DataFrame({"note_id": range(600), "label": "I10"})
    answers = {}
    for i in range(600):  # right as often as the samples agree: 60 or 100 per cent
        sure = i % 2 == 0
        lead = "I10" if sure or generator.random() < 0.6 else "J18.9"
        answers[i] = [lead] * (5 if sure else 3) + ([] if sure else ["N17.9", "B20"])
    rows = [(i, k + 1, c) for i, cs in answers.items() for k, c in enumerate(cs)]
    samples = pd.DataFrame(rows, columns=["note_id", "sample", "code"])
    samples = samples.assign(system="sft", seed=0)
    table = calibration.reliability(samples, notes, TREE, ["full"], n_boot=100)
    assert table["agreement"].tolist() == pytest.approx([0.6, 1.0])
    # Of 300 notes about 0.6 are right: standard error 0.028.
    assert table["value"].tolist() == pytest.approx([0.6, 1.0], abs=0.09)
    assert (table["low"] <= table["value"]).all() and table["low"][1] < 1
    gap = calibration.sample_scores(samples, notes, TREE, ["full"], n_boot=0)
    assert gap.set_index("metric")["value"]["ece"] < 0.06


def said(thought, code):
    return f"<think>{thought}</think><diagnosis>{code}</diagnosis>"


def test_evidence_is_looked_for_in_the_note():
    table = pd.DataFrame(
        {
            "system": "sft",
            "seed": 0,
            "sample": 0,
            "split": "test",
            "note_id": ["a", "b"],
            "completion": [
                said('"blood pressure" and "fever" fit.', "I10"),
                said('"COUGH  and fever" fits.', "J18.9"),
            ],
            "code": ["I10", "J18.9"],
        }
    )
    found = reasoning.reasoning_table(table, NOTES, TREE, n_boot=50)
    value = found.set_index("metric")["value"]
    assert value["evidence_found"] == pytest.approx(2 / 3)  # of three quotes
    assert value["all_found"] == 0.5
    assert value["quotes"] == 1.5
    behind = found.set_index("metric")["n"]
    assert behind.pop("codes_on_path") == 0  # none is named
    assert value["quoted_words"] == pytest.approx(5 / 9)
    assert (behind.drop("recovered") == 2).all()
    assert behind["recovered"] == 0  # their readers cannot know these codes
    silent = table.assign(completion=["", "no tags"])
    assert len(reasoning.reasoning_table(silent, NOTES, TREE, n_boot=10)) == 0


def test_an_answer_that_the_reasoning_does_not_lead_to_is_not_recovered():
    thoughts = ["wheeze and smoke"] * 20 + ["crushing chest pain"] * 20
    codes = ["J44.1"] * 20 + ["I21.11"] * 20
    honest = reasoning._recovered(thoughts, codes, TREE, first=1)
    assert honest.mean() == 1.0
    mixed = reasoning._recovered(["the note says so"] * 40, codes, TREE, first=0)
    assert mixed.mean() == 0.0
