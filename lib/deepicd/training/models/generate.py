"""Answers of a model to notes: greedy first, then samples."""

import functools
import time
from collections.abc import Callable

import pandas as pd
import torch

from deepicd import icd
from deepicd.common import progress
from deepicd.tasks import coherence, prompts
from deepicd.tasks.correct import same
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.training import models
from deepicd.training.encoding import asked_of, prompt_ids
from deepicd.training.models.chat import frame_of
from deepicd.training.models.engine import engine_of, worth_it
from deepicd.training.models.sampling import sample
from deepicd.training.models.troubles import explained

COLUMNS = [
    "system",
    "seed",
    "note_id",
    "split",
    "sample",
    "completion",
    "code",
    "well_formed",
    "in_catalogue",
]


def predict(
    model,
    notes,
    samples: int = 1,
    *,
    tokenizer=None,
    system: str = "model",
    seed: int = 0,
    style: str = "reasoning",
    instruction: str = "brief",
    max_new_tokens: int = 96,
    temperature: float = 0.9,
    batch_size: int = 64,
    tree=None,
    asked: list[list[int]] | None = None,
    task: Task = PRINCIPAL_DIAGNOSIS,
    report: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """Answer notes: sample 0 is greedy, the others are drawn.

    Parameters
    ----------
    model : str, path or PreTrainedModel
        Folder or hub name, or a loaded model together with `tokenizer`.
    notes : DataFrame or list of str
        Columns note, and if there note_id, split and asked.
    samples : int
        Answers a note, at least 1.
    seed : int
        Of the drawn samples; also the column `seed`.
    style, instruction : str
        The prompt; see `deepicd.tasks.prompts.build_messages`.
    max_new_tokens, temperature, batch_size : int, float, int
        Of the sampling; no top-k, no nucleus.
    asked : list of list of int, optional
        Encoded prompts, one a note, in place of those made here.
    task : Task
        What is asked; `tree` is its space.
    report : callable, optional
        Called with done, total, text.

    Returns
    -------
    DataFrame
        Columns system, seed, note_id, split, sample, completion, code (None where
        unreadable), well_formed, in_catalogue; rows in the order of `notes`.
    """
    if tokenizer is None:
        model, tokenizer = models.load(str(model))
    frame = _as_frame(notes)
    if asked is None:
        asked = prompt_ids(asked_of(frame), tokenizer, style, instruction, task=task)
    said = complete(
        model,
        tokenizer,
        asked,
        samples=samples,
        seed=seed,
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        batch_size=batch_size,
        report=report,
    )
    chat = frame_of(tokenizer, style)
    rows = [
        (frame["note_id"][i], frame["split"][i], k, chat.whole(text))
        for i, texts in enumerate(said)
        for k, text in enumerate(texts)
    ]
    table = pd.DataFrame(rows, columns=["note_id", "split", "sample", "completion"])
    return read_answers(
        table.assign(system=system, seed=seed), style, tree or task.space(None)
    )


def _as_frame(notes) -> pd.DataFrame:
    if isinstance(notes, pd.DataFrame):
        frame = notes.reset_index(drop=True)
    else:
        frame = pd.DataFrame({"note": list(notes)})
    if "note_id" not in frame:
        frame = frame.assign(note_id=[str(i) for i in range(len(frame))])
    return frame if "split" in frame else frame.assign(split="test")


def read_answers(table: pd.DataFrame, style: str, tree=None) -> pd.DataFrame:
    """Parse completions into the columns code, well_formed and in_catalogue.

    A malformed completion has no code: what does not keep the format is wrong.
    """
    tree = tree or icd.load_tree()
    parsed = [
        prompts.parse_completion(text, style, tree.tag) for text in table["completion"]
    ]
    codes = [
        prompts.read_code(p.answer, tree) if p.well_formed else None for p in parsed
    ]
    return table.assign(
        code=pd.Series(codes, dtype="object", index=table.index),
        well_formed=[p.well_formed for p in parsed],
        in_catalogue=[code is not None for code in codes],
    )[COLUMNS]


def complete(
    model,
    tokenizer,
    asked: list[list[int]],
    *,
    samples: int,
    seed: int,
    max_new_tokens: int,
    temperature: float,
    batch_size: int,
    report=None,
) -> list[list[str]]:
    """Continue encoded prompts; per prompt one greedy text and samples - 1 drawn.

    At most `batch_size` texts are written at once; those of one prompt share its
    prefill. Prompts of like length share a batch, which keeps padding small. The
    global random state is left as it was. Where the first batch says that the others
    take longer than vLLM needs to start, and it is installed beside a GPU, it answers
    all of them.
    """
    model.eval()
    order = sorted(range(len(asked)), key=lambda i: len(asked[i]))
    heats = [0.0] + [temperature] * (samples - 1)
    at_once = max(batch_size // samples, 1)
    said: list[list[str]] = [[] for _ in asked]
    tell = report or progress.report
    tell(0, len(order), "answering notes")
    with explained(), torch.random.fork_rng():
        torch.manual_seed(seed)
        begin, written = time.perf_counter(), 0
        for start in range(0, len(order), at_once):
            chosen = order[start : start + at_once]
            rows = [i for i in chosen for _ in heats]
            ids = sample(
                model,
                [asked[i] for i in rows],
                tokenizer,
                max_new_tokens,
                heats * len(chosen),
            )
            texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
            for i, text in zip(rows, texts, strict=True):
                said[i].append(text)
            written += sum(map(len, ids))
            rate = written / (time.perf_counter() - begin)
            text = f"answering notes, {rate:,.0f} tokens/s"
            tell(start + len(chosen), len(order), text)
            left = (time.perf_counter() - begin) * (len(order) / len(chosen) - 1)
            if start == 0 and worth_it(model, left):
                found = _by_vllm(model, tokenizer, asked, max_new_tokens, heats, tell)
                if found:
                    return found
    return said


def _by_vllm(model, tokenizer, asked, length: int, heats: list[float], tell):
    """`complete` by the engine of this process; None where it holds another model."""
    engine = engine_of(model, max(map(len, asked)) + length)
    if engine is None:
        return None
    many = len(heats)

    def told(done, total, speed):
        tell(done // many, total // many, f"answering notes, {speed}")

    rows = [ids for ids in asked for _ in heats]
    end = tokenizer.eos_token_id
    ids, _ = engine.draw(rows, length, heats * len(asked), end=end, tell=told)
    texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
    return [texts[i : i + many] for i in range(0, len(texts), many)]


def measure_accuracy(frame, **settings) -> Callable[[object], dict]:
    """Make a function model → validation accuracy, which other processes can have.

    Parameters
    ----------
    frame : DataFrame
        Columns note, label; a small validation sample.
    settings : dict
        Passed to `predict`; has to hold the tokenizer and the tree.

    Returns
    -------
    callable
        Gives val_accuracy_<level> for chapter, category, full, val_well_formed, and
        val_<share> for the shares of `deepicd.tasks.coherence` where there is
        reasoning.
    """
    return functools.partial(_measured, frame=frame, settings=settings)


def _measured(model, frame, settings) -> dict:
    tree, style = settings["tree"], settings.get("style", "reasoning")
    found = predict(model, frame, **settings)
    values = {
        f"val_accuracy_{level}": _accuracy(frame["label"], found["code"], level, tree)
        for level in tree.shown
    }
    values["val_well_formed"] = float(found["well_formed"].mean())
    read = coherence.shares(found["completion"], frame["note"], style, tree)
    return values | {f"val_{name}": value for name, value in read.items()}


def _accuracy(gold, codes, level, tree) -> float:
    right = [same(g, c, level, tree) for g, c in zip(gold, codes, strict=True)]
    return sum(right) / max(len(right), 1)
