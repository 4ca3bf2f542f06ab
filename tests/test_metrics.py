"""Scores agree with scikit-learn and with work by hand; unreadable is wrong."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from deepicd.common.errors import UserError
from deepicd.evaluation import best_reader, strata, systems
from deepicd.evaluation.metrics import evaluate, outcomes, path_overlap
from deepicd.icd import LEVELS, load_tree
from deepicd.views import in_words

TREE = load_tree()
CODES = [
    "I21.11",
    "I21.19",
    "I21.9",
    "I10",
    "J18.9",
    "C4A.0",
    "D49.0",
    "H59.031",
    "H60.00",
    "Z3A.20",
    "B20",
    "N17.9",
]
answer = st.sampled_from([*CODES, None, "nonsense", "i2111", "I21.11X"])


def score(table, level, metric):
    found = table[(table["level"] == level) & (table["metric"] == metric)]
    assert len(found) == 1
    return found["value"].iloc[0]


def sklearn_scores(gold, predicted, level):
    """The same scores by scikit-learn, unreadable answers as a label outside."""
    y = [TREE.at(code, level) for code in gold]
    said = [TREE.normalise(code) if code else None for code in predicted]
    z = [TREE.at(code, level) if code else "-" for code in said]
    labels = sorted(set(y))
    found = {"accuracy": accuracy_score(y, z)}
    for average in ("macro", "micro", "weighted"):
        parts = precision_recall_fscore_support(
            y, z, labels=labels, average=average, zero_division=0
        )
        found |= {
            f"{average}_{name}": value
            for name, value in zip(("precision", "recall", "f1"), parts, strict=False)
        }
    return found


def test_agrees_with_scikit_learn_on_random_cases():
    generator = np.random.default_rng(0)
    codes = generator.choice(sorted(TREE.billable_codes()), 40, replace=False)
    pool = [*codes, None]
    for _ in range(12):
        n = int(generator.integers(1, 60))
        gold = generator.choice(codes, n).tolist()
        said = [pool[i] for i in generator.integers(0, len(pool), n)]
        said = [
            g if u < 0.4 else s
            for g, s, u in zip(gold, said, generator.random(n), strict=True)
        ]
        table = evaluate(gold, said, tree=TREE, n_boot=0)
        for level in LEVELS:
            for metric, value in sklearn_scores(gold, said, level).items():
                assert score(table, level, metric) == pytest.approx(value, abs=1e-12)


@settings(max_examples=12)
@given(st.lists(st.tuples(st.sampled_from(CODES), answer), min_size=1, max_size=30))
def test_agrees_with_scikit_learn_on_awkward_answers(pairs):
    gold, said = map(list, zip(*pairs, strict=True))
    table = evaluate(gold, said, tree=TREE, n_boot=0)
    for level in LEVELS:
        for metric, value in sklearn_scores(gold, said, level).items():
            assert score(table, level, metric) == pytest.approx(value, abs=1e-12)


def test_hierarchical_scores_worked_by_hand():
    # I21.11 = 9 > I20-I25 > I21 > I21.1 > I21.11: five nodes.
    # I21.9 shares three of its four; I10 (9 > I10-I1A > I10) shares one of three;
    # no answer shares none of none.
    gold, said = ["I21.11"] * 3, ["I21.9", "I10", None]
    assert path_overlap(gold, said, TREE).tolist() == [[3, 1, 0], [5, 5, 5], [4, 3, 0]]
    table = evaluate(gold, said, tree=TREE, n_boot=0)
    assert score(table, "all", "hierarchical_precision") == pytest.approx(4 / 7)
    assert score(table, "all", "hierarchical_recall") == pytest.approx(4 / 15)
    assert score(table, "all", "hierarchical_f1") == pytest.approx(8 / 22)
    # Edges: 2 + 1; 4 + 2; no answer as far as a code of equal depth elsewhere, 10.
    assert score(table, "all", "tree_distance") == pytest.approx((3 + 6 + 10) / 3)
    assert score(table, "all", "in_catalogue") == pytest.approx(2 / 3)
    # I21.9 may be billed; I10 too; no answer may not.
    assert score(table, "all", "billable") == pytest.approx(2 / 3)
    said = ["I21.1", "I21", "I21.11"]  # a parent, the category, the code itself
    table = evaluate(gold, said, tree=TREE, n_boot=0, well_formed=[True, True, False])
    # Shared 4, 3, 5 of answers' 4, 3, 5 and of the gold's 5 each.
    assert score(table, "all", "hierarchical_precision") == 1.0
    assert score(table, "all", "hierarchical_recall") == pytest.approx(12 / 15)
    assert score(table, "all", "hierarchical_f1") == pytest.approx(24 / 27)
    assert score(table, "all", "tree_distance") == pytest.approx((1 + 2 + 0) / 3)
    assert score(table, "all", "billable") == pytest.approx(1 / 3)
    assert score(table, "all", "well_formed") == pytest.approx(2 / 3)


def test_the_icicle_worked_by_hand():
    # Two codes of one category, one of another chapter; the answers are right at
    # 9 > I20-I25 > I21 for two notes, and nowhere for the third.
    notes = pd.DataFrame({"label": ["J18.9", "I21.11", "I21.9"], "subject_id": 0})
    cases = systems.Cases(notes, {"sft": {0: ["I10", "I21.19", "I21.9"]}}, {})
    frame = systems.icicle_table(cases, "sft", TREE)
    rows = {(r.level, r.label): (r.start, r.n, r.value) for r in frame.itertuples()}
    assert rows[("chapter", "9")] == (0, 2, 1.0)
    assert rows[("chapter", "10")] == (2, 1, 0.0)
    assert rows[("category", "I21")] == (0, 2, 1.0)
    assert rows[("full", "I21.11")] == (0, 1, 0.0)
    assert rows[("full", "I21.9")] == (1, 1, 1.0)


@pytest.mark.parametrize(
    ("gold", "said", "expected"),
    [
        ("I21.11", "I21.11", "exact"),
        ("I21.11", "i2111", "exact"),
        ("I21.11", "I21.19", "category"),
        ("I21.11", "I21", "category"),
        ("I21.11", "I25.10", "block"),
        ("I21.11", "I10", "chapter"),
        ("I21.11", "J18.9", "wrong"),
        ("I21.11", "I21.11X", "not in catalogue"),
        ("I21.11", "chest pain", "not in catalogue"),
        ("I21.11", None, "malformed"),
        ("D49.0", "D50.9", "wrong"),  # one letter, two chapters
        ("H59.031", "H60.00", "wrong"),
        ("C4A.0", "C43.9", "block"),
        ("B20", "B20", "exact"),  # a block and a category of one name
    ],
)
def test_outcome_of_a_note(gold, said, expected):
    assert outcomes([gold], [said], TREE).tolist() == [expected]


def test_outcome_tells_unreadable_from_not_in_catalogue():
    found = outcomes(["I10"] * 2, [None, None], TREE, well_formed=[True, False])
    assert found.tolist() == ["not in catalogue", "malformed"]


def test_unreadable_answers_are_wrong_and_no_class():
    gold = ["A41.9", "I10"]  # chapter 1 must not suffer from unreadable answers
    table = evaluate(gold, ["A41.9", None], tree=TREE, n_boot=0)
    assert score(table, "chapter", "macro_precision") == 0.5
    assert score(table, "chapter", "macro_f1") == 0.5
    assert score(table, "chapter", "accuracy") == 0.5
    assert set(table.loc[table["level"] == "chapter", "label_set"]) == {
        "gold-present (2)"
    }


def test_a_prediction_outside_the_label_set_adds_no_class():
    table = evaluate(["I10"] * 4, ["I10", "I10", "J18.9", "N17.9"], tree=TREE, n_boot=0)
    assert score(table, "full", "macro_f1") == pytest.approx(2 * 2 / (4 + 2))


def test_a_given_label_set_is_used_and_named():
    table = evaluate(
        ["I10"], ["I10"], ["full"], TREE, label_set=["I10", "J18.9"], n_boot=0
    )
    assert score(table, "full", "macro_f1") == 0.5
    assert "given (2)" in set(table["label_set"])


def test_several_seeds_are_averaged_and_widen_the_interval():
    generator = np.random.default_rng(1)
    gold = generator.choice(CODES, 200).tolist()
    good = [
        g if u < 0.9 else "I10"
        for g, u in zip(gold, generator.random(200), strict=True)
    ]
    bad = [
        g if u < 0.3 else "I10"
        for g, u in zip(gold, generator.random(200), strict=True)
    ]
    both = evaluate(gold, [good, bad], ["full"], TREE, n_boot=400)
    one = evaluate(gold, good, ["full"], TREE, n_boot=400)
    other = evaluate(gold, bad, ["full"], TREE, n_boot=400)
    mean = (score(one, "full", "accuracy") + score(other, "full", "accuracy")) / 2
    assert score(both, "full", "accuracy") == pytest.approx(mean)
    width = (both["high"] - both["low"])[0], (one["high"] - one["low"])[0]
    assert width[0] > 2 * width[1]


def test_every_row_has_a_count_and_its_interval_in_range():
    gold = CODES * 5
    table = evaluate(
        gold,
        gold[1:] + gold[:1],
        tree=TREE,
        n_boot=200,
        groups=[i // 2 for i in range(len(gold))],
    )
    assert (table["n"] == 60).all()
    assert (table["low"] <= table["high"]).all()
    assert (table["low"] >= 0).all()
    assert (table.loc[table["metric"] != "tree_distance", "high"] <= 1).all()


@pytest.mark.parametrize(
    ("gold", "said", "levels", "text"),
    [
        (["I10"], ["I10", "I10"], LEVELS, "one answer"),
        ([], [], LEVELS, "one gold code"),
        (["X99.99Q"], ["I10"], LEVELS, "without a chapter"),
        (["I10"], ["I10"], ["letter"], "a list of chapter"),
        (["I10"], ["I10"], "full", "a list of chapter"),
    ],
)
def test_what_cannot_be_scored_is_refused(gold, said, levels, text):
    with pytest.raises(UserError, match=text):
        evaluate(gold, said, levels, TREE)


@pytest.fixture
def study():
    """Admissions and predictions of two systems, one with two seeds."""
    generator = np.random.default_rng(3)
    n = 240
    notes = pd.DataFrame(
        {
            "note_id": [f"n{i}" for i in range(n)],
            "note": "fever and cough " * 5,
            "subject_id": [f"p{i // 2}" for i in range(n)],
            "label": generator.choice(CODES, n),
            "split": np.where(np.arange(n) % 3 == 0, "train", "test"),
            "sex": generator.choice(["F", "M"], n),
            "age": generator.integers(18, 95, n),
        }
    )
    frames = []
    for system, seed, skill in (("sft", 0, 0.4), ("sft", 1, 0.5), ("sft_grpo", 0, 0.8)):
        said = [
            g if u < skill else None
            for g, u in zip(notes["label"], generator.random(n), strict=True)
        ]
        frames.append(
            notes[["note_id", "split"]].assign(
                system=system,
                seed=seed,
                sample=0,
                completion="",
                code=said,
                well_formed=[code is not None for code in said],
            )
        )
    predictions = pd.concat(frames, ignore_index=True)
    predictions["in_catalogue"] = predictions["well_formed"]
    return notes, predictions


def test_tables_have_the_columns_of_the_contract(study):
    notes, predictions = study
    cases = systems.gather(predictions, notes)
    table = systems.metrics_table(cases, TREE, n_boot=50)
    assert list(table.columns) == [
        "system",
        "seed",
        "level",
        "stratum",
        "metric",
        "value",
        "low",
        "high",
        "n",
        "label_set",
    ]
    assert set(table["seed"]) == {"0+1", "0"}
    assert set(table["n"]) == {160}
    assert not table.duplicated(["system", "level", "stratum", "metric"]).any()


def test_systems_are_compared_on_the_notes_that_all_answered(study):
    notes, predictions = study
    late = (predictions["system"] == "sft_grpo") & (predictions.index % 2 == 0)
    cases = systems.gather(predictions[~late], notes)
    assert 0 < len(cases.notes) < 160
    assert all(len(codes) == len(cases.notes) for codes in cases.seeds("sft"))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p: pd.concat([p, p]), "two answers"),
        (lambda p: p.assign(split="val"), "every system answered"),
        (lambda p: p.assign(sample=1), "every system answered"),
    ],
)
def test_predictions_that_cannot_be_compared_are_refused(study, change, text):
    notes, predictions = study
    with pytest.raises(UserError, match=text):
        systems.gather(change(predictions), notes)


def test_notes_without_a_patient_are_counted_and_said(study):
    notes, predictions = study
    gone = notes.assign(subject_id=notes["subject_id"].astype(object))
    assert systems.gather(predictions, gone).people.endswith(" patients")
    gone.loc[:9, "subject_id"] = None
    cases = systems.gather(predictions, gone)
    known, unknown = cases.notes["subject_id"].nunique(), cases.notes.isna().sum().sum()
    start = f"{known + unknown:,} patients ({unknown} notes without a patient's id"
    assert unknown > 1 and cases.people.startswith(start)
    table = systems.differences_table(cases, [("sft_grpo", "sft")], TREE, n=20)
    assert (table["patients"] == known + unknown).all()


def test_outcomes_and_confusion_add_up(study):
    notes, predictions = study
    cases = systems.gather(predictions, notes)
    shares = systems.outcome_table(cases, TREE).groupby("system")["share"].sum()
    assert shares.tolist() == pytest.approx([1.0, 1.0])
    confusion = systems.confusion_table(cases, "sft_grpo", TREE)
    assert confusion["n"].sum() == 160
    assert confusion.groupby("gold")["share"].sum().tolist() == pytest.approx(
        [1.0] * confusion["gold"].nunique()
    )


def test_code_scores_average_to_macro_f1(study):
    notes, predictions = study
    cases = systems.gather(predictions[predictions["seed"] == 0], notes)
    train = notes.loc[notes["split"] == "train", "label"]
    frame = strata.frequency_table(cases, train, TREE)
    table = systems.metrics_table(cases, TREE, n_boot=0)
    for system, rows in frame.groupby("system"):
        assert rows["f1"].mean() == pytest.approx(
            score(table[table["system"] == system], "full", "macro_f1")
        )


def test_strata_below_the_minimum_are_left_out(study):
    notes, predictions = study
    cases = systems.gather(predictions, notes)
    train = notes.loc[notes["split"] == "train", "label"]
    table = strata.strata_table(cases, train, TREE, n_boot=20, minimum=60)
    assert {"sex: F", "sex: M"} <= set(table["stratum"])
    assert (table["n"] >= 60).all()
    small = strata.strata_table(
        cases, train, TREE, n_boot=5, minimum=8, systems=["sft_grpo"]
    )
    assert small["stratum"].str.startswith("chapter: ").any()
    assert table[["low", "high"]].notna().all(axis=None)
    length = strata.length_table(cases, TREE, groups=4, n_boot=20)
    assert set(length["n"]) == {40} and (length["words"] > 0).all()
    none = strata.strata_table(cases, train, TREE, n_boot=20, minimum=1000)
    assert len(none) == 0 and "stratum" in none


def test_differences_find_the_better_system(study):
    notes, predictions = study
    cases = systems.gather(predictions, notes)
    table = systems.differences_table(cases, [("sft_grpo", "sft")], TREE, n=300)
    assert (table["low"] > 0).all() and table["clear"].all()
    assert table["p_holm"].notna().sum() == 3
    assert (table["p_holm"].dropna() >= table["p_sign"].dropna()).all()
    said = in_words.describe_difference(next(table.itertuples()))
    assert "SFT + GRPO" in said and "excludes zero" in said


def test_published_scores_are_marked_as_such(study):
    notes, predictions = study
    cases = systems.gather(predictions, notes)
    table = in_words.published_table(systems.metrics_table(cases, TREE, 0), "eicu")
    own = table["data"] == "this run: eicu"
    assert own.sum() == 2 and table.loc[~own, "data"].str.startswith("PUBLISHED").all()
    assert table["notes"].tolist() == [160] * 2 + [2184] * 6
    found = in_words.published_table(systems.metrics_table(cases, TREE, 20), "eicu")
    assert (
        found.loc[own, ["macro F1", "micro F1"]]
        .map(lambda text: re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", text))
        .all(axis=None)
    )
    wide = in_words.wide_table(systems.metrics_table(cases, TREE, 20))
    assert (wide["notes"] == 160).all() and wide.map(lambda x: x != "").all(axis=None)


def test_the_wide_table_says_how_many_labelled_notes_a_system_saw(study):
    notes, predictions = study
    cases = systems.gather(predictions, notes)
    known = predictions["system"].map({"sft": 1119, "sft_grpo": 2796})
    table = systems.metrics_table(cases, TREE, 20)
    ceiling = table[table["system"] == "sft"].assign(system="oracle")
    table = systems.with_labelled_notes(
        pd.concat([table, ceiling]), predictions.assign(labelled_notes=known)
    )
    assert table.loc[table["system"] == "oracle", "labelled_notes"].isna().all()
    wide = in_words.wide_table(table)
    assert wide["labelled notes"].to_dict() == {
        "SFT": "1,119",
        "SFT + GRPO": "2,796",
        "Oracle": "",
    }
    assert list(wide)[-2:] == ["labelled notes", "notes"]


def test_a_private_note_is_never_told(study):
    notes, predictions = study
    predictions = predictions.assign(completion="canary of the note")
    cases = systems.gather(predictions, notes)
    told = in_words.tell_answers(cases, 0, predictions, TREE, ["sft"], private=True)
    assert "canary" not in told and not any(code in told for code in CODES)
    shown = in_words.tell_answers(cases, 0, predictions, TREE, ["sft"], private=False)
    assert "canary" in shown


def test_a_change_is_counted_by_how_near_each_answer_is():
    notes = pd.DataFrame(
        {"note_id": list("abcd"), "subject_id": range(4), "label": "I21.11"}
    )
    said = {
        "sft": ["I21.11", "I21.19", "J18.9", None],
        "sft_grpo": ["I21.11", "I10", "I21.9", "J18.9"],
    }
    read = {s: {0: [code is not None for code in codes]} for s, codes in said.items()}
    cases = systems.Cases(notes, {s: {0: codes} for s, codes in said.items()}, read)
    assert in_words.describe_change(cases, "sft_grpo", "sft", TREE) == (
        "Of 4 notes, SFT + GRPO is nearer to the gold code than SFT on 2 and farther "
        "on 1; 1 are equally near."
    )


def test_oracle_is_scored_level_by_level(study):
    notes, predictions = study
    cases = systems.gather(predictions, notes)
    best = pd.DataFrame(
        {"note_id": notes["note_id"], "full": "I10"}
        | {
            level: [TREE.at(code, level) for code in notes["label"]]
            for level in ("chapter", "block", "category")
        }
    )
    table = best_reader.oracle_metrics(cases, best, TREE, n_boot=20)
    assert score(table, "category", "accuracy") == 1.0
    assert score(table, "full", "accuracy") < 0.3
    gap = best_reader.oracle_gap(cases, best, TREE, n=50, levels=["category"])
    own = systems.metrics_table(cases, TREE, n_boot=0)
    for row in gap.itertuples():
        reached = score(own[own["system"] == row.system], "category", "accuracy")
        assert row.value == pytest.approx(1 - reached)
        assert row.low <= row.value <= row.high and row.n == 160
