"""The base model: trained on other hospitals, asked about notes it has not read."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from deepicd.common.parameters import Settings
from deepicd.data.sections.splitting import admission_note
from deepicd.tasks.quotes import share_found
from deepicd.training import models, sft
from deepicd.training import trainer as training
from deepicd.training.models.copying import teach_to_copy
from deepicd.training.models.generate import complete
from deepicd.training.models.tokenizer import train_tokenizer
from deepicd.training.pretrain import reading, texts
from deepicd.training.pretrain.encoded import encode, opening
from deepicd.training.pretrain.optimizer import MuonAndAdamW

TOKENIZER_DOCUMENTS = 5000


@dataclass(frozen=True)
class PretrainSettings(Settings):
    """Every hyper-parameter of the base model.

    Attributes
    ----------
    notes : int
        Discharge summaries of other hospitals.
    copying : int
        1: first weights that can copy (`models.copying`), 0: random ones.
    optimizer : str
        muon (for matrices, beside AdamW) or adamw.
    ask : int
        Held-out notes that are asked one question each at every validation.
    """

    notes: int = 30_000
    steps: int = 2000
    size: str = "3m"
    copying: int = 1
    optimizer: str = "muon"
    batch_size: int = 16
    learning_rate: float = 0.02
    warmup_steps: int = 100
    schedule: str = "cosine"
    weight_decay: float = 0.01
    max_length: int = 640
    save_every: int = 100
    validate_every: int = 200
    log_every: int = 10
    ask: int = 200
    seed: int = 0


def read_documents(settings: PretrainSettings, tree):
    """Documents, the tokenizer made of the first of them, and their token ids.

    Returns
    -------
    (PreTrainedTokenizerFast, datasets.Dataset, Counter)
        Tokenizer; columns input_ids, labels; documents and tokens of each kind.
    """
    from datasets import Dataset

    read = list(texts.documents(settings.notes, tree, settings.seed))
    first = ("\n".join(t for _, t in turns) for _, turns in read[:TOKENIZER_DOCUMENTS])
    tokenizer = train_tokenizer(first, models.get_size(settings.size).vocab)
    rows, counts = [], {}
    for kind, turns in read:
        ids, labels = encode(turns, tokenizer, settings.max_length)
        if ids:
            rows.append({"input_ids": ids, "labels": labels})
            known = counts.setdefault(kind, {"documents": 0, "tokens": 0, "learned": 0})
            known["documents"] += 1
            known["tokens"] += len(ids)
            known["learned"] += sum(label != -100 for label in labels)
    return tokenizer, Dataset.from_list(rows), counts


def held_out(settings: PretrainSettings) -> pd.DataFrame:
    """Questions about notes of a hospital that is never read.

    Returns
    -------
    DataFrame
        Columns kind, note, question, answer.
    """
    rng = random.Random(settings.seed)
    summaries = texts.hospital(texts.FIRST_SEED - 1, settings.ask + 1, 1)
    notes = [admission_note(text).text for text in summaries]
    rows = []
    for note, other in zip(notes, notes[1:], strict=False):
        rows += [(k, note, q, a) for k, q, a in reading.questions(note, other, rng, 1)]
    return pd.DataFrame(rows, columns=["kind", "note", "question", "answer"])


def read_right(model, tokenizer, asked: pd.DataFrame) -> pd.DataFrame:
    """Greedy answers to questions about notes.

    Returns
    -------
    DataFrame
        `asked` with the columns said, right (to the letter) and copied (share of the
        quotes said that stand in the note; missing where none was said).
    """
    prompts = [
        opening(texts.note_turns(row.note, [(row.kind, row.question, "")]), tokenizer)
        for row in asked.itertuples()
    ]
    said = complete(
        model,
        tokenizer,
        prompts,
        samples=1,
        seed=0,
        max_new_tokens=64,
        temperature=1.0,
        batch_size=64,
    )
    found = asked.assign(said=[texts_[0] for texts_ in said])
    right = found["said"] == found["answer"]
    copied = [share_found(row.said, row.note) for row in found.itertuples()]
    return found.assign(right=right, copied=pd.Series(copied, dtype=float))


def train(
    settings: PretrainSettings,
    tree,
    folder: str | Path,
    report: Callable[[int, int, str], None] | None = None,
):
    """Train a base model; continues a killed run.

    Parameters
    ----------
    settings : PretrainSettings
    tree : deepicd.icd.IcdTree
        The catalogue that is read.
    folder : path-like
        Checkpoints.
    report : callable, optional
        Called with step, steps, text.

    Returns
    -------
    (model, tokenizer, DataFrame, dict)
        Curves (step, name, value); documents and tokens of each kind.
    """
    from trl import SFTConfig, SFTTrainer

    tokenizer, rows, counts = read_documents(settings, tree)
    sft.seed_everything(settings.seed)
    model = models.make_model(tokenizer, settings.size, settings.seed)
    if settings.copying:
        teach_to_copy(model)
    model.to(models.device())
    asked = held_out(settings)

    def measure(net) -> dict:
        found = read_right(net, tokenizer, asked)
        return {
            "val_right": float(found["right"].mean()),
            "val_copied": float(found["copied"].mean()),
        }

    own = _sft_settings(settings)
    given = sft.arguments(own, str(folder), report is not None)
    given["gradient_checkpointing"] = False
    trainer = SFTTrainer(
        model=model,
        args=training.make_config(SFTConfig, given),
        train_dataset=sft.whole_run(rows, own),
        processing_class=tokenizer,
        optimizers=(_optimizer(model, settings), None),
    )
    watchers = training.watchers(
        "pretraining", settings.validate_every, measure, report
    )
    training.attach(trainer, watchers)
    trainer.train(resume_from_checkpoint=training.last_checkpoint(folder))
    curves = training.history(trainer.state.log_history, sft.NAMES)
    return trainer.model, tokenizer, curves, counts


def _optimizer(model, settings: PretrainSettings):
    if settings.optimizer == "muon":
        return MuonAndAdamW(model, settings.learning_rate, settings.weight_decay)
    return torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=(0.9, 0.95),
        weight_decay=settings.weight_decay,
    )


def _sft_settings(settings: PretrainSettings) -> sft.SftSettings:
    """What pretraining shares with fine-tuning: rows and arguments are made of it."""
    shared = ("steps", "batch_size", "learning_rate", "warmup_steps", "schedule")
    shared += ("weight_decay", "max_length", "save_every", "log_every", "seed")
    # Held-out notes are asked by `measure`; there is no validation loss.
    return sft.SftSettings(
        validate_every=0, **{name: getattr(settings, name) for name in shared}
    )
