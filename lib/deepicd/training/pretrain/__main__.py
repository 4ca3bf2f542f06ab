"""Make a base model: ``python -m deepicd.training.pretrain --out DIR``.

A killed run goes on from its last checkpoint when the same command is given again.
"""

import argparse
import dataclasses
from pathlib import Path

import torch

from deepicd.common.errors import UserError
from deepicd.common.files import write_csv, write_json
from deepicd.common.processors import cores
from deepicd.icd import load_tree
from deepicd.training import models
from deepicd.training.pretrain import base_card
from deepicd.training.pretrain.pretraining import (
    PretrainSettings,
    held_out,
    read_right,
    train,
)

ASKED = 600  # held-out questions behind the numbers of the card


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    given = vars(_parser().parse_args(arguments))
    out, threads = Path(given.pop("out")), given.pop("threads")
    workers = given.pop("workers") or cores()
    if threads:
        torch.set_num_threads(threads)
    try:
        make(out, PretrainSettings(**given), workers)
    except UserError as error:
        raise SystemExit(f"{error}") from None


def make(out: Path, settings: PretrainSettings, workers: int = 1) -> dict:
    """Train, measure and write a base model.

    Parameters
    ----------
    out : Path
        Folder of the model; checkpoints stand beside it in ``<out>.checkpoints``.
    settings : PretrainSettings
    workers : int
        Processes that write and encode the documents.

    Returns
    -------
    dict
        What the card says: documents and tokens by kind, how well notes are read.
    """
    model, tokenizer, curves, counts, seconds = train(
        settings,
        load_tree(),
        out.with_name(out.name + ".checkpoints"),
        lambda step, steps, text: print(f"{step}/{steps} {text}", flush=True),
        workers,
    )
    model.eval()
    net = model.to(torch.bfloat16)
    models.save(net, tokenizer, out)
    # What is measured is what is kept: rounded, loaded again.
    net, tokenizer = models.load(str(out))
    asked = held_out(dataclasses.replace(settings, ask=ASKED))
    found = read_right(net, tokenizer, asked)
    facts = base_card.facts(settings, counts, found, net, seconds)
    write_json(facts, out / "pretraining.json")
    write_csv(curves, out / "curves.csv")
    base_card.write(facts, out)
    return facts


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deepicd.training.pretrain",
        description="Make a base model that has read other synthetic hospitals.",
    )
    parser.add_argument("--out", required=True, help="folder of the model")
    parser.add_argument("--threads", type=int, default=0, help="0: as the system says")
    parser.add_argument(
        "--workers", type=int, default=0, help="write the texts; 0: one a core"
    )
    for field in dataclasses.fields(PretrainSettings):
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(name, type=type(field.default), default=field.default)
    return parser


if __name__ == "__main__":
    main()
