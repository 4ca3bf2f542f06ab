"""Where an answer comes from: official notes, similar cases, steps that are doubted."""

from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.data.privacy import is_private_run
from deepicd.evaluation.baselines.counting_words import nearest_rows
from deepicd.evaluation.baselines.material import word_features
from deepicd.icd.official import official_notes
from deepicd.icd.tree import IcdTree
from deepicd.tasks.steps import Step
from deepicd.traces.agreement import agreeing
from deepicd.traces.claims import lexicon
from deepicd.training.verifier.inputs import marked
from deepicd.training.verifier.verifier import probabilities


def official(code: str | None, tree) -> list[dict]:
    """Notes of the tabular list on the way to a code; none for other labels."""
    known = code is not None and isinstance(tree, IcdTree)
    return official_notes(code, tree) if known else []


def read_cases(path: str | Path):
    """Training cases of a run: notes, labels, and whether they are private.

    Parameters
    ----------
    path : path-like
        ``admissions.parquet`` of notebook 01, or the folder of the run.

    Returns
    -------
    (DataFrame, bool)

    Raises
    ------
    UserError
        When there is no such file.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "01_extract_admission_notes" / "admissions.parquet"
    if not path.is_file():
        raise UserError(
            f"no training cases at {path}",
            "admissions.parquet of notebook 01, or the folder of a run",
            "--cases outputs/cpu-synthetic-seed0",
        )
    cases = pd.read_parquet(path)
    private = is_private_run(path.resolve().parents[1])
    return cases[cases["split"] == "train"].reset_index(drop=True), private


def nearest(notes: dict[str, str], cases, private: bool, tree, k: int = 3) -> dict:
    """The most similar training cases to each note, by TF-IDF.

    Parameters
    ----------
    notes : dict of str to str
    cases : DataFrame
        Columns note_id, note, label.
    private : bool
        Their ids and labels alone are told; else how they begin too.

    Returns
    -------
    dict of str to list of dict
        By name of the note: note_id, label, title, similarity and, of public cases,
        begins.
    """
    train, own, _ = word_features(cases["note"].tolist(), list(notes.values()), ["x"])
    found = {}
    pairs = zip(notes, *nearest_rows(own, train, k), strict=True)
    for name, rows, alike in pairs:
        near = cases.iloc[rows]
        found[name] = [
            {
                "note_id": str(case.note_id),
                "label": case.label,
                "title": tree.title(case.label) if tree.path(case.label) else "",
                "similarity": round(float(one), 3),
            }
            | ({} if private else {"begins": " ".join(case.note.split()[:40])})
            for case, one in zip(near.itertuples(), alike, strict=True)
        ]
    return found


def checked_steps(record: dict, completion: str, note: str, judge, asked: dict) -> dict:
    """Each step of an answer with the probability that it is right, and the doubted.

    Parameters
    ----------
    record : dict
        Of `describe`.
    completion, note : str
    judge : tuple
        Model and tokenizer of `deepicd.training.verifier.load`.
    asked : dict
        style, instruction, task and space of the answer.

    Returns
    -------
    dict
        steps (step, text, probability, agrees) and doubts: the least probable of
        those that disagree with the note or the answer (`traces.agreement`), where
        none does of all; None where there is nothing to judge.
    """
    model, tokenizer = judge
    asked = dict(asked)
    space = asked.pop("space")
    rows = pd.DataFrame({"note_id": [record["note"]], "completion": [completion]})
    notes = pd.Series([note], index=[record["note"]])
    table = marked(model, rows, notes, space)
    (chances,) = probabilities(model, tokenizer, table, **asked)
    row = table.iloc[0]
    marks = zip(row["kinds"], row["starts"], row["ends"], strict=True)
    parts = [Step(*mark) for mark in marks]
    agreed = agreeing(completion, parts, note, space, lexicon([], space))
    steps = [
        {
            "step": kind,
            "text": completion[start:end],
            "probability": round(chance, 3),
            "agrees": agrees,
        }
        for (kind, start, end), chance, agrees in zip(
            parts, chances, agreed, strict=True
        )
    ]
    least = min(steps, key=lambda s: (s["agrees"], s["probability"]), default=None)
    return {"steps": steps, "doubts": least}
