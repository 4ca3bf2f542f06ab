"""Scores and calibration of several samples a note."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from deepicd.common.progress import counted
from deepicd.evaluation.abstaining import (
    KEYS,
    drawn_samples,
    judged,
    patients_of,
    percentiles,
)
from deepicd.evaluation.counts import ratios, roll_up
from deepicd.evaluation.intervals import difference_interval, score_interval
from deepicd.evaluation.resampling import bootstrap, group_numbers
from deepicd.evaluation.systems import DESCRIBED, described

BINS = 10


def reliability(
    samples: pd.DataFrame,
    admissions: pd.DataFrame,
    tree,
    levels: Sequence[str] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How often the majority answer is right where so many samples agree.

    Returns
    -------
    pandas.DataFrame
        Columns system, level, agreement (mean of the bin), value (share right),
        low, high, n; one row a bin of width 0.1, pooled over seeds.
    """
    columns = ["system", "level", "agreement", "value", "low", "high", "n"]
    drawn, rows = drawn_samples(samples), []
    levels = levels or tree.shown
    for level in counted(levels if len(drawn) else (), "levels: calibration"):
        table = judged(drawn, admissions, level, tree)
        for (system, _), part in table.groupby(
            ["system", in_bins(table["agreement"])], sort=True
        ):
            found = mean_interval(part["right"], part["patient"], n_boot, seed)
            rows.append(
                (
                    system,
                    level,
                    part["agreement"].mean(),
                    found.value,
                    found.low,
                    found.high,
                    len(part),
                )
            )
    return pd.DataFrame(rows, columns=columns)


def in_bins(agreement) -> np.ndarray:
    """Number of the bin of each confidence from 0 to 1.

    >>> in_bins([0.0, 0.1, 1.0]).tolist()
    [0, 1, 9]
    """
    return np.minimum((np.asarray(agreement) * BINS + 1e-9).astype(int), BINS - 1)


def sample_scores(
    samples: pd.DataFrame,
    admissions: pd.DataFrame,
    tree,
    levels: Sequence[str] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores that need several samples, with 95 % intervals over patients.

    `one_sample`: a drawn sample is right, on average. `pass_at_k`: at least one of
    the k samples is. `majority`: the label that most samples give is. `ece`: mean
    gap between agreement and accuracy.

    Returns
    -------
    pandas.DataFrame
        Columns system, level, metric, value, low, high, n, samples.
    """
    columns = ["system", "level", "metric", "value", "low", "high", "n", "samples"]
    drawn, rows = drawn_samples(samples), []
    levels = levels or tree.shown
    notes = admissions.set_index("note_id")
    for level in counted(levels if len(drawn) else (), "levels: scoring samples"):
        own = _with_right(drawn, notes, level, tree)
        passed = own.groupby(KEYS, sort=False)["right"].agg(["mean", "max", "size"])
        table = judged(drawn, admissions, level, tree).merge(passed, on=KEYS)
        for system, part in table.groupby("system", sort=False):
            k = int(part["size"].max())
            found = {
                name: mean_interval(part[column], part["patient"], n_boot, seed)
                for name, column in (
                    ("one_sample", "mean"),
                    ("pass_at_k", "max"),
                    ("majority", "right"),
                )
            }
            rows += [
                (system, level, name, x.value, x.low, x.high, len(part), k)
                for name, x in found.items()
            ]
            asked = (part["agreement"], part["right"], part["patient"], n_boot, seed)
            error = calibration_error(*asked)
            rows.append((system, level, "ece", *error, len(part), k))
    return pd.DataFrame(rows, columns=columns)


def sample_differences(
    samples: pd.DataFrame,
    admissions: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    tree,
    levels: Sequence[str] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How much oftener a drawn answer of a is right than one of b, note by note.

    A greedy answer hides what training does to the rest of the distribution: a
    policy that is sure of itself answers alike with and without a temperature.

    Parameters
    ----------
    samples : pandas.DataFrame
        Predictions; rows with sample 0 (greedy) are left out.
    pairs : sequence of (str, str)
        Systems a and b; pairs without drawn answers on both sides are left out.

    Returns
    -------
    pandas.DataFrame
        Columns a, b, level, metric (one_sample) and `systems.DESCRIBED`; 95 %
        intervals over patients, samples and seeds averaged.
    """
    drawn, rows = drawn_samples(samples), []
    levels = levels or tree.shown
    notes = admissions.set_index("note_id")
    known = set(drawn["system"])
    for level in counted(levels, "levels: comparing samples"):
        right = _with_right(drawn, notes, level, tree)
        share = right.pivot_table(index="note_id", columns="system", values="right")
        for a, b in pairs:
            if not {a, b} <= known:
                continue
            gap = (share[a] - share[b]).dropna()
            found = mean_interval(
                gap, patients_of(gap.index, notes), n_boot, seed, paired=True
            )
            rows.append((a, b, level, "one_sample", *described(found)))
    return pd.DataFrame(rows, columns=["a", "b", "level", "metric", *DESCRIBED])


def _with_right(drawn: pd.DataFrame, notes: pd.DataFrame, level: str, tree):
    """Each drawn answer with whether it is right at a level."""
    truth = roll_up(notes["label"].reindex(drawn["note_id"]), level, tree)
    return drawn.assign(right=roll_up(drawn["code"], level, tree) == truth)


def mean_interval(values, patients, n_boot: int, seed: int, paired: bool = False):
    """Mean of a value from 0 to 1 a note, or of a difference of two such.

    Returns
    -------
    deepicd.evaluation.intervals.Interval
        95 %, over patients.
    """
    values, groups = np.asarray(values, float), group_numbers(patients, len(values))
    counts = ratios({"mean": (values, np.ones(len(values)))}, groups)
    points, draws, shifts = (
        x[0, 0] for x in bootstrap([counts], ["mean"], n_boot, seed)
    )
    weights = counts.weights("mean")
    if not paired:
        return score_interval(points, draws, shifts, len(values), weights)
    effects = np.bincount(groups, values) / len(values)
    return difference_interval(points, draws, shifts, len(values), effects, weights)


def calibration_error(
    chances, right, patients, n_boot: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean gap between a confidence and the share right (ECE).

    Returns
    -------
    (float, float, float)
        With the percentiles of its bootstrap; it is biased upwards by noise.
    """
    gaps = np.asarray(right, float) - np.asarray(chances, float)
    return percentiles(
        pd.DataFrame({"patient": np.asarray(patients)}),
        in_bins(chances),
        [gaps, np.ones(len(gaps))],
        n_boot,
        seed,
        lambda gaps, cases: np.abs(gaps).sum(0) / cases.sum(0),
    )
