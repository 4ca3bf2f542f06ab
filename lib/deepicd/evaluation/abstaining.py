"""Answers with a confidence: when several samples agree, and when to abstain.

The share of samples that agree at a level is the confidence at that level: a model
may be sure of the chapter and unsure of the code.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from deepicd.common.progress import counted
from deepicd.evaluation.counts import roll_up
from deepicd.evaluation.intervals import widened
from deepicd.evaluation.resampling import group_numbers, weight_blocks

KEYS = ["system", "seed", "note_id"]


def drawn_samples(predictions: pd.DataFrame) -> pd.DataFrame:
    """Drawn answers (not the greedy one) of systems with at least two a note."""
    drawn = predictions[predictions["sample"] > 0]
    sizes = drawn.groupby("system")["sample"].nunique()
    return drawn[drawn["system"].isin(sizes[sizes > 1].index)]


def votes(samples: pd.DataFrame, level: str, tree) -> pd.DataFrame:
    """Majority label of each note at a level and the share of samples behind it.

    Parameters
    ----------
    samples : pandas.DataFrame
        Columns system, seed, note_id, code; every row is one sample.
    level : str
    tree : deepicd.icd.IcdTree

    Returns
    -------
    pandas.DataFrame
        Columns system, seed, note_id, label (None where no sample could be read),
        agreement. Samples that could not be read count against agreement.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> rows = pd.DataFrame({"system": "sft", "seed": 0, "note_id": "a",
    ...                      "code": ["I21.11", "I21.9", None]})
    >>> votes(rows, "category", load_tree()).values.tolist()
    [['sft', 0, 'a', 'I21', 0.6666666666666666]]
    """
    rows = samples[KEYS].assign(label=roll_up(samples["code"], level, tree))
    sizes = rows.groupby(KEYS, sort=False).size().rename("samples")
    counts = rows.dropna(subset=["label"]).groupby([*KEYS, "label"]).size()
    counts = counts.rename("count").reset_index()
    best = counts.sort_values(["count", "label"], ascending=[False, True])
    best = best.drop_duplicates(KEYS).set_index(KEYS)
    table = sizes.to_frame().join(best)
    table["agreement"] = (table["count"] / table["samples"]).fillna(0.0)
    table["label"] = table["label"].astype(object).where(table["label"].notna(), None)
    return table.reset_index()[[*KEYS, "label", "agreement"]]


def judged(
    samples: pd.DataFrame, admissions: pd.DataFrame, level: str, tree
) -> pd.DataFrame:
    """`votes` with whether the majority label is right, and the patient."""
    table = votes(samples, level, tree)
    notes = admissions.set_index("note_id")
    truth = roll_up(notes["label"].reindex(table["note_id"]), level, tree)
    patients = patients_of(table["note_id"], notes)
    return table.assign(right=table["label"].to_numpy() == truth, patient=patients)


def patients_of(note_ids, notes: pd.DataFrame) -> np.ndarray:
    """Patient of each note; where patients are not known, every note is its own.

    Parameters
    ----------
    note_ids : sequence of str
    notes : pandas.DataFrame
        Admissions by note_id, with subject_id where it is known.
    """
    if "subject_id" not in notes:
        return np.asarray(note_ids)
    return notes["subject_id"].reindex(note_ids).to_numpy()


def risk_coverage(
    samples: pd.DataFrame,
    admissions: pd.DataFrame,
    tree,
    levels: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Error among the answered notes, from the most certain note to all of them.

    Parameters
    ----------
    samples : pandas.DataFrame
        Predictions; rows with sample 0 (greedy) are left out. Systems with fewer
        than two drawn samples a note are left out.
    admissions : pandas.DataFrame
        Columns note_id, label.

    Returns
    -------
    pandas.DataFrame
        Columns system, level, agreement, coverage, risk, n: one row for each
        distinct agreement, pooled over seeds. Empty where no system has samples.
    """
    columns = ["system", "level", "agreement", "coverage", "risk", "n"]
    drawn = drawn_samples(samples)
    rows = []
    for level in (levels or tree.shown) if len(drawn) else ():
        table = judged(drawn, admissions, level, tree)
        for system, part in table.groupby("system", sort=False):
            rows += [(system, level, *point, len(part)) for point in curve(part)]
    return pd.DataFrame(rows, columns=columns)


