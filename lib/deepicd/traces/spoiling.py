"""Traces with planted faults, filtered and not: how much does it matter?"""

import random

import pandas as pd

from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.prompts import read_code
from deepicd.tasks.task import Task
from deepicd.traces.distil import build_traces
from deepicd.traces.faults import FAULTS, plant
from deepicd.traces.judging import LABEL_ONLY
from deepicd.traces.teachers.records import Answer
from deepicd.traces.teachers.replay import ReplayTeacher


def spoil(good: pd.DataFrame, notes, tree, share: float, seed: int) -> pd.DataFrame:
    """Plant faults in a share of accepted traces, every kind equally often.

    Returns
    -------
    pandas.DataFrame
        Columns note_id, label (gold), trace, answer, problem, faulty.
    """
    texts = dict(zip(notes["note_id"], notes["note"], strict=True))
    good = good.drop_duplicates("note_id")
    chosen = random.Random(seed).sample(range(len(good)), int(share * len(good)))
    frame = good[["note_id", "label", "trace", "answer"]].assign(problem=None)
    rows = {row["note_id"]: row | {"faulty": False} for row in frame.to_dict("records")}
    for number, kind in enumerate(FAULTS):
        part = good.iloc[chosen[number :: len(FAULTS)]]
        for bad in plant(part, texts, tree, kind, seed) if len(part) else ():
            rows[bad.note_id] |= {
                "trace": bad.trace,
                "answer": bad.answer,
                "problem": bad.problem,
                "faulty": True,
            }
    return pd.DataFrame(rows.values())


def arms(
    spoilt, notes, tree, size: int, seed: int, task: Task = PRINCIPAL_DIAGNOSIS
) -> dict[str, pd.DataFrame]:
    """Examples of both arms: the first traces, and the first accepted ones.

    An unfiltered trace teaches the code that its teacher answered; where it answered
    none, gold.
    """
    teacher = ReplayTeacher(
        Answer(row.note_id, 0, row.trace, _text(row.answer), _text(row.problem))
        for row in spoilt.itertuples()
    )
    asked = notes["note_id"].isin(spoilt["note_id"]) | (notes["split"] != "train")
    judged = build_traces(notes[asked], tree, teacher, seed, attempts=1, task=task)
    judged = judged[judged["reasons"] != LABEL_ONLY].set_index("note_id")
    frame = spoilt.merge(notes[["note_id", "note", "sft_rank"]], on="note_id")
    frame = frame.sort_values("sft_rank", ignore_index=True)
    said = [read_code(_text(answer), tree) for answer in frame["answer"]]
    pairs = zip(said, frame["label"], strict=True)
    frame["label"] = [answer or gold for answer, gold in pairs]
    kept = frame[frame["note_id"].map(judged["accepted"]).to_numpy(bool)]
    size = min(size, len(kept))
    return {"unfiltered": frame.head(size), "filtered": kept.head(size)}


def _text(value) -> str | None:
    """A cell of a frame that may be empty."""
    return value if isinstance(value, str) else None
