"""Two processes train as one does: same batch, same loss, same weights."""

import pytest
import torch
import training_kit as kit

from deepicd.common.errors import UserError
from deepicd.rewards import get_spec
from deepicd.training import encoding, grpo, launch, models, sft


def same(one, two, steps):
    """Weights within float rounding, of which Adam makes at most its step size."""
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], weight, atol=steps, rtol=0)


def test_two_processes_fine_tune_as_one_does(table, tokenizer, tmp_path):
    examples, _ = encoding.training_examples(table, kit.traces(table))
    data, _ = encoding.encode(examples, tokenizer, "reasoning", "brief", 200)
    settings = sft.SftSettings(
        steps=4,
        batch_size=8,
        learning_rate=1e-3,
        warmup_steps=0,
        validate_every=0,
        log_every=1,
    )
    start = kit.network(tokenizer)
    launch.write_job(tmp_path, "sft", start, tokenizer, data, settings)
    folder, curves, _, printed = launch.launch(tmp_path, 2, "sft", cpu=True)
    assert "effective batch 8 examples a step: 2 processes x 4 a pass" in printed
    assert "effective batch 8 examples" in launch.effective_batch("sft", settings)
    net, expected, _ = sft.train(
        start, tokenizer, data, None, settings, tmp_path / "alone"
    )
    of = "train_loss"
    losses = [c[c["name"] == of]["value"].tolist() for c in (curves, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[1][0] > losses[1][-1]
    same(net, models.load(folder)[0], 2e-4)


def test_two_processes_draw_and_learn_as_one_does(
    taught, tokenizer, prompt_set, tmp_path
):
    settings = grpo.GrpoSettings(
        steps=2,
        prompts=4,
        group_size=4,
        max_completion=24,
        learning_rate=1e-3,
        warmup_steps=0,
        validate_every=0,
        log_every=1,
        seed=3,
    )
    start, spec = models.load(taught)[0], get_spec("tree")
    launch.write_job(tmp_path, "grpo", start, tokenizer, prompt_set, settings, spec)
    folder, curves, log, printed = launch.launch(tmp_path, 2, "grpo", cpu=True)
    assert "effective batch 16 completions a step: 2 processes x 8" in printed
    net, expected, alone, _ = grpo.train(
        start, tokenizer, prompt_set, spec, settings, tmp_path / "alone"
    )
    names = ["step", "note_id", "completion", "reward"]
    both = [t.sort_values(names)[names].values.tolist() for t in (log, alone)]
    assert both[0] == both[1]
    wide = [
        c.pivot(index="step", columns="name", values="value")
        for c in (curves, expected)
    ]
    for name in ("reward", "entropy", "sampled_accuracy_full", "useless_groups"):
        assert wide[0][name].tolist() == pytest.approx(wide[1][name].tolist(), rel=1e-4)
    same(net, models.load(folder)[0], 2e-4)


@pytest.mark.parametrize("kind", launch.KINDS)
def test_the_configurations_are_ones_that_accelerate_reads(kind):
    from accelerate.commands.config.config_args import load_config_from_file

    command = launch._launcher(4, kind, cpu=False)
    config = load_config_from_file(command[command.index("--config_file") + 1])
    assert config.distributed_type.value == "MULTI_GPU" and not config.use_cpu
    # Precision is an argument of the trainer; given twice, they could disagree.
    assert config.mixed_precision == "no"
    assert command[command.index("--num_processes") + 1] == "4"


def test_a_batch_that_cannot_be_shared_is_an_error(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="3 processes"):
        sft.arguments(sft.SftSettings(batch_size=8), "x", True)
    with pytest.raises(UserError, match="equal shares"):
        grpo.arguments(grpo.GrpoSettings(prompts=8, group_size=8), [1.0], "x", True)
