"""The whole run with another setting, seed by seed beside the reference.

`python -m deepicd.study.reference variants RUN… --against RUN… --to FOLDER` keeps
it. Grids ask with fewer steps; here every run is as long as the default's.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import write_csv
from deepicd.common.markdown import markdown_table
from deepicd.data.privacy import is_private_run
from deepicd.evaluation.metrics import evaluate
from deepicd.evaluation.systems import gather
from deepicd.study.reference.scores import EVALUATED, REASONING, run_facts, scores_of
from deepicd.study.runner.graph import EXTRACT, SFT
from deepicd.study.runner.run_folder import Run
from deepicd.views.figures.palette import METRIC_NAMES, in_order, look
from deepicd.views.in_words import heading, over_seeds, score_columns

FILE = "variants.csv"
SYSTEMS = ("sft", "sft_rft", "sft_grpo")
QUOTED = ("", "evidence_found")  # is no score of a level
SCORES = ("accuracy", "macro_f1")
KEYS = ["variant", "system", "level", "metric"]
COLUMNS = [*KEYS, "run_seed", "threads", "value", "against"]
_FOLDERS = re.compile(r"(?<![\w.])/(?:[^/\s\"']+/)*")  # of files on one machine
TOP = f"""## Other settings of the whole run

Runs as long as the default's that differ from it in a setting, kept by `python -m \
deepicd.study.reference variants RUN… --against RUN… --to outputs/reference/cpu` in \
[{FILE}]({FILE}): per cent, means over seeds (each a corpus of its own) with 95 % \
intervals over seeds, and paired differences from the default in points. The file \
says how many threads each had; those of the reference had two, and another number of \
them trains another model of the same quality."""


def paired(runs: Sequence[str | Path], against: Sequence[str | Path]) -> pd.DataFrame:
    """Scores of runs with another setting, each beside the run of the same seed.

    Parameters
    ----------
    runs, against : sequence of path-like
        Runs with notebook 06 done, or 04 alone; those of `against` differ from `runs`
        in `--set` alone, and may be of more seeds.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: variant is what was set, such as "style=code_only"; value
        and against are shares.

    Raises
    ------
    UserError
        For private runs, runs of other profiles or data, runs that differ in nothing
        or not in the same, and a seed without its counterpart.
    """
    others = {run_facts(Path(run))["seed"]: Path(run) for run in against}
    tables = []
    for run in map(Path, runs):
        facts = run_facts(run)
        other = others.get(facts["seed"])
        if other is None:
            raise UserError(
                f"{run}, of seed {facts['seed']}",
                f"a run of --against with that seed; those have {sorted(others)}",
                "add it, or leave the run out",
            )
        name = _what_differs(run, facts, run_facts(other))
        both = pd.concat({"value": _scores(run), "against": _scores(other)}, axis=1)
        given = {"run_seed": facts["seed"], "threads": facts["threads"]}
        both = both.dropna().reset_index()
        tables.append(both.assign(variant=name, **given))
    found = pd.concat(tables, ignore_index=True)
    if found["variant"].nunique() > 1:
        raise UserError(
            f"runs with {sorted(found['variant'].unique())}",
            "runs that differ in their seed alone",
            "keep each setting with a call of its own",
        )
    return found[COLUMNS]


def _what_differs(run: Path, facts: dict, other: dict) -> str:
    if is_private_run(run):
        raise UserError(f"{run}, a private run", "public data", "leave it out")
    for name in ("profile", "data", "model"):
        if facts[name] != other[name]:
            raise UserError(
                f"{run} has {name} {facts[name]}, its counterpart {other[name]}",
                "runs that differ in --set alone",
                "leave it out",
            )
    own, common = facts["set"] or {}, other["set"] or {}
    changed = [
        f"{name}={_FOLDERS.sub('', str(value))}"
        for name, value in sorted(own.items())
        if common.get(name) != value
    ]
    changed += [f"no {k}" for k in sorted(set(common) - set(own))]
    if not changed:
        raise UserError(
            f"{run} differs from its counterpart in nothing",
            "runs with another --set",
            "give the runs of the setting first, those of the default after --against",
        )
    return ", ".join(changed)


def _scores(run: Path) -> pd.Series:
    """Accuracy and macro F1 of the trained models, and what is said of quotes.

    Of a run that ended with SFT the scores are made here, as 06 makes them.
    """
    scores = scores_of(run) if (run / EVALUATED).exists() else _of_sft(run)
    scores = scores[scores["metric"].isin(SCORES)]
    file = run / EVALUATED.parent / REASONING
    if file.exists():
        thoughts = pd.read_csv(file).assign(level="")
        scores = pd.concat([scores, thoughts])
    scores = scores[scores["system"].isin(SYSTEMS)]
    return scores.set_index(["system", "level", "metric"])["value"].astype(float)


def _of_sft(run: Path) -> pd.DataFrame:
    answers = run / SFT / "predictions.parquet"
    if not answers.exists():
        raise UserError(
            f"no answers in {run}",
            "a run whose notebook 04 or 06 is finished",
            "./run_all.sh with the same options",
        )
    own = Run(run, SFT)
    admissions = pd.read_parquet(own.path(EXTRACT, "admissions.parquet"))
    cases, tree = gather(pd.read_parquet(answers), admissions), own.tree()
    tables = [
        evaluate(
            cases.gold, list(seeds.values()), tree=tree, n_boot=0, metrics=SCORES
        ).assign(system=system)
        for system, seeds in cases.answers.items()
    ]
    return pd.concat(tables)


def variant_tables(folder: Path) -> list[str]:
    """Paragraph and tables in Markdown of what a reference keeps; none without it."""
    if not (Path(folder) / FILE).exists():
        return []
    kept = pd.read_csv(Path(folder) / FILE, keep_default_na=False)
    parts = [TOP]
    for name, rows in kept.groupby("variant", sort=False):
        seeds = rows["run_seed"].nunique()
        title = f"`--set {name}` ({seeds} seed{'s' * (seeds > 1)})"
        columns = [*score_columns(set(rows["level"]) - {""}), QUOTED]
        heads = [*(heading(*c) for c in columns[:-1]), METRIC_NAMES[QUOTED[1]]]
        lines: list[list[str]] = []
        for system in in_order(rows["system"]):
            own = rows[rows["system"] == system]
            if not (own["value"] == own["against"]).all():  # the very same model
                lines += _lines(look(system).name, own, columns)
        parts.append(markdown_table([title, *heads], lines))
    return parts


def _lines(name: str, own: pd.DataFrame, columns: list) -> list[list[str]]:
    plain, change = [name], [f"{name}, minus the default's"]
    for level, metric in columns:
        found = own[(own["level"] == level) & (own["metric"] == metric)]
        values, gained = found["value"], found["value"] - found["against"]
        plain.append(over_seeds(values) if len(found) else "")
        change.append(over_seeds(gained, difference=True) if len(found) else "")
    return [plain, change]


def keep(
    runs: Sequence[str | Path], against: Sequence[str | Path], folder: str | Path
) -> Path:
    """Add runs to what a reference keeps, in the place of those of the same setting."""
    found, file = paired(runs, against), Path(folder) / FILE
    if file.exists():
        kept = pd.read_csv(file, keep_default_na=False)
        found = pd.concat([kept[~kept["variant"].isin(found["variant"])], found])
    write_csv(found.round({"value": 6, "against": 6}), file)
    return file
