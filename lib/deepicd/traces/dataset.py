"""Write accepted traces as a dataset folder that `datasets.load_dataset` reads."""

import os
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import atomic_path
from deepicd.common.markdown import markdown_table
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.prompts import build_messages, format_completion
from deepicd.tasks.task import Task
from deepicd.traces.check_counts import check_table
from deepicd.traces.judging import LABEL_ONLY

_ROWS = 20_000  # rows of one Parquet file
_CARD = """\
---
pretty_name: {title}
language:
- en
task_categories:
- text-generation
tags:
- {subject}
- reasoning
- clinical-coding
configs:
- config_name: accepted
  default: true
  data_files:
  - split: train
    path: accepted/*.parquet
- config_name: attempts
  data_files:
  - split: train
    path: attempts/*.parquet
---
# {title}

Reasoning traces from a hospital admission note to one answer: {about}. {privacy}

- Source of the notes: {source}
- Teacher: {teachers}
- Notes: {notes:,}; with an accepted trace: {accepted:,}; label only: {label_only:,}

| config | rows | what |
|---|---|---|
| `accepted` (default) | {accepted:,} | passed every check; with prompt and completion |
| `attempts` | {attempts:,} | every attempt with the names of the checks it failed |

Load with `datasets.load_dataset(folder)` or \
`datasets.load_dataset(folder, "attempts")`.

## Columns
- `note_id`, `label`: the note, and the right answer (codes dotted).
- `prompt`: chat messages; `completion`: the answer's turn, `<think>` reasoning \
`</think>` and then `<{tag}>` answer `</{tag}>` (prompt–completion format).
- `trace`, `answer`, `teacher`, `attempt`: what the teacher wrote, and which try it was.
- `accepted`, `reasons`, `scores` (`attempts` only): the verdict of the checks.

## Checks
Share of attempts that each check rejected.

{checks}

## Limits
For research only: not for diagnosis, decision support, triage or billing. A trace is
an argument that a teacher wrote, not what a coder thought; the checks look at form and
evidence and cannot prove that it is true.
"""


def export_dataset(
    traces: pd.DataFrame,
    admissions: pd.DataFrame,
    folder: str | os.PathLike,
    private: bool,
    acknowledge_private: bool = False,
    source: str = "synthetic",
    instruction: str = "full",
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> Path:
    """Write a Hugging Face dataset folder: Parquet files and a dataset card.

    Nothing is uploaded. The rows hold whole notes.

    Parameters
    ----------
    traces, admissions : pandas.DataFrame
        As notebooks 03 and 01 write them.
    folder : path-like
        Made, or replaced where it is there.
    private : bool
        Whether the notes are private; `run.private` in a notebook.
    acknowledge_private : bool
        Write a private source all the same: the folder stays on this machine.
    source : str
        Named in the card.
    instruction : {"full", "brief"}
        Of the prompts.
    task : Task
        What is asked.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    UserError
        For a private source without acknowledgement, and without accepted traces.

    Examples
    --------
    >>> import tempfile
    >>> notes = pd.DataFrame({"note_id": ["a"], "note": ["Wheeze."]})
    >>> rows = pd.DataFrame({"note_id": ["a"], "label": ["J44.1"], "trace": ["x"],
    ...     "answer": ["J44.1"], "teacher": ["rule"], "attempt": [0],
    ...     "accepted": [True], "reasons": [""], "scores": ["{}"]})
    >>> made = export_dataset(rows, notes, tempfile.mkdtemp() + "/d", private=False)
    >>> sorted(path.name for path in made.iterdir())
    ['README.md', 'accepted', 'attempts']
    """
    if private and not acknowledge_private:
        raise UserError(
            found="notes of a private source",
            expected="notes that may be handed on: a dataset holds them whole",
            do="set export to private (acknowledge_private) if the folder stays here",
        )
    if not traces["accepted"].any():
        raise UserError(
            found="no accepted trace",
            expected="at least one",
            do="look at checks.csv of notebook 03",
        )
    folder = Path(folder)
    attempts = traces[traces["reasons"] != LABEL_ONLY]
    kept = traces[traces["accepted"]].drop_duplicates("note_id")
    notes = dict(zip(admissions["note_id"], admissions["note"], strict=True))
    examples = _examples(kept, notes, instruction, task)
    with atomic_path(folder) as temporary:
        temporary.mkdir(mode=0o700 if private else 0o755)
        _write_parts(examples, temporary / "accepted")
        _write_parts(attempts, temporary / "attempts")
        card = _card(traces, len(examples), len(attempts), private, source, task)
        (temporary / "README.md").write_text(card, encoding="utf-8")
    return folder


def _examples(kept: pd.DataFrame, notes: dict[str, str], instruction: str, task: Task):
    """Prompt–completion rows, in the conversational format that TRL reads."""
    prompts = [
        build_messages(notes[note_id], "reasoning", instruction, task=task)
        for note_id in kept["note_id"]
    ]
    completions = [
        [
            {
                "role": "assistant",
                "content": format_completion(trace, code, tag=task.tag),
            }
        ]
        for trace, code in zip(kept["trace"], kept["label"], strict=True)
    ]
    columns = ["note_id", "label", "trace", "answer", "teacher", "attempt"]
    return kept[columns].assign(prompt=prompts, completion=completions)


def _write_parts(frame: pd.DataFrame, folder: Path) -> None:
    folder.mkdir()
    total = max(1, -(-len(frame) // _ROWS))
    for number in range(total):
        part = frame.iloc[number * _ROWS : (number + 1) * _ROWS]
        name = f"train-{number:05}-of-{total:05}.parquet"
        part.to_parquet(folder / name, index=False)


def _card(
    traces, accepted: int, attempts: int, private: bool, source: str, task: Task
) -> str:
    checks = check_table(traces, task=task)
    checks = checks[checks["n"] > 0]
    rows = [
        (f"`{check}`", f"{failed:,}", f"{share:.1%}")
        for check, failed, share in checks[["check", "failed", "share"]].itertuples(
            index=False, name=None
        )
        if check not in ("accepted", LABEL_ONLY)
    ]
    table = markdown_table(["check", "rejected", "share"], rows)
    shared = "The notes may be handed on under the terms of their source."
    kept = (
        "**Private: the notes come from a licensed source. Do not upload or share this"
        " folder.**"
    )
    return _CARD.format(
        title=f"DeepICD-R1 traces ({source})",
        subject="icd-10-cm" if task.tabular else task.name.replace("_", "-"),
        about=task.about,
        tag=task.tag,
        privacy=kept if private else shared,
        source=source,
        teachers=", ".join(sorted(traces["teacher"].unique())),
        notes=traces["note_id"].nunique(),
        accepted=accepted,
        attempts=attempts,
        label_only=int((traces["reasons"] == LABEL_ONLY).sum()),
        checks=table,
    )
