import pandas as pd
import pytest
import torch
import training_kit as kit

from deepicd import (
    encoding,
    generate,
    grpo,
    models,
    prompts,
    sft,
    showing,
    training,
)
from deepicd.errors import UserError
from deepicd.icd import load_tree
from deepicd.rewards import get_spec
from deepicd.rollouts import RolloutLog


@pytest.fixture(scope="module")
def table():
    return kit.admissions()


@pytest.fixture(scope="module")
def tokenizer(table):
    return kit.tokenizer_of(table)


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


def run_sft(table, tokenizer, folder, report=None):
    data, held, _ = encoded(table, tokenizer)
    settings = sft.SftSettings(
        steps=6, batch_size=4, save_every=2, validate_every=2, log_every=1, seed=3
    )
    net = kit.network(tokenizer)
    measure = generate.measure_accuracy(
        table.head(2), tokenizer=tokenizer, tree=load_tree(), max_new_tokens=4
    )
    return sft.train(net, tokenizer, data, held, settings, folder, measure, report)


def test_sft_that_was_interrupted_ends_with_the_same_weights(
    table, tokenizer, tmp_path
):
    whole, curves, resolved = run_sft(table, tokenizer, tmp_path / "whole")
    with pytest.raises(kit.Interruption):
        run_sft(table, tokenizer, tmp_path / "torn", kit.stop_at(5))
    assert training.last_checkpoint(tmp_path / "torn").endswith("checkpoint-4")
    again, resumed, _ = run_sft(table, tokenizer, tmp_path / "torn")
    assert models.weights_hash(again) == models.weights_hash(whole)
    pd.testing.assert_frame_equal(resumed, curves)
    assert resolved["learning_rate"] == sft.SftSettings().learning_rate
    assert {"train_loss", "val_loss", "val_accuracy_full"} <= set(curves["name"])


def run_grpo(table, tokenizer, folder, report=None, spec="tree", **changes):
    given = {"steps": 4, "prompts": 2, "group_size": 4, "max_completion": 6}
    given |= {"save_every": 2, "validate_every": 2, "log_every": 1, "seed": 3}
    settings = grpo.GrpoSettings(**(given | {"learning_rate": 1e-3} | changes))
    notes = grpo.training_notes(table, "all", 0)
    data, _ = grpo.prompt_set(notes, tokenizer, "reasoning", "brief", 200)
    net = kit.network(tokenizer)
    spec = get_spec(spec, weight_evidence=0.5)
    return grpo.train(net, tokenizer, data, spec, settings, folder, report=report)


def test_grpo_that_was_interrupted_ends_with_the_same_weights_and_rollouts(
    table, tokenizer, tmp_path
):
    whole, curves, log, _ = run_grpo(table, tokenizer, tmp_path / "whole")
    with pytest.raises(kit.Interruption):
        run_grpo(table, tokenizer, tmp_path / "torn", kit.stop_at(3))
    again, resumed, again_log, _ = run_grpo(table, tokenizer, tmp_path / "torn")
    assert models.weights_hash(again) == models.weights_hash(whole)
    pd.testing.assert_frame_equal(resumed, curves)
    pd.testing.assert_frame_equal(again_log, log)
    assert len(log) == 4 * 2 * 4


def test_a_rollout_has_every_part_of_its_reward(table, tokenizer, tmp_path):
    _, curves, log, resolved = run_grpo(table, tokenizer, tmp_path)
    parts = [name for name in log if name.startswith("reward_")]
    assert len(parts) >= 2
    weights = dict(zip(parts, resolved["reward_weights"], strict=True))
    total = sum(log[name] * weight for name, weight in weights.items())
    torch.testing.assert_close(torch.tensor(total), torch.tensor(log["reward"]))
    reported = curves[curves["name"] == "reward"].sort_values("step")["value"]
    mean = log.groupby("step")["reward"].mean()
    assert reported.tolist() == pytest.approx(mean.tolist(), abs=1e-5)


