"""Compare a run with the reference, and make a reference of finished runs.

A reference is a small folder: `scores.csv` with the scores of one or more runs that
differ in their seed alone, `manifest.json`, and figures. How far a new run may lie
from it comes from how far its own runs lie from one another.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_csv, write_json
from deepicd.data.privacy import is_private_run

EVALUATED = Path("06_evaluate_hierarchy") / "metrics.parquet"
SCORES, DIFFERENCES, MANIFEST = "scores.csv", "differences.csv", "manifest.json"
REASONING = "reasoning.csv"
KEYS = ["system", "level", "metric"]
FACTS = (
    *("profile", "data", "seed", "set", "model", "device"),
    *("threads", "git", "versions"),
)
#: What runs that differ in their seed alone have in common.
ALIKE = ("profile", "data", "set", "model")
TRAINERS = ("torch", "transformers", "trl")
METRICS = (
    "accuracy",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "hierarchical_f1",
    "tree_distance",
    "well_formed",
    "in_catalogue",
)
ALPHA = 0.001
"""Chance that one score of an honest run falls outside its tolerance."""
BORROWED = 4
"""Degrees of freedom that a score's spread borrows from like scores."""


def scores_of(run_dir: str | Path) -> pd.DataFrame:
    """The scores of a run that a reference holds: overall ones, with intervals.

    Raises
    ------
    UserError
        Where the run has no scores yet.
    """
    file = Path(run_dir) / EVALUATED
    if not file.exists():
        raise UserError(
            f"no scores in {run_dir}",
            "a finished run",
            "./run_all.sh with the same options, then check again",
        )
    table = pd.read_parquet(file)
    kept = (table["stratum"] == "overall") & table["metric"].isin(METRICS)
    columns = [*KEYS, "value", "low", "high", "n", "label_set", "labelled_notes"]
    return table.loc[kept, [name for name in columns if name in table]]


def save_reference(
    run_dirs: Sequence[str | Path], folder: str | Path, figures: bool = True
) -> Path:
    """Write a reference of finished runs: scores, differences, reasoning, figures.

    Parameters
    ----------
    run_dirs : sequence of path-like
        Runs of one profile and data, of different seeds.
    folder : path-like
        Replaced where it exists.
    figures : bool
        Whether to keep those of the first run.

    Raises
    ------
    UserError
        For private runs, runs that are not finished, that differ in more than the
        seed, or that have the same seed.
    """
    run_dirs, folder = [Path(run) for run in run_dirs], Path(folder)
    manifests = facts_of_seeds(run_dirs, (*ALIKE, "threads"))
    seeds = [manifest["seed"] for manifest in manifests]
    _write_seeds([scores_of(run) for run in run_dirs], seeds, folder / SCORES)
    for name in (DIFFERENCES, REASONING):
        tables = [pd.read_csv(run / EVALUATED.parent / name) for run in run_dirs]
        _write_seeds(tables, seeds, folder / name)
    write_json({"runs": manifests, "metrics": METRICS}, folder / MANIFEST)
    shutil.rmtree(folder / "figures", ignore_errors=True)
    for file in sorted(run_dirs[0].glob("[0-9]*/figures/*")):
        if figures and file.suffix in (".png", ".csv"):
            target = folder / "figures" / f"{file.parts[-3][:2]}_{file.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return folder


def _write_seeds(tables: list[pd.DataFrame], seeds: list[int], file: Path) -> None:
    """Write one table of those of all runs, each with the seed of its run."""
    named = [t.assign(run_seed=seed) for t, seed in zip(tables, seeds, strict=True)]
    write_csv(pd.concat(named, ignore_index=True).round(6), file)


def run_facts(run: Path) -> dict:
    """What a reference says of a run: profile, data, seed, device, versions, …

    Raises
    ------
    UserError
        Where the run has no manifest.
    """
    file = run / MANIFEST
    if not file.exists():
        raise UserError(
            f"no manifest in {run}",
            "the folder of a finished run",
            "./run_all.sh makes one",
        )
    whole = read_json(file)
    return {name: whole.get(name) for name in FACTS}


def facts_of_seeds(
    run_dirs: Sequence[Path], alike: Sequence[str] = ALIKE
) -> list[dict]:
    """What is said of each of some runs that differ in their seed alone.

    Parameters
    ----------
    run_dirs : sequence of Path
    alike : sequence of str
        Facts that have to be the same for all.

    Raises
    ------
    UserError
        For private runs, runs that differ in one of these, or of the same seed.
    """
    private = [run for run in run_dirs if is_private_run(run)]
    if private:
        raise UserError(
            f"{private[0]}, a run on private data",
            "public data for a reference that is handed on",
            "make it from --data synthetic",
        )
    manifests = [run_facts(run) for run in run_dirs]
    seeds = [manifest["seed"] for manifest in manifests]
    if len(set(seeds)) < len(seeds):
        raise UserError(
            f"runs with seeds {seeds}",
            "a different seed each",
            "./run_all.sh --seed N for each",
        )
    for name in alike:
        found = [manifest[name] for manifest in manifests]
        if any(one != found[0] for one in found):
            raise UserError(
                f"runs that differ in {name}: {found}",
                "runs that differ in their seed alone",
                "leave one out",
            )
    return manifests


