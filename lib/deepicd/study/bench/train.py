"""A step of SFT and of GRPO in the shape of the cpu profile, against stock TRL.

With a backend: SFT of an adapter by it, for a comparison of two calls on one GPU.
"""

import tempfile
import time
from pathlib import Path

import torch

from deepicd.study.bench import paper
from deepicd.study.bench.grpo import REPEATS, example_notes, grpo_results, taught_model
from deepicd.study.bench.measure import Result, best_seconds, peak_memory
from deepicd.training import encoding, models, sft
from deepicd.training import trainer as training
from deepicd.training.models import backends

TITLE = "Training: one SFT and one GRPO step against stock TRL, with time shares"
BATCH = 16
STEPS = 4
#: With a backend: examples of a pass, tokens of an example, rank of the adapter.
ROWS, LONGEST, RANK = 16, 2048, 32


def run(size: str = "", backend: str = "") -> list[Result]:
    """Time both trainers on the same notes, in one process.

    Seconds as in `deepicd.study.bench.grpo`.

    Parameters
    ----------
    size : {"", "50m", "1b", "7b"}
        With a backend, on a GPU.
    backend : {"", "trl", "unsloth"}
        Time only SFT of an adapter with it, after one step that warms up.

    Returns
    -------
    list of Result
    """
    if backend:
        return by_backend(size or "50m", backend)
    notes = example_notes()
    with tempfile.TemporaryDirectory() as folder:
        source, tokenizer = taught_model(notes, folder)
        return sft_results(notes, tokenizer, folder) + grpo_results(
            notes, source, tokenizer, folder
        )


def by_backend(size: str, backend: str) -> list[Result]:
    """Seconds and tokens of SFT with one backend, an adapter over frozen weights."""
    backend, _ = backends.choose(backend)
    device = models.device()
    longest = LONGEST if device == "cuda" else LONGEST // paper.CUT
    lora = models.Lora(rank=RANK)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "base"
        paper.write_random(paper.small_tokenizer(), size, device, source)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        begin = time.perf_counter()
        net, tokenizer = models.load(str(source), backend, 2 * longest, lora)
        net = models.add_adapter(net, lora, backend, 0)
        loaded = time.perf_counter() - begin
        own = {"batch_size": ROWS, "sft_learning_rate": 1e-4}
        found = paper.fine_tuned(net, tokenizer, own, longest, folder)
    name = f"SFT with {backend}"
    return [
        Result(f"{name}: load", loaded, "s"),
        Result(f"{name}: pass", found["step"], "s"),
        Result(name, found["rate"], "tokens/s"),
        Result(f"{name}: peak memory", peak_memory(device) / 2**30, "GiB"),
    ]


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
