"""Answers with a confidence: when several samples agree, and when to abstain.

The share of samples that agree at a level is the confidence at that level: a model
may be sure of the chapter and unsure of the code.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from deepicd.scores import roll_up


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
    keys = ["system", "seed", "note_id"]
    rows = samples[keys].assign(label=roll_up(samples["code"], level, tree))
    sizes = rows.groupby(keys, sort=False).size().rename("samples")
    counts = rows.dropna(subset=["label"]).groupby([*keys, "label"]).size()
    counts = counts.rename("count").reset_index()
    best = counts.sort_values(["count", "label"], ascending=[False, True])
    best = best.drop_duplicates(keys).set_index(keys)
    table = sizes.to_frame().join(best)
    table["agreement"] = (table["count"] / table["samples"]).fillna(0.0)
    table["label"] = table["label"].astype(object).where(table["label"].notna(), None)
    return table.reset_index()[[*keys, "label", "agreement"]]


def risk_coverage(samples: pd.DataFrame, admissions: pd.DataFrame, tree,
                  levels: Sequence[str] = ("chapter", "category", "full"),
                  ) -> pd.DataFrame:
    """Error among the answered notes, from the most certain note to all of them.

    Parameters
    ----------
    samples : pandas.DataFrame
        Predictions; rows with sample 0 (greedy) are left out. Systems with fewer
        than two drawn samples a note are left out.
    admissions : pandas.DataFrame
        Columns note_id, icd_code.

    Returns
    -------
    pandas.DataFrame
        Columns system, level, agreement, coverage, risk: one row for each distinct
        agreement, pooled over seeds. Empty where no system has samples.
    """
    columns = ["system", "level", "agreement", "coverage", "risk"]
    drawn = samples[samples["sample"] > 0]
    sizes = drawn.groupby("system")["sample"].nunique()
    drawn = drawn[drawn["system"].isin(sizes[sizes > 1].index)]
    gold = admissions.set_index("note_id")["icd_code"]
    rows = []
    for level in levels if len(drawn) else ():
        table = votes(drawn, level, tree)
        truth = roll_up(gold.reindex(table["note_id"]), level, tree)
        table["wrong"] = table["label"].to_numpy() != truth
        for system, part in table.groupby("system", sort=False):
            rows += [(system, level, *point) for point in _curve(part)]
    return pd.DataFrame(rows, columns=columns)


def _curve(part: pd.DataFrame):
    steps = part.groupby("agreement")["wrong"].agg(["sum", "size"])[::-1].cumsum()
    coverage, risk = steps["size"] / len(part), steps["sum"] / steps["size"]
    return zip(steps.index, coverage, risk, strict=True)


def automated_share(curve: pd.DataFrame, error: float) -> pd.DataFrame:
    """Largest share of notes that can be answered with at most this error.

    Parameters
    ----------
    curve : pandas.DataFrame
        From `risk_coverage`.
    error : float
        Accepted error among the answered notes, 0 to 1.

    Examples
    --------
    >>> curve = pd.DataFrame({"system": "sft", "level": "full",
    ...                       "coverage": [0.4, 1.0], "risk": [0.05, 0.3]})
    >>> automated_share(curve, 0.1)["share"].tolist()
    [0.4]
    """
    kept = curve.assign(share=np.where(curve["risk"] <= error, curve["coverage"], 0.0))
    return kept.groupby(["system", "level"], sort=False)["share"].max().reset_index()
