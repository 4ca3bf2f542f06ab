"""Traces: every check against its fault, and a store that a kill cannot hurt."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_teachers import FRAME, TREE

from deepicd.common.errors import UserError
from deepicd.study.bench.traces.kills import IN_FLIGHT, killed_run
from deepicd.tasks import quotes
from deepicd.tasks.prompts import parse_completion
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
    export_dataset,
    run_checks,
)
from deepicd.traces.claims import lexicon
from deepicd.traces.coding_rules import conflicts
from deepicd.traces.corpus_checks import CopyCounter, HeldOut, recovery_ranks
from deepicd.traces.teachers import Answer, ReplayTeacher, Request, RuleTeacher
from deepicd.training.catalogue import build_questions, neighbourhood
from deepicd.views import trace as showing
from deepicd.views.marked import STYLES
from deepicd.views.trace import highlight

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


@pytest.mark.parametrize(
    ("claim", "caught"),
    [
        ("On examination, melena is noted.", True),
        ("The presence of jaundice supports this.", True),
        ("Labs show hematuria, which fits.", True),
        ("There is papilledema.", True),
        ("Hemoptysis was found.", True),
        ("There is no melena.", False),
        ("Melena would be typical instead.", False),
        ("The patient has chest pain, suggesting thrombosis of an artery.", False),
        ("Such pain comes from ischemia.", False),
    ],
)
def test_claims_are_told_from_arguments(claim, caught):
    words = lexicon([NOTE], TREE)
    found = fails(trace=f"{claim} {GOOD}", lexicon=words)
    assert ("invented" in found) is caught


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("The film is diagnostic of pneumonia.", True),
        ("Sepsis is confirmed.", True),
        ("It is caused by J18.9.", True),
        ("Pneumonia is possible.", False),
        ("Pneumonia is not confirmed.", False),
    ],
)
def test_a_symptom_code_although_a_disease_is_argued_for(text, fault):
    named = quotes.codes(text, TREE)
    assert bool(conflicts(text, named, "R05.1", TREE)) is fault
    assert not conflicts(text, named, "J18.9", TREE)


def test_codes_that_exclude_each_other_are_found_among_all_accepted():
    text = "With E10.9 and E11.9 at hand."
    named = quotes.codes(text, TREE)
    assert "exclude" in conflicts(text, named, "I21.11", TREE)
    assert conflicts("E10.9 rather than E11.9.", named, "I21.11", TREE) is None


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.none() | st.text(max_size=20), st.text(max_size=100))
def test_checks_never_raise_and_never_quote_the_note(trace, answer, note):
    case = Case(note + SECRET, "I21.11", trace, answer, None, TREE)
    assert SECRET not in json.dumps(run_checks(case))
    assert "<script" not in highlight(case)


def test_highlight_marks_right_and_wrong_quotes():
    trace = GOOD.replace("ST elevation in II, III", "a <b>rash</b>")
    html = highlight(Case(NOTE, "I21.11", trace, "I21.11", None, TREE))
    assert f'{STYLES["found"]}">crushing chest pain<' in html
    assert f'{STYLES["wrong"]}">a &lt;b&gt;rash' in html
    answer = Answer("n1", 0, "The patient has melena. " + GOOD, "I21.11")
    case = showing.case_of(answer, NOTE, "I21.11", TREE)
    assert f'{STYLES["wrong"]}">melena.<' in highlight(case)


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


@pytest.mark.parametrize("said", ["", "\u4e2d\u6587", '"', "I21.11"])
def test_a_teacher_that_writes_nothing_of_use_ends_in_labels_only(said):
    train = FRAME[FRAME["split"] == "train"].head(12)
    teacher = ReplayTeacher([Answer(n, 0, said, None) for n in train["note_id"]])
    table = build_traces(train, TREE, teacher, attempts=1)
    assert not table["accepted"].any()
    assert (table["reasons"] == LABEL_ONLY).sum() == 12


def test_codes_outside_the_tree_are_refused():
    wrong = FRAME.assign(label="Q00.0Q")
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
    found = HeldOut(held)
    assert not found.holds(trace, NOTE) and found.holds(trace, "something else")
    split = trace.replace("elevation", "elevation; yes")
    assert not found.holds(split, "something else")


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
def test_a_killed_run_goes_on_and_ends_the_same(tmp_path, built, torn):
    path, teacher = tmp_path / "log.jsonl", RuleTeacher(TREE).fit(FRAME)
    for lives in (10, 30, 50):
        with pytest.raises(KeyboardInterrupt):
            build_traces(FRAME, TREE, _Dying(teacher, lives), log_path=path)
        with open(path, "ab") as file:
            file.write(torn)
    before = len(AttemptLog(path).answers)
    assert before == 90  # what was answered is stored, to the last one
    last = _Dying(teacher, 10_000)
    table = build_traces(FRAME, TREE, last, log_path=path)
    pd.testing.assert_frame_equal(table, built)
    keys = [(a.note_id, a.attempt) for a in AttemptLog(path).answers.values()]
    assert len(set(keys)) == len(keys) == before + last.asked
    lines = [line for line in path.read_bytes().splitlines() if line[:1] == b"{"]
    assert len(lines) == len(keys)


def test_two_runs_cannot_write_into_one_log(tmp_path):
    path = tmp_path / "log.jsonl"
    first = AttemptLog(path)
    first.append([Answer("n1", 0, "One.", "I10")])
    second = AttemptLog(path)
    with pytest.raises(UserError, match="another run"):
        second.append([Answer("n2", 0, "Two.", "I10")])
    stale = AttemptLog(path)
    first.append([Answer("n3", 0, "Three.", "I10")])
    first.close()
    with pytest.raises(UserError, match="another run"):  # it would cut n3 off
        stale.append([Answer("n4", 0, "Four.", "I10")])
    assert sorted(AttemptLog(path).answers) == [("n1", 0), ("n3", 0)]


def test_a_kill_loses_and_doubles_nothing():
    # ten kills of 2,000 notes: python -m deepicd.study.bench traces
    found = killed_run(notes=120, kills=1)
    assert (found["missing"], found["doubled"], found["lost"]) == (0, 0, 0)
    assert found["stored"][-1] == 120 and found["stored"][0] >= 60
    assert 0 <= found["again"] <= IN_FLIGHT


# -- handing on ----------------------------------------------------------------------


def test_the_exported_folder_loads(built, tmp_path):
    from datasets import load_dataset

    folder = export_dataset(built, FRAME, tmp_path / "set", private=False)
    rows = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))["train"]
    kept = built[built["accepted"]]
    assert rows["note_id"] == kept["note_id"].tolist()
    row = rows[0]
    assert row["prompt"][0]["role"] == "user" and "CHIEF" in row["prompt"][0]["content"]
    text = row["completion"][0]["content"]
    assert parse_completion(text).answer == row["label"]
    tried = load_dataset(str(folder), "attempts", cache_dir=str(tmp_path / "cache"))
    assert len(tried["train"]) == (built["reasons"] != LABEL_ONLY).sum()
    card = (folder / "README.md").read_text()
    assert "Private" not in card and "| `quotes` |" in card
    export_dataset(built.head(3), FRAME, folder, private=False)  # replaces it
    assert not list(tmp_path.glob(".*"))


def test_private_notes_are_not_exported_by_accident(built, tmp_path):
    with pytest.raises(UserError, match="private source"):
        export_dataset(built, FRAME, tmp_path / "set", private=True)
    assert not list(tmp_path.iterdir())
    folder = export_dataset(
        built, FRAME, tmp_path / "set", private=True, acknowledge_private=True
    )
    assert "Do not upload" in (folder / "README.md").read_text()
    assert folder.stat().st_mode & 0o077 == 0


# -- questions from the catalogue ----------------------------------------------------


@pytest.fixture(scope="module")
def questions():
    return build_questions(TREE, neighbourhood(["I21.11", "E11.9", "S52.521A"], TREE))


def test_answers_that_are_codes_have_the_format_of_every_completion(questions):
    coded = questions[questions["label"].notna()]
    assert {"title_to_code", "inclusion_to_code", "parent"} <= set(coded["kind"])
    for row in coded.itertuples():
        parsed = parse_completion(row.completion)
        assert parsed.well_formed and parsed.answer == row.label
        assert parsed.think == row.trace
    plain = questions[questions["label"].isna()]
    assert not plain["completion"].str.contains("<").any()


def test_questions_are_right(questions):
    by_id = questions.set_index("question_id")["answer"]
    assert by_id["code_to_title-I21.11-0"] == TREE.title("I21.11")
    assert by_id["parent-I21.11-0"] == "I21.1"
    assert "I21.11" in by_id["children-I21.1-0"]
    below = TREE.children("I21.1")
    assert all(code in by_id["children-I21.1-0"] for code in below)
    for row in questions[questions["kind"] == "inclusion_to_code"].itertuples():
        assert any(t in row.prompt for t in TREE.inclusion_terms(row.answer))
    pairs = questions[questions["kind"] == "together"]
    assert set(pairs["answer"].str[:2]) == {"No", "Ye"}
    told_apart = questions[questions["kind"] == "sibling"]["answer"].str.split("; ")
    assert all(a.split(" ", 1)[1] != b.split(" ", 1)[1] for a, b in told_apart)


def test_questions_depend_on_the_seed_only(questions):
    codes = neighbourhood(["S52.521A", "E11.9", "I21.11"], TREE)
    pd.testing.assert_frame_equal(build_questions(TREE, codes), questions)
    other = build_questions(TREE, codes, seed=1)
    assert set(other["question_id"]) == set(questions["question_id"])
    assert other["question_id"].tolist() != questions["question_id"].tolist()
    assert questions["question_id"].is_unique


def test_a_title_of_several_codes_is_not_asked_for_a_code(questions):
    asked = questions[questions["kind"] == "title_to_code"]
    assert asked["about"].map(TREE.title).is_unique


def test_unknown_kinds_and_codes_are_refused():
    with pytest.raises(UserError, match="kind 'riddle'"):
        build_questions(TREE, ["I10"], kinds=["riddle"])
    with pytest.raises(UserError, match="code 'I21.11X'"):
        build_questions(TREE, ["I21.11X"])


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