def curve(part: pd.DataFrame):
    """Points (agreement, coverage, risk) from the most certain note to all of them.

    Parameters
    ----------
    part : pandas.DataFrame
        Columns agreement (any confidence), right.
    """
    wrong = part.assign(wrong=~part["right"])
    steps = wrong.groupby("agreement")["wrong"].agg(["sum", "size"])[::-1].cumsum()
    coverage, risk = steps["size"] / len(part), steps["sum"] / steps["size"]
    return zip(steps.index, coverage, risk, strict=True)


def automated_share(
    samples: pd.DataFrame,
    admissions: pd.DataFrame,
    tree,
    error: float,
    levels: Sequence[str] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Largest share of notes that can be answered with at most this error.

    The threshold of agreement is chosen on the notes it is judged on, anew in every
    resample: for a share to promise, choose it on validation notes.

    Parameters
    ----------
    samples, admissions, tree, levels
        As in `risk_coverage`.
    error : float
        Accepted error among the answered notes, 0 to 1.
    n_boot, seed : int
        Resamples of patients for the interval (percentiles), and random seed.

    Returns
    -------
    pandas.DataFrame
        Columns system, level, value, low, high, n.
    """
    columns = ["system", "level", "value", "low", "high", "n"]
    drawn, rows = drawn_samples(samples), []
    levels = levels or tree.shown
    for level in counted(levels if len(drawn) else (), "levels: abstaining"):
        table = judged(drawn, admissions, level, tree)
        for system, part in table.groupby("system", sort=False):
            found = answered_share(part, error, n_boot, seed)
            rows.append((system, level, *found, len(part)))
    return pd.DataFrame(rows, columns=columns)


def answered_share(
    part: pd.DataFrame, error: float, n_boot: int, seed: int
) -> tuple[float, float, float]:
    """Largest share of notes with at most this error, and its percentiles.

    Parameters
    ----------
    part : pandas.DataFrame
        Columns agreement (any confidence), right, patient.
    """
    steps = np.unique(-part["agreement"], return_inverse=True)[1]
    return percentiles(
        part,
        steps,
        [~part["right"], np.ones(len(part))],
        n_boot,
        seed,
        lambda wrong, cases: _share(wrong, cases, error),
    )


def _share(wrong: np.ndarray, cases: np.ndarray, error: float) -> np.ndarray:
    """Largest coverage with at most this risk; steps from the surest, (steps, b)."""
    wrong, cases = wrong.cumsum(0), cases.cumsum(0)
    allowed = wrong <= error * cases + 1e-9
    return np.where(allowed, cases, 0.0).max(0) / cases[-1]


def percentiles(
    part: pd.DataFrame, steps: np.ndarray, values, n_boot: int, seed: int, score
) -> tuple[float, float, float]:
    """A share of sums by step, and its percentiles over resamples of patients.

    `score` takes one array of shape (steps, b) for each of `values`. Where the
    resamples see too few patients, the exact limits are inside too.
    """
    groups = group_numbers(part["patient"], len(part))
    shape = (int(steps.max()) + 1, int(groups.max()) + 1)
    sums = [
        sparse.csr_array((np.asarray(v, np.float32), (steps, groups)), shape=shape)
        for v in values
    ]
    whole = score(*(np.asarray(x.sum(1)).reshape(-1, 1) for x in sums))
    if not n_boot:
        return float(whole[0]), np.nan, np.nan
    drawn = np.concatenate(
        [
            score(*(x @ block for x in sums))
            for block in weight_blocks(shape[1], n_boot, seed)
        ]
    )
    ends = np.quantile(drawn, [0.025, 0.975])
    low, high, _ = widened(whole[0], *ends, drawn, np.bincount(groups))
    return float(whole[0]), low, high
