"""Evidence: one definition for reward, checks and metric, and nothing to cheat."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepicd import rewards
from deepicd.icd import load_tree
from deepicd.rewards import get_spec, registry, score, trl_reward_functions
from deepicd.study.bench.evidence import earnings
from deepicd.study.bench.traces import synthetic_notes
from deepicd.tasks import evidence, quotes
from deepicd.traces.case import Case

TREE = load_tree()
GOLD = "I21.11"
NOTE = """CHIEF COMPLAINT: Chest pain

PRESENT ILLNESS: ___ year old male presenting with sudden crushing chest pain at rest,
fever of 39. Denies vomiting, cough or headache. ECG: ST elevations in II, III, aVF.
Troponin was positive.

MEDICAL HISTORY: Hypertension

SOCIAL HISTORY: Lives with spouse. Drinks on weekends."""
SPEC = get_spec("tree", weight_evidence=1.0)


def paid(*quoted: str, code: str = GOLD, marks: str = '""', note: str = NOTE) -> float:
    thought = " and ".join(f"{marks[0]}{q}{marks[1]}" for q in quoted)
    said = f"<think>{thought or 'So.'}</think><diagnosis>{code}</diagnosis>"
    return score([said], GOLD, SPEC, TREE, note)[0].parts["evidence"]


HONEST = paid("crushing chest pain", "ST elevations")


def test_an_honest_trace_is_paid():
    assert HONEST > 0.2
    assert paid("crushing chest pain", "ST elevations", code="I21.19") == HONEST
    assert paid("crushing chest pain", "ST elevations", code="J18.9") == 0


@pytest.mark.parametrize(
    "quoted",
    [
        ["chest pai", "ever of 3", "evations in I"],
        ["CHIEF COMPLAINT:", "PRESENT ILLNESS:", "SOCIAL HISTORY:"],
        ["CHIEF COMPLAINT", "MEDICAL HISTORY"],
        ["___ year old", "year old male", "to the", ", ", "of", "at", "in"],
        ["___", "39", "male"],
        [NOTE.split("\n\n")[1]],
        [NOTE],
        NOTE.split(),
        ["vomiting", "cough", "headache"],
        ["Lives with spouse", "Drinks on weekends"],
        ["pneumonia", "wheeze"],
        [],
    ],
)
def test_what_is_no_evidence_earns_next_to_nothing(quoted):
    assert paid(*quoted) < 0.05 * HONEST


def test_a_set_pays_by_what_it_covers_not_by_its_number():
    one = paid("crushing chest pain")
    assert paid(*["crushing chest pain"] * 5) == one
    assert paid("crushing chest pain", "Crushing  chest pain.") == one
    assert paid("crushing chest pain", "crushing chest", "chest pain") < one
    assert paid("crushing chest pain", "invented finding") < one < HONEST


def test_a_negative_counts_as_a_negative_alone():
    note = "Chest pain. Denies vomiting. Later: vomiting twice."
    assert evidence.judge_quote("vomiting", note).problem == ""
    assert evidence.judge_quote("vomiting", NOTE).problem == "the note denies it"
    told = evidence.judge_quote("Denies vomiting", NOTE)
    assert [word.feature for word in told.words] == ["~vomiting"]


@pytest.mark.parametrize("marks", ['""', "\u201c\u201d", "''", "\u2018\u2019"])
def test_marks_of_every_kind_are_read_alike(marks):
    assert paid("crushing chest pain", marks=marks) == paid("crushing chest pain") > 0


@pytest.mark.parametrize(
    ("quote", "stands"),
    [
        ("chest pai", False),
        ("ever of 3", False),
        ("chest pain at rest", True),
        ("CHEST   PAIN, at rest", True),
        ("chest ... fever", True),
        ("fever \u2026 chest", False),
        ("chest [...] fever of 39", True),
        ("...", False),
    ],
)
def test_a_quote_stands_in_whole_words(quote, stands):
    note = "Sudden chest pain at rest, fever of 39"
    assert quotes.stands_in(quote, note) is stands
    case = Case(note, GOLD, f'"{quote}" so.', GOLD, None, TREE)
    assert case.standing == [stands]


@given(st.text("ab .'\"\u201c\n", max_size=60), st.text("ab .\n", max_size=40))
def test_reward_checks_and_metric_agree_to_the_letter(thought, note):
    judged = evidence.judge_quotes(thought, note)
    found = {tuple(quotes.words(s.text)): s.text for s in quotes.quotes(thought)}
    found.pop((), None)
    assert len(judged) == len(found)
    for quote in judged:
        assert bool(quote.places) == quotes.stands_in(quote.text, note)


@given(st.text('abc ."', max_size=80), st.text("abc .", max_size=60))
def test_evidence_is_a_share(thought, note):
    assert 0.0 <= evidence.evidence(thought, note, GOLD, TREE) <= 1.0


# The ten best of `python -m deepicd.study.bench evidence`, which tries 200.
BEST = (
    "start of the present illness, 8 words",
    "8 rarest words",
    "6 rarest words",
    "4 rarest words",
    "3 rarest words",
    "2 rarest words",
    "first 4 runs of 8 words",
    "first 3 runs of 8 words",
    "first 6 runs of 8 words",
    "start of the complaint, 2 words",
)


def test_who_quotes_without_reading_earns_under_a_twentieth():
    table = earnings(synthetic_notes(2000), names=BEST)
    honest = table[table["answer"] == "gold"]["value"].item()
    rest = table[table["answer"] != "gold"]
    assert len(rest) == 2 * len(BEST) and honest > 0.3
    assert rest["value"].max() < 0.05 * honest


def test_what_is_usual_comes_from_the_training_notes():
    notes = ["Crushing pain, zebra."] * 5 + ["Cough, zebra."] * 45
    usual = evidence.Background.of(notes, [GOLD] * 5 + ["J18.9"] * 45, TREE)
    word = evidence.Word("zebra", False, 1.0)
    assert usual.value(word, GOLD, TREE) == 0
    assert usual.value(word._replace(text="crushing"), GOLD, TREE) > 0.4
    # A class that the training notes do not hold: the section alone.
    assert usual.value(word, "S52.501A", TREE) == 1
    functions, names, _ = trl_reward_functions(SPEC, TREE, background=usual)
    said = '<think>"zebra"</think><diagnosis>I21.11</diagnosis>'
    values = functions[names.index("evidence")](
        completions=[said], label=[GOLD], note=["Zebra."]
    )
    assert values == [0.0]


def test_a_new_part_is_one_function_and_one_registration():
    @rewards.part("brevity", low=-1.0, high=0.0)
    def brevity(seen):
        return -min(len(seen.text) / 1000, 1.0)

    try:
        spec = get_spec("tree", weight_brevity=0.5)
        assert spec.parts == ("outcome", "brevity") and spec.bounds == (-1.0, 1.0)
        said = f"<think>{'x' * 450}</think><diagnosis>{GOLD}</diagnosis>"
        row = score([said], GOLD, spec, TREE)[0]
        assert row.parts["brevity"] == pytest.approx(-0.5 * len(said) / 1000)
        functions, names, weights = trl_reward_functions(spec, TREE)
        assert names == ["outcome", "brevity"] and weights == [1.0, 0.5]
        assert functions[1](completions=[said], label=[GOLD]) == [-len(said) / 1000]
        assert rewards.spec_of(spec.to_dict()) == spec
    finally:
        del registry.PARTS["brevity"]


def test_credit_is_a_mapping_by_level():
    assert get_spec("tree").credit["category"] == 0.4
    assert get_spec("tree", weight_category=0.3).credit["category"] == 0.3
    assert get_spec("tree", weight_category=0.3) != get_spec("tree")
