import pandas as pd
import pytest
import torch
import training_kit as kit

from deepicd.common.errors import UserError
from deepicd.icd import load_tree
from deepicd.rewards import get_spec
from deepicd.tasks import prompts
from deepicd.training import (
    catalogue_stage,
    encoding,
    grpo,
    labelled,
    models,
    sft,
    trainer,
)
from deepicd.training.models import generate
from deepicd.views import training as showing


def encoded(table, tokenizer):
    examples, held = encoding.training_examples(table, kit.traces(table), 0.7)
    data, counts = encoding.encode(examples, tokenizer, "reasoning", "brief", 200)
    held, _ = encoding.encode(held, tokenizer, "reasoning", "brief", 200)
    return data, held, counts


def test_only_the_completion_carries_loss(table, tokenizer):
    data, _, counts = encoded(table, tokenizer)
    for row in data:
        trained = [i for i in row["labels"] if i != -100]
        text = tokenizer.decode(trained)
        assert text.startswith("<think>") and text.endswith("</diagnosis><|im_end|>")
        assert row["input_ids"][-len(trained) :] == trained
    assert 0 < counts["trained_share"] < 0.9


def test_training_starts_from_the_ids_that_generation_starts_from(table, tokenizer):
    data, _, _ = encoded(table, tokenizer)
    asked = encoding.prompt_ids(table["note"], tokenizer, "reasoning", "brief")
    for row in data:
        n = sum(label == -100 for label in row["labels"])
        assert row["input_ids"][:n] in asked


def test_long_examples_are_dropped_and_counted(table, tokenizer):
    examples, _ = encoding.training_examples(table, kit.traces(table), 0.7)
    lengths = [len(row["input_ids"]) for row in encoded(table, tokenizer)[0].to_list()]
    limit = sorted(lengths)[5]
    data, counts = encoding.encode(examples, tokenizer, "reasoning", "brief", limit)
    assert counts["kept"] == sum(n <= limit for n in lengths) == len(data)
    assert counts["kept"] + counts["dropped"] == len(examples)
    with pytest.raises(UserError, match="raise max_length"):
        encoding.encode(examples, tokenizer, "reasoning", "brief", 5)


