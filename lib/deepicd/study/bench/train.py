"""A step of SFT and of GRPO in the shape of the cpu profile, against stock TRL."""

import tempfile

import torch

from deepicd.study.bench.grpo import REPEATS, example_notes, grpo_results, taught_model
from deepicd.study.bench.measure import Result, best_seconds
from deepicd.training import encoding, models, sft
from deepicd.training import trainer as training

TITLE = "Training: one SFT and one GRPO step against stock TRL, with time shares"
BATCH = 16
STEPS = 4


def run() -> list[Result]:
    """Time both trainers on the same notes, in one process.

    Seconds as in `deepicd.study.bench.grpo`.

    Returns
    -------
    list of Result
    """
    notes = example_notes()
    with tempfile.TemporaryDirectory() as folder:
        source, tokenizer = taught_model(notes, folder)
        return sft_results(notes, tokenizer, folder) + grpo_results(
            notes, source, tokenizer, folder
        )


def sft_results(notes, tokenizer, folder: str) -> list[Result]:
    """A fine-tuning step: batches of like length, and TRL's own order."""
    data, _ = encoding.encode(notes, tokenizer, "reasoning", "brief", 512)
    settings = sft.SftSettings(steps=STEPS, batch_size=BATCH, validate_every=0)
    given = sft.arguments(settings, f"{folder}/sft", True)
    rows = data.select(
        sft.order([len(ids) for ids in data["input_ids"]], STEPS, BATCH, 0)
    )
    stock = given | {"train_sampling_strategy": "random"}
    ours = _sft_seconds(rows, tokenizer, given)
    theirs = _sft_seconds(data, tokenizer, stock)
    return [
        Result("threads", torch.get_num_threads(), ""),
        Result("SFT step", ours, "s"),
        Result("SFT step, stock TRL", theirs, "s"),
        Result("SFT: stock / ours", theirs / ours, "x", goal=1.5, at_least=True),
    ]


def _sft_seconds(data, tokenizer, arguments: dict) -> float:
    from trl import SFTConfig, SFTTrainer

    net = models.make_model(tokenizer, "2m", 0).train()
    trainer = SFTTrainer(
        model=net,
        args=training.make_config(SFTConfig, arguments),
        train_dataset=data,
        processing_class=tokenizer,
    )
    trainer.create_optimizer()
    batches = [b for b, _ in zip(trainer.get_train_dataloader(), range(STEPS))]  # noqa: B905

    def steps() -> None:
        for batch in batches:
            trainer.compute_loss(net, dict(batch)).backward()
            trainer.optimizer.step()
            net.zero_grad()

    return best_seconds(steps, REPEATS) / len(batches)
