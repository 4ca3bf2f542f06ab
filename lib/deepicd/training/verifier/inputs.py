"""What a verifier reads: notes and answers as token ids, and where their steps end."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from deepicd.common.errors import UserError
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.steps import cut
from deepicd.tasks.task import Task
from deepicd.training.encoding import prompt_ids
from deepicd.training.models.chat import frame_of

TOKENS = 16_384  # of prompts and answers that are scored at once


def whole(table: pd.DataFrame, right: Sequence[bool]) -> pd.DataFrame:
    """Labels for an outcome model: one, at the end of each completion.

    Examples
    --------
    >>> whole(pd.DataFrame({"completion": ["ab"]}), [True])[["ends", "right"]].values
    array([[list([2]), list([True])]], dtype=object)
    """
    return table.assign(
        ends=[[len(text)] for text in table["completion"]],
        right=[[bool(one)] for one in right],
    )


def encode(
    table: pd.DataFrame,
    tokenizer,
    settings,
    style: str,
    instruction: str,
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> list[dict]:
    """Notes with their answers as token ids: what `train` learns from.

    Parameters
    ----------
    table : DataFrame
        Columns note_id, note, completion, ends (last characters of its steps), right
        (bool for each of them).
    settings : VerifierSettings

    Returns
    -------
    list of dict
        One a note (and each `settings.answers` answers to it): asked (ids), said (ids
        of each answer), labels (1 right, 0 wrong, at the last tokens of steps, else
        -100). What is longer than `settings.max_length`, or empty, is left out.

    Raises
    ------
    UserError
        When nothing fits.
    """
    table = table[[len(ends) > 0 for ends in table["ends"]]]
    prompts = prompts_of(table, tokenizer, style, instruction, task)
    said, places = said_ids(table["completion"], table["ends"], tokenizer, style)
    rows: dict[str, list] = {}
    for note_id, ids, at, right in zip(
        table["note_id"], said, places, table["right"], strict=True
    ):
        # An empty answer has no token that could carry a label.
        if ids and len(prompts[note_id]) + len(ids) <= settings.max_length:
            rows.setdefault(note_id, []).append((ids, _labels(ids, at, right)))
    found = [
        {
            "asked": prompts[note_id],
            "said": [ids for ids, _ in part],
            "labels": [labels for _, labels in part],
        }
        for note_id, own in rows.items()
        for part in parts(own, settings.answers)
    ]
    if not found:
        raise UserError(
            found=f"no answer within {settings.max_length} tokens among {len(table)}",
            expected="max_length above the usual note and answer",
            do="raise max_length",
        )
    return found


def prompts_of(
    table: pd.DataFrame, tokenizer, style: str, instruction: str, task: Task
) -> dict[str, list[int]]:
    """Encoded prompt of each note_id; the note of several answers is read once."""
    firsts = table.drop_duplicates("note_id")
    asked = prompt_ids(firsts["note"], tokenizer, style, instruction, task=task)
    return dict(zip(firsts["note_id"], asked, strict=True))


def parts(rows: list, size: int) -> list[list]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def said_ids(completions, ends, tokenizer, style: str):
    """Ids of completions, and the last token of each of their steps."""
    chat = frame_of(tokenizer, style)
    texts = [chat.rest(text) for text in completions]
    if not texts:
        return [], []
    read = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    places = []
    for text, whole_text, own, spans in zip(
        texts, completions, ends, read["offset_mapping"], strict=True
    ):
        begins = [a for a, _ in spans]
        gone = len(whole_text) - len(text)  # what the prompt holds already
        cut_at = np.searchsorted(begins, [end - gone for end in own], "left") - 1
        places.append(np.maximum(cut_at, 0).tolist())
    return read["input_ids"], places


def _labels(ids: list[int], places: list[int], right) -> list[int]:
    """Classes at the last tokens of steps; of two steps in one token both count."""
    labels = [-100] * len(ids)
    for place, good in zip(places, right, strict=True):
        labels[place] = int(bool(good) and labels[place] != 0)
    return labels


def collate(rows: list[dict], pad: int) -> dict[str, torch.Tensor]:
    """Groups as tensors: prompts padded on the left, answers on the right."""
    said = [ids for row in rows for ids in row["said"]]
    asked = _padded([row["asked"][::-1] for row in rows], pad).flip(1)
    shown = _padded([[1] * len(row["asked"]) for row in rows], 0).flip(1)
    owner = [i for i, row in enumerate(rows) for _ in row["said"]]
    return {
        "asked": asked,
        "shown": shown,
        "said": _padded(said, pad),
        "kept": _padded([[1] * len(ids) for ids in said], 0),
        "owner": torch.tensor(owner),
        "labels": _padded([ids for row in rows for ids in row["labels"]], -100),
    }


def _padded(rows: list[list[int]], value: int) -> torch.Tensor:
    tensors = [torch.tensor(row) for row in rows]
    return torch.nn.utils.rnn.pad_sequence(tensors, True, value)


def batches(groups, prompts, table, said):
    """Groups of answers to one note, together up to `TOKENS` tokens."""
    batch, tokens = [], 0
    for part in groups:
        size = len(prompts[table["note_id"].iat[part[0]]]) + sum(
            len(said[i]) for i in part
        )
        if batch and tokens + size > TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(part)
        tokens += size
    if batch:
        yield batch


def marked(model, answers: pd.DataFrame, notes: pd.Series, space) -> pd.DataFrame:
    """Answers with what a verifier of this kind reads: the note, and its steps.

    Parameters
    ----------
    model : PreTrainedModel
        Its config says whether it judges steps or outcomes.
    answers : DataFrame
        Columns note_id, completion.
    notes : Series
        Note of each note_id.
    space : LabelSpace
    """
    texts = [text if isinstance(text, str) else "" for text in answers["completion"]]
    table = answers.assign(
        completion=texts, note=notes.reindex(answers["note_id"]).to_numpy()
    )
    if model.config.verifier == "outcome":
        steps = [[("outcome", 0, len(text))] if text else [] for text in texts]
    else:
        steps = [cut(text, space) for text in texts]
    return table.assign(
        starts=[[start for _, start, _ in own] for own in steps],
        ends=[[end for _, _, end in own] for own in steps],
        kinds=[[kind for kind, _, _ in own] for own in steps],
    )
