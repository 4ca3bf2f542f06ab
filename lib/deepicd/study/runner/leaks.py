"""A last look at an executed notebook of private data before it is kept."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from deepicd.common.files import read_json
from deepicd.data.privacy import is_private_run
from deepicd.study.runner.execute import StageFailed
from deepicd.study.runner.graph import EXTRACT

WORDS = 8  # so many words in a row are a quotation
TAG = re.compile(r"<[^>]{0,200}>")
WORD = re.compile(r"\w+")


def check_leaks(plan, executed: Path) -> None:
    """Refuse an executed notebook whose outputs quote a private note.

    Notebooks show notes only through ``run.examples``; this catches one that does
    not. Phrases of the built-in examples are allowed.

    Raises
    ------
    StageFailed
        Naming the code cell, never the text.
    """
    file = plan.run_dir / EXTRACT / "admissions.parquet"
    if not (plan.private or is_private_run(plan.run_dir)) or not file.exists():
        return
    by_cell = dict(output_phrases(read_json(executed)))
    shown = {p for found in by_cell.values() for p in found}
    leaked = quoted(shown, pd.read_parquet(file, columns=["note"])["note"])
    if leaked:
        leaked -= {p for text in built_in_texts() for p in phrases(text)}
    for number, found in by_cell.items():
        if found & leaked:
            raise StageFailed(
                f"{executed.name[1:3]} stopped: the output of code cell {number} "
                "quotes a private note; show notes only through run.examples. "
                "The outputs were not kept."
            )


def built_in_texts() -> list[str]:
    """Every synthetic text that notebooks show in place of private notes.

    Examples
    --------
    >>> len(built_in_texts()) > 5
    True
    """
    from deepicd.data.examples import example_summary
    from deepicd.data.sections.splitting import admission_note
    from deepicd.data.synthetic.corpus import example_admissions

    summary = example_summary(SimpleNamespace(private=True))
    cut = [admission_note(summary, mode).text for mode in ("robust", "cop")]
    return [*example_admissions()["note"], summary, *cut]


def phrases(text: str) -> set[str]:
    """Runs of eight words, lower case.

    Examples
    --------
    >>> phrases("One two three four five six seven, EIGHT")
    {'one two three four five six seven eight'}
    """
    words = WORD.findall(text.lower())
    return {
        " ".join(words[i : i + WORDS]) for i in range(max(0, len(words) - WORDS + 1))
    }


def quoted(shown: set[str], notes: Iterable[str]) -> set[str]:
    """Those of the shown phrases that occur in a note.

    Examples
    --------
    >>> quoted(phrases("a b c d e f g h i"), ["x a b c d e f g h y"])
    {'a b c d e f g h'}
    """
    if not shown:
        return set()
    return {p for note in notes for p in phrases(note) & shown}


def output_phrases(notebook: dict) -> Iterator[tuple[int, set[str]]]:
    """Phrases in the outputs of each code cell, by the cell's number."""
    code = [
        cell
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
        and "injected-parameters" not in cell.get("metadata", {}).get("tags", [])
    ]
    for number, cell in enumerate(code, 1):
        texts = [text for out in cell["outputs"] for text in _texts(out)]
        yield number, {p for text in texts for p in phrases(TAG.sub(" ", text))}


def _texts(output: dict) -> Iterator[str]:
    for value in [output.get("text"), *output.get("data", {}).values()]:
        if isinstance(value, list):
            yield "".join(value)
        elif isinstance(value, str) and len(value) < 10**6:  # not an image
            yield value
