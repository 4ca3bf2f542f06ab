"""How good a verifier is: faults that it sees, steps it tells apart, calibration."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from deepicd.evaluation.abstaining import patients_of
from deepicd.evaluation.calibration import calibration_error, in_bins, mean_interval
from deepicd.evaluation.resampling import group_numbers, weight_blocks
from deepicd.tasks.steps import KINDS

RESAMPLES = 200  # of an area under the curve


def gold_chosen(
    planted: pd.DataFrame,
    admissions: pd.DataFrame,
    scores: Sequence[str],
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How often a good trace is chosen against its faulty version, by kind of fault.

    Parameters
    ----------
    planted : DataFrame
        Of `deepicd.traces.planted`, with the scores as columns.
    admissions : DataFrame
        Gives the patient of each note.
    scores : sequence of str
        Columns that choose; equal scores count half.

    Returns
    -------
    DataFrame
        Columns score, fault ("all" for all kinds), value, low, high, n.
    """
    good = planted[planted["fault"] == "none"].set_index("note_id")
    bad = planted[planted["fault"] != "none"]
    people = patients_of(bad["note_id"], admissions.set_index("note_id"))
    rows = []
    for score in scores:
        gap = good[score].reindex(bad["note_id"]).to_numpy() - bad[score].to_numpy()
        chosen = (gap > 0) + 0.5 * (gap == 0)
        for fault in (*dict.fromkeys(bad["fault"]), "all"):
            own = (bad["fault"] == fault).to_numpy() | (fault == "all")
            one = mean_interval(chosen[own], people[own], n_boot, seed)
            rows.append((score, fault, one.value, one.low, one.high, int(own.sum())))
    return pd.DataFrame(rows, columns=["score", "fault", "value", "low", "high", "n"])


def long_steps(labelled: pd.DataFrame) -> pd.DataFrame:
    """One row a step: note_id, kind, chance, right.

    Parameters
    ----------
    labelled : DataFrame
        Columns note_id and, as lists of one entry a step, kinds, steps (scores) and
        right.

    Examples
    --------
    >>> rows = {"note_id": ["a"], "kinds": [["code"]], "steps": [[0.9]],
    ...         "right": [[True]]}
    >>> long_steps(pd.DataFrame(rows)).values.tolist()
    [['a', 'code', 0.9, True]]
    """
    names = ["kinds", "steps", "right"]
    long = labelled[["note_id", *names]].explode(names).dropna(subset=["steps"])
    long = long.rename(columns={"kinds": "kind", "steps": "chance"})
    return long.astype({"chance": float, "right": bool}).reset_index(drop=True)


def step_auc(
    steps: pd.DataFrame, admissions: pd.DataFrame, seed: int = 0
) -> pd.DataFrame:
    """Area under the ROC curve of step scores, by kind of step.

    Parameters
    ----------
    steps : DataFrame
        Of `long_steps`.

    Returns
    -------
    DataFrame
        Columns kind ("all" for all kinds), value, low, high (percentiles over
        patients), n, wrong (share); kinds of which all steps are right or all wrong
        are left out.
    """
    people = patients_of(steps["note_id"], admissions.set_index("note_id"))
    rows = []
    for kind in (*(k for k in KINDS if k in set(steps["kind"])), "all"):
        own = (steps["kind"] == kind).to_numpy() | (kind == "all")
        right = steps["right"][own].to_numpy()
        chance = steps["chance"][own].to_numpy()
        if right.all() or not right.any():
            continue
        groups = group_numbers(people[own], len(right))
        blocks = weight_blocks(groups.max() + 1, RESAMPLES, seed)
        drawn = np.concatenate([areas(right, chance, b[groups]) for b in blocks])
        low, high = np.nanquantile(drawn, [0.025, 0.975])
        value = areas(right, chance, np.ones((len(right), 1)))[0]
        rows.append((kind, value, low, high, len(right), 1 - right.mean()))
    return pd.DataFrame(rows, columns=["kind", "value", "low", "high", "n", "wrong"])


def areas(right: np.ndarray, chance: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of weighted steps, for many weightings at once.

    Parameters
    ----------
    right, chance : arrays, shape (steps,)
    weights : array, shape (steps, weightings)

    Returns
    -------
    array, shape (weightings,)
        nan where a weighting holds right or wrong steps alone. Ties count half.

    Examples
    --------
    >>> right, chance = np.array([True, False, True]), np.array([0.9, 0.5, 0.5])
    >>> areas(right, chance, np.ones((3, 1))).tolist()
    [0.75]
    """
    _, ties = np.unique(chance, return_inverse=True)
    good, bad = np.zeros((2, ties.max() + 1, weights.shape[1]))
    np.add.at(good, ties[right], weights[right])
    np.add.at(bad, ties[~right], weights[~right])
    below = bad.cumsum(0) - bad
    with np.errstate(invalid="ignore"):
        return (good * (below + bad / 2)).sum(0) / (good.sum(0) * bad.sum(0))


def reliability_of(
    chances, right, people, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """How often what gets a probability is right, in bins of width 0.1.

    Returns
    -------
    DataFrame
        Columns chance (mean of the bin), value, low, high, n.
    """
    table = pd.DataFrame({"chance": chances, "right": right, "who": people})
    rows = []
    for _, part in table.groupby(in_bins(table["chance"])):
        one = mean_interval(part["right"].astype(float), part["who"], n_boot, seed)
        rows.append((part["chance"].mean(), one.value, one.low, one.high, len(part)))
    return pd.DataFrame(rows, columns=["chance", "value", "low", "high", "n"])


def steps_table(
    parts: dict[str, pd.DataFrame],
    admissions: pd.DataFrame,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How well steps are told apart, and how honest their probabilities are.

    Parameters
    ----------
    parts : dict of str to DataFrame
        By source, labelled and scored completions: see `long_steps`.

    Returns
    -------
    DataFrame
        Columns source, what ("auc" by kind of step; "calibration" by bin; "ece"),
        kind, chance, value, low, high, n.
    """
    tables, known = [], admissions.set_index("note_id")
    for source, labelled in parts.items():
        steps = long_steps(labelled)
        people = patients_of(steps["note_id"], known)
        asked = (steps["chance"], steps["right"], people, n_boot, seed)
        area = step_auc(steps, admissions, seed).assign(what="auc", source=source)
        bins = reliability_of(*asked).assign(what="calibration", source=source)
        error = dict(
            zip(("value", "low", "high"), calibration_error(*asked), strict=True)
        )
        ece = pd.DataFrame([error | {"what": "ece", "source": source, "n": len(steps)}])
        tables += [area, bins, ece]
    columns = ["source", "what", "kind", "chance", "value", "low", "high", "n"]
    return pd.concat(tables, ignore_index=True)[columns]
