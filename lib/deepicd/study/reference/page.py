"""The result tables of the README and of the reference's own page.

`python -m deepicd.study.reference page outputs/reference/cpu README.md` writes the
scores between the marks of the README, and the long tables (differences over seeds,
grids) into README.md beside the reference; a test compares both with the reference.
"""

from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_text
from deepicd.common.markdown import markdown_table
from deepicd.evaluation.intervals import half_over_seeds
from deepicd.evaluation.systems import OVERALL
from deepicd.study.ablations.kept_runs import DETAILS
from deepicd.study.ablations.questions import Section, load_sections
from deepicd.study.ablations.verdicts import versus
from deepicd.study.reference.benches import bench_tables
from deepicd.study.reference.federated import federated_tables
from deepicd.study.reference.open_data import open_data_tables
from deepicd.study.reference.scores import DIFFERENCES, MANIFEST, REASONING, SCORES
from deepicd.study.reference.tasks import task_tables
from deepicd.study.reference.variants import variant_tables
from deepicd.study.reference.verifiers import verifier_tables
from deepicd.views.figures.palette import METRIC_NAMES, in_order, look
from deepicd.views.in_words import (
    heading,
    over_seeds,
    per_cent,
    points,
    score_columns,
    whole_number,
)

START, END = "<!-- tables of the reference -->", "<!-- end of these tables -->"
PAGE = "README.md"
TOP = """# The reference run: its tables

`python -m deepicd.study.reference page {folder}` writes this page from `scores.csv`, \
`differences.csv` and `ablations/`; `./run_all.sh check` compares a run with them. \
{whom}

## Differences between systems

Paired differences over the reference's seeds, each with a corpus and models of its \
own: the mean in points, where there are three seeds or more its 95 % interval over \
seeds (of one seed that over patients), and in how many seeds the interval over \
patients lies above zero (up) or below (down). *Drawn answers* are those at the \
temperature of sampling."""
WHOM = {
    "synthetic": "Everything is measured on synthetic patients.",
    "eicu": "Measured on the open eICU demo, structured notes of real stays; only "
    "aggregates are kept.",
}
REASONED = """## The reasoning itself

Greedy answers to all test notes: quotes an answer, and in per cent the share of \
quotes that stand in the note, notes on which every quote does, what a quote tells for \
the answer (0 nothing, 100 all that words can, by the training notes), codes named on \
the path of the answer, and answers that a reader of the reasoning alone would give. \
Means over the seeds with 95 % intervals over seeds."""
THOUGHT = (
    "quotes",
    "evidence_found",
    "all_found",
    "telling",
    "codes_on_path",
    "recovered",
)
GRIDS = """## What makes the difference? The grids of notebook 07

Each variant is trained anew with every seed, GRPO straight after SFT (in f and g SFT \
alone). Differences in points with 95 % intervals by bootstrap over patients and \
seeds; bold where the interval excludes zero, not corrected for their number."""
MORE = (
    "[Scores](ablations/{name}_scores.csv); [differences, also by how often a code "
    "stands in the training notes](ablations/{name}_differences.csv); "
    "[figures](ablations/figures/{name})."
)


def scores_table(folder: str | Path) -> str:
    """Scores of the reference's first seed with intervals over patients, as Markdown.

    The number of labelled notes that each system has learned from stands behind its
    name, where the reference knows it.

    Raises
    ------
    UserError
        Where the folder holds no reference.
    """
    scores = _read(folder, SCORES)
    first = scores[scores["run_seed"] == scores["run_seed"].iloc[0]]
    known = first.set_index(["system", "level", "metric"])
    systems, columns = in_order(first["system"]), score_columns(first["level"])
    heads, rows = ["system, per cent", *(heading(*c) for c in columns)], []
    for system in systems:
        cells = [per_cent(known.loc[(system, *c)]) for c in columns]
        rows.append([look(system).name, *cells])
    if "labelled_notes" in first:
        heads.insert(1, "labelled notes")
        labelled = first.groupby("system")["labelled_notes"].first()
        for system, row in zip(systems, rows, strict=True):
            row.insert(1, whole_number(labelled[system]))
    return markdown_table(heads, rows)