def test_shared_prompts_train_like_the_stock_trainer(table, tokenizer, tmp_path):
    """One step on nearly greedy draws, which both trainers draw alike."""
    options = {"steps": 1, "temperature": 1e-3, "save_every": 9, "validate_every": 0}
    found = [
        run_grpo(table, tokenizer, tmp_path / str(k), share_prompts=k, **options)
        for k in (True, False)
    ]
    texts = [log.sort_values(["note_id", "completion"]) for _, _, log, _ in found]
    assert texts[0]["completion"].tolist() == texts[1]["completion"].tolist()
    shared, stock = (dict(net.named_parameters()) for net, *_ in found)
    for name, weight in stock.items():
        torch.testing.assert_close(shared[name], weight, atol=1e-4, rtol=1e-3)


def test_long_prompts_are_dropped_and_counted(table, tokenizer):
    lengths = [
        len(i)
        for i in encoding.prompt_ids(table["note"], tokenizer, "reasoning", "brief")
    ]
    limit = sorted(lengths)[len(lengths) // 2]
    data, counts = grpo.prompt_set(table, tokenizer, "reasoning", "brief", limit)
    assert len(data) == counts["kept"] == sum(n <= limit for n in lengths)
    with pytest.raises(UserError, match="raise max_prompt"):
        grpo.prompt_set(table, tokenizer, "reasoning", "brief", 3)


def test_new_notes_are_those_after_the_sft_ranks(table):
    examples, _ = encoding.training_examples(table, kit.traces(table), 0.3)
    seen = encoding.ranks_below(examples, table)
    new = grpo.training_notes(table, "new", seen)
    assert not set(new["note_id"]) & set(examples["note_id"])
    assert len(new) + seen == (table["split"] == "train").sum()
    with pytest.raises(UserError, match="new or all"):
        grpo.training_notes(table, "some", 0)


def test_an_unknown_trainer_argument_is_an_error():
    from trl import SFTConfig

    with pytest.raises(UserError, match="learning_rate"):
        training.make_config(SFTConfig, {"learnign_rate": 1.0})


def test_every_argument_of_both_trainers_is_known(tmp_path):
    from trl import GRPOConfig, SFTConfig

    training.make_config(SFTConfig, sft.arguments(sft.SftSettings(), tmp_path, True))
    given = grpo.arguments(grpo.GrpoSettings(), [1.0], str(tmp_path), True)
    config = training.make_config(GRPOConfig, given)
    assert config.log_completions is False and config.report_to in ("none", [])


def test_unknown_rollouts_are_an_error():
    settings = grpo.GrpoSettings(rollouts="sglang")
    with pytest.raises(UserError, match="transformers, vllm or vllm_server"):
        grpo.arguments(settings, [1.0], "x", True)


def test_a_torn_checkpoint_is_removed(tmp_path):
    for step, complete in ((2, True), (4, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if complete:
            (tmp_path / f"checkpoint-{step}" / training.COMPLETE).touch()
    assert training.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
    assert not (tmp_path / "checkpoint-4").exists()


def test_a_rewound_log_forgets_repeated_steps_and_a_torn_line(tmp_path):
    log = RolloutLog(tmp_path / "log.jsonl", {"outcome": 1.0})
    lines = ['{"step": 0, "reward": 1.0}', '{"step": 1, "reward": 0.0}', '{"step": 1']
    log.path.write_text("\n".join(lines))
    log.rewind(1)
    assert log.frame()["step"].tolist() == [0]


def test_equal_rewards_give_no_advantage():
    assert grpo.advantages([0.4] * 8) == [0.0] * 8
    found = grpo.advantages([1.0, 0.4, 0.4, 0.0])
    assert sum(found) == pytest.approx(0, abs=1e-5)
    assert found[0] > found[1] == found[2] > found[3]


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
        icd_code="I21.11", completion=prompts.format_completion("Pain.", "I21.11")
    )
    lesson = showing.group_lesson(log, "reasoning")
    assert lesson["reward"].tolist() == [1.0, 0.0]
    assert lesson["minus mean"].tolist() == [0.5, -0.5]
    assert lesson["code"].tolist() == ["I21.11"] * 2


def test_private_completions_are_not_shown(table):
    shown = showing.before_and_after(pd.DataFrame(), private=True)
    assert shown == showing.PRIVATE
