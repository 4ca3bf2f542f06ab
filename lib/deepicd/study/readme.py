"""The result tables of the README, written from the reference: they cannot drift.

`python -m deepicd.study.readme outputs/reference/cpu README.md` rewrites what stands
between the marks; a test compares the README with the reference.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from deepicd.common.errors import UserError
from deepicd.common.files import write_text
from deepicd.evaluation.systems import OVERALL
from deepicd.study.ablations.in_words import versus
from deepicd.study.ablations.kept_runs import DETAILS
from deepicd.study.ablations.questions import Section, load_sections
from deepicd.study.reference import DIFFERENCES, SCORES
from deepicd.views.figures.palette import in_order, look

MARKS = ("<!-- tables of the reference -->", "<!-- end of these tables -->")
GRIDS = ("<!-- ablations of the reference -->", "<!-- end of the ablations -->")
COLUMNS = (
    ("chapter", "accuracy"),
    ("category", "accuracy"),
    ("full", "accuracy"),
    ("full", "macro_f1"),
)
HEAD = (
    "| chapter accuracy | category accuracy | full-code accuracy "
    "| full-code macro F1 |\n|---|---|---|---|---|"
)
OPEN = ("a", "b")  # sections told in full; the others unfold at a click


def tables(folder: str | Path) -> str:
    """Write the tables of a reference as Markdown.

    The first has the scores of the reference's first seed with intervals over
    patients, the second paired differences over all of its seeds.

    Raises
    ------
    UserError
        Where the folder holds no reference.
    """
    folder = Path(folder)
    for name in (SCORES, DIFFERENCES):
        if not (folder / name).exists():
            raise UserError(
                f"no {name} in {folder}",
                "a reference folder",
                "python -m deepicd.study.reference save RUN... --to FOLDER",
            )
    scores = pd.read_csv(folder / SCORES)
    differences = pd.read_csv(folder / DIFFERENCES)
    return (
        f"{_scores(scores[scores['run_seed'] == scores['run_seed'].iloc[0]])}\n\n"
        f"{_differences(differences)}"
    )


def _scores(scores: pd.DataFrame) -> str:
    known = scores.set_index(["system", "level", "metric"])
    rows = []
    for system in in_order(scores["system"]):
        cells = [known.loc[(system, *column)] for column in COLUMNS]
        said = [
            f"{100 * c.value:.1f} ({100 * c.low:.1f}–{100 * c.high:.1f})" for c in cells
        ]
        rows.append(f"| {look(system).name} | {' | '.join(said)} |")
    return "\n".join([f"| system {HEAD}", *rows])


def _differences(table: pd.DataFrame) -> str:
    seeds = table["run_seed"].nunique()
    rows = []
    for (a, b), pair in table.groupby(["a", "b"], sort=False):
        for drawn in (False, True):
            metric = {"accuracy": "one_sample"} if drawn else {}
            cells = [
                _mean(
                    pair[
                        (pair["level"] == level)
                        & (pair["metric"] == metric.get(name, name))
                    ]
                )
                for level, name in COLUMNS[: 3 if drawn else 4]
            ]
            if all(cell == "" for cell in cells):
                continue
            cells += [""] * (4 - len(cells))
            name = f"{look(a).name} minus {look(b).name}"
            rows.append(f"| {name}{', drawn answers' * drawn} | {' | '.join(cells)} |")
    return "\n".join([f"| mean of {seeds} seeds, points {HEAD}", *rows])


def _mean(rows: pd.DataFrame) -> str:
    """Mean over seeds with its interval, and how many seeds are clear of zero alone."""
    if rows.empty:
        return ""
    values, k = rows["value"].to_numpy(), len(rows)
    text = _signed(values.mean())
    if k > 2:  # of two seeds the interval over seeds says nothing
        half = stats.t.ppf(0.975, k - 1) * np.std(values, ddof=1) / np.sqrt(k)
        text += f" ({_signed(values.mean() - half)} to {_signed(values.mean() + half)})"
    up, down = ((rows["clear"] & (sign * values > 0)).sum() for sign in (1, -1))
    clear = [f"{n} {sign}" for n, sign in ((up, "up"), (down, "down")) if n]
    return f"{text}; {', '.join(clear) or 'none clear'}"


def _signed(value: float) -> str:
    """Points with a sign, a true minus among them.

    Examples
    --------
    >>> _signed(0.0214), _signed(-0.0001)
    ('+2.1', '0.0')
    """
    points = round(100 * float(value), 1)
    return f"{'+' if points > 0 else '−' if points < 0 else ''}{abs(points):.1f}"


def ablations(folder: str | Path) -> str:
    """Write a table for each section of notebook 07 that a reference keeps.

    A difference is bold where its interval excludes zero; nothing where none is kept.
    """
    folder = Path(folder) / DETAILS
    kept = {
        section: folder / f"{name}_differences.csv"
        for name, section in load_sections("full").items()
    }
    told = {
        section.letter: _grid(section, file)
        for section, file in kept.items()
        if file.exists()
    }
    shown = [told.pop(letter) for letter in OPEN if letter in told]
    if told:
        head = f"<details><summary>Tables of {', '.join(told)}</summary>"
        shown += [head, *told.values(), "</details>"]
    return "\n\n".join(shown)


def _grid(section: Section, file: Path) -> str:
    table = pd.read_csv(file)
    main = table[
        (table["comparison"] == section.compare) & (table["stratum"] == OVERALL)
    ]
    seeds = main["seeds"].max()
    head = f"| {section.letter}. {section.title} ({seeds} seeds, points) "
    rows = [head + HEAD]
    for (a, b), pair in main.groupby(["a", "b"], sort=False):
        known = pair.set_index(["level", "metric"])
        cells = [_cell(known.loc[column]) for column in COLUMNS]
        rows.append(f"| {versus(a, b)} | {' | '.join(cells)} |")
    laws = file.with_name(f"{section.name}_laws.csv")
    if laws.exists():
        rows.append(_law(pd.read_csv(laws).set_index("level")))
    return "\n".join(rows)


def _law(laws: pd.DataFrame) -> str:
    """What a doubling of the traces brings, after RL, and R² over all runs."""
    law = laws.rename(columns={"slope": "value"})
    cells = [
        f"{_cell(law.loc[level])}, R² {law.loc[level, 'r2']:.2f}"
        for level, metric in COLUMNS
        if metric == "accuracy"
    ]
    sizes, runs = laws[["sizes", "runs"]].iloc[0].astype(int)
    name = f"a doubling of the traces, after RL: line over {sizes} sizes, {runs} runs"
    return f"| {name} | {' | '.join([*cells, ''])} |"


def _cell(row) -> str:
    text = f"{_signed(row.value)} ({_signed(row.low)} to {_signed(row.high)})"
    return f"**{text}**" if row.clear else text


def rewritten(text: str, folder: str | Path) -> str:
    """Give the README with the tables of a reference between its marks.

    Raises
    ------
    UserError
        Where marks are missing.
    """
    for (start, end), make in ((MARKS, tables), (GRIDS, ablations)):
        head, found, rest = text.partition(start)
        _, closed, tail = rest.partition(end)
        if not (found and closed):
            raise UserError(
                "a README without the marks of the tables",
                f"{start} and {end}",
                "put them where the tables belong",
            )
        text = f"{head}{start}\n{make(folder)}\n{end}{tail}"
    return text


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 where the README was written, 2 for a wrong call."""
    parser = argparse.ArgumentParser(
        "python -m deepicd.study.readme", description=__doc__
    )
    parser.add_argument("reference", help="outputs/reference/PROFILE")
    parser.add_argument("readme", nargs="?", default="README.md")
    given = parser.parse_args(arguments)
    try:
        text = Path(given.readme).read_text(encoding="utf-8")
        write_text(rewritten(text, given.reference), Path(given.readme))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
