"""The browser marks what stands in the note, and shows nothing that is private."""

import re
from html import unescape
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepicd.evaluation import systems
from deepicd.icd import load_tree
from deepicd.views import one_note
from deepicd.views.marked import STYLES, marked, marks_in_note

TREE = load_tree()
SAID = '<think>"Chest pain" and "fever <b>".</think><diagnosis>I21.19</diagnosis>'


@pytest.fixture
def study():
    notes = pd.DataFrame(
        {
            "note_id": ["a"],
            "subject_id": [1],
            "split": "test",
            "note": ["Chest\npain & sweat < canary"],
            "label": ["I21.11"],
        }
    )
    rows = [("sft", 0, "I21.19"), ("sft", 1, "I21.11"), ("sft", 2, None)]
    answers = pd.DataFrame(rows, columns=["system", "sample", "code"]).assign(
        seed=0, note_id="a", split="test", completion=SAID
    )
    answers["well_formed"] = answers["code"].notna()
    return notes, answers, systems.gather(answers, notes)


def page(study, private=False):
    notes, answers, cases = study
    example = pd.DataFrame({"note": ["a made-up note"]}) if private else notes
    return one_note.note_page(cases, 0, answers, TREE, ["sft"], example, private)


def test_evidence_and_invented_quotes_are_told_apart(study):
    html = page(study)
    found, wrong = (f'<mark style="{STYLES[style]}">' for style in ("found", "wrong"))
    assert f"{found}Chest\npain</mark> &amp; sweat &lt;" in html
    assert f"{wrong}fever &lt;b&gt;</mark>" in html
    assert '<b>"' not in html and "<think>" not in html


def test_paths_and_samples_are_shown(study):
    html = page(study)
    assert html.count(one_note.WRONG) == 1  # I21.19 alone leaves the gold path
    assert "<li>I21.11 (exact)</li><li>no code (malformed)</li>" in html


def test_a_private_page_shows_the_example_alone(study):
    html = page(study, private=True)
    assert "a made-up note" in html
    assert "canary" not in html and "I21" not in html and "fever" not in html


def test_a_headless_run_shows_static_pages(study, capsys):
    notes, answers, cases = study
    run = SimpleNamespace(headless=True, private=False, examples=lambda frame: frame)
    one_note.browse(run, cases, answers, TREE, ["sft"], [0])
    assert "HTML" in capsys.readouterr().out


def test_overlapping_quotes_make_one_mark():
    note = "Crushing chest pain."
    html = marked(note, marks_in_note(["chest pain", "crushing chest"], note))
    assert html.count("<mark") == 1 and ">Crushing chest pain</mark>." in html


def test_letters_that_grow_in_lower_case_move_no_mark():
    note = "\u0130\u0130 Denies fever, CHEST pain."
    assert note[slice(*marks_in_note(["chest pain"], note)[0][:2])] == "CHEST pain"


MARKS = st.tuples(st.integers(0, 30), st.integers(0, 30), st.sampled_from(list(STYLES)))


@given(st.text(max_size=30), st.lists(MARKS, max_size=6))
def test_marks_hide_and_repeat_nothing(text, marks):
    html = marked(text, marks)
    assert unescape(re.sub(r"</?mark[^>]*>", "", html)) == text
    assert html.count("<mark") == html.count("</mark>") <= len(marks)
