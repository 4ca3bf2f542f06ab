"""A corpus, a tokenizer and a network so small that training takes a second."""

import pandas as pd
import psutil

from deepicd.training import encoding, models, sft
from deepicd.training.models.tokenizer import train_tokenizer

CODES = ("I21.11", "I21.4", "J18.9", "K35.80")
WORDS = ("inferior", "lateral", "cough", "abdomen")


def admissions(n: int = 24) -> pd.DataFrame:
    """Notes whose word gives the code away; two thirds of them for training."""
    rows = []
    for i in range(n):
        k = i % len(CODES)
        split = "train" if i % 3 else ("val" if i % 2 else "test")
        note = f"Patient {i}. Pain and {WORDS[k]}. Denies {WORDS[(k + 1) % 4]} <think>."
        rows.append((f"n{i}", i, i, note, CODES[k], split))
    names = ["note_id", "subject_id", "hadm_id", "note", "label", "split"]
    table = pd.DataFrame(rows, columns=names)
    train = table["split"] == "train"
    return table.assign(sft_rank=(train.cumsum() - 1).where(train, -1))


def traces(table: pd.DataFrame, said: str = "Pain, so this.") -> pd.DataFrame:
    """One accepted trace for every training note."""
    train = table[table["split"] == "train"]
    return train[["note_id", "label"]].assign(trace=said, accepted=True)


def tokenizer_of(table: pd.DataFrame):
    """Tokenizer trained on these notes."""
    examples, _ = encoding.training_examples(table, traces(table))
    texts = encoding.rendered(table["note"], examples, "reasoning", "brief")
    return train_tokenizer(texts, 400)


def network(tokenizer, seed: int = 0):
    """Random network of the smallest size."""
    return models.make_model(tokenizer, "tiny", seed)


def taught(table, tokenizer, folder, steps: int = 60, said="Pain, so this.") -> str:
    """Folder of a network that answers in the right form and is often wrong.

    GRPO has nothing to learn from a network of random weights: every completion
    of it is malformed, every advantage zero.
    """
    examples, held = encoding.training_examples(table, traces(table, said))
    data, _ = encoding.encode(examples, tokenizer, "reasoning", "brief", 200)
    settings = sft.SftSettings(
        steps=steps,
        batch_size=14,
        learning_rate=1e-2,
        warmup_steps=5,
        validate_every=0,
        save_every=1000,
    )
    net, _, _ = sft.train(
        network(tokenizer), tokenizer, data, data, settings, f"{folder}/sft"
    )
    models.save(net, tokenizer, f"{folder}/taught")
    return f"{folder}/taught"


class Interruption(Exception):
    """Stands for a kill: nothing after it runs."""


def stop_at(step: int):
    """Reporter that interrupts training once a step is reached."""

    def report(done, total, text):
        if done >= step:
            raise Interruption

    return report


def alive(process: psutil.Process) -> bool:
    """Whether a process still runs; one that nobody has fetched does not."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
