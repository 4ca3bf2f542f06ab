"""A step of SFT and of GRPO in the shape of the cpu profile, against stock TRL."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from deepicd import encoding, grpo, models, rewards, sft, training
from deepicd.bench.measure import Result, best_seconds
from deepicd.rollouts import RolloutLog
from deepicd.sources.synthetic import example_admissions
from deepicd.tokenizer import train_tokenizer

TITLE = "Training: one SFT and one GRPO step against stock TRL, with time shares"
REPEATS = 5
BATCH = 16
STEPS = 4


def run() -> list[Result]:
    """Time both trainers on the same notes, in one process.

    Seconds are those that pass, with the threads that torch has here; a step is the
    best of some, which leaves most of the other work on the machine out.

    Returns
    -------
    list of Result
    """
    notes = example_admissions(300).assign(trace="The note points to this code.")
    with tempfile.TemporaryDirectory() as folder:
        source, tokenizer = _taught_model(notes, folder)
        return sft_results(notes, tokenizer, folder) + grpo_results(
            notes, source, tokenizer, folder
        )


def _taught_model(notes, folder: str):
    """Folder and tokenizer of a model that has learned to end its answers.

    One that never ends would be timed on completions of full length.
    """
    texts = encoding.rendered(notes["note"], notes, "reasoning", "brief")
    tokenizer = train_tokenizer(texts, 4096)
    net = models.make_model(tokenizer, "2m", 0)
    data, _ = encoding.encode(notes, tokenizer, "reasoning", "brief", 512)
    settings = sft.SftSettings(
        steps=60, batch_size=16, validate_every=0, save_every=1000
    )
    net, _, _ = sft.train(net, tokenizer, data, None, settings, f"{folder}/teaching")
    models.save(net, tokenizer, f"{folder}/model")
    return f"{folder}/model", tokenizer


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
        model=net, args=training.make_config(SFTConfig, arguments),
        train_dataset=data, processing_class=tokenizer,
    )  # fmt: skip
    trainer.create_optimizer()
    batches = [b for b, _ in zip(trainer.get_train_dataloader(), range(STEPS))]  # noqa: B905

    def steps() -> None:
        for batch in batches:
            trainer.compute_loss(net, dict(batch)).backward()
            trainer.optimizer.step()
            net.zero_grad()

    return best_seconds(steps, REPEATS) / len(batches)


def grpo_results(notes, source: str, tokenizer, folder: str) -> list[Result]:
    """A step of GRPO: drawing, rewards, loss and gradient, on the same prompts."""
    net, _ = models.load(source)
    data, _ = grpo.prompt_set(notes, tokenizer, "reasoning", "brief", 400)
    settings = grpo.GrpoSettings(steps=1)
    paid = rewards.trl_reward_functions("tree")
    log = RolloutLog(Path(folder) / "log.jsonl", {"outcome": 1.0})
    log.rewind(0)
    trainer = grpo.make_trainer(
        net, tokenizer, data, None, settings, log, paid, f"{folder}/grpo", True
    )
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1
    rows = next(iter(trainer.get_train_dataloader()))
    batch = trainer._prepare_inputs(rows)
    ours, theirs = (
        _grpo_seconds(trainer, rows, batch, share) for share in (True, False)
    )
    whole = sum(ours.values())
    shares = [
        Result(f"GRPO: share of {name}", 100 * seconds / whole, "%")
        for name, seconds in ours.items()
    ]
    return [
        Result("GRPO step", whole, "s"),
        Result("GRPO step, stock TRL", sum(theirs.values()), "s"),
        Result(
            "GRPO: stock / ours", sum(theirs.values()) / whole, "x", 1.5, at_least=True
        ),
        *(
            Result(f"GRPO: {name}, stock / ours", theirs[name] / ours[name], "x")
            for name in ("sampling", "forward and backward")
        ),
        *shares,
    ]


def _grpo_seconds(trainer, rows, batch, share: bool) -> dict[str, float]:
    """Seconds of the parts of a step."""
    settings = trainer.plan.settings
    trainer.plan.settings = type(settings)(**vars(settings) | {"share_prompts": share})
    net, asked = trainer.model, trainer._tokenize_prompts([r["prompt"] for r in rows])
    torch.manual_seed(0)
    ids, _ = trainer._draw(0, *asked)
    texts = trainer._texts(ids)

    def learn() -> None:
        trainer.compute_loss(net, batch).backward()
        net.zero_grad()

    def pay() -> None:
        trainer._calculate_rewards(rows, [r["prompt"] for r in rows], texts, ids)
        trainer._pending_metrics.clear()

    def timed(work: Callable[[], object]) -> float:
        return best_seconds(work, REPEATS)

    learn()
    trainer.compute_loss(net, batch).backward()
    found = {
        "optimiser": timed(trainer.optimizer.step),
        "sampling": timed(lambda: trainer._draw(0, *asked)),
        "rewards": timed(pay),
        "forward and backward": timed(learn),
    }
    net.zero_grad()
    return found
