"""Traces: every check against its fault, and a store that a kill cannot hurt."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_teachers import FRAME, TREE

from deepicd.errors import UserError
from deepicd.teachers import Answer, ReplayTeacher, Request, RuleTeacher
from deepicd.traces import (
    CHECKS,
    COLUMNS,
    FAULTS,
    LABEL_ONLY,
    AttemptLog,
    Case,
    build_traces,
    catch_rates,
    check_table,
    highlight,
    run_checks,
    showing,
)
from deepicd.traces.corpus_checks import CopyCounter, overlapping, recovery_ranks

NOTE = (
    "CHIEF COMPLAINT: Crushing chest pain\n\nPRESENT ILLNESS: 61 year old man with "
    "crushing chest pain and ST elevation in II, III and aVF. He denies fever."
)
GOOD = (
    'The "crushing chest pain" with "ST elevation in II, III" is circulatory, an acute '
    "infarction; the inferior leads point to the right coronary artery. So I21.11."
)
SECRET = "He smokes."


def fails(trace=GOOD, answer="I21.11", gold="I21.11", note=NOTE, **more) -> set[str]:
    """Names of the checks that fail."""
    problem = more.pop("problem", None)
    return set(run_checks(Case(note, gold, trace, answer, problem, TREE, **more)))


def test_a_good_trace_passes():
    assert fails() == set()


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("format", {"problem": "no diagnosis"}),
        ("format", {"trace": GOOD[:80]}),
        ("format", {"trace": GOOD.replace("So", "</think> So")}),
        ("answer", {"answer": "I21.19"}),
        ("answer", {"answer": None}),
        ("answer", {"answer": "I21.11 or I21.19"}),
        ("conclusion", {"trace": GOOD.replace("I21.11", "I21.19")}),
        ("given_answer", {"trace": "The given code fits. " + GOOD}),
        ("given_answer", {"trace": GOOD.replace("So", "As provided,")}),
        ("code_last", {"trace": "I21.11: " + GOOD}),
        ("code_last", {"trace": "It must be i21.11. ".upper() + GOOD}),
        ("quotes", {"trace": GOOD.replace("crushing", "stabbing")}),
        ("quotes", {"trace": GOOD.replace("II, III", "V1, V2")}),
        ("evidence", {"trace": GOOD.replace('"', "")}),
        ("evidence", {"trace": f'"{NOTE.splitlines()[2]}" So I21.11.'}),
        ("evidence", {"trace": " ".join(NOTE.split()) + ' "chest pain". So I21.11.'}),
        ("after_admission", {"trace": "He was discharged on aspirin. " + GOOD}),
        ("conflicts", {"trace": "It is E10.9. " + GOOD, "gold": "E11.9"}),
        ("length", {"trace": 'A "chest pain". So I21.11.'}),
        ("repetition", {"trace": "It is in the heart. " * 9 + GOOD}),
    ],
)
def test_each_check_catches_its_fault(check, changes):
    assert check in fails(**changes)


@pytest.mark.parametrize(
    ("gold", "fault"),
    [("W01.0XXA", True), ("F02.80", True), ("J91.8", True), ("I21.11", False)],
)
def test_codes_that_may_not_be_listed_first(gold, fault):
    assert ("sequencing" in fails(gold=gold)) is fault


@pytest.mark.parametrize(
    "trace",
    [
        GOOD.replace("is circ", "given the elevation is circ"),
        GOOD.replace("crushing chest pain", "CRUSHING\nchest  pain"),
        GOOD.replace("So I21.11.", "So I21.11 fits best of all."),
        GOOD.replace("artery.", "artery rather than I21.02."),
        GOOD.replace("is circ", "(chapter 9, I20-I25) is circ"),
        GOOD.replace('"crushing chest pain"', "\u201ccrushing chest pain\u201d"),
    ],
)
def test_harmless_variants_pass(trace):
    assert fails(trace=trace) == set()


def test_text_from_after_admission_is_named_where_it_is_known():
    trace = GOOD.replace("crushing chest pain", "stent to the RCA")
    later = "Hospital course: stent to the RCA."
    assert {"quotes", "after_admission"} <= fails(trace=trace, later=later)
    assert "after_admission" not in fails(trace=trace)


def test_invented_findings_without_quotes():
    words = frozenset(["hemoptysis", "crushing"])
    claim = "The patient also has {}. " + GOOD
    assert "invented" in fails(trace=claim.format("hemoptysis"), lexicon=words)
    assert fails(trace=claim.format("crushing pain"), lexicon=words) == set()
    assert "invented" not in fails(trace=claim.format("no hemoptysis"), lexicon=words)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.none() | st.text(max_size=20), st.text(max_size=100))
def test_checks_never_raise_and_never_quote_the_note(trace, answer, note):
    case = Case(note + SECRET, "I21.11", trace, answer, None, TREE)
    assert SECRET not in json.dumps(run_checks(case))
    assert "<script" not in highlight(case)


def test_highlight_marks_right_and_wrong_quotes():
    trace = GOOD.replace("ST elevation in II, III", "a <b>rash</b>")
    html = highlight(Case(NOTE, "I21.11", trace, "I21.11", None, TREE))
    assert f'{showing._STYLES["good"]}">crushing chest pain<' in html
    assert f'{showing._STYLES["bad"]}">a &lt;b&gt;rash' in html


# -- many traces ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def built():
    return build_traces(FRAME, TREE, RuleTeacher(TREE).fit(FRAME), seed=0)


def test_columns_rows_and_order(built):
    train = FRAME[FRAME["split"] == "train"].sort_values("sft_rank")
    assert list(built.columns) == COLUMNS
    assert set(built["note_id"]) == set(train["note_id"])
    first = built[built["attempt"] == 0]
    assert first["note_id"].tolist() == train["note_id"].tolist()
    assert built[built["accepted"]]["note_id"].is_unique
    assert not built[["note_id", "attempt"]].duplicated().any()


def test_a_smaller_set_is_a_prefix(built):
    teacher = RuleTeacher(TREE).fit(FRAME)
    small = build_traces(FRAME, TREE, teacher, seed=0, n=20, attempts=1)
    assert small["trace"].tolist() == built["trace"].head(20).tolist()


def test_what_is_never_accepted_is_label_only():
    answers = [Answer("n0", k, "Nothing.", "J44.1") for k in range(3)]
    table = build_traces(FRAME, TREE, ReplayTeacher(answers), attempts=3, n=1)
    assert len(table) == 4 and not table["accepted"].any()
    last = table.iloc[-1]
    assert (last["reasons"], last["trace"]) == (LABEL_ONLY, "")
    counts = check_table(table).set_index("check")
    assert counts.loc[LABEL_ONLY, "failed"] == 1 and counts.loc["answer", "n"] == 3


def test_planted_faults_are_caught_and_good_traces_stay():
    big = pd.concat([FRAME.assign(note_id=FRAME["note_id"] + s) for s in "abc"])
    big = big.assign(sft_rank=range(len(big)))
    teacher = RuleTeacher(TREE).fit(big)
    table = build_traces(big, TREE, teacher, seed=0, attempts=4)
    rates = catch_rates(table, big, TREE, n=12, seed=0).set_index("fault")
    assert set(FAULTS) < set(rates.index)
    caught = rates.loc[list(FAULTS)]
    assert caught["caught"].sum() >= 0.95 * caught["n"].sum(), rates
    assert rates.loc["none", "share"] <= 0.02, rates


def test_every_check_has_a_row(built):
    assert set(CHECKS) < set(check_table(built)["check"])


def test_codes_outside_the_tree_are_refused():
    wrong = FRAME.assign(icd_code="Q00.0Q")
    with pytest.raises(UserError, match="outside the tree"):
        build_traces(wrong, TREE, ReplayTeacher([]))


def test_near_copies_of_one_code_are_counted():
    counter, words = CopyCounter(copies=2), GOOD.lower().split()
    assert [counter.is_copy("I21.11", words) for _ in range(3)] == [False, False, True]
    assert not counter.is_copy("I21.02", words)
    assert counter.is_copy("I21.11", words + ["indeed"])


def test_overlap_counts_other_notes_only():
    held = ["crushing chest pain and ST elevation in II, III and aVF today"]
    trace = "He has crushing chest pain and st elevation in II, III."
    assert overlapping([trace, trace], [NOTE, "something else"], held) == [False, True]


def test_recovery_needs_reasoning_that_fits_the_code():
    traces = ['"wheeze": COPD, J44. So J44.1.', '"chest pain": infarction. So I21.11.']
    texts, codes = traces * 10, ["J44.1", "I21.11"] * 10
    texts[0], texts[1] = texts[1], texts[1]
    ranks = recovery_ranks(texts, codes, TREE)
    assert ranks[0] > 1 and set(ranks[1:]) == {1.0}
    assert pd.isna(recovery_ranks([*texts, "x"], [*codes, "I10"], TREE)[-1])


# -- storage -------------------------------------------------------------------------


class _Dying:
    """The rule teacher, killed after some answers."""

    name = "rule"

    def __init__(self, teacher, lives):
        self.teacher, self.lives, self.asked = teacher, lives, 0

    def answer(self, requests, seed):
        for answer in self.teacher.answer(requests, seed):
            if self.asked == self.lives:
                raise KeyboardInterrupt
            self.asked += 1
            yield answer


@pytest.mark.parametrize("torn", [b"", b'{"note_id": "n1", "att', b"\xff\xfe\n"])
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path, built, torn, monkeypatch):
    monkeypatch.setattr("deepicd.traces.building._BATCH", 4)
    path, teacher = tmp_path / "log.jsonl", RuleTeacher(TREE).fit(FRAME)
    for lives in (10, 30, 50):
        with pytest.raises(KeyboardInterrupt):
            build_traces(FRAME, TREE, _Dying(teacher, lives), log_path=path)
        with open(path, "ab") as file:
            file.write(torn)
    before = len(AttemptLog(path).answers)
    assert before >= 80
    last = _Dying(teacher, 10_000)
    table = build_traces(FRAME, TREE, last, log_path=path)
    pd.testing.assert_frame_equal(table, built)
    keys = [(a.note_id, a.attempt) for a in AttemptLog(path).answers.values()]
    assert len(set(keys)) == len(keys) == before + last.asked
    lines = [line for line in path.read_bytes().splitlines() if line[:1] == b"{"]
    assert len(lines) == len(keys)


def test_failed_requests_are_asked_again(tmp_path):
    log = AttemptLog(tmp_path / "log.jsonl")
    log.append([Answer("n1", 0, "", None, "HTTP 500", failed=True)])
    asked = [Request("n1", "Cough.", "J44.1")]
    assert log.missing(asked) == []
    assert AttemptLog(tmp_path / "log.jsonl").missing(asked) == asked


def test_replay_gives_the_same_table(built):
    again = build_traces(FRAME, TREE, ReplayTeacher.from_frame(built), seed=0)
    names = ["note_id", "trace", "accepted", "reasons"]
    pd.testing.assert_frame_equal(again[names], built[names])
