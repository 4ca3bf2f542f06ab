"""How well probabilities of labels that have an order rank the notes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from deepicd.common.progress import counted
from deepicd.evaluation.abstaining import drawn_samples
from deepicd.evaluation.counts import roll_up
from deepicd.evaluation.intervals import score_interval
from deepicd.evaluation.metrics import WHOLE
from deepicd.evaluation.resampling import group_numbers, weight_blocks
from deepicd.evaluation.systems import OVERALL, Cases

AUROC = "auroc"


def auroc(
    gold: Sequence,
    shares: np.ndarray,
    labels: Sequence[str],
    groups: Sequence | None = None,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """Area under the ROC curve of each label against the rest, and its mean.

    Parameters
    ----------
    gold : sequence of str, length n
    shares : array, shape (n, labels)
        Probability of each label, or the share of samples that named it.
    labels : sequence of str
    groups : sequence, length n, optional
        Patient of each case; patients are resampled.
    n_boot, seed : int

    Returns
    -------
    pandas.DataFrame
        Columns label ("macro" last: the mean), value, low, high, n (cases of the
        label). Labels without a case, or without another's, are left out.

    Examples
    --------
    >>> found = auroc(["a", "a", "b"], [[0.9, 0.1], [0.4, 0.6], [0.6, 0.4]], "ab",
    ...               n_boot=0)
    >>> found[["label", "value", "n"]].values.tolist()
    [['a', 0.5, 2], ['b', 0.5, 1], ['macro', 0.5, 3]]
    """
    gold, shares = np.asarray(gold, dtype=object), np.asarray(shares, dtype=float)
    which = [
        i for i, label in enumerate(labels) if 0 < (gold == label).sum() < len(gold)
    ]
    numbers = group_numbers(groups, len(gold))
    points = _areas(gold, shares, labels, which, None)
    draws = [
        _areas(gold, shares, labels, which, weights[numbers])
        for block in weight_blocks(int(numbers.max()) + 1, n_boot, seed)
        for weights in block.T
    ]
    draws = np.array(draws).reshape(-1, len(points))
    names = [*(labels[i] for i in which), "macro"]
    sizes = [*((gold == labels[i]).sum() for i in which), len(gold)]
    of_group = np.bincount(numbers).astype(float)
    rows = []
    for name, n, value, drawn in zip(names, sizes, points, draws.T, strict=True):
        drawn = drawn[np.isfinite(drawn)]
        found = score_interval(value, drawn, drawn - value, int(n), of_group)
        rows.append((name, found.value, found.low, found.high, int(n)))
    return pd.DataFrame(rows, columns=["label", "value", "low", "high", "n"])


def _areas(gold, shares, labels, which, weights) -> np.ndarray:
    """Area of each label, then their mean; nan where a resample lacks one side."""
    found = []
    for i in which:
        own = gold == labels[i]
        sides = [True, True] if weights is None else [weights[own], weights[~own]]
        whole = all(np.sum(side) > 0 for side in sides)
        found.append(
            roc_auc_score(own, shares[:, i], sample_weight=weights) if whole else np.nan
        )
    return np.array([*found, np.mean(found) if found else np.nan])


def auroc_table(
    cases: Cases,
    predictions: pd.DataFrame,
    tree,
    best: pd.DataFrame | None = None,
    n_boot: int = 200,
    seed: int = 0,
) -> pd.DataFrame:
    """`auroc` of every system, as rows of metrics.parquet.

    A system ranks the notes by the probabilities that its predictions hold (column
    shares); else by the share of its drawn answers that name a label; with one answer a
    note there is nothing between yes and no. The column label_set says which.

    Parameters
    ----------
    cases : systems.Cases
    predictions : pandas.DataFrame
        Of all systems, as `systems.gather` takes them.
    best : pandas.DataFrame, optional
        Answers of the best possible reader, with their shares.

    Returns
    -------
    pandas.DataFrame
        Columns of `systems.metrics_table`; metric "auroc" is the mean over the labels,
        "auroc, LABEL" that of one.
    """
    ids, tables = cases.notes["note_id"], []
    found = {
        system: shares_of(predictions[predictions["system"] == system], ids, tree)
        for system in cases.answers
    }
    if best is not None:
        known = best.set_index("note_id")["shares"].reindex(ids)
        found["oracle"] = np.stack(known.to_list()), "probabilities"
    for system, (shares, told_by) in counted(found.items(), "ranking systems"):
        table = auroc(cases.gold, shares, tree.order, cases.patients, n_boot, seed)
        names = [AUROC if x == "macro" else f"{AUROC}, {x}" for x in table["label"]]
        seeds = "+".join(map(str, cases.answers.get(system, "-")))
        tables.append(
            table.drop(columns="label").assign(
                system=system,
                seed=seeds,
                level=WHOLE,
                stratum=OVERALL,
                metric=names,
                label_set=f"by {told_by}",
            )
        )
    return pd.concat(tables, ignore_index=True)


def shares_of(own: pd.DataFrame, note_ids: Sequence, tree) -> tuple[np.ndarray, str]:
    """Share of each label by one system, and what tells it; mean over seeds."""
    own = own[own["note_id"].isin(note_ids)]
    known = own[own["shares"].notna()] if "shares" in own else own[:0]
    if len(known):
        table = pd.DataFrame(known["shares"].to_list(), known["note_id"])
        return table.groupby(level=0).mean().loc[note_ids].to_numpy(), "probabilities"
    drawn = drawn_samples(own)
    told_by = f"{drawn['sample'].nunique()} drawn answers" if len(drawn) else "answers"
    return sample_shares(drawn if len(drawn) else own, note_ids, tree), told_by


def sample_shares(samples: pd.DataFrame, note_ids: Sequence, tree) -> np.ndarray:
    """Share of the answers of one system that name each label.

    Parameters
    ----------
    samples : pandas.DataFrame
        Columns note_id, code; every row is one answer.
    note_ids : sequence
        Rows of the result; a note without answers has zeros.
    tree : LabelSpace
        Its order gives the columns.

    Examples
    --------
    >>> from deepicd.tasks.length_of_stay import BINS, Stays
    >>> rows = pd.DataFrame({"note_id": "a", "code": [BINS[0], BINS[0], BINS[1], None]})
    >>> sample_shares(rows, ["a", "b"], Stays()).tolist()
    [[0.5, 0.25, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    """
    label = roll_up(samples["code"], tree.levels[-1], tree)
    named = samples[["note_id"]].assign(label=label)
    counts = named.value_counts().unstack(fill_value=0)
    sizes = named.groupby("note_id").size()
    shares = counts.div(sizes.reindex(counts.index), axis=0)
    shares = shares.reindex(index=list(note_ids), columns=list(tree.order))
    return shares.fillna(0.0).to_numpy()
