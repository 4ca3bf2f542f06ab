"""A completion in steps, and which of them are wrong."""

import pandas as pd
import pytest

from deepicd.icd import load_tree
from deepicd.tasks import get_task
from deepicd.tasks.prompts import format_completion
from deepicd.tasks.steps import cut
from deepicd.traces import FAULTS, label_steps, planted
from deepicd.traces.agreement import agreeing
from deepicd.traces.step_labels import answered_right, of_answers
from deepicd.traces.teachers import rule_teacher

TREE = load_tree()
NOTE = "Crushing chest pain since noon. ECG: ST elevation in II, III and aVF. No fever."
GOLD = "I21.19"
GOOD = (
    '"Crushing chest pain": circulatory (9). Acute infarction, I21; '
    '"ST elevation in II" points to the inferior wall. So I21.19.'
)
KINDS = ["evidence", "chapter", "category", "sibling", "code"]


def labels(trace: str, answer: str = GOLD) -> dict[str, bool]:
    said = format_completion(trace, answer)
    steps = cut(said, TREE)
    right = label_steps(said, steps, NOTE, GOLD, TREE)
    return dict(zip([s.kind for s in steps], right, strict=True))


def test_a_good_trace_has_its_five_steps_and_all_are_right():
    assert labels(GOOD) == dict.fromkeys(KINDS, True)


@pytest.mark.parametrize(
    "old, new, wrong",
    [
        ("Crushing chest pain", "crushing headache", "evidence"),
        ("circulatory (9)", "respiratory (10)", "chapter"),
        ("I21;", "I26;", "category"),
        ("ST elevation in II", "ST elevation in V2", "sibling"),
        ("So I21.19", "So I21.11", "code"),
    ],
)
def test_what_is_wrong_is_wrong_in_its_own_step_alone(old, new, wrong):
    found = labels(GOOD.replace(old, new))
    assert found == {kind: kind != wrong for kind in KINDS}


def test_an_answer_that_is_wrong_or_no_code_makes_the_last_step_wrong():
    for answer in ("I21.11", "I21.19X", "none"):
        assert labels(GOOD, answer)["code"] is False


def test_a_detail_of_another_code_is_wrong_where_that_code_is_answered():
    said = GOOD.replace("inferior wall", "anterior wall").replace("I21.19", "I21.09")
    assert labels(said, "I21.09")["sibling"] is False


def test_a_code_that_is_weighed_and_dismissed_is_no_fault():
    assert labels(GOOD.replace("I21;", "I21, not I20;"))["category"]


def test_a_code_before_its_reasons_is_wrong():
    said = format_completion(f"This is {GOLD}. {GOOD}", GOLD)
    steps = cut(said, TREE)
    right = label_steps(said, steps, NOTE, GOLD, TREE)
    assert steps[0].kind == "code" and right == [False, *[True] * 5]


def test_a_text_that_breaks_off_ends_in_a_wrong_step():
    said = "<think>\n" + GOOD[:60]
    right = label_steps(said, cut(said, TREE), NOTE, GOLD, TREE)
    assert right == [True, True, False]


@pytest.mark.parametrize("text", ["", "<think>", "</diagnosis>", "." * 2000, "\u3164"])
def test_nothing_to_read_has_no_steps(text):
    assert cut(text, TREE) == []


def test_steps_do_not_overlap_and_stand_in_order():
    said = format_completion(GOOD.replace("So I21.19", "So, (9), I21: I21.19"), GOLD)
    steps = cut(said, TREE)
    assert all(a.end <= b.start for a, b in zip(steps, steps[1:], strict=False))
    assert all(said[s.start : s.end].strip() == said[s.start : s.end] for s in steps)


@pytest.fixture(scope="module")
def written():
    train = pd.DataFrame(
        {
            "note_id": [f"n{i}" for i in range(8)],
            "note": ["Crushing chest pain today, ST elevation."] * 4
            + ["Wheeze and green sputum for days."] * 4,
            "label": ["I21.19"] * 4 + ["J44.1"] * 4,
        }
    )
    traces = rule_teacher(get_task("principal_diagnosis"))(TREE).fit(train).write(train)
    return train, train.assign(trace=traces)


def test_every_planted_fault_leaves_a_wrong_step_and_good_traces_have_none(written):
    train, good = written
    notes = dict(zip(train["note_id"], train["note"], strict=True))
    table = planted(good, notes, TREE, seed=0)
    right = table["right"].map(all)
    assert set(table["fault"]) == {"none", *FAULTS}
    assert right[table["fault"] == "none"].all()
    assert not right[table["fault"] != "none"].any()


def disagreeing(said: str, note: str = NOTE, space=TREE) -> list[str]:
    steps = cut(said, space)
    told = agreeing(said, steps, note, space)
    return [step.kind for step, ok in zip(steps, told, strict=True) if not ok]


def test_planted_faults_are_caught_without_knowing_the_right_code(written):
    train, good = written
    notes = dict(zip(train["note_id"], train["note"], strict=True))
    table = planted(good, notes, TREE, seed=0)
    caught = [bool(disagreeing(r.completion, r.note)) for r in table.itertuples()]
    by_fault = table.assign(caught=caught).groupby("fault")["caught"].mean()
    assert by_fault["none"] == 0
    assert by_fault["sibling_code"] >= 0.75  # one that says the same is not seen
    sure = ["altered_quote", "as_given", "early_answer", "truncated", "wrong_code"]
    assert (by_fault[sure] == 1).all()


@pytest.mark.parametrize(
    ("trace", "answer", "wrong"),
    [
        (GOOD, GOLD, []),
        # An answer that hangs together agrees with itself, however wrong it is.
        ('"Crushing chest pain": respiratory (10). J44, COPD. So J44.1.', "J44.1", []),
        (GOOD, "J44.1", ["chapter", "category", "code"]),
        (GOOD.replace("ST elevation", "ST depression"), GOLD, ["sibling"]),
        (GOOD[:-1], GOLD, ["code"]),
        ('"Pain": circulatory (9). I21, infarction; Non-ST elevation. So I21.11.',
         "I21.11", ["evidence", "sibling"]),
        (GOOD, "Z", ["evidence", "chapter", "category", "sibling", "code"]),
    ],
)  # fmt: skip
def test_what_disagrees_with_the_note_or_the_answer(trace, answer, wrong):
    note = NOTE.replace("pain", "ache") if '"Pain"' in trace else NOTE
    found = disagreeing(format_completion(trace, answer), note)
    assert found == wrong


def test_own_answers_are_right_or_wrong_by_their_code(written):
    train, _ = written
    said = [format_completion(GOOD, GOLD), format_completion(GOOD, "J44.1"), "I21.19"]
    answers = pd.DataFrame({"note_id": ["n0", "n0", "n0"], "completion": said})
    table = of_answers(answers, train, TREE)
    assert answered_right(table, TREE) == [True, False, False]
    assert [row[-1] for row in table["right"]] == [True, False, False]
    assert table["right"][0][3] is False  # "ST elevation in II" is not in this note


def test_other_tasks_end_in_their_label():
    space = get_task("length_of_stay").space(None)
    label = space.order[0]
    said = format_completion('Given "pain", short.', label, tag=space.tag)
    steps = cut(said, space)
    assert [s.kind for s in steps] == ["evidence", "code"]
    assert label_steps(said, steps, "Pain.", label, space) == [True, True]
