"""The base model: trained on other hospitals, asked about notes it has not read."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd
import torch

from deepicd.common.parameters import Settings
from deepicd.data.sections.splitting import admission_note
from deepicd.icd import load_tree
from deepicd.tasks.quotes import share_found
from deepicd.training import models, sft
from deepicd.training import trainer as training
from deepicd.training.models.copying import teach_to_copy
from deepicd.training.models.generate import complete
from deepicd.training.models.tokenizer import train_tokenizer
from deepicd.training.pretrain import reading, texts
from deepicd.training.pretrain.encoded import encode, opening
from deepicd.training.pretrain.optimizer import MuonAndAdamW

FIRST = 5000  # documents that the tokenizer is made of


@dataclass(frozen=True)
class PretrainSettings(Settings):
    """Every hyper-parameter of the base model.

    Attributes
    ----------
    notes : int
        Discharge summaries of other hospitals.
    vocab : int
        Tokens of the tokenizer; 0: as the size says.
    alike : int
        1: words are the same tokens wherever they stand (`train_tokenizer`).
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
    vocab: int = 0
    alike: int = 1
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


def read_documents(settings: PretrainSettings, tree, folder: str | Path, workers=1):
    """Documents, the tokenizer made of the first of them, and their token ids.

    Parameters
    ----------
    settings : PretrainSettings
    tree : deepicd.icd.IcdTree
    folder : path-like
        What was read is kept there for a run that goes on.
    workers : int
        Processes that write and encode, a hospital each; the rows are the same.

    Returns
    -------
    (PreTrainedTokenizerFast, datasets.Dataset, dict)
        Tokenizer; columns input_ids, labels; documents and tokens of each kind.
    """
    from datasets import Dataset

    read = texts.documents(settings.notes, tree, settings.seed)
    first = islice(("\n".join(t for _, t in turns) for _, turns in read), FIRST)
    vocab = settings.vocab or models.get_size(settings.size).vocab
    tokenizer = train_tokenizer(first, vocab, alike=bool(settings.alike))
    given = {
        "hospitals": list(enumerate(texts.hospitals(settings.notes))),
        "seed": settings.seed,
        "tokenizer": tokenizer,
        "limit": settings.max_length,
    }
    rows = Dataset.from_generator(
        _rows,
        gen_kwargs=given,
        cache_dir=str(folder),
        num_proc=min(workers, len(given["hospitals"])),
    )
    facts = rows.select_columns(["kind", "tokens", "learned"]).to_pandas()
    counts = facts.groupby("kind", sort=True).sum().astype(int)
    counts.insert(0, "documents", facts["kind"].value_counts())
    kept = rows.select_columns(["input_ids", "labels"])
    return tokenizer, kept, counts.to_dict("index")


def _rows(hospitals: list, seed: int, tokenizer, limit: int):
    tree = load_tree()
    for number, size in hospitals:
        for kind, turns in texts.of_hospital(number, size, tree, seed):
            ids, labels = encode(turns, tokenizer, limit)
            if ids:
                learned = sum(label != -100 for label in labels)
                row = {"input_ids": ids, "labels": labels, "kind": kind}
                yield row | {"tokens": len(ids), "learned": learned}


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
    workers: int = 1,
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
    workers : int
        Processes that write and encode the documents.

    Returns
    -------
    (model, tokenizer, DataFrame, dict, float)
        Curves (step, name, value); documents and tokens of each kind; seconds of
        training in this process.
    """
    from trl import SFTConfig, SFTTrainer

    kept = Path(folder) / "documents"
    tokenizer, rows, counts = read_documents(settings, tree, kept, workers)
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
    given["gradient_checkpointing"] = False  # small enough to be kept
    given["dataloader_num_workers"] = 2 if torch.cuda.is_available() else 0
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
    begin = time.perf_counter()
    trainer.train(resume_from_checkpoint=training.last_checkpoint(folder))
    seconds = time.perf_counter() - begin
    curves = training.history(trainer.state.log_history, sft.NAMES)
    return trainer.model, tokenizer, curves, counts, seconds


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