def reference_page(folder: str | Path) -> str:
    """The page beside the reference: differences over seeds, grids, other runs, sites.

    Raises
    ------
    UserError
        Where the folder holds no reference.
    """
    folder = Path(folder)
    differences = differences_table(_read(folder, DIFFERENCES))
    data = read_json(folder / MANIFEST)["runs"][0]["data"]
    whom = WHOM.get(data, f"Measured on {data}.")
    parts = [TOP.format(folder="/".join(folder.parts[-3:]), whom=whom), differences]
    parts += reasoning_tables(folder)
    grids = grid_tables(folder)
    parts += [GRIDS, *grids] if grids else []
    parts += [*variant_tables(folder), *verifier_tables(folder)]
    more = [*task_tables(folder), *open_data_tables(folder), *bench_tables(folder)]
    return "\n\n".join([*parts, *more, *federated_tables(folder)]) + "\n"


def _read(folder: str | Path, name: str) -> pd.DataFrame:
    file = Path(folder) / name
    if not file.exists():
        raise UserError(
            f"no {name} in {folder}",
            "a reference folder",
            "python -m deepicd.study.reference save RUN... --to FOLDER",
        )
    return pd.read_csv(file)


def differences_table(table: pd.DataFrame) -> str:
    """Differences of a reference over all of its seeds, drawn answers in own rows."""
    rows, columns = [], score_columns(table["level"])
    for (a, b), pair in table.groupby(["a", "b"], sort=False):
        name = f"{look(a).name} minus {look(b).name}"
        greedy = [_mean(pair, *column) for column in columns]
        drawn = [_mean(pair, level, "one_sample") for level, _ in columns[:-1]]
        rows += [[name, *greedy]] * any(greedy)
        rows += [[f"{name}, drawn answers", *drawn, ""]] * any(drawn)
    heads = [heading(*column) for column in columns]
    return markdown_table([_mean_of(table), *heads], rows)


def _mean_of(table: pd.DataFrame) -> str:
    seeds = table["run_seed"].unique()
    return f"mean of {len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"


def _mean(pair: pd.DataFrame, level: str, metric: str) -> str:
    """Mean over seeds with its interval, and how many seeds are clear of zero alone.

    One seed has the interval over its patients.
    """
    rows = pair[(pair["level"] == level) & (pair["metric"] == metric)]
    if rows.empty:
        return ""
    values, alone = rows["value"].to_numpy(), len(rows) == 1
    text = points(rows.iloc[0]) if alone else over_seeds(values, difference=True)
    up, down = ((rows["clear"] & (sign * values > 0)).sum() for sign in (1, -1))
    clear = [f"{n} {way}" for n, way in ((up, "up"), (down, "down")) if n]
    return f"{text}; {', '.join(clear) or 'none clear'}"


def reasoning_tables(folder: str | Path) -> list[str]:
    """How the reasoning of each system holds together, and what changed from SFT."""
    file = Path(folder) / REASONING
    if not file.exists():
        return []
    table = pd.read_csv(file)
    table = table[table["metric"].isin(THOUGHT)]
    values = {
        system: part.pivot(index="run_seed", columns="metric", values="value")
        for system, part in table.groupby("system")
    }
    names = [METRIC_NAMES[metric] for metric in THOUGHT]
    rows = []
    for system in in_order(values):
        name, own = look(system).name, values[system]
        rows.append(_thoughts(name, own, "{:.1f}"))
        if system not in ("base", "sft") and "sft" in values:
            change = own - values["sft"]
            rows.append(_thoughts(f"{name} minus SFT", change, "{:+.1f}"))
    return [REASONED, markdown_table([_mean_of(table), *names], rows)]


