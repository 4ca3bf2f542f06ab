"""Verifiers: is each step of an answer right (process), or the answer (outcome)?

Both are the language model with a head of two classes, read at the last token of each
step (Lightman et al. 2023, "Let's verify step by step") or of the whole answer (Cobbe
et al. 2021): transformers' token classification, kept as an ordinary model folder.
The prompt of a note runs once for all answers to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize_scalar
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModelForTokenClassification,
    AutoTokenizer,
    Trainer,
    TrainingArguments,
)

from deepicd.common import progress
from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_text
from deepicd.common.parameters import Settings, choice
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.training import models
from deepicd.training import trainer as training
from deepicd.training.models.loading import mixes
from deepicd.training.models.sampling import states_behind
from deepicd.training.models.troubles import explained
from deepicd.training.sft import order, seed_everything
from deepicd.training.verifier.inputs import (
    batches,
    collate,
    parts,
    prompts_of,
    said_ids,
)

KINDS = ("process", "outcome")
CLASSES = ("wrong", "right")
NAMES = {"loss": "train_loss", "grad_norm": "grad_norm"}
CARD = """# {Kind} verifier of the DeepICD-R1 notebooks

A language model with a head of two classes, wrong and right. It reads a hospital
admission note and an answer to it, and says {what} is right. Load it with
`transformers.AutoModelForTokenClassification`; its probabilities are calibrated (the
temperature is part of the head).

## Intended use

Research on checking the reasoning of models, and teaching.
**Never for diagnosis, decision support, triage or unsupervised coding.** A high score
is no proof: a model that is chosen or trained by it learns to please it. A verifier
trained on private notes may repeat them: keep it as private as the notes.

## Training

