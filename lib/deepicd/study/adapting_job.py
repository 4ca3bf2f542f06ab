"""What `bench adapting` does in processes of their own: prune, train, answer.

A process that does one thing has a peak of memory that says what this thing takes.
"""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from deepicd.common.processes import die_with_parent
from deepicd.evaluation.baselines.by_prompt import prompts_with_shots
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import peak_memory
from deepicd.training import encoding, models, sft
from deepicd.training.models import generate

STYLE = "reasoning"
LIMIT = 2048  # tokens of prompt and completion, worked examples included
LONGEST = 96  # tokens of an answer
BATCH = 16  # examples of a step, and notes answered at once
IDLE = 64  # notes that say which layers change least
LIBRARIES = ("torch", "transformers", "trl", "peft")


@dataclass(frozen=True)
class Way:
    """A way of adapting a model to the task.

    Attributes
    ----------
    name : str
    shots : int
        Worked examples in the prompt.
    rank : int
        Of the adapter; 0 for none.
    rates : tuple of float
        Learning rates to choose from; none where nothing is trained.
    layers : int
        Taken out before.
    """

    name: str
    shots: int = 0
    rank: int = 0
    rates: tuple[float, ...] = ()
    layers: int = 0


@dataclass(frozen=True)
class Plan:
    """What all ways have in common.

    Attributes
    ----------
    model : str
        As `models.load` takes it.
    instruction : str
        brief or full.
    steps : int
        Of training.
    examples, val, test : DataFrame
        Traces with their notes, notes to choose by, notes to score on.
    """

    model: str
    instruction: str
    steps: int
    examples: pd.DataFrame
    val: pd.DataFrame
    test: pd.DataFrame


def alone(work: Callable, *given):
    """Call a function of a module in a new process, and give what it gives."""
    context = get_context("spawn")  # torch does not survive a fork
    with ProcessPoolExecutor(1, context, die_with_parent) as pool:
        return pool.submit(work, *given).result()


def prune(plan: Plan, layers: int, folder: str) -> str:
    """Write a copy of the model without some layers, for an adapter; its folder."""
    notes = encoding.asked_of(plan.examples).head(IDLE)
    lora = models.Lora(rank=1)  # that there will be one, not how large
    return models.prune(
        plan.model, folder, layers, notes, lora, STYLE, plan.instruction
    )


def train(
    plan: Plan, way: Way, source: str, rate: float, seed: int, folder: str
) -> dict:
    """Train the model at `source` and keep it in ``model/`` of a folder.

    Returns
    -------
    dict
        trainable (parameters); tokens (of prompts and completions) a second, the
        first step left out; peak and above (bytes: the peak of memory up to the end
        of training, and how far it lies above that of the libraries); right
        (accuracy on the validation notes).
    """
    before = _libraries()
    net, tokenizer = models.load(source, lora=models.Lora(rank=way.rank))
    net = models.add_adapter(net, models.Lora(rank=way.rank), "trl", seed)
    trainable = models.describe(net)["trainable"]
    settings = _settings(plan.steps, seed, rate)
    asked = (tokenizer, STYLE, plan.instruction, LIMIT)
    data, _ = encoding.encode(plan.examples, *asked)
    marks: dict[int, float] = {}

    def mark(step: int, *_) -> None:
        marks.setdefault(step, time.perf_counter())

    checkpoints = f"{folder}/checkpoints"
    net, _, _ = sft.train(
        net, tokenizer, data, None, settings, checkpoints, report=mark
    )
    memory = {f"training_{key}": n for key, n in _memory(before).items()}
    answering = _answering(plan, tokenizer, seed)
    known = generate.measure_accuracy(plan.val, **answering)(net)
    models.save(net, tokenizer, Path(folder) / "model")
    return memory | {
        "trainable": trainable,
        "tokens": _tokens_a_second(data, settings, marks),
        "right": known[f"val_accuracy_{answering['tree'].levels[-1]}"],
    }


def answer(plan: Plan, way: Way, source: str, seed: int) -> tuple[pd.DataFrame, dict]:
    """Answer the test notes with the model at `source`.

    Returns
    -------
    (DataFrame, dict)
        Predictions as `generate.predict` gives them; layers, shots (examples in a
        prompt, mean), notes a second, peak and above (memory, as of `train`).
    """
    before = _libraries()
    net, tokenizer = models.load(source)
    given = _answering(plan, tokenizer, seed)
    asked, shots = None, 0.0
    if way.shots:
        settings = _settings(1, seed, shots=way.shots)
        asked, told = prompts_with_shots(plan.test, plan.examples, settings, given)
        counts = told["notes_by_shots"].items()
        shots = sum(int(k) * n for k, n in counts) / len(plan.test)
    begin = time.perf_counter()
    found = generate.predict(net, plan.test, system=way.name, asked=asked, **given)
    seconds = time.perf_counter() - begin
    return found, _memory(before) | {
        "layers": net.config.num_hidden_layers,
        "shots": shots,
        "notes": len(plan.test) / seconds,
    }


def _settings(steps: int, seed: int, rate: float = 1e-3, shots: int = 0):
    return sft.SftSettings(
        steps=steps,
        batch_size=BATCH,
        learning_rate=rate,
        warmup_steps=steps // 10,
        max_length=LIMIT,
        save_every=steps,
        validate_every=0,
        log_every=1,
        shots=shots,
        seed=seed,
    )


def _answering(plan: Plan, tokenizer, seed: int) -> dict:
    return {
        "tokenizer": tokenizer,
        "tree": load_tree(),
        "seed": seed,
        "style": STYLE,
        "instruction": plan.instruction,
        "max_new_tokens": LONGEST,
        "batch_size": BATCH,
    }


def _tokens_a_second(data, settings: sft.SftSettings, marks: dict) -> float:
    """Of the steps after the first, which warms up."""
    rows = sft.whole_run(data, settings)["input_ids"]
    tokens = sum(len(ids) for ids in rows[settings.batch_size :])
    return tokens / (marks[settings.steps] - marks[1])


def _libraries() -> float:
    """Peak of memory where the libraries are loaded and no model is."""
    for name in LIBRARIES:
        import_module(name)
    return peak_memory(models.device())


def _memory(before: float) -> dict:
    peak = peak_memory(models.device())
    return {"peak": peak, "above": peak - before}
