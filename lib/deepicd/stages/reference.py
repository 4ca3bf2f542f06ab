"""Compare a run's scores with those of the reference run, or keep new ones."""

import shutil
from pathlib import Path

import pandas as pd
import yaml

from deepicd.errors import UserError
from deepicd.files import write_csv, write_text
from deepicd.stages.graph import EVALUATE

KEYS = ["system", "seed", "level", "stratum", "metric"]
TOLERANCES = "tolerances.yaml"
DEFAULT = {"default": 0.03}
WHY = """\
# How far a score may lie from the reference, by metric.
# Training on another processor sums in another order, which moves single answers.
"""


def compare(
    found: pd.DataFrame, wanted: pd.DataFrame, tolerances: dict
) -> pd.DataFrame:
    """Scores of a run beside the reference, and whether each is near enough.

    Parameters
    ----------
    found, wanted : DataFrame
        Columns ``system, seed, level, stratum, metric, value``.
    tolerances : dict
        Largest absolute difference by metric; ``default`` for the others.

    Returns
    -------
    DataFrame
        A row for each score of the reference: the keys, ``reference``, ``value``
        (missing where the run has none), ``difference``, ``tolerance``, ``ok``.

    Examples
    --------
    >>> row = dict(system="sft", seed=0, level="full", stratum="all", metric="accuracy")
    >>> wanted, found = (pd.DataFrame([row | {"value": v}]) for v in (0.70, 0.71))
    >>> compare(found, wanted, {"default": 0.02})["ok"].tolist()
    [True]
    """
    wanted = _keyed(wanted).rename(columns={"value": "reference"})
    both = wanted.merge(_keyed(found), on=KEYS, how="left")
    both["difference"] = both["value"] - both["reference"]
    limit = both["metric"].map(tolerances).fillna(tolerances.get("default", 0.0))
    both["tolerance"] = limit.astype(float)
    same = both["value"].isna() & both["reference"].isna()
    both["ok"] = (both["difference"].abs() <= both["tolerance"] + 1e-12) | same
    return both


def _keyed(frame: pd.DataFrame) -> pd.DataFrame:
    """Keys as text, because a CSV gives numbers and missing values other types."""
    return frame[[*KEYS, "value"]].astype({key: str for key in KEYS})


def check(plan) -> pd.DataFrame:
    """Compare the run of a plan with ``outputs/reference/<profile>``.

    Raises
    ------
    UserError
        When there is no reference, or the run has no scores yet.
    """
    folder = _folder(plan)
    reference = folder / "metrics.csv"
    if not reference.exists():
        raise UserError(
            found=f"no reference of profile {plan.profile.name} for data "
            f"{plan.options.data} ({reference})",
            expected="a reference run to compare with",
            do="./run_all.sh check --profile cpu, which has one",
        )
    tolerances = yaml.safe_load((folder / TOLERANCES).read_text(encoding="utf-8"))
    return compare(_scores(plan), pd.read_csv(reference), tolerances)


def _scores(plan) -> pd.DataFrame:
    file = plan.run_dir / EVALUATE / "metrics.parquet"
    if not file.exists():
        raise UserError(
            found=f"no scores in {plan.run_dir}",
            expected="a finished run",
            do=f"./run_all.sh --profile {plan.profile.name}, then check again",
        )
    return pd.read_parquet(file)


def keep(plan) -> Path:
    """Make the run of a plan the reference: its scores, figures and tolerances."""
    if plan.private:
        raise UserError(
            found="a run on private data",
            expected="public data for a reference that is committed",
            do="--data synthetic",
        )
    folder = _folder(plan)
    write_csv(_scores(plan), folder / "metrics.csv")
    if not (folder / TOLERANCES).exists():
        write_text(WHY + yaml.safe_dump(DEFAULT), folder / TOLERANCES)
    for file in sorted(plan.run_dir.glob("[0-9]*/figures/*")):
        if file.suffix in (".png", ".csv"):
            target = folder / "figures" / f"{file.parts[-3][:2]}_{file.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return folder


def _folder(plan) -> Path:
    name = plan.profile.name
    if plan.options.data != "synthetic":
        name += f"-{plan.options.data}"
    return plan.options.outputs / "reference" / name