| fact | value |
|---|---|
{facts}
"""


@dataclass(frozen=True)
class VerifierSettings(Settings):
    """Every hyper-parameter of a verifier; no hidden default.

    One step reads `groups` notes with up to `answers` answers each.
    """

    steps: int = 100
    groups: int = 8
    answers: int = 8
    learning_rate: float = 5e-4
    warmup_steps: int = 10
    schedule: str = "linear"
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    max_length: int = 512
    save_every: int = 50
    log_every: int = 10
    seed: int = 0


def start(
    source: str | Path, kind: str, seed: int = 0, lora: models.Lora | None = None
):
    """A verifier to be trained: the weights of a language model, a new head.

    Parameters
    ----------
    source : path-like
        Model folder, such as ``04_train_sft/model``.
    kind : {"process", "outcome"}
        Whether it is to judge each step or the answer alone; kept in its config.
    seed : int
        Of the head.
    lora : Lora, optional
        An adapter over frozen weights; by default all weights are trained.

    Returns
    -------
    (PreTrainedModel, PreTrainedTokenizerBase)
    """
    config = AutoConfig.from_pretrained(source)
    config.verifier = choice("verifier", kind, KINDS)
    config.id2label = dict(enumerate(CLASSES))
    config.label2id = {name: i for i, name in enumerate(CLASSES)}
    config.classifier_dropout = 0.0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, tokenizer = _open(source, config)
    return models.add_adapter(model, lora or models.Lora(), "trl", seed, "score"), (
        tokenizer
    )


def load(folder: str | Path):
    """Load a verifier that was kept with `save`.

    Raises
    ------
    UserError
        Where the folder holds none.
    """
    file = Path(folder) / "config.json"
    if not file.is_file() or "verifier" not in read_json(file):
        raise UserError(
            found=f"no verifier at {str(folder)!r}",
            expected="a folder that notebook 08 wrote, such as 08_…/process",
            do="run notebook 08 first, or leave the verifier out",
        )
    model, tokenizer = _open(folder, None)
    return model.eval(), tokenizer


def _open(folder, config):
    import transformers

    said = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # of a head that is new it warns
    try:
        more = {} if config is None else {"config": config}
        model = AutoModelForTokenClassification.from_pretrained(
            folder, dtype=torch.float32, **more
        )
    finally:
        transformers.logging.set_verbosity(said)
    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model.to(models.device()), tokenizer


def train(
    model,
    tokenizer,
    examples: list[dict],
    settings: VerifierSettings,
    folder: str | Path,
    report: Callable[[int, int, str], None] | None = None,
):
    """Train a verifier; continues a killed run.

    Parameters
    ----------
    model, tokenizer
        Of `start`; changed in place.
    examples : list of dict
        Of `encode`.
    folder : path-like
        Checkpoints.
    report : callable, optional
        Called with step, steps, text.

    Returns
    -------
    (model, DataFrame, dict)
        Trained model, curves (step, name, value), arguments as resolved.
    """
    seed_everything(settings.seed)
    given = training.shared_arguments(settings, folder, report is not None)
    given.pop("shuffle_dataset")  # of TRL's trainers
    given |= {
        "per_device_train_batch_size": settings.groups,
        "save_steps": training.save_every(settings),
        "train_sampling_strategy": "sequential",
        "remove_unused_columns": False,
    }
    sizes = [len(e["asked"]) + sum(map(len, e["said"])) for e in examples]
    chosen = order(sizes, settings.steps, settings.groups, settings.seed)
    trainer = _Trainer(
        model=model,
        args=training.make_config(TrainingArguments, given),
        train_dataset=[examples[i] for i in chosen],
        data_collator=lambda rows: collate(rows, tokenizer.pad_token_id),
    )
    training.attach(trainer, training.watchers("verifier", 0, None, report))
    with explained():
        trainer.train(resume_from_checkpoint=training.last_checkpoint(folder))
    curves = training.history(trainer.state.log_history, NAMES)
    return model.eval(), curves, training.resolved(trainer.args)


class _Trainer(Trainer):
    """Classifies steps; what a batch holds is no input of `forward`."""

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        labels = inputs.pop("labels")
        logits = step_logits(model, inputs)
        found = functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100
        )
        return (found, logits) if return_outputs else found


def step_logits(model, batch) -> torch.Tensor:
    """Logits of wrong and right at every token of answers, (answers, tokens, 2)."""
    net = model.get_base_model() if hasattr(model, "peft_config") else model
    states = states_behind(
        net.base_model,
        (batch["asked"], batch["shown"]),
        (batch["said"], batch["kept"]),
        batch["owner"],
    )
    return net.score(net.dropout(states))


@torch.no_grad()
def probabilities(
    model,
    tokenizer,
    table: pd.DataFrame,
    style: str = "reasoning",
    instruction: str = "brief",
    task: Task = PRINCIPAL_DIAGNOSIS,
    report: Callable[[int, int, str], None] | None = None,
) -> list[list[float]]:
    """Probability that each marked step is right.

    Parameters
    ----------
    model, tokenizer
        Of `load` or `train`.
    table : DataFrame
        Columns note_id, note, completion, ends.

    Returns
    -------
    list of list of float
        In the order of the table, one number for each of its ends.
    """
    prompts = prompts_of(table, tokenizer, style, instruction, task)
    said, places = said_ids(table["completion"], table["ends"], tokenizer, style)
    found: list[list[float]] = [[] for _ in said]
    rows = pd.Series(range(len(table))).groupby(table["note_id"].to_numpy(), sort=False)
    groups = [part for own in rows.groups.values() for part in parts(list(own), 32)]
    groups = [[i for i in part if said[i]] for part in groups]
    groups.sort(
        key=lambda part: len(prompts[table["note_id"].iat[part[0]]]) if part else 0
    )
    model.eval()
    count = progress.Count(len(said), "verifying answers")
    for batch in batches([part for part in groups if part], prompts, table, said):
        example = [
            {
                "asked": prompts[table["note_id"].iat[part[0]]],
                "said": [said[i] for i in part],
                "labels": [said[i] for i in part],
            }
            for part in batch
        ]
        tensors = collate(example, tokenizer.pad_token_id)
        tensors = {name: one.to(model.device) for name, one in tensors.items()}
        with torch.autocast(model.device.type, torch.bfloat16, enabled=mixes()):
            logits = step_logits(model, tensors)
        right = torch.softmax(logits.float(), -1)[..., 1].cpu()
        for row, i in enumerate(i for part in batch for i in part):
            found[i] = right[row, places[i]].tolist()
        count.add(sum(map(len, batch)))
    return found


def calibrate(model, chances: list[list[float]], right: list[list[bool]]) -> dict:
    """Fit a temperature on labelled steps of validation notes, into the head.

    Guo et al. 2017, "On calibration of modern neural networks". Ranks do not change.

    Parameters
    ----------
    model : PreTrainedModel
        Its head is divided by the temperature.
    chances : list of list of float
        Of `probabilities`.
    right : list of list of bool
        For each of them.

    Returns
    -------
    dict
        temperature, and the negative log-likelihood before and after.
    """
    pairs = [
        (c, r)
        for own in zip(chances, right, strict=True)
        for c, r in zip(*own, strict=False)
    ]
    told, truth = np.array(pairs, float).reshape(-1, 2).T
    logits = _logit(told)

    def loss(log_heat: float) -> float:
        x = logits / np.exp(log_heat)
        return float(np.mean(np.logaddexp(0, x) - truth * x))

    best = minimize_scalar(loss, bounds=(-3, 3), method="bounded").x
    if len(truth) == 0 or loss(best) >= loss(0.0):
        best = 0.0
    with torch.no_grad():
        for weight in model.score.parameters():
            weight /= float(np.exp(best))
    return {
        "temperature": float(np.exp(best)),
        "nll_before": loss(0.0) if len(truth) else float("nan"),
        "nll_after": loss(best) if len(truth) else float("nan"),
    }


def _logit(chances: np.ndarray) -> np.ndarray:
    chances = np.clip(chances, 1e-7, 1 - 1e-7)
    return np.log(chances) - np.log1p(-chances)


def save(
    model, tokenizer, folder: str | Path, facts: dict, asked: dict | None = None
) -> None:
    """Keep a verifier as an ordinary model folder, with its card.

    Parameters
    ----------
    facts : dict of str to object
        Of its training, for the card; never text of a note.
    asked : dict, optional
        style, instruction and task of the prompts that it reads; kept in its config.
    """
    kind = model.config.verifier
    if asked:
        model.config.asked = asked | {"task": asked["task"].name}
    models.save(model, tokenizer, folder)
    what = "which of its steps" if kind == "process" else "whether it"
    lines = [f"| {name} | {value} |" for name, value in facts.items()]
    text = CARD.format(Kind=kind.capitalize(), what=what, facts="\n".join(lines))
    write_text(text, Path(folder) / "README.md")
