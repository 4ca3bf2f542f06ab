"""Identifiers: what is found, what is not, and that text stops before it leaves."""

import random

import pandas as pd
import pytest

from deepicd.common.errors import UserError
from deepicd.data import identifiers
from deepicd.data.synthetic.corpus import example_admissions
from deepicd.study.bench import identifiers as bench


def said(text, everyday=()):
    return [text[start:end] for _, start, end in identifiers.find(text, everyday)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Mrs. O'Brien-Haddad slept.", ["O'Brien-Haddad"]),
        ("MR. OKAFOR WAS SEEN.", ["OKAFOR"]),
        ("Dr. Maria J. van Dyke agreed", ["Maria J. van Dyke"]),
        ("Signed by Priya Chaudhry RN on 3/14/2021", ["Priya Chaudhry", "3/14/2021"]),
        ("her daughter Ximena is proxy", ["Ximena"]),
        ("DOB 1944-02-11, SSN 123-45-6789", ["1944-02-11", "123-45-6789"]),
        ("on 3/14 fell; 3rd of March 2020", ["3/14", "3rd of March 2020"]),
        (
            "call (617) 555-0100 or +44 20 7946 0000",
            ["(617) 555-0100", "+44 20 7946 0000"],
        ),
        ("pager #31337. MRN: A4711-23", ["31337", "A4711-23"]),
        (
            "a.b@example.org, https://example.org/x",
            ["a.b@example.org", "https://example.org/x"],
        ),
        (
            "12 N. Elm Street, Lowell, MA 01854",
            ["12 N. Elm Street", "Lowell, MA 01854"],
        ),
        ("from Mount Antigua Hospital", ["Mount Antigua Hospital"]),
        ("a 93-year-old", ["93-year"]),
    ],
)
def test_what_tells_who_a_patient_is_is_found(text, found):
    assert said(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "BP 120/80, HR 72, T 98.6, 3/6 systolic murmur, strength 5/5, 10/10 pain",
        "Mother with Diabetes. Father: Crohn's disease. Sister - Breast Cancer.",
        "___ year old man, seen by Dr. ___ on ___ at ___ Hospital.",
        "Aspirin 81 mg daily; Na 138, K 4.0, Cr 1.2; PMH: MI 2015, s/p CABG.",
        "ALLERGIES: No Known Allergies, Sulfonamide Antibiotics",
        "Physical Exam: General Appearance: well. Past Medical History: Asthma",
        "I21.4, 1.5-2.0 cm, 7.35/42/88, q4-6h, 85 years old, May be discharged",
        "",
    ],
)
def test_what_is_no_identifier_is_left_alone(text):
    assert said(text) == []


def test_a_word_in_small_letters_elsewhere_is_no_name():
    assert said("Seen by Podiatry today.") == ["Podiatry"]
    assert said("Seen by Podiatry today.", identifiers.small_words(["podiatry"])) == []
    assert said("Ms. Rose came.", {"rose"}) == ["Rose"]  # a title is certain


@pytest.mark.parametrize(
    "form", [f for f in bench.FORMS if f != "name alone, one word"]
)
def test_planted_identifiers_are_found_in_notes(form):
    notes, draw = example_admissions()["note"], random.Random(1)
    everyday = identifiers.small_words(notes)
    found = [
        bench._seen(*bench.planted(note, form, draw), everyday)
        for note in notes
        for _ in "12345"
    ]
    assert sum(found) >= 0.95 * len(found)


def test_synthetic_notes_raise_few_alarms():
    notes = example_admissions()
    assert identifiers.scan(notes)["note_id"].nunique() <= 0.02 * len(notes)


NOTES = pd.DataFrame(
    {"note_id": ["a", "b"], "note": ["Mr. Okafor, MRN 4711023, coughs.", "Coughs."]}
)


def test_notes_stop_before_they_leave_and_the_message_has_no_text(tmp_path):
    with pytest.raises(UserError, match="1 of 2 notes: name 1, number 1") as stopped:
        identifiers.cleared(NOTES, "stop", tmp_path)
    assert "Okafor" not in str(stopped.value)
    listed = pd.read_csv(tmp_path / identifiers.LIST)
    assert listed["said"].astype(str).tolist() == ["Okafor", "4711023"]
    clean = NOTES.tail(1)
    assert identifiers.cleared(clean, "stop", tmp_path) is clean


def test_masking_puts_gaps_and_passing_changes_nothing(tmp_path):
    masked = identifiers.cleared(NOTES, "mask", tmp_path)
    assert masked["note"].tolist() == ["Mr. ___, MRN ___, coughs.", "Coughs."]
    assert len(identifiers.scan(masked)) == 0
    assert identifiers.cleared(NOTES, "pass", tmp_path) is NOTES
    with pytest.raises(UserError, match="identifiers"):
        identifiers.cleared(NOTES, "ignore", tmp_path)
