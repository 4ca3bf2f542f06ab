"""Answers with their sources: official notes, similar cases, doubted steps."""

import json

import pandas as pd
import pytest
import training_kit as kit

from deepicd import predict
from deepicd.common.errors import UserError
from deepicd.common.files import write_json
from deepicd.icd import load_tree
from deepicd.icd.official import official_notes
from deepicd.tasks import get_task
from deepicd.training import models, verifier
from deepicd.views import one_answer, sources

TREE = load_tree()
NOTE = "Chest pain since noon, sweating."
THOUGHT = '<think>"Chest pain", "rash": circulatory (9). I21.</think>'
SAID = THOUGHT + "<diagnosis>{}</diagnosis>"


def answers(*codes):
    return pd.DataFrame({"code": codes, "completion": [SAID.format(c) for c in codes]})


def record(code="E11.21"):
    found = predict.describe("a.txt", NOTE, answers(code, code), TREE, 0.5)
    return found | {"official": sources.official(code, TREE)}


def test_official_notes_stand_where_the_list_writes_them():
    found = {node["code"]: node["notes"] for node in official_notes("E11.21", TREE)}
    assert any("Z79.4" in text for text in found["E11"]["use_additional_code"])
    assert "excludes1" in found["E11"] and "inclusion_terms" in found["E11.21"]
    assert "4" not in found  # of a chapter the orders alone, and this one has none
    above = {node["code"]: node["notes"] for node in official_notes("J18.9", TREE)}
    assert set(above["10"]) == {"use_additional_code"}


def test_labels_of_another_list_have_no_official_notes():
    space = get_task("length_of_stay").space(None)
    assert sources.official(space.order[0], space) == []
    assert sources.official(None, TREE) == []


@pytest.fixture
def run(tmp_path):
    cases = pd.DataFrame(
        {
            "note_id": ["n1", "n2", "n3", "n4"],
            "note": ["Chest pain and sweating.", "Green sputum.", "Rash.", NOTE],
            "label": ["I21.9", "J44.1", "L27.0", "I21.11"],
            "split": ["train", "train", "train", "test"],
        }
    )
    folder = tmp_path / "01_extract_admission_notes"
    folder.mkdir()
    cases.to_parquet(folder / "admissions.parquet")
    return tmp_path


@pytest.mark.parametrize("private", [False, True])
def test_nearest_cases_are_of_training_and_tell_no_private_text(run, private):
    source = {"private": private}
    write_json(source, run / "01_extract_admission_notes" / "source.json")
    cases, known = sources.read_cases(run)
    found = sources.nearest({"a.txt": NOTE}, cases, known, TREE, k=2)["a.txt"]
    assert found[0]["note_id"] == "n1" and found[0]["label"] == "I21.9"
    assert "n4" not in [case["note_id"] for case in found]
    assert ("sweating" in json.dumps(found)) is not private


def test_no_training_cases_are_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="no training cases at"):
        sources.read_cases(tmp_path)


def test_the_page_and_the_text_tell_the_same_sources():
    shown = record() | {
        "nearest": [
            {"note_id": "n1", "label": "I21.9", "title": "x", "similarity": 0.5}
        ],
        "doubts": {
            "step": "evidence",
            "text": '"rash" <b>',
            "probability": 0.1,
            "agrees": False,
        },
    }
    text, page = one_answer.as_text(shown), one_answer.as_html([shown], {"a.txt": NOTE})
    words = ("Kimmelstiel-Wilson", "Use additional code", "n1: I21.9", "at odds with")
    for word in words:
        assert word in text and word in page
    assert 'not in the note: "rash"' in text
    assert "&lt;b&gt;" in page and "<b>E11.21" in page
    assert predict.NOTICE in text and predict.NOTICE in page


def test_the_doubted_step_is_the_least_probable_of_those_at_odds(taught):
    judge = verifier.start(taught, "process")
    asked = {"style": "reasoning", "instruction": "brief"}
    asked |= {"task": get_task("principal_diagnosis"), "space": TREE}
    said = SAID.format("I21.9")
    found = sources.checked_steps(record(), said, NOTE, judge, asked)
    assert [step["step"] for step in found["steps"]][-1] == "code"
    at_odds = [step for step in found["steps"] if not step["agrees"]]
    assert 0 < len(at_odds) < len(found["steps"])
    least = min(step["probability"] for step in at_odds)
    assert found["doubts"]["probability"] == least and found["doubts"]["text"] in said
    nothing = sources.checked_steps(record(), "", NOTE, judge, asked)
    assert nothing == {"steps": [], "doubts": None}


def test_the_command_prints_each_form(taught, table, tokenizer, run, tmp_path, capsys):
    net, own = verifier.start(taught, "process")
    verifier.save(net, own, tmp_path / "process" / "model", {})
    models.save(kit.network(tokenizer), tokenizer, tmp_path / "model")
    (tmp_path / "note.txt").write_text(NOTE)
    given = [str(tmp_path / "note.txt"), "--model", str(tmp_path / "model")]
    given += ["--samples", "1", "--max-new-tokens", "4", "--cases", str(run)]
    given += ["--verifier", str(tmp_path / "process" / "model")]
    for form, sign in (("json", '"nearest"'), ("text", "n1: I21.9"), ("html", "<h3>")):
        assert predict.main([*given, "--format", form]) == 0
        assert sign in capsys.readouterr().out