def compare(
    found: pd.DataFrame, reference: pd.DataFrame, seed: int | None = None
) -> pd.DataFrame:
    """Scores of a run beside the reference, and whether each is near enough.

    With k runs in the reference the tolerance is that of one more run:
    t · s · sqrt(1 + 1/k), where the spread s of a score over seeds is moderated by
    that of the same metric and level over all systems, because k is small. With one
    run there is no spread over seeds; then half the reference's bootstrap interval
    stands in, and the column `from` says so. At least one note of n may differ.

    Parameters
    ----------
    found : pandas.DataFrame
        From `scores_of`.
    reference : pandas.DataFrame
        Rows of `scores.csv`: the same columns and run_seed.
    seed : int, optional
        Seed of the run; adds the difference from the reference's run of that seed.

    Returns
    -------
    pandas.DataFrame
        A row for each score of the reference and each new one: system, level, metric,
        reference, value, difference, tolerance, from, same_seed, verdict (agrees,
        differs, missing, new).

    Examples
    --------
    >>> row = dict(system="sft", level="full", metric="accuracy", low=.66, high=.74,
    ...            n=500, label_set="")
    >>> wanted = pd.DataFrame([row | dict(value=v, run_seed=s)
    ...                        for s, v in enumerate([0.70, 0.71, 0.69])])
    >>> table = compare(pd.DataFrame([row | dict(value=0.72)]), wanted)
    >>> table["difference"].round(3).item(), table["verdict"].item()
    (0.02, 'agrees')
    """
    known = _tolerances(reference)
    table = known.merge(found[[*KEYS, "value"]], on=KEYS, how="outer", sort=False)
    table["difference"] = table["value"] - table["reference"]
    own = reference[reference["run_seed"] == seed].set_index(KEYS)["value"]
    table = table.join(own.rename("own"), on=KEYS)
    table["same_seed"] = table["value"] - table.pop("own")
    near = table["difference"].abs() <= table["tolerance"] + 1e-9
    table["verdict"] = np.select(
        [table["reference"].isna(), table["value"].isna(), near],
        ["new", "missing", "agrees"],
        "differs",
    )
    numbers = ["reference", "value", "difference", "tolerance", "from", "same_seed"]
    return table[[*KEYS, *numbers, "verdict"]]


def _tolerances(reference: pd.DataFrame) -> pd.DataFrame:
    """Mean, tolerance and where it comes from, for each score of a reference."""
    runs = reference["run_seed"].nunique()
    groups = reference.groupby(KEYS, sort=False)
    table = groups.agg(
        reference=("value", "mean"),
        spread=("value", "var"),
        low=("low", "mean"),
        high=("high", "mean"),
        n=("n", "min"),
    ).reset_index()
    if runs > 1:
        pooled = table.groupby(["level", "metric"])["spread"].transform("mean")
        free = runs - 1 + BORROWED
        moderated = ((runs - 1) * table["spread"] + BORROWED * pooled) / free
        t = stats.t.ppf(1 - ALPHA / 2, free)
        tolerance = t * np.sqrt(moderated * (1 + 1 / runs))
        table["from"] = f"{runs} seeds"
    else:
        tolerance = (table["high"] - table["low"]) / 2
        table["from"] = "interval, one seed"
    table["tolerance"] = np.maximum(tolerance.fillna(0.0), 1 / table["n"])
    return table


def check_run(run_dir: str | Path, folder: str | Path) -> pd.DataFrame:
    """Compare a finished run with a reference folder.

    Raises
    ------
    UserError
        Where there is no reference there, or the run has no scores.
    """
    file = Path(folder) / SCORES
    if not file.exists():
        raise UserError(
            f"no reference at {folder}",
            "a reference of this profile and data to compare with",
            f"python -m deepicd.study.reference save RUN_DIR --to {folder}",
        )
    seed = run_facts(Path(run_dir))["seed"]
    return compare(scores_of(run_dir), pd.read_csv(file), seed)


def why_different(run_dir: str | Path, folder: str | Path) -> list[str]:
    """What differs between a run and a reference that may explain other scores.

    Returns
    -------
    list of str
        A sentence each; none where threads and versions of the trainers are the same.
    """
    here, runs = run_facts(Path(run_dir)), read_json(Path(folder) / MANIFEST)["runs"]
    there = next((one for one in runs if one["seed"] == here["seed"]), runs[0])
    facts = {"threads": (here["threads"], there.get("threads"))}
    for name in TRAINERS:
        facts[name] = tuple((m["versions"] or {}).get(name) for m in (here, there))
    return [
        f"{name}: {own or 'unknown'} here, {other or 'unknown'} in the reference; "
        "that alone trains another model"
        for name, (own, other) in facts.items()
        if own != other
    ]


def lines(table: pd.DataFrame) -> list[str]:
    """A comparison as text: what does not agree first, then counts by metric.

    A system that the reference has not is told in one line.
    """
    own = table["verdict"] == "new"
    unknown = own.groupby(table["system"]).transform("all")
    said = [
        f"new     {system}: not in the reference, {n} scores are not compared"
        for system, n in table.loc[unknown, "system"].value_counts(sort=False).items()
    ]
    for row in table[(table["verdict"] != "agrees") & ~unknown].itertuples():
        said.append(
            f"{row.verdict:8}{row.system:16}{row.level:9}{row.metric:18}"
            f"{_number(row.value)} reference {_number(row.reference)} "
            f"difference {_number(row.difference)} "
            f"allowed {_number(row.tolerance)}"
        )
    known = table[table["verdict"] != "new"]
    for (metric, level), part in known.groupby(["metric", "level"], sort=False):
        good = (part["verdict"] == "agrees").sum()
        farthest = part["difference"].abs().max()
        said.append(
            f"{metric:18}{level:9}{good} of {len(part)} agree; largest "
            f"difference {_number(farthest)}, allowed "
            f"{_number(part['tolerance'].min())} to "
            f"{_number(part['tolerance'].max())}"
        )
    agree = (known["verdict"] == "agrees").sum()
    basis = ", ".join(known["from"].dropna().unique())
    return [*said, f"{agree} of {len(known)} scores agree (tolerance from: {basis})"]


def _number(value: float) -> str:
    return "     –" if pd.isna(value) else f"{value:6.3f}"
