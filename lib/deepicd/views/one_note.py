"""A browser of single notes: evidence, paths through the tree, all samples."""

from collections.abc import Sequence
from html import escape

import numpy as np
import pandas as pd

from deepicd.evaluation.metrics import outcomes
from deepicd.evaluation.systems import Cases
from deepicd.tasks.prompts import read_thought
from deepicd.tasks.quotes import quotes
from deepicd.views.figures.palette import look
from deepicd.views.in_words import PRIVATE_TEXT
from deepicd.views.marked import marked, marks_in_note, marks_in_trace

RIGHT, WRONG = "color:#14713d", "color:#a4350f;text-decoration:underline"
BOX = (
    "border:1px solid #d9dfe6;border-radius:6px;padding:.6em .8em;margin:.5em 0;"
    "white-space:pre-wrap;overflow-wrap:anywhere;font-size:.9em;max-height:26em;"
    "overflow-y:auto"
)
LONGEST = 6000


def telling_rows(cases: Cases, a: str, b: str, tree) -> list[int]:
    """Rows worth a look: a alone exact, b alone exact, both wrong; at most three."""
    one, two = (outcomes(cases.gold, cases.seeds(s)[0], tree) for s in (a, b))
    kinds = (
        (one == "exact") & (two != "exact"),
        (one != "exact") & (two == "exact"),
        (one == "wrong") & (two == "wrong"),
    )
    return [int(np.flatnonzero(kind)[0]) for kind in kinds if kind.any()] or [0]


def note_page(
    cases: Cases,
    row: int,
    predictions: pd.DataFrame,
    tree,
    systems: Sequence[str],
    example: pd.DataFrame,
    private: bool,
) -> str:
    """One note as HTML: what each system quoted, said and sampled.

    Parameters
    ----------
    cases, predictions, tree
        As in `deepicd.evaluation.systems.gather`.
    row : int
        Of `cases.notes`.
    systems : sequence of str
    example : pandas.DataFrame
        The note as it may be shown: from `run.examples`.
    private : bool
        Leaves out everything but that example.

    Returns
    -------
    str
    """
    note = str(example["note"].iloc[0])[:LONGEST]
    if private:
        return f"<p>{escape(PRIVATE_TEXT)}</p><div style='{BOX}'>{escape(note)}</div>"
    own = cases.notes.iloc[row]
    said = predictions[predictions["note_id"] == own["note_id"]]
    parts = [
        _answer(said[said["system"] == system], system, own, tree)
        for system in systems
        if (said["system"] == system).any()
    ]
    quoted = [
        q
        for system in systems
        for text in said.loc[
            (said["system"] == system) & (said["sample"] == 0), "completion"
        ]
        for q in _quotes(text, tree.tag)
    ]
    gold = own["label"]
    return (
        f"<hr><p><b>Gold code</b> {_path(gold, gold, tree)}</p>"
        f"<div style='{BOX}'>{marked(note, marks_in_note(quoted, note))}</div>"
        + "".join(parts)
    )


def _quotes(completion: str, tag: str) -> list[str]:
    return [quote.text for quote in quotes(read_thought(completion, tag))]


def _answer(rows: pd.DataFrame, system: str, own, tree) -> str:
    """Reasoning, path and samples of one system."""
    greedy = rows[rows["sample"] == 0].iloc[0]
    result = outcomes([own["label"]], [greedy["code"]], tree, [greedy["well_formed"]])[
        0
    ]
    head = (
        f"<p><b>{escape(look(system).name)}</b> ({result}) "
        f"{_path(greedy['code'], own['label'], tree)}</p>"
    )
    text = str(greedy["completion"]).strip()[:LONGEST]
    said = marked(text, marks_in_trace(text, own["note"]))
    body = f"<div style='{BOX}'>{said}</div>" if text else ""
    return head + body + _samples(rows[rows["sample"] > 0], own["label"], tree)


def _path(code, gold: str, tree) -> str:
    """A path; nodes off the gold path are red and underlined."""
    if not isinstance(code, str):
        return "no code"
    known = tree.path(gold)
    nodes = [
        f"<span style='{RIGHT if known[i : i + 1] == (node,) else WRONG}' "
        f"title='{escape(tree.title(node), quote=True)}'>{escape(node)}</span>"
        for i, node in enumerate(tree.path(code))
    ]
    return " › ".join(nodes) + f" <i>{escape(tree.title(code))}</i>"


def _samples(rows: pd.DataFrame, gold: str, tree) -> str:
    if not len(rows):
        return ""
    codes = [code if isinstance(code, str) else None for code in rows["code"]]
    results = outcomes([gold] * len(codes), codes, tree, rows["well_formed"])
    items = "".join(
        f"<li>{escape(code or 'no code')} ({result})</li>"
        for code, result in zip(codes, results, strict=True)
    )
    return f"<p style='margin:.2em 0'>Samples:</p><ol style='margin:0'>{items}</ol>"


def browse(
    run,
    cases: Cases,
    predictions: pd.DataFrame,
    tree,
    systems: Sequence[str],
    rows: Sequence[int],
) -> None:
    """Show notes: with a slider for a person, a few pages in a headless run.

    Parameters
    ----------
    run : deepicd.study.runner.run_folder.Run
        Says what may be shown, and whether a person is there.
    rows : sequence of int
        Notes of the static pages; the slider knows all.
    """
    from IPython.display import HTML, display

    def page(row: int) -> HTML:
        example = run.examples(cases.notes.iloc[[row]])
        return HTML(
            note_page(cases, row, predictions, tree, systems, example, run.private)
        )

    widgets = None if run.headless else _widgets()
    if widgets is None:
        for row in rows[:1] if run.private else rows:
            display(page(row))
        return
    slider = widgets.IntSlider(
        rows[0], 0, len(cases.notes) - 1, description="note", continuous_update=False
    )
    display(
        widgets.VBox(
            [
                slider,
                widgets.interactive_output(
                    lambda row: display(page(row)), {"row": slider}
                ),
            ]
        )
    )


def _widgets():
    try:
        import ipywidgets
    except ImportError:
        return None
    return ipywidgets
