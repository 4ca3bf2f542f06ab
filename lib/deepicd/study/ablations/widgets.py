"""Pick runs and look: what changed between them, curves, scores, single notes."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deepicd.study.ablations.points import changed
from deepicd.study.ablations.study import Study
from deepicd.views import figures
from deepicd.views.in_words import PRIVATE_TEXT

NOT_KEPT = "(a run of the reference, which keeps codes alone)"
SCORES = (
    "accuracy_chapter",
    "accuracy_category",
    "accuracy_full",
    "macro_f1_full",
    "well_formed",
)


def what_changed(study: Study, one: str, other: str) -> pd.DataFrame:
    """Parameters that differ between two runs.

    Parameters
    ----------
    one, other : str
        Keys, from `Study.table`.

    Returns
    -------
    DataFrame
        One row a parameter, one column a run.
    """
    runs = [study.find(key) for key in (one, other)]
    given = [{"kind": run["kind"], **run["given"]} for run in runs]
    return pd.DataFrame(changed(*given), index=[one, other]).T


def _named(study: Study, keys: Sequence[str]) -> dict[str, str]:
    """Runs by key, each named by what differs among those picked."""
    given = {key: study.find(key) for key in keys}
    given = {key: {"kind": run["kind"], **run["given"]} for key, run in given.items()}
    names = dict.fromkeys(name for one in given.values() for name in one)
    first = next(iter(given.values()))
    differ = [n for n in names if any(g.get(n) != first.get(n) for g in given.values())]
    return {
        key: ", ".join(f"{n.rpartition('.')[2]} {one[n]}" for n in differ if n in one)
        or key
        for key, one in given.items()
    }


def compare_curves(study: Study, keys: Sequence[str]) -> tuple:
    """Figure of the curves of some GRPO runs, and the table behind it."""
    names = _named(study, keys)
    frames = []
    for key in keys:
        run = study.find(key)
        file = study.material.folder / run["kind"] / key / "curves.parquet"
        curve = pd.read_parquet(file).assign(run=names[key], key=key, seed=0)
        frames.append(curve[curve["name"].str.startswith("val_accuracy")])
    table = pd.concat(frames, ignore_index=True)
    return figures.plot_variants(table, by="run"), table


def compare_scores(study: Study, keys: Sequence[str]) -> pd.DataFrame:
    """Scores of some runs, one row each, named by what differs."""
    table = study.table().set_index("key").loc[list(keys)]
    table.index = pd.Index(_named(study, keys).values(), name="run")
    return table[[*SCORES, "seconds"]].astype(float).round(3)


def show_note(study: Study, keys: Sequence[str], place: int = 0) -> str:
    """What some runs answered to one test note; nothing of it for private data."""
    if study.private:
        return PRIVATE_TEXT
    test = study.material.test()
    note = test.iloc[place % len(test)]
    parts = [note["note"], f"gold code: {note['label']}"]
    for key, name in _named(study, keys).items():
        run = study.find(key)
        file = study.material.folder / run["kind"] / key / "predictions.parquet"
        rows = pd.read_parquet(file)
        for row in rows[rows["note_id"] == note["note_id"]].itertuples():
            code = row.code if isinstance(row.code, str) else "none"
            said = row.completion.strip()[:600] if row.completion else NOT_KEPT
            parts.append(f"--- {name} (code: {code})\n{said}")
    return "\n\n".join(parts)


def export(study: Study, keys: Sequence[str], folder: str | Path, name: str) -> Path:
    """Save the comparison of some runs: curves as a figure with its CSV, scores.

    Returns
    -------
    Path
        The PDF; beside it lie the PNG, the CSV and ``<name>_scores.csv``.
    """
    from deepicd.common.files import write_csv

    fig, table = compare_curves(study, keys)
    figures.save(fig, table, folder, name)
    scores = compare_scores(study, keys).reset_index()
    write_csv(scores, Path(folder) / f"{name}_scores.csv")
    return Path(folder) / f"{name}.pdf"


def explore(study: Study, folder: str | Path, interactive: bool = True):
    """Widgets over all finished runs; without them the table of runs.

    Parameters
    ----------
    study : Study
    folder : path-like
        Where exports go.
    interactive : bool
        False in a headless run: nobody could click.
    """
    table = study.table()
    if table.empty or not interactive:
        return table
    return _Browser(study, Path(folder)).box


class _Browser:
    """Pick runs on the left, look at them on the right."""

    def __init__(self, study: Study, folder: Path):
        import ipywidgets as widgets

        self.study, self.folder = study, folder
        table = study.table().sort_values(["kind", "seed"])
        labels = [(_label(row), row["key"]) for row in table.to_dict("records")]
        self.runs = widgets.SelectMultiple(
            options=labels,
            value=[key for _, key in labels[:2]],
            rows=12,
            description="runs",
            layout=widgets.Layout(width="46em"),
        )
        self.view = widgets.ToggleButtons(
            options=["scores", "curves", "what changed", "note"]
        )
        last = len(study.material.test()) - 1
        self.place = widgets.IntSlider(0, 0, last, description="note")
        self.name = widgets.Text("comparison", description="file name")
        button = widgets.Button(description="export")
        self.out = widgets.Output()
        for one in (self.runs, self.view, self.place):
            one.observe(self.show, names="value")
        button.on_click(self.save)
        row = widgets.HBox([self.view, self.place])
        files = widgets.HBox([self.name, button])
        self.box = widgets.VBox([self.runs, row, files, self.out])
        self.show()

    def show(self, change=None) -> None:
        from IPython.display import display

        keys, view = list(self.runs.value), self.view.value
        self.out.clear_output(wait=True)
        with self.out:
            if not keys:
                print("pick a run")
            elif view == "scores":
                display(compare_scores(self.study, keys))
            elif view == "curves":
                display(compare_curves(self.study, keys)[0])
            elif view == "note":
                print(show_note(self.study, keys, self.place.value))
            elif len(keys) < 2:
                print("pick two runs (Ctrl or Shift)")
            else:
                display(what_changed(self.study, keys[0], keys[1]))

    def save(self, button) -> None:
        with self.out:
            print(
                export(self.study, list(self.runs.value), self.folder, self.name.value)
            )


def _label(row: dict) -> str:
    reward = f", reward {row['reward']}" if row["kind"] == "grpo" else ""
    return (
        f"{row['kind']}{reward}, {row['style']}, traces {row['n_traces']}, "
        f"seed {row['seed']}, full {row['accuracy_full']:.3f} [{row['key'][:6]}]"
    )
