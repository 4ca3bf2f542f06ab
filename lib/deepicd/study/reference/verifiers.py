"""What notebook 08 found of several seeds, for the reference and its page.

`python -m deepicd.study.reference verifiers RUN… --to outputs/reference/cpu` keeps it.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import write_csv
from deepicd.common.markdown import markdown_table
from deepicd.study.reference.scores import facts_of_seeds
from deepicd.study.runner.graph import VERIFY
from deepicd.views.figures.verifying import RULES
from deepicd.views.in_words import over_seeds

FILE = "verifiers.csv"
CHOSEN, _METRIC = "gold chosen", "gold_chosen_"
STEPS = {"step_auc": "area under the curve", "step_ece": "calibration error"}
COLUMNS = ["what", "rule", "of", "level", "answers", "n", "run_seed", "value"]
MINUS = {  # what a choice is compared with, and in words
    "majority": "the commonest one",
    "greedy": "the greedy one, which costs one answer",
}
TOP = f"""## Verifiers and the best of several answers

Notebook 08 of the runs above, kept by `python -m deepicd.study.reference verifiers \
RUN… --to outputs/reference/cpu` in [{FILE}]({FILE}); means over seeds in per cent \
with 95 % intervals over seeds, differences paired and in points. How often the good \
trace of a note is chosen and not one with a planted fault:"""
GAINS = """Accuracy of the answer that a rule chooses among N drawn ones, minus that \
of {than}:"""
JUDGED = """How well the process verifier tells right steps from wrong ones, on traces \
with planted faults and on the model's own answers as checks judge them:"""


def found_in(runs: Sequence[str | Path]) -> pd.DataFrame:
    """Read what notebook 08 of runs that differ in their seed has found.

    Parameters
    ----------
    runs : sequence of path-like
        With notebook 08 done; of one profile, data and set of parameters.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`; what is "gold chosen", "minus majority", "minus greedy",
        "step_auc" or "step_ece", of a kind of fault, of all, or where the steps are
        from.

    Raises
    ------
    UserError
        For private runs, runs without 08, of one seed, or of other settings.
    """
    runs = [Path(run) for run in runs]
    tables = [
        _one(run).assign(run_seed=facts["seed"])
        for run, facts in zip(runs, facts_of_seeds(runs), strict=True)
    ]
    return pd.concat(tables, ignore_index=True)[COLUMNS]


def _one(run: Path) -> pd.DataFrame:
    scores, gains = run / VERIFY / "metrics.parquet", run / VERIFY / "gains.csv"
    if not scores.exists():
        raise UserError(
            f"no scores of verifiers in {run}",
            "a run with notebook 08 done",
            "./run_all.sh with the same options",
        )
    table = pd.read_parquet(scores)
    chosen = table[table["metric"].str.startswith(_METRIC)]
    rules = chosen["metric"].str.removeprefix(_METRIC)
    chosen = chosen.assign(what=CHOSEN, rule=rules)
    steps = table[table["metric"].isin(STEPS)]
    steps = steps.assign(what=steps["metric"], rule="")
    gained = pd.read_csv(gains).rename(columns={"a": "rule"})
    gained = gained.assign(what="minus " + gained["b"], stratum="")
    both = pd.concat([chosen, gained, steps]).rename(columns={"stratum": "of"})
    return both.assign(answers=both["answers"].fillna(0).astype(int))


def verifier_tables(folder: Path) -> list[str]:
    """Paragraphs and tables in Markdown of what a reference keeps; none without it."""
    if not (Path(folder) / FILE).exists():
        return []
    found = pd.read_csv(Path(folder) / FILE, keep_default_na=False)
    chosen = found[found["what"] == CHOSEN]
    rules = list(dict.fromkeys(chosen["rule"]))
    head = [f"{found['run_seed'].nunique()} seeds, fault"]
    rows = [
        [of.replace("_", " ")]
        + [over_seeds(own.loc[own["rule"] == rule, "value"]) for rule in rules]
        for of, own in chosen.groupby("of", sort=False)
    ]
    parts = [TOP, markdown_table(head + [RULES[r].name for r in rules], rows)]
    for other, than in MINUS.items():
        gains = found[found["what"] == f"minus {other}"]
        parts += [GAINS.format(than=than), _gains(gains)]
    steps = found[found["what"].isin(STEPS)]
    rows = [
        [f"{of}, {STEPS[what]}", level, over_seeds(own["value"])]
        for (of, what, level), own in steps.groupby(["of", "what", "level"], sort=False)
    ]
    return [*parts, JUDGED, markdown_table(["steps", "kind", "per cent"], rows)]


def _gains(gains: pd.DataFrame) -> str:
    by = ["answers", "n", "level"]
    places = list(dict.fromkeys(gains[by].itertuples(index=False, name=None)))
    places.sort(key=lambda place: place[0])
    rows = []
    for rule, own in gains.groupby("rule", sort=False):
        at = own.groupby(by)["value"]
        told = [over_seeds(at.get_group(place), difference=True) for place in places]
        rows.append([RULES[rule].name, *told])
    heads = [f"best of {n}, {notes:,} notes, {level}" for n, notes, level in places]
    return markdown_table(["chosen by", *heads], rows)


def keep(runs: Sequence[str | Path], folder: str | Path) -> Path:
    """Write what 08 of these runs has found into a reference."""
    file = Path(folder) / FILE
    write_csv(found_in(runs).round({"value": 6}), file)
    return file
