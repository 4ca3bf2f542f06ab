"""The guard by content, and the last look: where headers fail, lines tell."""

import random
import re

import numpy as np
import pandas as pd
import pytest

from deepicd.data import sources
from deepicd.data.admissions import build_admissions
from deepicd.data.extraction import extract
from deepicd.data.sections import (
    admission_note,
    learn_guard,
    split_sections,
    trade_off,
)
from deepicd.data.sections.content_guard import EARLY
from deepicd.data.sections.last_look import named, without
from deepicd.data.sections.lines import clean
from deepicd.data.sections.splitting import admission_notes
from deepicd.data.synthetic import corpus
from deepicd.study.bench import extract as bench
from deepicd.study.bench.extract import mutations


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = corpus.write_corpus(tmp_path_factory.mktemp("corpus") / "c", notes=500)
    return sources.open_source("mimic", str(folder), "", 0, {})


@pytest.fixture(scope="module")
def summaries(raw):
    return [text for text in raw.notes["text"] if len(text) > 1_000]


@pytest.fixture(scope="module")
def guard(summaries):
    return learn_guard(summaries[::2])


@pytest.mark.parametrize(("kind", "most"), [("header gone", 0.03), ("two slips", 0.03)])
def test_little_leaks_where_headers_are_destroyed(summaries, guard, kind, most):
    draw = random.Random(2)
    parts = [mutations.pieces(draw.choice(summaries[1::2])) for _ in range(200)]
    mutated = [mutations.BROKEN[kind](those, draw) for those in parts]
    shares = [
        np.mean([mutations.leaked(note) != set() for note, *_ in notes])
        for notes in (admission_notes(mutated), admission_notes(mutated, guard=guard))
    ]
    assert shares[1] <= most < shares[0]


def test_summaries_with_all_headers_lose_almost_nothing(summaries, guard):
    plain, guarded = (admission_notes(summaries, guard=g) for g in (None, guard))
    words = [sum(len(note[0].split()) for note in notes) for notes in (plain, guarded)]
    assert words[1] >= 0.995 * words[0]


def test_what_is_cut_is_flagged_and_stays_a_span(summaries, guard):
    text = next(t for t in summaries if "\nBrief Hospital Course:" in t)
    start = text.index("\nBrief Hospital Course:")
    late = text[start:].split("\n", 2)[2]
    text = f"Chief Complaint:\nCough\n\nHistory of Present Illness:\nCough.\n\n{late}"
    note = admission_note(text, guard=guard)
    assert "cut_by_content" in note.flags
    sections = split_sections(text, guard)
    assert "".join(section.text for section in sections) == text
    assert "cut_by_content" not in admission_note(text).flags


def test_history_without_a_header_is_taken_back_in(summaries, guard):
    header = "History of Present Illness:\n"
    able = [text for text in summaries[1::2] if f"\n{header}" in text]
    found = 0
    for text in able[:40]:
        bare = text.replace(header, "")
        note = admission_note(bare, guard=guard)
        found += "history_without_header" in note.flags
        assert "missing_history_of_present_illness" in admission_note(bare).flags
    assert found >= 30


def test_what_the_headers_cut_stays_cut(summaries, guard):
    """But for history below the first paragraph of a section that precedes it."""
    draw = random.Random(3)
    for kind in (*mutations.MENDABLE, *mutations.BROKEN):
        mutate = (mutations.MENDABLE | mutations.BROKEN)[kind]
        for text in draw.sample(summaries[1::2], 12):
            text = clean(mutate(mutations.pieces(text), draw))
            allowed = np.zeros(len(text), bool)
            for section in split_sections(text):
                begin = section.body_start
                if section.name in EARLY:
                    begin += _first_paragraph(text[begin : section.end])
                allowed[begin : section.end] = section.kept or section.name in EARLY
            for section in split_sections(text, guard):
                if section.kept:
                    assert allowed[section.body_start : section.end].all(), kind


def _first_paragraph(body: str) -> int:
    lead = len(body) - len(body.lstrip())
    blank = re.search(r"\n[^\S\n]*\n", body[lead:])
    return lead + blank.end() if blank else len(body)


