"""Model cards: what a model was trained on and how, and what it is not for."""

import hashlib
from pathlib import Path

import pandas as pd

from deepicd.common.files import write_text
from deepicd.common.markdown import markdown_table
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.training.labelled import COLUMN

NAMES = ("max_steps", "learning_rate", "per_device_train_batch_size", "seed")
CARD = """# Model of the DeepICD-R1 notebooks

Reads a hospital admission note, reasons inside `<think>`, and answers one
{asked} inside `<{tag}>`.

## Intended use

Research on reasoning with hierarchical rewards, and teaching.
**Never for diagnosis, decision support, triage or unsupervised coding.** A model
trained on private notes may repeat them: keep it as private as the notes.

## Training

{facts}

## Results

Share of notes of the test split, greedy answers; an unreadable answer is wrong.
Intervals and comparisons are in notebook 06.

{results}
"""


def write_card(
    folder: str | Path,
    arguments: dict,
    counts: dict,
    data: dict[str, pd.DataFrame],
    results: pd.DataFrame | None = None,
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> None:
    """Write README.md into a model folder.

    Parameters
    ----------
    folder : path-like
    arguments : dict
        Resolved arguments of the trainer.
    counts : dict
        Of the training data.
    data : dict of str to DataFrame
        Tables trained on; hashed, so that a reader can tell whether two models saw
        the same ones. Their text does not enter the card.
    results : DataFrame, optional
        From `deepicd.views.training.accuracy_table`: one row a system.
    task : Task
        What the model was asked.
    """
    facts = {name: arguments[name] for name in NAMES if name in arguments} | counts
    facts |= {f"SHA-256 of {name}": data_hash(frame) for name, frame in data.items()}
    text = CARD.format(
        asked="ICD-10-CM code" if task.tabular else f"label ({task.about})",
        tag=task.tag,
        facts=markdown_table(["fact", "value"], facts.items()),
        results=_results(results),
    )
    write_text(text, Path(folder) / "README.md")


def _results(table: pd.DataFrame | None) -> str:
    if table is None:
        return "Not evaluated."
    names = [name for name in table if name != "notes"]
    rows = [
        [system, *(_cell(name, row[name]) for name in names)]
        for system, row in table.iterrows()
    ]
    return markdown_table(["system", *names], rows)


def _cell(name: str, value) -> str:
    return f"{int(value):,}" if name == COLUMN else f"{value:.3f}"


def data_hash(frame: pd.DataFrame) -> str:
    """SHA-256 over all values of a table, whichever its index.

    Examples
    --------
    >>> one = pd.DataFrame({"note": ["a"]})
    >>> data_hash(one) == data_hash(one.set_axis([7]))
    True
    """
    rows = pd.util.hash_pandas_object(frame.astype(str), index=False)
    names = ",".join(map(str, frame.columns)).encode()
    return hashlib.sha256(names + rows.to_numpy().tobytes()).hexdigest()
