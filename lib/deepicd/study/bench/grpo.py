"""A step of GRPO in the shape of the cpu profile, against stock TRL."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from deepicd import rewards
from deepicd.data.synthetic.corpus import example_admissions
from deepicd.study.bench.measure import Result, best_seconds
from deepicd.training import encoding, grpo, models, sft
from deepicd.training.grpo.rollout_log import RolloutLog
from deepicd.training.models.tokenizer import train_tokenizer

TITLE = "GRPO: one step against stock TRL, with time shares"
REPEATS = 5


def run() -> list[Result]:
    """Time steps of both trainers on the same notes, in one process.

    Seconds are those that pass, with the threads that torch has here; a step is the
    best of some, which leaves most of the other work on the machine out.

    Returns
    -------
    list of Result
    """
    notes = example_notes()
    with tempfile.TemporaryDirectory() as folder:
        source, tokenizer = taught_model(notes, folder)
        return grpo_results(notes, source, tokenizer, folder)


def example_notes():
    """Notes with a trace, enough for a few steps."""
    return example_admissions(300).assign(trace="The note points to this code.")


def taught_model(notes, folder: str):
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


def grpo_results(notes, source: str, tokenizer, folder: str) -> list[Result]:
    """A step of GRPO: drawing, rewards, loss and gradient, on the same prompts."""
    net, _ = models.load(source)
    data, _ = grpo.prompt_set(notes, tokenizer, "reasoning", "brief", 400)
    settings = grpo.GrpoSettings(steps=1)
    paid = rewards.trl_reward_functions("tree")
    log = RolloutLog(Path(folder) / "log.jsonl", {"outcome": 1.0})
    log.rewind(0)
    trainer = grpo.make_trainer(
        net, tokenizer, data, settings, log, paid, f"{folder}/grpo", True
    )
    trainer.create_optimizer()
    trainer.current_gradient_accumulation_steps = 1
    rows = next(iter(trainer.get_train_dataloader()))
    batch = trainer.prepared(rows)
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
    net = trainer.model
    torch.manual_seed(0)
    ids, _ = trainer.drawn(rows)

    def learn() -> None:
        trainer.compute_loss(net, batch).backward()
        net.zero_grad()

    def timed(work: Callable[[], object]) -> float:
        return best_seconds(work, REPEATS)

    learn()
    trainer.compute_loss(net, batch).backward()
    found = {
        "optimiser": timed(trainer.optimizer.step),
        "sampling": timed(lambda: trainer.drawn(rows)),
        "rewards": timed(lambda: trainer.paid(rows, ids)),
        "forward and backward": timed(learn),
    }
    net.zero_grad()
    return found