@pytest.mark.parametrize("gap", [". ", "; ", "\n"])
def test_history_glued_to_a_left_out_line_stays_out(summaries, guard, gap):
    told = "___ y/o woman presents with two days of fever, cough and chest pain."
    text = (
        "Chief Complaint:\nFever\n\nMajor Surgical or Invasive Procedure:\n"
        f"Bronchoscopy{gap}History of Present ___:\n{told}\nShe denies chills.\n\n"
        "Past Medical History:\nAsthma\n"
    )
    assert "Bronchoscopy" not in admission_note(text, guard=guard).text


def test_the_published_mode_is_not_guarded(summaries, guard):
    some = summaries[:50]
    assert admission_notes(some, "cop", guard) == admission_notes(some, "cop")


def test_the_same_summaries_teach_the_same_guard(summaries, guard):
    assert learn_guard(summaries[::2]) == guard
    assert learn_guard(summaries[:20]) is None


def test_the_trade_off_runs_from_all_to_none(summaries, guard):
    table = trade_off(summaries[::2], guard)
    curve = table.dropna()
    assert curve["leaking"].is_monotonic_increasing
    assert curve["lost"].is_monotonic_decreasing
    assert curve["lost_gone"].between(0, 0.2).all()
    used = table[table["limit"].isna()].iloc[0]
    assert used["lost"] <= 0.005 and used["leaking"] < curve["leaking"].iloc[-1]


def test_workers_guard_as_one_process_does(raw, guard, monkeypatch):
    monkeypatch.setattr("deepicd.data.extraction.ALONE", 0)
    ids = raw.admissions["hadm_id"]
    alone, _ = extract(raw, ids, workers=1, guard=guard)
    many, _ = extract(raw, ids, workers=2, guard=guard)
    pd.testing.assert_frame_equal(alone, many)


NOTE = (
    "CHIEF COMPLAINT: Fever\n\n"
    "PRESENT ILLNESS: Ill for days. Treated for lobar pneumonia here.\n\n"
    "MEDICAL HISTORY: Asthma"
)


@pytest.mark.parametrize(
    ("diagnosis", "title", "sections"),
    [
        ("Primary:\nLobar pneumonia", "", ["history_of_present_illness"]),
        ("", "Lobar pneumonia, unspecified organism", []),
        ("", "Pneumonia, unspecified", ["history_of_present_illness"]),
        ("Asthma", "", []),  # known before
        ("Sepsis\nSecondary:\nLobar pneumonia", "", []),
        ("", "", []),
        ("___", "Other specified disorder", []),
    ],
)
def test_the_last_look(diagnosis, title, sections):
    assert [n.section for n in named(NOTE, diagnosis, title)] == sections


@pytest.mark.parametrize(
    "said", ["History of lobar pneumonia.", "S/p lobar\npneumonia.", "Known pneumonia."]
)
def test_what_is_told_as_history_is_no_leak(said):
    note = f"PRESENT ILLNESS: Ill. {said}"
    assert not named(note, "Lobar pneumonia", "Pneumonia")


def test_a_note_without_titles_is_looked_at_as_a_whole():
    assert [n.section for n in named("Lobar pneumonia.", "", "Pneumonia")] == ["note"]


def test_dropping_takes_the_sentence_and_nothing_else():
    left = without(NOTE, named(NOTE, "Lobar pneumonia"))
    assert left == NOTE.replace(" Treated for lobar pneumonia here.", "")


def test_notes_that_name_their_diagnosis_are_flagged_counted_and_cut(raw):
    kept, _ = build_admissions(raw)
    dropped, flow = build_admissions(raw, drop_named=True)
    flagged = kept["flags"].str.contains("names_the_diagnosis")
    counted = flow.set_index("step")["excluded"]["notes that name the diagnosis"]
    assert flagged.any() and counted == flagged.sum()
    assert (kept["note"] != dropped["note"]).equals(flagged)


@pytest.mark.parametrize("code", [bench._READ, bench._OURS, bench._PUBLISHED])
def test_what_the_benchmark_runs_in_processes_finds_its_modules(code):
    lines = [line for line in code.split("\n") if line.startswith(("from", "import"))]
    exec("\n".join(lines), {})
