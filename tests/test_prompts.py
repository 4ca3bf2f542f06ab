"""Prompts, the reader of completions and the reader of answers."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deepicd.common.errors import UserError
from deepicd.icd import load_tree
from deepicd.study.bench.rewards import hostile_texts
from deepicd.tasks import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.prompts import (
    STYLES,
    build_messages,
    escape,
    format_completion,
    parse_completion,
    quick_answer,
    read_code,
    readable,
)

TREE = load_tree()
CODES = TREE.codes()
PIECES = [
    "<think>",
    "</think>",
    "<diagnosis>",
    "</diagnosis>",
    "<THINK>",
    "< think >",
    "</ diagnosis>",
    "<",
    ">",
    "\n",
    " ",
    "I21.11",
    "I10",
    "chest pain",
    "\u200b",
]
messy = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
texts = st.one_of(st.text(max_size=60), messy)
RIGHT = "<think>ST elevation</think><diagnosis>I21.11</diagnosis>"


# -- structure -----------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        RIGHT,
        "<think>\nST elevation\n</think>\n<diagnosis>I21.11</diagnosis>",
        f"\n  {RIGHT}\n\n",
        RIGHT.replace("</think>", "</think>\n\n\n"),
        RIGHT.replace("ST elevation", "BP < 90 and a < b"),
        RIGHT.replace("ST elevation", "he thinks <thin> of it"),
        RIGHT.replace("I21.11", " i2111 "),
    ],
)
def test_well_formed(text):
    parsed = parse_completion(text)
    assert parsed.well_formed and parsed.problem is None
    assert TREE.normalise(parsed.answer) == "I21.11"
    assert parsed.think == parsed.think.strip() != ""


PROBLEMS = {
    "": "empty completion",
    " \n ": "empty completion",
    "I21.11": "no think",
    "<think>a</think> I21.11": "no diagnosis",
    "<think>a</think><diagnosis>I10": "diagnosis not closed",
    "<think>a</think>I10</diagnosis>": "diagnosis not opened",
    "<think>a<diagnosis>I10</diagnosis>": "think not closed",
    "a</think><diagnosis>I10</diagnosis>": "think not opened",
    "<diagnosis>I10</diagnosis>": "no think",
    f"{RIGHT}<diagnosis>I10</diagnosis>": "more than one diagnosis",
    f"<think>b</think>{RIGHT}": "more than one think",
    f"<think>{RIGHT}": "more than one think",
    "<think>a</think><diagnosis>I<diagnosis>10</diagnosis>": "more than one diagnosis",
    "<think>a<diagnosis>I10</diagnosis></think>": "tags out of order",
    "<diagnosis>I10</diagnosis><think>a</think>": "tags out of order",
    "<think>a</think><diagnosis></diagnosis>": "empty diagnosis",
    "<think> \n </think><diagnosis>I10</diagnosis>": "empty think",
    "<think>\u200b</think><diagnosis>I10</diagnosis>": "empty think",
    "<think>...</think><diagnosis>I10</diagnosis>": "empty think",
    f"Sure! {RIGHT}": "text before the first tag",
    f"{RIGHT} Take care.": "text after the last tag",
    "<think>a</think> so <diagnosis>I10</diagnosis>": "text between the parts",
    "<think>a <DIAGNOSIS>I10</think><diagnosis>I10</diagnosis>": (
        "text that looks like a tag"
    ),
    "<think>a < /think ></think><diagnosis>I10</diagnosis>": (
        "text that looks like a tag"
    ),
    "<THINK>a</THINK><DIAGNOSIS>I10</DIAGNOSIS>": "no think",
    "<Think>a</think><diagnosis>I10</diagnosis>": "think not opened",
}


@pytest.mark.parametrize(("text", "problem"), PROBLEMS.items())
def test_a_broken_structure_is_named(text, problem):
    assert parse_completion(text) == (None, None, False, problem)


@pytest.mark.parametrize("value", [None, 3, b"<think>", ["I10"], float("nan")])
def test_what_is_no_text_counts_as_empty(value):
    assert parse_completion(value).problem == "empty completion"


@pytest.mark.parametrize(
    ("style", "text", "problem"),
    [
        ("code_only", "<diagnosis>I10</diagnosis>", None),
        ("code_only", " <diagnosis>i10</diagnosis>\n", None),
        ("code_only", RIGHT, "a think where none belongs"),
        ("code_only", "I10", "no diagnosis"),
        ("code_only", "<diagnosis>I10</diagnosis>I10", "text after the last tag"),
        ("code_only", "<diagnosis> </diagnosis>", "empty diagnosis"),
        ("answer_first", "<diagnosis>I10</diagnosis><think>a</think>", None),
        ("answer_first", RIGHT, "tags out of order"),
        ("answer_first", "<diagnosis>I10</diagnosis>", "no think"),
    ],
)
def test_other_styles(style, text, problem):
    parsed = parse_completion(text, style=style)
    assert parsed.problem == problem
    assert parsed.well_formed == (problem is None)
    if parsed.well_formed:
        assert parsed.answer.upper() == "I10"


@given(texts, st.sampled_from(STYLES))
@example("<think>a</think><diagnosis>b</diagnosis>", "reasoning")
def test_parsing_never_raises_and_says_what_is_wrong(text, style):
    parsed = parse_completion(text, style)
    assert parsed.well_formed == (parsed.problem is None)
    assert parsed.well_formed == bool(parsed.answer)
    if parsed.well_formed:
        assert text.count("<diagnosis>") == text.count("</diagnosis>") == 1
    else:
        assert parsed.think is None and parsed.answer is None


@given(texts)
@example(RIGHT)
@example("<think> </think><diagnosis>I10</diagnosis>")
@example("<think>\u200b</think><diagnosis>I10</diagnosis>")
def test_the_quick_reader_agrees_with_the_parser(text):
    answer = quick_answer(text)
    if answer is not None:
        assert parse_completion(text).answer == answer


def test_the_quick_reader_reads_plain_completions():
    assert quick_answer(f"{RIGHT}\n") == "I21.11"


@pytest.mark.parametrize("name", hostile_texts())
def test_reading_takes_linear_time(name):
    text = hostile_texts()[name]
    begin = time.process_time()
    for style in STYLES:
        parse_completion(text, style)
    read_code(text, TREE)
    assert time.process_time() - begin < 1.0


# -- writing -------------------------------------------------------------------


@given(st.text(max_size=80), st.sampled_from(CODES), st.sampled_from(STYLES))
@example("<diagnosis>I10</diagnosis>", "I21.11", "reasoning")
def test_what_is_written_can_be_read(trace, code, style):
    trace = trace if readable(trace) else "reasoning"
    parsed = parse_completion(format_completion(trace, code, style), style)
    assert parsed.well_formed
    assert parsed.answer == code
    if style != "code_only":
        assert parsed.think == escape(trace.strip()).strip()


def test_the_completion_is_the_documented_one():
    expected = "<think>\nST elevation\n</think>\n<diagnosis>I21.11</diagnosis>"
    assert format_completion("ST elevation", "I21.11") == expected
    assert format_completion("", "I10", "code_only") == "<diagnosis>I10</diagnosis>"


def test_an_empty_trace_or_an_unknown_style_is_refused():
    for nothing in (" ", "\u200b", "\u3164", "..."):
        with pytest.raises(UserError, match="empty trace"):
            format_completion(nothing, "I10")
    with pytest.raises(UserError, match="style 'resoning'"):
        format_completion("a", "I10", "resoning")
    with pytest.raises(UserError, match="code_only"):
        parse_completion("a", style="none")


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("instruction", PRINCIPAL_DIAGNOSIS.instructions)
def test_messages_put_the_shared_instruction_first(style, instruction):
    first, second = (
        build_messages(note, style, instruction)[0]["content"] for note in ("A", "B")
    )
    assert first[:-1] == second[:-1] and first.endswith("\n\nA")
    if instruction == "brief":
        assert len(PRINCIPAL_DIAGNOSIS.instructions["brief"][style].split()) <= 12


@pytest.mark.parametrize(
    "tag",
    ["<think>", "</think>", "<DIAGNOSIS>", "< / Diagnosis >", "<\n think", "<think x"],
)
def test_tags_in_a_note_are_escaped(tag):
    content = build_messages(f"He said {tag}I10.", instruction="brief")[0]["content"]
    assert "<" not in content and "&lt;" in content


def test_other_signs_in_a_note_stay():
    note = "SpO2 <90%, K+ > 5, <b>bold</b>, thinks & diagnosis"
    assert build_messages(note)[0]["content"].endswith(note)


def test_an_unknown_instruction_is_refused():
    with pytest.raises(UserError, match="full or brief"):
        build_messages("note", instruction="long")


# -- answers -------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        "I21.11",
        "i21.11",
        "i2111",
        " I 21 . 11 ",
        "I21.11.",
        "I21.11 - STEMI of right coronary artery",
        "I21.11 \u2013 STEMI of right coronary artery",
        "I21.11: ST elevation (STEMI) myocardial infarction",
        "i2111 stemi",
        "ICD-10: I21.11",
        "ICD-10-CM code: I21.11 (ST elevation)",
        "STEMI of the right coronary artery (I21.11)",
        "The code is I21.11.",
        "ICD-10-CM code: I21.11 - ST elevation (STEMI) myocardial infarction involving "
        "right coronary artery",
        # marks around the code
        "\u201cI21.11\u201d",
        "\u2018I21.11\u2019",
        "\u00abI21.11\u00bb",
        "\u3010I21.11\u3011",
        "I21.11\u3002",
        "I21.11\u3001",
        "I21.11\uff08STEMI\uff09",
        "I21.11\uff1aSTEMI",
        "I21.11\u3000STEMI",
        "I21.11 \u2212 STEMI",
        "\u2192 I21.11",
        "\u2713 I21.11",
        "**I21.11**",
        "`I21.11`",
        "$\\boxed{I21.11}$",
        # an item of a list
        "\u2022 I21.11",
        "- I21.11",
        "1. I21.11",
        "1.I21.11",
        "2) i2111",
        "(1) I21.11",
        "1 - I21.11",
        "a) I21.11",
        "\u2022 1. I21.11",
        # a "not" that turns nothing down
        "I21.11, not elsewhere classified",
    ],
)
def test_answers_are_read_generously(answer):
    assert read_code(answer, TREE) == "I21.11"


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "",
        "STEMI",
        "I21.11X",
        "I21.11 X",
        "I2.111",
        "I21.11?",
        "I21.11, I21.19",
        "I21.11 or I50.9",
        "I21.11/I50.9",
        "I21.11 I21.19",
        "I21.11 or I21.99",
        "I21.11\u200b",
        "I21.1\u200b1",
        "\u200bI21.11",
        "\u0406" + "21.11",
        "\u0131" + "21.11",
        "\uff29\uff12\uff11.11",
        "\u24be" + "21.11",
        "I21\uff0e11",
        "I21\u300211 STEMI",
        "I21\u00b711 STEMI",
        "I21.1\u30001",
        "I21.11\x00",
        "I21.11\u0336",
        "1. I21.11 2. I50.9",
        "I21.11 " * 200,
    ],
)
def test_answers_that_name_no_single_code(answer):
    assert read_code(answer, TREE) is None


@pytest.mark.parametrize(
    "answer",
    [
        "not I21.11",
        "Not an I21.11",
        "I21.11 is not the diagnosis",
        "This isn't I21.11",
        "This isn\u2019t I21.11",
        "I21.11 is ruled out",
        "ruled out: I21.11",
        "rule-out I21.11",
        "r/o I21.11",
        "STEMI (I21.11) excluded",
        "No I21.11",
        "No evidence of STEMI (I21.11)",
        "I21.11: no",
        "neither I21.11",
        "never I21.11",
        "without I21.11",
        "anything but I21.11",
        "any code except I21.11",
        "evidence against I21.11",
        "I21.11 unlikely",
        "I21.11 - STEMI (wrong)",
        "NOT: I21.11 - ST elevation (STEMI) myocardial infarction involving right "
        "coronary artery",
        "!I21.11",
        "!= I21.11",
        "\u2260 I21.11",
        "\u00acI21.11",
        "\u274c I21.11",
        "I21.11 \u2717 STEMI",
        "<s>I21.11</s>",
        "I21.11 ?",
        "I21.11\uff1f",
        "\u00bfI21.11",
        "I21.11 (STEMI?)",
    ],
)
def test_a_code_that_is_turned_down_or_doubted_is_no_answer(answer):
    assert read_code(answer, TREE) is None


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("Type 2 diabetes mellitus without complications (E11.9)", "E11.9"),
        ("E11.9, T2DM, no complications", "E11.9"),
        ("I21.4: non-ST elevation myocardial infarction", "I21.4"),
        ("G43.909 migraine, not intractable", "G43.909"),
        ("Vitamin B12 deficiency anemia, intrinsic factor (D51.0)", "D51.0"),
        ("Y65.51 wrong procedure on correct patient", "Y65.51"),
    ],
)
def test_what_a_code_itself_denies_is_read(answer, code):
    assert read_code(answer, TREE) == code


@given(st.sampled_from(CODES))
def test_a_code_with_its_title_is_read(code):
    title = TREE.title(code)
    ways = f"{code} - {title}", f"{code.lower()} ({title.upper()})", f"{title} ({code})"
    for answer in (*ways, f"\u2022 {code}\uff08{title}\uff09"):
        assert read_code(answer, TREE) == code
        assert read_code(f"not {answer}", TREE) is None


@given(st.text(max_size=40))
def test_reading_an_answer_never_raises(answer):
    code = read_code(answer, TREE)
    assert code is None or TREE.normalise(code) == code