def _thoughts(name: str, values: pd.DataFrame, form: str) -> list[str]:
    """Means over seeds, with their intervals where there are three seeds or more."""
    cells = []
    for metric in THOUGHT:
        known = values[metric].dropna() * (1 if metric == "quotes" else 100)
        mean, cell = known.mean(), form.format(known.mean())
        if len(known) > 2:
            half = half_over_seeds(known.to_numpy())
            ends = form.format(mean - half), form.format(mean + half)
            cell += f" ({' to '.join(ends)})"
        cells.append(cell.replace("-", "−"))
    return [name, *cells]


def grid_tables(folder: str | Path) -> list[str]:
    """A table and a link for each section of notebook 07 that a reference keeps."""
    parts = []
    for name, section in load_sections("full").items():
        file = Path(folder) / DETAILS / f"{name}_differences.csv"
        if file.exists():
            said = MORE.format(name=name) + _asked_of(file.with_name(MANIFEST), name)
            parts += [_grid(section, file), said]
    return parts


def _asked_of(manifest: Path, name: str) -> str:
    """The settings of the run that a section was asked of, where they are others."""
    kept = read_json(manifest)["sections"].get(name, []) if manifest.exists() else []
    given = kept[2] if len(kept) > 2 else {}
    told = ", ".join(f"`{name}={value}`" for name, value in sorted(given.items()))
    return f" Asked of a run with {told}." if told else ""


def _grid(section: Section, file: Path) -> str:
    table = pd.read_csv(file)
    main = table[
        (table["comparison"] == section.compare) & (table["stratum"] == OVERALL)
    ]
    title, rows = f"{section.letter}. {section.title} ({main['seeds'].max()} seeds)", []
    columns = score_columns(main["level"])
    for (a, b), pair in main.groupby(["a", "b"], sort=False):
        known = pair.set_index(["level", "metric"])
        rows.append([versus(a, b), *(_cell(known.loc[c]) for c in columns)])
    laws = file.with_name(f"{section.name}_laws.csv")
    if laws.exists():
        kept = pd.read_csv(laws).groupby("after")
        rows += [_law(table, after, columns[:-1]) for after, table in kept]
    return markdown_table([title, *(heading(*c) for c in columns)], rows)


def _law(laws: pd.DataFrame, after: bool, columns: list) -> list[str]:
    """What a doubling of the traces brings, before or after RL, and R² over runs."""
    law = laws.rename(columns={"slope": "value"}).set_index("level")
    cells = [
        f"{_cell(law.loc[level])}, R² {law.loc[level, 'r2']:.2f}"
        for level, _ in columns
    ]
    sizes, runs = laws[["sizes", "runs"]].iloc[0].astype(int)
    when = "after" if after else "before"
    name = f"a doubling of the traces, {when} RL: line over {sizes} sizes, {runs} runs"
    return [name, *cells, ""]


def _cell(row) -> str:
    return f"**{points(row)}**" if row.clear else points(row)


def rewritten(text: str, folder: str | Path) -> str:
    """Give the README with the scores of a reference between its marks.

    Raises
    ------
    UserError
        Where marks are missing.
    """
    head, found, rest = text.partition(START)
    _, closed, tail = rest.partition(END)
    if not (found and closed):
        raise UserError(
            "a README without the marks of the table",
            f"{START} and {END}",
            "put them where the table belongs",
        )
    return f"{head}{START}\n{scores_table(folder)}\n{END}{tail}"


def write(folder: str | Path, readme: str | Path | None = None) -> None:
    """Write the page beside a reference, and the table between a README's marks."""
    page = reference_page(folder)
    if readme:
        text = Path(readme).read_text(encoding="utf-8")
        write_text(rewritten(text, folder), Path(readme))
    write_text(page, Path(folder) / PAGE)
