import json

import pytest
import training_kit as kit

from deepicd import models, predict


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


@pytest.mark.parametrize(
    "content, message",
    [(b"", "is empty"), (b"caf\xe9 pain", "not UTF-8"), (None, "no note at")],
)
def test_bad_notes_are_clear_errors(folder, tmp_path, capsys, content, message):
    file = tmp_path / "note.txt"
    if content is not None:
        file.write_bytes(content)
    assert call(file, "--model", folder) == 2
    assert message in capsys.readouterr().err


def test_a_missing_model_is_a_clear_error(tmp_path, capsys):
    (tmp_path / "note.txt").write_text("Pain.")
    assert call(tmp_path / "note.txt", "--model", tmp_path / "none") == 2
    assert "no model at" in capsys.readouterr().err