def test_the_notes_that_fit_are_those_that_encode_keeps(table, tokenizer):
    examples, _ = encoding.training_examples(table, kit.traces(table), 0.7)
    given = tokenizer, "reasoning", "brief"
    data, _ = encoding.encode(examples, *given, 200)
    lengths = [len(row["input_ids"]) for row in data]
    limit = sorted(lengths)[len(lengths) // 2]
    kept, counts = encoding.encode(examples, *given, limit)
    fitting = encoding.fitting(examples, *given, limit)
    short = [n <= limit for n in lengths]
    assert fitting["note_id"].tolist() == examples.loc[short, "note_id"].tolist()
    assert len(fitting) == len(kept) == counts["kept"] < len(examples)


def test_labelled_notes_are_the_training_notes_that_a_system_has_seen(table):
    examples, _ = encoding.training_examples(table, kit.traces(table), 0.5)
    test = table.loc[table["split"] == "test", "note_id"]
    seen = {"base_shots": [], "sft": [*examples["note_id"], *test]}
    answers = pd.DataFrame({"system": ["base", "base_shots", "sft", "sft"]})
    found = labelled.count_labelled_notes(answers, table, seen)
    assert found["labelled_notes"].tolist() == [0, 0, len(examples), len(examples)]
    assert 0 < len(examples) < (table["split"] == "train").sum()
    among = table.assign(asked=table["note"])  # candidates come from all labels
    found = labelled.count_labelled_notes(answers, among, seen)
    assert set(found["labelled_notes"]) == {(table["split"] == "train").sum()}


def test_a_reward_has_seen_the_codes_that_it_compared_or_learned_words_from():
    prompts = {"note_id": ["a", "b", "c"]}
    first, last = (
        pd.DataFrame({"note_id": ["a"]}),
        pd.DataFrame({"note_id": ["b", "b"]}),
    )
    plain = get_spec("tree")
    assert labelled.paid_notes(prompts, plain, None, None) == set()
    assert labelled.paid_notes(prompts, plain, None, last) == {"b"}
    assert labelled.paid_notes(prompts, plain, first, last) == {"a", "b"}
    paid = get_spec("tree", weight_evidence=0.2)
    assert labelled.paid_notes(prompts, paid, first) == {"a", "b", "c"}


def test_the_table_of_a_training_says_how_many_labels_each_system_saw(table):
    notes = table.head(4)
    answers = notes[["note_id"]].assign(sample=0, code=None, well_formed=False)
    both = [answers.assign(system=s, labelled_notes=n) for s, n in (("a", 0), ("b", 9))]
    found = showing.accuracy_table(pd.concat(both), table)
    assert found["labelled_notes"].to_dict() == {"a": 0, "b": 9}
    assert "labelled_notes" not in showing.accuracy_table(
        answers.assign(system="a"), table
    )


def test_a_smaller_training_set_is_a_prefix_of_a_larger(table):
    small, _ = encoding.training_examples(table, kit.traces(table), 0.25)
    large, held = encoding.training_examples(table, kit.traces(table), 0.5)
    assert large["note_id"].tolist()[: len(small)] == small["note_id"].tolist()
    assert not set(large["note_id"]) & set(held["note_id"])


def test_validation_never_sees_a_trained_trace_even_when_all_are_asked_for(table):
    examples, held = encoding.training_examples(table, kit.traces(table), 1.0)
    assert len(held) >= 1
    assert not set(examples["note_id"]) & set(held["note_id"])


def test_no_accepted_trace_is_a_clear_error(table):
    rejected = kit.traces(table).assign(accepted=False)
    with pytest.raises(UserError, match="0 accepted traces"):
        encoding.training_examples(table, rejected)
    with pytest.raises(UserError, match="more than 0, at most 1"):
        encoding.training_examples(table, kit.traces(table), 40)


def run_sft(table, tokenizer, folder, report=None, track=None):
    data, held, _ = encoded(table, tokenizer)
    settings = sft.SftSettings(
        steps=6, batch_size=4, save_every=2, validate_every=2, log_every=1, seed=3
    )
    net = kit.network(tokenizer)
    measure = generate.measure_accuracy(
        table.head(2), tokenizer=tokenizer, tree=load_tree(), max_new_tokens=4
    )
    return sft.train(
        net, tokenizer, data, held, settings, folder, measure, report, track
    )


def test_sft_that_was_interrupted_ends_with_the_same_weights(
    table, tokenizer, tmp_path
):
    whole, curves, resolved = run_sft(table, tokenizer, tmp_path / "whole")
    with pytest.raises(kit.Interruption):
        run_sft(table, tokenizer, tmp_path / "torn", kit.stop_at(5))
    assert trainer.last_checkpoint(tmp_path / "torn").endswith("checkpoint-4")
    again, resumed, _ = run_sft(table, tokenizer, tmp_path / "torn")
    assert models.weights_hash(again) == models.weights_hash(whole)
    pd.testing.assert_frame_equal(resumed, curves)
    assert resolved["learning_rate"] == sft.SftSettings().learning_rate
    assert {"train_loss", "val_loss", "val_accuracy_full"} <= set(curves["name"])


@pytest.mark.parametrize("style", ["reasoning", "code_only", "answer_first"])
def test_every_style_trains_saves_loads_and_answers(style, table, tokenizer, tmp_path):
    """From traces to read answers; a network this small only learns the form."""
    examples, held = encoding.training_examples(table, kit.traces(table))
    data, counts = encoding.encode(examples, tokenizer, style, "brief", 200)
    held, _ = encoding.encode(held, tokenizer, style, "brief", 200)
    settings = sft.SftSettings(
        steps=60,
        batch_size=14,
        learning_rate=1e-2,
        warmup_steps=5,
        save_every=999,
        validate_every=60,
    )
    given = {"tokenizer": tokenizer, "max_new_tokens": 40, "style": style}
    val = table[table["split"] != "train"]
    measure = generate.measure_accuracy(val, tree=load_tree(), **given)
    net, curves, _ = sft.train(
        kit.network(tokenizer), tokenizer, data, held, settings, tmp_path / "c", measure
    )
    models.save(net, tokenizer, tmp_path / "model")
    given["tokenizer"] = models.load(str(tmp_path / "model"))[1]
    found = generate.predict(models.load(str(tmp_path / "model"))[0], val, **given)
    assert found["well_formed"].mean() > 0.5
    last = curves[curves["step"] == 60].set_index("name")["value"]
    assert last["val_well_formed"] == found["well_formed"].mean()
    assert {"val_loss", "val_accuracy_chapter", "val_accuracy_full"} <= set(last.index)
    assert counts["kept"] == len(examples)


def test_packing_cuts_nothing_and_gives_the_same_loss(table, tokenizer, tmp_path):
    data, _, _ = encoded(table, tokenizer)
    found = {}
    for packing in (False, True):
        settings = sft.SftSettings(
            steps=1,
            batch_size=1 if packing else len(data),
            packing=packing,
            max_length=2000,
            learning_rate=1e-2,
            warmup_steps=0,
            validate_every=0,
            log_every=1,
        )
        rows = sft.whole_run(data, settings)
        assert sum(map(len, rows["input_ids"])) == sum(map(len, data["input_ids"]))
        net, curves, _ = sft.train(
            kit.network(tokenizer),
            tokenizer,
            data,
            None,
            settings,
            tmp_path / str(packing),
        )
        loss = curves[curves["name"] == "train_loss"]["value"].iloc[0]
        found[packing] = loss, dict(net.named_parameters())
    assert found[True][0] == pytest.approx(found[False][0], rel=1e-5)
    for name, weight in found[False][1].items():
        # Adam's first step is the sign of the gradient: rounding shows where it is 0.
        near = (found[True][1][name] - weight).abs() < 1e-3
        assert near.float().mean() > 0.999


def test_the_catalogue_comes_first_and_resumes(table, tokenizer, tmp_path):
    settings = sft.SftSettings(
        steps=9, batch_size=4, catalogue_steps=4, save_every=2, log_every=1, seed=1
    )

    def learn(name, report=None):
        return catalogue_stage.learn_catalogue(
            kit.network(tokenizer),
            tokenizer,
            load_tree(),
            table["label"].unique(),
            settings,
            tmp_path / name,
            "reasoning",
            report,
        )

    whole, curves, counts = learn("whole")
    with pytest.raises(kit.Interruption):
        learn("torn", kit.stop_at(3))
    again, _, _ = learn("torn")
    assert models.weights_hash(again) == models.weights_hash(whole)
    assert counts["kept"] > 20 and curves["step"].max() == 4
    assert "catalogue_train_loss" in set(curves["name"])
    off = sft.SftSettings(catalogue_steps=0)
    net = kit.network(tokenizer)
    same, none, _ = catalogue_stage.learn_catalogue(
        net, None, None, [], off, tmp_path, "reasoning"
    )
    assert same is net and none.empty


def test_an_unknown_trainer_argument_is_an_error():
    from trl import SFTConfig

    with pytest.raises(UserError, match="learning_rate"):
        trainer.make_config(SFTConfig, {"learnign_rate": 1.0})


def test_every_argument_of_both_trainers_is_known(tmp_path):
    from trl import GRPOConfig, SFTConfig

    trainer.make_config(SFTConfig, sft.arguments(sft.SftSettings(), tmp_path, True))
    given = grpo.arguments(grpo.GrpoSettings(), [1.0], str(tmp_path), True)
    config = trainer.make_config(GRPOConfig, given)
    assert config.log_completions is False and config.report_to in ("none", [])


def test_checkpoints_stand_where_a_mean_of_the_log_ends():
    grpo_run = grpo.GrpoSettings(save_every=37, log_every=5, updates_per_batch=2)
    assert trainer.save_every(grpo_run, grpo_run.updates_per_batch) == 40
    short = grpo.GrpoSettings(save_every=1, log_every=5)
    assert trainer.save_every(short) == 1  # too short a run to wait


def test_a_torn_checkpoint_is_removed(tmp_path):
    for step, complete in ((2, True), (4, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if complete:
            (tmp_path / f"checkpoint-{step}" / trainer.COMPLETE).touch()
    assert trainer.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
    assert not (tmp_path / "checkpoint-4").exists()


def test_answers_are_read_as_the_reward_reads_them(table, tokenizer):
    texts = [
        prompts.format_completion("Pain.", "i2111"),
        "<diagnosis>I21.11</diagnosis>",
        prompts.format_completion("Pain.", "I21.11X"),
    ]
    rows = pd.DataFrame({"completion": texts}).assign(
        system="x", seed=0, note_id=["a", "b", "c"], split="test", sample=0
    )
    found = generate.read_answers(rows, "reasoning")
    assert found["code"].tolist() == ["I21.11", None, None]
    assert found["well_formed"].tolist() == [True, False, True]
    assert found["in_catalogue"].tolist() == [True, False, False]


def test_predictions_do_not_touch_the_global_random_state(table, tokenizer):
    net = kit.network(tokenizer)
    given = {"tokenizer": tokenizer, "max_new_tokens": 5, "samples": 3}
    torch.manual_seed(1)
    first = generate.predict(net, table.head(5), seed=7, **given)
    state = torch.get_rng_state()
    second = generate.predict(net, table.head(5), seed=7, **given)
    assert torch.equal(state, torch.get_rng_state())
    pd.testing.assert_frame_equal(first, second)
    assert first["note_id"].tolist() == [f"n{i}" for i in range(5) for _ in range(3)]
    other = generate.predict(net, table.head(5), seed=8, **given)
    drawn = first["sample"] > 0
    assert (other["completion"] == first["completion"])[~drawn].all()
    assert not (other["completion"] == first["completion"])[drawn].all()


def test_a_lesson_shows_a_group_with_differences():
    rows = [(0, "a", 0.0), (0, "a", 0.0), (1, "b", 1.0), (1, "b", 0.0)]
    log = pd.DataFrame(rows, columns=["step", "note_id", "reward"]).assign(
        label="I21.11", completion=prompts.format_completion("Pain.", "I21.11")
    )
    lesson = showing.group_lesson(log, "reasoning")
    assert lesson["reward"].tolist() == [1.0, 0.0]
    assert lesson["minus mean"].tolist() == [0.5, -0.5]
    assert lesson["code"].tolist() == ["I21.11"] * 2


def test_quotes_are_ticked_and_the_last_system_is_held_against_the_others():
    note = "Sudden chest pain, no fever."
    rows = [
        ("sft", "a", '<think>"cough"</think>', "I10"),
        ("sft", "b", '<think>"chest pain"</think>', "I10"),
        ("sft_grpo", "a", '<think>"chest pain", "cough"</think>', "I21.9"),
        ("sft_grpo", "b", '<think>"chest pain"</think>', "I21.9"),
    ]
    table = pd.DataFrame(rows, columns=["system", "note_id", "completion", "code"])
    table = table.assign(note=note, gold="I21.9", sample=0)
    assert showing.most_telling(table) == "a"
    shown = showing.before_and_after(table, private=False)
    assert '"chest pain" ✓, "cough" ✗' in shown
    notes = pd.DataFrame({"note_id": ["a", "b"], "note": note})
    changed = showing.quotes_changed(table, notes)
    assert changed.loc["sft_grpo against sft"].tolist() == [1, 1, 0]


def test_an_empty_answer_is_shown_as_such():
    rows = [("base", None, "\n" * 60), ("sft", "I10", "<think>x</think>")]
    table = pd.DataFrame(rows, columns=["system", "code", "completion"])
    table = table.assign(note_id="a", note="Cough.", gold="J18.9")
    shown = showing.before_and_after(table, private=False)
    assert "--- base (answer: none)\n(blank)\n\n--- sft (answer: I10)" in shown


def test_private_completions_are_not_shown(table):
    shown = showing.before_and_after(pd.DataFrame(), private=True)
    assert shown == showing.PRIVATE
