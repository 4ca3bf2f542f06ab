"""The base model's card: what it has read, how well it reads, what it is not for."""

import dataclasses
from pathlib import Path

import pandas as pd
import torch

from deepicd.common.files import write_text
from deepicd.common.markdown import markdown_table
from deepicd.training.models.loading import weights_hash
from deepicd.training.pretrain.texts import FIRST_SEED

CARD = """# Base model of the DeepICD-R1 notebooks

A Qwen2-architecture model of {parameters:.1f} M parameters that has read artificial
hospital texts and nothing else. It stands where a study with real notes has
Qwen2.5-Instruct: it can read a note and copy from it, and it has never been asked for
the code of a note.

**Research and teaching only. Never for diagnosis, decision support, triage or
unsupervised coding.** No text of a patient was used.

## What it has read

Synthetic hospitals of other patients and seeds (from {first_seed}; studies count from
0): whole discharge summaries; chats about admission notes (quote, list, find, is it
there; often also: write the rest of the summary, which names the diagnosis in words);
questions and answers from the ICD-10-CM tables.

{documents}

`tokens` and `learned` (those with loss) are of the documents written; training read
{read} documents ({steps} steps of {batch_size}).

## How well it reads

{asked} questions about notes of a hospital that it has not read; greedy answers, right
to the letter. Of the quotes it gives, {copied:.1%} stand in the note.

{reading}

## How it was made

    {command}

On {machine}, in {minutes:.1f} minutes of training. SHA-256 of the weights: `{weights}`.
The same command gives the same weights on the same CPU with the same number of
threads; a GPU adds in another order each time, and gives a model of the same quality
with another hash.
"""


def facts(settings, counts: dict, found: pd.DataFrame, model, seconds: float) -> dict:
    """Everything that the card says.

    Parameters
    ----------
    settings : PretrainSettings
    counts : dict
        Documents, tokens and learned tokens of each kind.
    found : DataFrame
        From `pretraining.read_right`.
    model : PreTrainedModel
        As kept.
    seconds : float
        Of training.
    """
    by_kind = found.groupby("kind")["right"]
    return {
        "settings": dataclasses.asdict(settings),
        "first_seed": FIRST_SEED,
        "parameters": sum(p.numel() for p in model.parameters()),
        "documents": counts,
        "asked": len(found),
        "right": float(found["right"].mean()),
        "right_by_kind": by_kind.mean().to_dict(),
        "asked_by_kind": by_kind.size().to_dict(),
        "copied": float(found["copied"].mean()),
        "weights": weights_hash(model),
        "machine": _machine(),
        "torch": torch.__version__,
        "seconds": round(seconds),
    }


def write(facts: dict, folder: str | Path) -> None:
    """Write README.md into the model's folder."""
    settings = facts["settings"]
    changed = " ".join(f"--{k.replace('_', '-')} {v}" for k, v in settings.items())
    documents = pd.DataFrame(facts["documents"]).T.reset_index(names="kind")
    reading = pd.DataFrame(
        {"asked": facts["asked_by_kind"], "right": facts["right_by_kind"]}
    ).reset_index(names="kind")
    text = CARD.format(
        parameters=facts["parameters"] / 1e6,
        first_seed=facts["first_seed"],
        documents=_table(documents),
        read=settings["steps"] * settings["batch_size"],
        steps=settings["steps"],
        batch_size=settings["batch_size"],
        asked=facts["asked"],
        copied=facts["copied"],
        reading=_table(reading.round(3)),
        command=f"python -m deepicd.training.pretrain --out DIR {changed}",
        weights=facts["weights"],
        machine=f"{facts['machine']}, torch {facts['torch']}",
        minutes=facts["seconds"] / 60,
    )
    write_text(text, Path(folder) / "README.md")


def _machine() -> str:
    if torch.cuda.is_available():
        return f"one {torch.cuda.get_device_name()}"
    return f"a CPU, {torch.get_num_threads()} threads"


def _table(frame: pd.DataFrame) -> str:
    return markdown_table(frame.columns, frame.itertuples(index=False))
