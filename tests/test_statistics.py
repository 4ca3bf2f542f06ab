"""Intervals hold what they say; the paired test is paired; draws repeat."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest

from deepicd.common.errors import UserError
from deepicd.evaluation import intervals
from deepicd.evaluation.counts import tally
from deepicd.evaluation.intervals import (
    Interval,
    exact_limits,
    paired_bootstrap,
    score_interval,
)
from deepicd.evaluation.metrics import evaluate
from deepicd.evaluation.resampling import (
    bootstrap,
    group_numbers,
    mean_over_seeds,
    weight_blocks,
)
from deepicd.evaluation.systems import holm, sign_test
from deepicd.icd import load_tree
from deepicd.study.bench.coverage import coverage

TREE = load_tree()
CODES = sorted(TREE.billable_codes())[::1500][:40]


def two_systems(n, seed, skill=(0.6, 0.5), codes=CODES):
    generator = np.random.default_rng(seed)
    gold, other = generator.integers(len(codes), size=(2, n))
    luck = generator.random(n)
    said = [
        [
            codes[g] if u < s else codes[o]
            for g, o, u in zip(gold, other, luck, strict=True)
        ]
        for s in skill
    ]
    return [codes[g] for g in gold], *said


def apart(n, seed):
    """Two systems of which each is often right where the other is wrong."""
    gold, a, b = two_systems(n, seed)
    half = [None if x == g else g for g, x in zip(gold, a, strict=True)][n // 2 :]
    return gold, a, [*b[: n // 2], *half]


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_equal_answers_differ_by_nothing_as_far_as_so_many_notes_can_tell(metric):
    reach = []
    for n in (1, 20, 80):
        gold, a, _ = two_systems(n, 0)
        found = paired_bootstrap(gold, a, a, None, "full", 100, 0, metric, TREE)
        assert found.value == 0 and found.low == -found.high and not found.clear
        reach.append(found.high)
    assert reach[0] == pytest.approx(0.975)
    assert reach[0] > reach[1] > reach[2] > 0.02


def test_difference_is_a_minus_b_and_changes_sign():
    gold, a, b = two_systems(120, 1)
    one = paired_bootstrap(gold, a, b, None, "full", n=200, tree=TREE)
    two = paired_bootstrap(gold, b, a, None, "full", n=200, tree=TREE)
    assert one.value > 0
    assert (one.value, one.low) == pytest.approx((-two.value, -two.high))


@pytest.mark.parametrize("turned", [False, True])
def test_one_note_of_many_is_never_clear_of_zero(turned):
    # In more than a third of the resamples the one note is missing.
    gold, a, _ = two_systems(60, 0)
    better = [gold[0] if a[0] != gold[0] else "I10", *a[1:]]
    for seed in range(12):
        pair = (better, a) if turned else (a, better)
        found = paired_bootstrap(gold, *pair, None, "full", 100, seed, "accuracy", TREE)
        assert abs(found.value) == pytest.approx(1 / 60)
        assert not found.clear


def test_same_seed_gives_the_same_interval_and_another_not():
    gold, a, b = apart(100, 2)
    same = [
        paired_bootstrap(gold, a, b, None, "full", 150, seed, tree=TREE)
        for seed in (5, 5, 6)
    ]
    assert same[0] == same[1] != same[2]


def test_several_levels_share_the_resamples():
    gold, a, b = two_systems(60, 3)
    both = paired_bootstrap(gold, a, b, None, ["chapter", "full"], 150, tree=TREE)
    assert both["full"] == paired_bootstrap(gold, a, b, None, "full", 150, tree=TREE)


def test_accuracy_interval_agrees_with_the_loop_it_replaces():
    gold, a, b = apart(150, 4)
    found = paired_bootstrap(
        gold, a, b, None, "full", 4000, metric="accuracy", tree=TREE
    )
    gain = np.array([x == g for g, x in zip(gold, a, strict=True)], float)
    gain -= [x == g for g, x in zip(gold, b, strict=True)]
    generator = np.random.default_rng(9)
    means = [gain[generator.integers(150, size=150)].mean() for _ in range(4000)]
    assert found.value == pytest.approx(gain.mean())
    # Two independent Monte-Carlo estimates of the same two quantiles.
    assert [found.low, found.high] == pytest.approx(
        np.quantile(means, [0.025, 0.975]).tolist(), abs=0.008
    )


def test_patients_are_drawn_not_notes():
    gold, a, b = two_systems(50, 5)
    many = [x * 8 for x in (gold, a, b)]  # the same patient eight times over
    patients = list(range(50)) * 8
    notes = paired_bootstrap(*many, None, "full", 800, metric="accuracy", tree=TREE)
    people = paired_bootstrap(
        *many, patients, "full", 800, metric="accuracy", tree=TREE
    )
    assert (notes.groups, people.groups) == (400, 50)
    assert (people.high - people.low) > 2 * (notes.high - notes.low)


def test_seeds_are_resampled_with_the_notes():
    gold, good, bad = two_systems(100, 6, skill=(0.9, 0.3))
    base = two_systems(100, 6, skill=(0.5, 0.5))[1]
    found = paired_bootstrap(
        gold, [good, bad], [base, base], None, "full", 500, metric="accuracy", tree=TREE
    )
    one = paired_bootstrap(
        gold, good, base, None, "full", 500, metric="accuracy", tree=TREE
    )
    assert (found.high - found.low) > 2 * (one.high - one.low)


def test_seeds_are_drawn_anew_for_each_resample():
    draws = np.stack([np.zeros(4000), np.ones(4000)])
    means = mean_over_seeds(draws, 0)
    values, counts = np.unique(means.round(9), return_counts=True)
    assert (counts / 4000).tolist() == pytest.approx([0.25, 0.5, 0.25], abs=0.03)
    assert values[1] == 0.5 and means.mean() == pytest.approx(0.5, abs=0.03)
    # The variance of a mean of two is half that of one: 0.5, estimated from two.
    assert means.var() == pytest.approx(0.5 / 2, abs=0.02)


def test_weights_are_multinomial():
    weights = np.concatenate(list(weight_blocks(40, 700, seed=0)), axis=1)
    assert weights.shape == (40, 700)
    assert (weights.sum(0) == 40).all()
    assert weights.mean() == 1.0
    assert weights.var() == pytest.approx(1 - 1 / 40, abs=0.03)


def test_groups_may_be_missing_or_have_gaps():
    assert group_numbers(None, 3).tolist() == [0, 1, 2]
    assert group_numbers(["a", None, "a"], 3).tolist() == [0, 1, 0]


@pytest.mark.parametrize("gone", [None, float("nan"), pd.NA])
def test_each_missing_patient_is_one_of_its_own(gone):
    assert group_numbers([gone, "a", gone, "a", gone], 5).tolist() == [1, 0, 2, 0, 3]
    gold, a, b = two_systems(40, 8)
    unknown = paired_bootstrap(gold, a, b, [gone] * 40, "full", 300, tree=TREE)
    alone = paired_bootstrap(gold, a, b, None, "full", 300, tree=TREE)
    assert unknown == alone and unknown.groups == 40


def test_a_rare_label_that_vanishes_does_not_pull_the_interval_down():
    # 40 labels of one case each, all right: a percentile interval of macro F1 with
    # absent labels as zero would end near 0.63.
    labels = [str(i) for i in range(40)]
    numbers = np.arange(40)
    counts = tally(np.array(labels), np.array(labels), labels, numbers)
    points, draws, shifts = bootstrap([counts], ["macro_f1"], 300, 0)
    weights = counts.weights("macro_f1")
    found = score_interval(points[0, 0], draws[0, 0], shifts[0, 0], 40, weights)
    # No resample moves it; the exact limit of 40 cases of 40 right remains.
    limit = binomtest(40, 40).proportion_ci(0.95, "exact").low
    assert (found.value, found.low, found.high) == pytest.approx((1.0, limit, 1.0))


def test_all_wrong_is_not_known_to_be_all_wrong_everywhere():
    gold, said = ["I10"] * 30, ["J18.9"] * 30
    table = evaluate(gold, said, ["full"], TREE, n_boot=50, metrics=["accuracy"])
    high = binomtest(0, 30).proportion_ci(0.95, "exact").high
    assert table[["value", "low"]].values.tolist() == [[0.0, 0.0]]
    assert table["high"].item() == pytest.approx(high)


@pytest.mark.parametrize(("metric", "exponent"), [("accuracy", 0.7), ("macro_f1", 1.2)])
def test_interval_of_a_known_difference_holds_it(metric, exponent):
    # 120 data sets: the standard error of a coverage of 0.95 is 0.02.
    # `python -m deepicd.study.bench coverage` takes 500, and more settings.
    assert 0.90 <= coverage(120, 200, metric, exponent, resamples=300) <= 0.995


def test_sign_test_is_mcnemars_exact_test_of_discordant_notes():
    a = np.array([True] * 9 + [False] * 3 + [True] * 5)
    b = np.array([False] * 9 + [True] * 3 + [True] * 5)
    assert sign_test(a * 1.0 - b) == pytest.approx(binomtest(9, 12).pvalue)
    assert sign_test(a * 1.0 - a) == 1.0


def test_holm_on_a_published_example():
    # Sorted 0.01, 0.02, 0.03, 0.04 -> 0.04, 0.06, 0.06, 0.06.
    assert holm([0.04, 0.01, 0.03, 0.02]).tolist() == pytest.approx(
        [0.06, 0.04, 0.06, 0.06]
    )
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("low", "high", "clear"), [(0.1, 0.3, True), (-0.3, -0.1, True), (-0.1, 0.3, False),
                               (0.0, 0.3, False), (np.nan, np.nan, False)],
)  # fmt: skip
def test_a_difference_is_clear_where_its_interval_excludes_zero(low, high, clear):
    assert Interval(0.2, low, high, 9, 9, 9, "m").clear is clear


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize("n", [1, 2, 3, 5, 6, 10])
def test_as_few_notes_are_clear_as_the_exact_sign_test_says(n, seeds, metric):
    right, wrong = [CODES[:n]] * seeds, [[None] * n] * seeds
    found = paired_bootstrap(CODES[:n], right, wrong, None, "full", 99, 0, metric, TREE)
    limit = 2 * binomtest(n, n).proportion_ci(0.95, "exact").low - 1
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(limit)
    assert found.clear == (sign_test([1] * n) <= 0.05) == (n >= 6)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_notes_of_one_patient_are_never_clear(metric):
    gold = CODES[:12]
    found = paired_bootstrap(
        gold, gold, [None] * 12, ["p"] * 12, "full", 99, 0, metric, TREE
    )
    assert not found.clear and found.low == pytest.approx(-0.95)


def test_a_score_that_no_resample_moves_has_a_width():
    gold, said = ["I21.11", "I10", "E11.9", "I21.4"], ["I21.11", None, None, "I21.4"]
    table = evaluate(gold, said, ["category"], TREE).set_index("metric")
    low, high = table.loc["macro_f1", ["low", "high"]]
    assert low < 0.1 and high > 0.8
    assert (table["low"] < table["high"]).all()


def test_exact_limits_are_those_of_clopper_and_pearson():
    for right in range(8):
        wanted = binomtest(right, 7).proportion_ci(0.95, "exact")
        found = exact_limits(right / 7, np.ones(7))
        assert found == pytest.approx((wanted.low, wanted.high))
    # Half the weight on one of many: hardly more is known than of three alone.
    low, _ = exact_limits(1.0, np.array([50.0] + [1.0] * 50))
    assert low < exact_limits(1.0, np.ones(6))[0]


def test_many_cases_are_left_to_the_bootstrap():
    gold, a, b = apart(400, 3)
    for metric in ("accuracy", "macro_f1"):
        found = paired_bootstrap(gold, a, b, None, "full", 99, 0, metric, TREE)
        assert found.method == intervals.BOOTSTRAP
    few = paired_bootstrap(gold, a, [*a[:-1], None], None, "full", 99, tree=TREE)
    assert few.method == intervals.EXACT


@pytest.mark.parametrize(
    "given", [["i21.11", "i10"], ["I2111", "I10"], ["I10", "I21.11", "i10"]]
)
def test_a_label_set_is_read_in_any_spelling_each_label_once(given):
    gold = ["I21.11", "I10"]
    table = evaluate(gold, gold, ["full"], TREE, label_set=given, n_boot=0)
    assert table.set_index("metric").loc["macro_f1", "value"] == 1.0
    assert "given (2)" in set(table["label_set"])
    found = paired_bootstrap(
        gold, gold, [None] * 2, None, "full", 20, tree=TREE, label_set=given
    )
    assert found.value == 1.0


@pytest.mark.parametrize(
    ("level", "labels"),
    [
        ("category", ["I21.11", "I10", "I21.4"]),
        ("block", ["i20-i25", "I10"]),
        ("chapter", ["9"]),
        ("chapter", ["I10"]),
    ],
)
def test_finer_labels_are_rolled_up_to_the_level(level, labels):
    gold = ["I21.11", "I10"]
    table = evaluate(gold, gold, [level], TREE, label_set={level: labels}, n_boot=0)
    assert table.set_index("metric").loc["macro_f1", "value"] == 1.0


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([], "one label or more"),
        ("I10", "one label or more"),
        ({"category": ["I10"]}, "one for full too"),
        ({}, "one for full too"),
        (["I10", "I99.99X"], "I99.99X"),
        (["9"], "labels without a full"),
        ([None], "labels without a full"),
    ],
)
def test_a_label_set_that_means_nothing_is_refused(given, text):
    gold = ["I21.11", "I10"]
    with pytest.raises(UserError, match=text):
        evaluate(gold, gold, ["full"], TREE, label_set=given, n_boot=0)
    with pytest.raises(UserError, match=text):
        paired_bootstrap(gold, gold, gold, None, "full", 9, tree=TREE, label_set=given)


@pytest.mark.parametrize(("a", "groups"), [(["I10"], None), (["I10"] * 2, ["p"])])
def test_lengths_that_differ_are_refused(a, groups):
    with pytest.raises(UserError, match="one answer and one group"):
        paired_bootstrap(["I10", "I10"], a, a, groups, "full", 10, tree=TREE)
