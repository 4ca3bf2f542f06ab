import json
import shutil

import pandas as pd
import pytest
import training_kit as kit

from deepicd import predict
from deepicd.common.files import write_json
from deepicd.icd import load_tree
from deepicd.training import models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    table = kit.admissions()
    tokenizer = kit.tokenizer_of(table)
    folder = tmp_path_factory.mktemp("model") / "model"
    models.save(kit.network(tokenizer), tokenizer, folder)
    return folder


def call(*arguments):
    return predict.main([str(a) for a in arguments])


def test_a_folder_of_notes_gives_one_record_each(folder, tmp_path, capsys):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(f"Pain and cough in {name}.")
    given = ("--model", folder, "--samples", 2, "--max-new-tokens", 5)
    assert call(tmp_path, *given) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["note"] for r in records] == ["a.txt", "b.txt"]
    assert all(r["abstains"] and r["code"] is None for r in records)
    assert all("never for diagnosis" in r["notice"] for r in records)
    assert all(r["why"] == "no sample could be read" for r in records)


def answers(*codes):
    said = '<think>"Chest pain" and "rash".</think><diagnosis>{}</diagnosis>'
    return pd.DataFrame({"code": codes, "completion": [said.format(c) for c in codes]})


def test_a_record_tells_path_agreement_and_evidence():
    tree = load_tree()
    found = answers("I21.19", "I21.11", "I21.11", None)
    record = predict.describe("a.txt", "New chest pain.", found, tree, 0.6)
    assert record["code"] == "I21.11" and record["path"][-1]["code"] == "I21.11"
    assert record["path"][0]["title"].startswith("Diseases of the circulatory")
    assert record["agreement"]["category"] == {"answer": "I21", "share": 0.75}
    assert record["agreement"]["full"] == {"answer": "I21.11", "share": 0.5}
    assert record["abstains"] and record["why"] == "agreement 0.50 is below 0.60"
    assert record["evidence"] == [
        {"quote": "Chest pain", "in_note": True},
        {"quote": "rash", "in_note": False},
    ]
    assert not predict.describe("a", "", found, tree, 0.5)["abstains"]


def test_the_model_is_asked_as_it_was_trained(tmp_path):
    trained = {"style": "code_only", "instruction": "brief"}
    write_json(trained, tmp_path / "04_train_sft" / "arguments.json")
    write_json({"spec": {}}, tmp_path / "05_train_grpo" / "arguments.json")
    for stage in ("04_train_sft", "05_train_grpo"):
        assert predict.settings_of(tmp_path / stage / "model") == trained
    assert predict.settings_of(tmp_path / "other" / "run" / "model") == {}


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"caf\xe9 pain", "not UTF-8"),
        (b"%PDF\x00pain", "is no text"),
        (None, "no note at"),
    ],
)
def test_bad_notes_are_clear_errors(folder, tmp_path, capsys, content, message):
    file = tmp_path / "note.txt"
    if content is not None:
        file.write_bytes(content)
    assert call(file, "--model", folder) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "more, message",
    [
        (("--samples", 0), "--samples 0"),
        (("--threshold", 50), "--threshold 50"),
        (("--max-new-tokens", 0), "--max-new-tokens 0"),
        (("--temperature", -1), "--temperature -1"),
        (("--model", "."), "no config.json"),
    ],
)
def test_wrong_options_are_clear_errors(folder, tmp_path, capsys, more, message):
    (tmp_path / "note.txt").write_text("Pain.")
    assert call(tmp_path / "note.txt", "--model", folder, *more) == 2
    assert message in capsys.readouterr().err


def test_a_folder_without_notes_says_what_it_holds(folder, tmp_path, capsys):
    (tmp_path / "a.docx").write_text("Pain.")
    assert call(tmp_path, "--model", folder) == 2
    assert "1 .docx files" in capsys.readouterr().err


def test_a_missing_model_is_a_clear_error(tmp_path, capsys):
    (tmp_path / "note.txt").write_text("Pain.")
    assert call(tmp_path / "note.txt", "--model", tmp_path / "none") == 2
    assert "no model at" in capsys.readouterr().err


def test_the_longest_answer_is_that_of_the_training(folder, tmp_path, monkeypatch):
    """A trace that is cut off has no answer, so every note would be abstained on."""
    from deepicd.training.models import generate

    asked = []

    def spy(*given, max_new_tokens, **more):
        asked.append(max_new_tokens)
        return answers("I21.4", "I21.4")

    monkeypatch.setattr(generate, "predict", spy)
    (tmp_path / "note.txt").write_text("Pain.")
    copy = tmp_path / "05_train_grpo" / "model"
    shutil.copytree(folder, copy)
    assert call(tmp_path / "note.txt", "--model", copy) == 0
    trained = {"style": "reasoning", "instruction": "brief", "max_new_tokens": 77}
    write_json(trained, tmp_path / "04_train_sft" / "arguments.json")
    assert call(tmp_path / "note.txt", "--model", copy) == 0
    given = ("--model", copy, "--max-new-tokens", 5)
    assert call(tmp_path / "note.txt", *given) == 0
    assert asked == [predict.LONGEST_ANSWER, 77, 5]


def test_a_note_without_the_history_that_training_notes_had_is_warned_of(
    folder, tmp_path, capsys
):
    copy = tmp_path / "04_train_sft" / "model"
    shutil.copytree(folder, copy)
    told = "Pain and cough.\n\nEARLIER ADMISSIONS: 9 days before: I50.9; I10"
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "bare.txt").write_text("Pain and cough.")
    (notes / "told.txt").write_text(told)
    few = ("--model", copy, "--samples", 1, "--max-new-tokens", 2)
    trained = {"style": "reasoning", "instruction": "brief"}
    for known in (trained, trained | {"history": "codes"}):
        write_json(known, copy.parent / "arguments.json")
        assert call(notes, *few) == 0
        printed = capsys.readouterr()
        bare, whole = map(json.loads, printed.out.splitlines())
        assert "warning" not in whole and "told.txt" not in printed.err
        assert (
            ("warning" in bare) == ("bare.txt" in printed.err) == ("history" in known)
        )
    assert "codes of earlier stays" in bare["warning"]
    assert call(notes / "bare.txt", *few, "--format", "text") == 0
    assert "Warning" in capsys.readouterr().out
    assert call(notes / "bare.txt", *few, "--format", "html") == 0
    assert "codes of earlier stays" in capsys.readouterr().out
