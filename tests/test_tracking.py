"""Curves for TensorBoard: the numbers of the curves' table, and no text."""

import pytest
import training_kit as kit
from test_training import run_sft

from deepicd.common.errors import UserError
from deepicd.training import tracking

tensorboard = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator",
    reason="needs tensorboard, as requirements.txt has it",
)


def read(folder):
    found = tensorboard.EventAccumulator(str(folder))
    found.Reload()
    return found


def test_what_is_written_is_the_table_of_curves(table, tokenizer, tmp_path):
    _, curves, _ = run_sft(table, tokenizer, tmp_path / "c", track=tmp_path)
    found = read(tmp_path / "sft")
    written = [
        (event.step, name, event.value)
        for name in found.Tags()["scalars"]
        for event in found.Scalars(name)
    ]
    expected = sorted(curves.itertuples(index=False, name=None))
    assert [row[:2] for row in sorted(written)] == [row[:2] for row in expected]
    values = [row[2] for row in sorted(written)]
    assert values == pytest.approx([row[2] for row in expected], rel=1e-5)
    others = {kind: names for kind, names in found.Tags().items() if names}
    assert set(others) <= {"scalars"}


def test_a_run_that_goes_on_has_every_step_once(table, tokenizer, tmp_path):
    with pytest.raises(kit.Interruption):
        run_sft(table, tokenizer, tmp_path / "c", kit.stop_at(5), tmp_path)
    _, curves, _ = run_sft(table, tokenizer, tmp_path / "c", track=tmp_path)
    found = read(tmp_path / "sft")
    steps = [event.step for event in found.Scalars("train_loss")]
    known = curves.loc[curves["name"] == "train_loss", "step"]
    assert steps == known.tolist()


def test_no_word_of_a_note_is_in_the_files(table, tokenizer, tmp_path):
    table = table.assign(note=table["note"] + " qxsecretqx")
    run_sft(table, tokenizer, tmp_path / "c", track=tmp_path)
    files = list((tmp_path / "sft").iterdir())
    assert files and not any(b"qxsecretqx" in file.read_bytes() for file in files)


def test_only_the_first_of_several_processes_writes(
    table, tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setattr(tracking, "rank", lambda: 1)
    run_sft(table, tokenizer, tmp_path / "c", track=tmp_path)
    assert not (tmp_path / "sft").exists()


def test_where_curves_go_is_said_by_the_parameter(tmp_path, monkeypatch):
    assert tracking.folder("none", tmp_path) is None
    assert tracking.folder("tensorboard", tmp_path) == tmp_path / "tensorboard"
    with pytest.raises(UserError, match="report_to"):
        tracking.folder("wandb", tmp_path)
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="not installed"):
        tracking.folder("tensorboard", tmp_path)
