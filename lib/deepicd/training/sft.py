"""Supervised fine-tuning on traces, completion tokens only."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from deepicd.common.errors import UserError
from deepicd.common.parameters import Settings
from deepicd.training import trainer as training
from deepicd.training.models.troubles import explained
from deepicd.training.tracking import Tracker

NAMES = {
    "loss": "train_loss",
    "eval_loss": "val_loss",
    "mean_token_accuracy": "train_token_accuracy",
    "eval_mean_token_accuracy": "val_token_accuracy",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
}


@dataclass(frozen=True)
class SftSettings(Settings):
    """Every hyper-parameter of a fine-tuning run; no hidden default.

    `batch_size` examples make one forward pass, `accumulation` of them one step;
    several processes share them out.

    Attributes
    ----------
    packing : bool
        Join examples to rows of at most `max_length` tokens, without cutting any;
        a row counts as one example of `batch_size`. For GPUs with FlashAttention.
    catalogue_steps : int
        Steps on questions about the ICD-10-CM tables before the traces.
    validate_notes, predict_batch : int
        Notes answered at each validation, and notes answered at once.
    prompt_baselines, shots : str, int
        Whether the untrained model is asked in other ways too (auto, always,
        never), and worked examples in its prompt; see `baselines.by_prompt`.
    samples, sample_temperature : int, float
        Answers to each test note after training, the first one greedy.
    """

    steps: int = 600
    batch_size: int = 32
    accumulation: int = 1
    learning_rate: float = 2e-3
    warmup_steps: int = 40
    schedule: str = "cosine"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    max_length: int = 512
    save_every: int = 100
    validate_every: int = 100
    log_every: int = 10
    packing: bool = False
    catalogue_steps: int = 0
    validate_notes: int = 100
    predict_batch: int = 64
    prompt_baselines: str = "auto"
    shots: int = 3
    samples: int = 5
    sample_temperature: float = 0.7
    seed: int = 0


def whole_run(examples, settings: SftSettings):
    """Rows of all steps, put in order here so that a resumed run sees the same."""
    if settings.packing:
        from trl import pack_dataset

        # No example is longer than a row, so nothing is cut.
        examples = pack_dataset(examples, settings.max_length, "bfd")
    lengths = [len(ids) for ids in examples["input_ids"]]
    batch = settings.batch_size * settings.accumulation
    return examples.select(order(lengths, settings.steps, batch, settings.seed))


def arguments(settings: SftSettings, folder: str, headless: bool) -> dict:
    """Give TRL's arguments for `settings`, all of them explicit."""
    gpu = torch.cuda.is_available()
    return training.shared_arguments(settings, folder, headless) | {
        "per_device_train_batch_size": rows_a_pass(settings),
        "per_device_eval_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "tf32": None,
        "gradient_checkpointing": gpu,
        "save_steps": training.save_every(settings),
        "eval_strategy": "steps" if settings.validate_every else "no",
        "eval_steps": settings.validate_every or None,
        "train_sampling_strategy": "sequential",  # `order` has shuffled already
        "max_length": None,  # long examples are dropped before, never cut
        "packing": False,  # `whole_run` has packed already
        "padding_free": settings.packing,
        "completion_only_loss": True,
        "assistant_only_loss": False,
        "loss_type": "chunked_nll",  # the head runs on trained tokens only
        "average_tokens_across_devices": True,
    }


def rows_a_pass(settings: SftSettings) -> int:
    """Examples in one forward pass of one process.

    Raises
    ------
    UserError
        When the processes cannot share the batch evenly.
    """
    rows, rest = divmod(settings.batch_size, training.processes())
    if rest:
        raise UserError(
            found=f"batch_size {settings.batch_size} for {training.processes()} "
            "processes",
            expected="equal shares",
            do="choose a batch_size that the processes can share",
        )
    return rows


def order(lengths: list[int], steps: int, batch: int, seed: int) -> list[int]:
    """Order of examples for a whole run: shuffled, yet like lengths share a batch.

    Every epoch is shuffled, then sorted by length within stretches of 50 batches,
    and the batches are shuffled again. That saves padding. TRL's own grouping by
    length draws anew when a run is resumed, which changes the result.

    Parameters
    ----------
    lengths : list of int
        Tokens of each example.
    steps, batch : int
        Optimiser steps and examples in each.
    seed : int

    Returns
    -------
    list of int
        `steps` x `batch` indices; every example is seen before any is seen again.

    Examples
    --------
    >>> sorted(order([5, 9, 5, 9], steps=2, batch=2, seed=0))
    [0, 1, 2, 3]
    """
    draw = np.random.default_rng(seed)
    lengths = np.asarray(lengths)
    found: list[int] = []
    while len(found) < steps * batch:
        epoch = draw.permutation(len(lengths))
        stretch = 50 * batch
        for start in range(0, len(epoch), stretch):
            part = epoch[start : start + stretch]
            part = part[np.argsort(lengths[part], kind="stable")]
            cuts = [part[i : i + batch] for i in range(0, len(part), batch)]
            found += [int(i) for j in draw.permutation(len(cuts)) for i in cuts[j]]
    return found[: steps * batch]


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def train(
    model,
    tokenizer,
    examples,
    validation,
    settings: SftSettings,
    folder: str | Path,
    measure: Callable[[object], dict] | None = None,
    report: Callable[[int, int, str], None] | None = None,
    track: Path | None = None,
):
    """Fine-tune a model on encoded examples; continues a killed run.

    Parameters
    ----------
    model, tokenizer
        From `deepicd.training.models`; changed in place.
    examples, validation : datasets.Dataset
        From `encode`; without `validation` there is no validation loss.
    settings : SftSettings
    folder : path-like
        Checkpoints; a complete one found there is continued.
    measure : callable, optional
        Model → dict of numbers named ``val_…``, called every
        ``settings.validate_every`` steps.
    report : callable, optional
        Called with step, steps, text.
    track : Path, optional
        Folder of curves for TensorBoard, see `tracking.folder`.

    Returns
    -------
    (model, DataFrame, dict)
        Trained model, curves (step, name, value), arguments as resolved.
    """
    from trl import SFTConfig, SFTTrainer

    seed_everything(settings.seed)
    given = arguments(settings, str(folder), report is not None)
    if validation is None:
        given |= {"eval_strategy": "no", "eval_steps": None}
    config = training.make_config(SFTConfig, given)
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=whole_run(examples, settings),
        eval_dataset=validation,
        processing_class=tokenizer,
    )
    tracker = Tracker(track / "sft", NAMES) if track else None
    callbacks = training.watchers(
        "SFT", settings.validate_every, measure, report, tracker
    )
    training.attach(trainer, callbacks)
    with explained():
        trainer.train(resume_from_checkpoint=training.last_checkpoint(folder))
    curves = training.history(trainer.state.log_history, NAMES)
    return trainer.model, curves, training.resolved(trainer.args)
