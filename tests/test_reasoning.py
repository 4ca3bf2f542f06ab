"""Scores of the reasoning, in numbers and in words that follow from them."""

import pandas as pd
import pytest

from deepicd.evaluation import reasoning
from deepicd.icd import load_tree
from deepicd.tasks import prompts
from deepicd.views import in_words

TREE = load_tree()
TRACE = '"Chest pain" and "rash". So this.'
NOTES = pd.DataFrame(
    {
        "note_id": [f"n{i}" for i in range(40)],
        "subject_id": range(40),
        "note": "Crushing chest pain.",
        "label": "I21.4",
    }
)


def said(trace, style="reasoning", system="sft"):
    text = prompts.format_completion(trace, "I21.4", style)
    return NOTES[["note_id"]].assign(
        completion=text, code="I21.4", sample=0, split="test", system=system
    )


@pytest.mark.parametrize("style", ["reasoning", "answer_first"])
def test_the_thought_is_read_whatever_the_style(style):
    table = reasoning.describe(said(TRACE, style), NOTES, TREE)
    assert (table["quotes"] == 2).all() and (table["found"] == 1).all()


def test_a_quote_tells_what_is_usual_for_the_answer_alone():
    notes = pd.DataFrame(
        {
            "note_id": [f"n{i}" for i in range(40)],
            "note": ["Crushing pain today.", *["Wheeze today."] * 4] * 8,
            "label": ["I21.4", *["J44.1"] * 4] * 8,
            "split": "train",
        }
    )

    def telling(trace):
        rows = said(trace).assign(note_id=notes["note_id"]).iloc[::5]
        table = reasoning.reasoning_table(rows, notes, TREE, 20)
        return table.set_index("metric").loc["telling", "value"]

    assert telling('"today" it is.') == telling('"rash" it is.') == 0
    assert telling('"crushing pain" it is.') > 0.3
    both = telling('"crushing", "rash". So this.')
    assert both == pytest.approx(telling('"crushing". So this.') / 2)


def test_an_answer_without_reasoning_has_no_row():
    both = pd.concat([said(TRACE), said("", "code_only", "base_code_only")])
    table = reasoning.reasoning_table(both, NOTES, TREE, 50)
    assert set(table["system"]) == {"sft"}


@pytest.mark.parametrize(
    ("trace", "words"),
    [
        ('"Chest pain" it is. So this.', "most of the quoted phrases"),
        (TRACE, "about half of the quoted phrases"),
        ('"Chest pain", "rash", "fever". So this.', "fewer than half of the quoted"),
        ("Pain. So this.", "nothing is quoted on any of the 40 notes"),
    ],
)
def test_words_follow_from_the_numbers(trace, words):
    table = reasoning.reasoning_table(said(trace), NOTES, TREE, 200)
    [sentence] = in_words.describe_reasoning(table)
    assert sentence.startswith(f"SFT: {words}") and "nan" not in sentence


def test_no_reasoning_is_told_in_no_words():
    table = reasoning.reasoning_table(said("", "code_only"), NOTES, TREE, 50)
    assert in_words.describe_reasoning(table) == []
