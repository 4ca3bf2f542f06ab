"""Rewards: the properties every spec must hold, and the tree's in particular."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_prompts import messy

from deepicd.common.errors import UserError
from deepicd.icd import load_tree
from deepicd.rewards import PARTS, SPECS, RewardSpec, get_spec, score, spec_of
from deepicd.rewards.outcome import prefix_value
from deepicd.views.reward_defects import defects_table, gold_type_table, newline_table
from deepicd.views.reward_landscape import landscape, neighbours

TREE = load_tree()
CODES = TREE.codes()
codes = st.sampled_from(CODES)
texts = st.one_of(st.text(max_size=60), messy)
specs = st.sampled_from(sorted(SPECS))
TEXT_PARTS = (
    *("format", "validity", "evidence", "unfounded"),
    *("length", "repetition"),
)
EVERYTHING = {f"weight_{part}": 0.1 for part in TEXT_PARTS}


def written(code: str) -> str:
    return f"<think>ST elevation</think>\n<diagnosis>{code}</diagnosis>"


def total(code: str, gold: str, spec="tree") -> float:
    return score([written(code)], gold, spec, TREE)[0].total


@st.composite
def near_pairs(draw):
    """A gold code and another code that shares some part of its path."""
    gold = draw(codes)
    path = TREE.path(gold)
    ancestor = path[draw(st.integers(0, len(path) - 1))]
    return gold, draw(st.sampled_from(TREE.leaves(ancestor) or [gold]))


# -- every spec ------------------------------------------------------------------


@given(texts, codes, specs, st.booleans())
def test_never_raises_and_stays_within_its_bounds(text, gold, spec, everything):
    spec = get_spec(spec, **(EVERYTHING if everything else {}))
    (row,) = score([text], gold, spec, TREE, notes="chest pain")
    low, high = spec.bounds
    assert low - 1e-9 <= row.total <= high + 1e-9
    assert row.total == pytest.approx(sum(row.parts.values()))
    assert tuple(row.parts) == spec.parts


@given(near_pairs(), specs)
def test_the_exact_code_earns_the_maximum_and_nothing_else_does(pair, spec):
    gold, other = pair
    best = total(gold, gold, spec)
    assert best <= get_spec(spec).bounds[1]
    if other != gold:
        assert total(other, gold, spec) < best


@given(near_pairs(), specs, st.randoms())
def test_case_dot_and_white_space_do_not_matter(pair, spec, rng):
    gold, other = pair
    bare = other.replace(".", "")
    ways = [bare, other.lower(), f" {bare.lower()} ", " ".join(bare)]
    assert {total(way, gold, spec) for way in ways} == {total(other, gold, spec)}
    assert total(other, rng.choice([gold.lower(), gold.replace(".", "")]), spec) == (
        total(other, gold, spec)
    )


@given(near_pairs(), specs, st.sampled_from(TEXT_PARTS), texts)
def test_a_switch_changes_exactly_its_part(pair, spec, part, trace):
    gold, other = pair
    text = f'<think>"chest pain" {trace}</think><diagnosis>{other}</diagnosis>'
    on = get_spec(spec, **EVERYTHING)
    off = get_spec(spec, **EVERYTHING | {f"weight_{part}": 0.0})
    (with_it,), (without,) = (
        score([text], gold, s, TREE, notes="chest pain") for s in (on, off)
    )
    assert set(with_it.parts) - set(without.parts) == {part}
    assert {p: v for p, v in with_it.parts.items() if p != part} == without.parts
    assert without.total == pytest.approx(with_it.total - with_it.parts[part])


@pytest.mark.parametrize("spec", sorted(SPECS))
def test_malformed_is_lowest_and_an_unknown_code_below_a_wrong_one(spec):
    spec = get_spec(spec)
    malformed, unknown, wrong, right = (
        row.parts["outcome"]
        for row in score(
            ["I21.11", written("XYZ"), written("A00.0"), written("I21.11")],
            "I21.11",
            spec,
            TREE,
        )
    )
    assert malformed <= unknown <= wrong < right
    if spec.outcome != "prefix":
        assert malformed < unknown < wrong


# -- tree ------------------------------------------------------------------------


@given(near_pairs(), codes)
def test_tree_is_monotone_in_the_depth_of_the_common_ancestor(pair, third):
    gold, other = pair
    near, far = sorted(
        (other, third), key=lambda c: (c != gold, -TREE.lca_depth(c, gold))
    )
    assert total(near, gold) >= total(far, gold)


@given(near_pairs())
def test_tree_pays_a_wrong_code_what_its_ancestor_earns(pair):
    gold, other = pair
    shared = TREE.lca(gold, other)
    if other == gold or not TREE.valid(shared):
        return
    ancestor_is_gold = shared == gold
    if not ancestor_is_gold:
        assert total(other, gold) == total(shared, gold)
    assert total(other, gold) < 0.6


@given(near_pairs())
def test_tree_pays_no_wrong_code_60_percent(pair):
    gold, other = pair
    assert total(gold, gold) == 1.0
    if other != gold:
        assert total(other, gold) < 0.6


def test_tree_pays_by_level():
    expected = {
        "I21.11": 1.0,
        "I21.19": 0.5,
        "I21.1": 0.5,
        "I21": 0.4,
        "I21.9": 0.4,
        "I20.0": 0.2,
        "I10": 0.1,
        "A00.0": 0.0,
        "I21.11X": -0.2,
        "STEMI": -0.2,
    }
    assert {code: total(code, "I21.11") for code in expected} == expected
    assert total("D50.0", "D49.0") == total("H60.00", "H59.021") == 0.0


@given(near_pairs(), st.lists(st.floats(-2, 2), min_size=5, max_size=5))
def test_tree_stays_monotone_under_any_weights(pair, weights):
    names = ["chapter", "block", "category", "subcategory", "near"]
    weights = dict(zip([f"weight_{n}" for n in names], weights, strict=True))
    spec = get_spec("tree", weight_full=3.0, **weights)
    assert list(spec.ladder) == sorted(spec.ladder)
    assert total(*pair[::-1], spec) <= total(pair[0], pair[0], spec)


def test_weights_of_the_notebook_map_straight_on_the_spec():
    spec = get_spec("tree", weight_chapter=0.05, weight_block=0.1, weight_category=0.3)
    values = [total(c, "I21.11", spec) for c in ("I10", "I20.0", "I21.9")]
    assert values == [0.05, 0.1, 0.3]


# -- named specs -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        # exact, sibling, category, block, chapter, other chapter, unknown, malformed
        ("flat", (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.2, -0.5)),
        ("chapter", (1.0, 0.9, 0.9, 0.9, 0.9, 0.0, -0.2, -0.5)),
        ("category", (1.0, 0.9, 0.9, 0.0, 0.0, 0.0, -0.2, -0.5)),
        ("sapphire_dense", (2.0, 1.5, 1.5, 0.5, 0.5, -0.5, -1.5, -2.0)),
        ("sapphire_strict", (2.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.5, -2.0)),
    ],
)
def test_values_of_named_specs(spec, values):
    answers = "I21.11 I21.19 I21.9 I20.0 I10 A00.0 I21.999".split()
    rows = score([*map(written, answers), "I21.11"], "I21.11", spec, TREE)
    assert tuple(row.total for row in rows) == values


PUBLISHED = {
    3: ([5, 10], 45),
    4: ([3.75, 7.5, 26.25], 60),
    5: ([3, 6, 24, 42], 75),
    6: ([2.5, 5, 22.5, 40, 57.5], 90),
    7: ([2.14, 4.29, 21.4, 38.6, 55.7, 72.9], 105),
}


@pytest.mark.parametrize(("length", "row"), PUBLISHED.items())
def test_prefix_is_the_published_table(length, row):
    near, exact = row
    gold = "S52501A"[:length]
    spec = get_spec("prefix")
    assert prefix_value(gold, gold, spec) == exact
    for shared, expected in enumerate(near, start=1):
        said = gold[:shared] + "Z" * (length - shared)
        # The published table is rounded to three digits.
        assert prefix_value(said, gold, spec) == pytest.approx(expected, rel=3e-3)
        exact_value = 15 * (shared / length + (shared - 2 if shared >= 3 else 0))
        assert prefix_value(said, gold, spec) == exact_value


@pytest.mark.parametrize(
    ("gold", "answer", "value"),
    [
        ("I10", "I10", 46),
        ("I10", "I11.0", 11),
        ("I10", "A00.0", 0),
        ("I48.1", "I48.11", 46),
        ("I21.11", "I21.11", 76),
        ("I21.11", "I21.119", 61),
        ("I21.11", "I21.19", 43),
        ("I21.11", "I10", 4),
        ("I21.11", "banana", 0),
        ("S52.501A", "S52.501B", pytest.approx(73.857, abs=1e-3)),
        ("S52.501A", "S52.501A", 106),
    ],
)
def test_prefix_with_the_think_bonus(gold, answer, value):
    assert total(answer, gold, "prefix") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("", -5), ("I21.11", -1), (written("I21.11") * 3, -3), (written("I1") * 99, -11)],
)
def test_prefix_penalties(text, value):
    assert score([text], "I21.11", "prefix", TREE)[0].total == value


# -- what is scored ----------------------------------------------------------------


def test_gold_may_be_one_code_or_one_each():
    answers = [written("I21.11"), written("I10")]
    assert [r.total for r in score(answers, "i2111")] == [1.0, 0.1]
    assert [r.total for r in score(answers, ["I21.11", "I10"])] == [1.0, 1.0]
    assert score([], "I21.11") == [] and score([], []) == []


def test_bad_input_is_said_so():
    with pytest.raises(UserError, match="gold code 'I21.11X'"):
        score([written("I10")], "I21.11X")
    with pytest.raises(UserError, match="1 gold codes for 2 completions"):
        score([written("I10")] * 2, ["I10"])
    with pytest.raises(UserError, match="no notes"):
        score([written("I10")], "I10", get_spec("tree", weight_evidence=0.1))


def test_a_breakdown_says_what_was_read():
    right, unknown, broken = score([written("i2111"), written("?"), "?"], "I21.11")
    assert (right.code, right.problem) == ("I21.11", None)
    assert (unknown.code, unknown.problem) == (
        None,
        "answer is no code of the catalogue",
    )
    assert (broken.code, broken.problem) == (None, "no think")


def test_the_order_of_scoring_does_not_matter():
    answers = [written(c) for c in CODES[:200:7]] + ["", "x"]
    rows = score(answers, "I21.11", "tree", TREE)
    backwards = score(answers[::-1], "I21.11", RewardSpec(), TREE)[::-1]
    assert rows == backwards


# -- specs -------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(UserError, match="did you mean 'category'"):
        get_spec("categroy")
    with pytest.raises(UserError, match="did you mean 'weight_chapter'"):
        get_spec("tree", weight_chaptr=0.1)


@pytest.mark.parametrize("value", ["False", "1e-5", True, None, float("nan"), [0.1]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(UserError):
        get_spec("tree", weight_evidence=value)


@pytest.mark.parametrize(
    "changes",
    [
        {"weight_full": 0.3},
        {"weight_evidence": -0.1},
        {"length_limit": 0},
        {"length_start": 1.0},
        {"outcome": "forest"},
        {"style": "poem"},
    ],
)
def test_specs_that_make_no_sense_are_refused(changes):
    with pytest.raises(UserError):
        get_spec("tree", **changes)


def test_a_spec_goes_into_a_manifest_and_text_for_a_number_is_refused():
    spec = get_spec("sapphire_dense", weight_length=0.25)
    assert spec_of(spec.to_dict()) == spec
    with pytest.raises(UserError, match="1.0e-5"):
        get_spec("tree", weight_length="1e-5")


def test_parts_are_listed_once_and_have_weights():
    own = {*TEXT_PARTS, "judge"}  # and "process", where training is imported
    assert own <= set(PARTS) <= own | {"process"}
    assert get_spec("tree").parts == ("outcome",)


# -- defects and landscape -----------------------------------------------------------


def test_defects_of_the_published_reward():
    table = defects_table(tree=TREE).set_index("case")
    published = table.published.to_dict()
    assert published["exact code, for scale"] == 76
    assert published["longer code that does not exist"] == 61
    assert published["right code with an X behind"] == 61
    assert published["exact, both tags on one line"] == -1
    assert published["ten diagnoses on one line, right one first"] == 76
    assert published["a diagnosis only inside the think"] == 75
    assert published["letter in third place: C4A.0 exact"] == 0
    assert published["lower case, exact"] == 0
    assert (
        published["near miss on seven characters"]
        > (published["exact on three characters"])
    )
    ours = table.ours.to_dict()
    assert ours["lower case, exact"] == ours["letter in third place: C4A.0 exact"] == 1
    assert ours["exact, both tags on one line"] == 1
    assert ours["ten diagnoses on one line, right one first"] == -0.5
    assert ours["a diagnosis only inside the think"] == -0.5
    assert table[table.ours_share < 1].ours_share.max() < 0.6


def test_defects_of_types_and_newlines():
    frame = gold_type_table(TREE)
    assert (frame.ours_text == frame.ours_list).all()
    assert (newline_table((4_000,)).ours_ms < 1_000).all()


def test_the_landscape_climbs_to_the_gold_code():
    frame = landscape("I21.11", ["tree", "flat", "prefix"], TREE, most=10)
    tree = frame[frame.spec == "tree"]
    assert tree.reward.is_monotonic_increasing
    assert tree.iloc[-1].code == "I21.11" and tree.iloc[-1].share == 1.0
    assert (frame.groupby("spec").share.max() == 1.0).all()
    assert neighbours("I10", TREE, most=3).code.iloc[-1] == "I10"
