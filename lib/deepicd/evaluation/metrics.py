"""Scores of answers at every level of the ICD-10-CM tree, with intervals.

An answer that cannot be read, or names no code of the catalogue, is wrong and never
a class of its own. Macro scores are means over a frozen label set, by default the
labels present in the gold codes, the same for every system, and named in the result.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from deepicd.common.errors import UserError
from deepicd.evaluation.counts import (
    SCORES,
    as_seeds,
    check_lengths,
    gold_labels,
    label_set_at,
    ratios,
    roll_up,
    tally,
)
from deepicd.evaluation.intervals import score_interval
from deepicd.evaluation.ordered import KAPPA, OFF, confusion
from deepicd.evaluation.resampling import bootstrap, group_numbers, mean_over_seeds
from deepicd.icd.load import load_tree

FARTHEST = 14
"""Edges between codes of seven characters in two chapters."""
WHOLE = "all"
"""Level of scores that belong to no single level, such as the tree distance."""


def evaluate(
    gold: Sequence[str],
    predicted: Sequence,
    levels: Sequence[str] | None = None,
    tree=None,
    groups: Sequence | None = None,
    label_set: Mapping[str, Sequence[str]] | Sequence[str] | None = None,
    n_boot: int = 1000,
    seed: int = 0,
    well_formed: Sequence | None = None,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Score answers at each level of the tree, with 95 % bootstrap intervals.

    Parameters
    ----------
    gold : sequence of str, length n
    predicted : sequence of (str or None), length n, or several such, one per seed
        Codes in any spelling; None where the answer could not be read. With several
        seeds the value is their mean and the interval covers seeds and cases.
    levels : sequence of str, optional
        By default all of the space: chapter, block, category, full; then its aspects.
    tree : LabelSpace, optional
        By default the ICD-10-CM tree.
    groups : sequence, length n, optional
        Patient of each case; patients are resampled. Default: every case its own.
    label_set : mapping of level to labels, or labels where there is one level
        Labels of macro, micro and weighted scores, in any spelling; finer ones are
        rolled up. Default: those of `gold`.
    n_boot, seed : int
        Resamples (0 for no interval) and random seed.
    well_formed : sequence of bool, shape as `predicted`, optional
        Whether each answer could be read; adds the share well-formed.
    metrics : sequence of str, optional
        Only these of the scores; default all.

    Returns
    -------
    pandas.DataFrame
        Columns level, metric, value, low, high, n, label_set. Level "all" holds
        what belongs to no level: hierarchical precision, recall and F1 over
        ancestors (Kiritchenko et al. 2006), tree distance, share in the catalogue;
        for labels with an order `bins_off` and `quadratic_kappa`.

    Raises
    ------
    UserError
        Where lengths differ, a gold code is not in the tree, a level is unknown or
        the label set is empty, lacks a level or holds what is no label.

    Examples
    --------
    >>> table = evaluate(["I21.11", "I10"], ["I21.19", None], n_boot=0)
    >>> table.query("metric == 'accuracy'")[["level", "value", "label_set"]]
           level  value         label_set
    0    chapter    0.5  gold-present (1)
    10     block    0.5  gold-present (2)
    20  category    0.5  gold-present (2)
    30      full    0.0  gold-present (2)
    """
    tree = tree or load_tree()
    levels = (*tree.levels, *tree.aspects) if levels is None else levels
    seeds = as_seeds(predicted)
    check_lengths(gold, *seeds)
    _check_levels(levels, tree)
    numbers = group_numbers(groups, len(gold))
    check_lengths(gold, numbers)
    rows = []
    for level in levels:
        labels, named = _labels(gold, level, tree, label_set)
        at_level = gold_labels(gold, level, tree)
        tallies = [
            tally(at_level, roll_up(codes, level, tree), labels, numbers)
            for codes in seeds
        ]
        rows += _rows(
            tallies, _chosen(SCORES, metrics), level, named, len(gold), n_boot, seed
        )
    if metrics is None or not set(metrics) <= set(SCORES):
        formed = [None] * len(seeds) if well_formed is None else as_seeds(well_formed)
        whole = [
            ratios(path_parts(gold, codes, tree, flags), numbers)
            for codes, flags in zip(seeds, formed, strict=True)
        ]
        names = _chosen(whole[0].names, metrics)
        rows += _rows(whole, names, WHOLE, "", len(gold), n_boot, seed)
    if tree.order:
        whole = [confusion(gold, codes, tree, numbers) for codes in seeds]
        names = _chosen(whole[0].names, metrics)
        most = len(tree.order) - 1
        rows += _rows(whole, names, WHOLE, "", len(gold), n_boot, seed, most)
    return pd.DataFrame(
        rows, columns=["level", "metric", "value", "low", "high", "n", "label_set"]
    )


def _check_levels(levels, tree) -> None:
    known = (*tree.levels, *tree.aspects)
    unknown = [level for level in levels if level not in known]
    if isinstance(levels, str) or unknown:
        raise UserError(
            f"levels {levels!r}",
            f"a list of {', '.join(known)}",
            "correct the spelling",
        )


def _chosen(names, metrics) -> list[str]:
    return [name for name in names if metrics is None or name in metrics]


def _labels(gold, level, tree, label_set) -> tuple[list[str], str]:
    labels = label_set_at(label_set, gold, level, tree)
    named = "gold-present" if label_set is None else "given"
    return labels, f"{named} ({len(labels)})"


def _rows(tallies, names, level, label_set, n, n_boot, seed, off=1) -> list[tuple]:
    if not names:
        return []
    most = {"tree_distance": FARTHEST, OFF: off, KAPPA: np.inf}
    points, draws, shifts = bootstrap(tallies, names, n_boot, seed)
    rows = []
    for j, name in enumerate(names):
        found = score_interval(
            points[:, j].mean(),
            mean_over_seeds(draws[:, j], seed),
            mean_over_seeds(shifts[:, j], seed),
            n,
            tallies[0].weights(name),
            most.get(name, 1.0),
        )
        rows.append((level, name, found.value, found.low, found.high, n, label_set))
    return rows


def path_parts(gold, predicted, tree, well_formed) -> dict:
    """Numerator and denominator, note by note, of every score that has no level."""
    shared, of_gold, of_answer = path_overlap(gold, predicted, tree)
    one = np.ones(len(shared))
    answered = of_answer > 0
    parts = {
        "hierarchical_precision": (shared, of_answer),
        "hierarchical_recall": (shared, of_gold),
        "hierarchical_f1": (2 * shared, of_gold + of_answer),
        "tree_distance": (_distance(shared, of_gold, of_answer), one),
        "in_catalogue": (answered, one),
        "billable": ([_billable(code, tree) for code in predicted], one),
    }
    if well_formed is not None:
        parts["well_formed"] = (np.asarray(list(well_formed), dtype=float), one)
    return parts


def _billable(code, tree) -> bool:
    return isinstance(code, str) and tree.is_billable(code)


def _distance(shared, of_gold, of_answer) -> np.ndarray:
    answer = np.where(of_answer > 0, of_answer, of_gold)
    return of_gold + answer - 2 * shared


def path_overlap(gold: Sequence[str], predicted: Sequence, tree=None):
    """Lengths of the shared path, the gold path and the answer's path.

    Returns
    -------
    shared, of_gold, of_answer : arrays, shape (n,)
        Nodes from the chapter down. No readable answer: 0 shared, 0 answered; its
        tree distance counts as an answer of the gold's depth in another chapter.

    Examples
    --------
    >>> [part.tolist() for part in path_overlap(["I21.11"], ["I21.9"])]
    [[3.0], [5.0], [4.0]]
    """
    tree = tree or load_tree()
    known: dict = {}
    counts = np.zeros((3, len(gold)))
    for i, pair in enumerate(zip(gold, predicted, strict=True)):
        pair = tuple(code if isinstance(code, str) else None for code in pair)
        if pair not in known:
            known[pair] = _overlap(*pair, tree)
        counts[:, i] = known[pair]
    return counts


def _overlap(gold: str, answer: str | None, tree) -> tuple[int, int, int]:
    normal = tree.normalise(answer) if answer else None
    depth = len(tree.path(gold))
    if normal is None:
        return 0, depth, 0
    return tree.lca_depth(gold, normal), depth, len(tree.path(normal))


def outcome_names(tree) -> tuple[str, ...]:
    """What may become of a case, from the best on.

    Examples
    --------
    >>> outcome_names(load_tree())[:5]
    ('exact', 'category', 'block', 'chapter', 'wrong')
    """
    levels = tree.levels[-2::-1]
    return ("exact", *levels, "wrong", "not in catalogue", "malformed")


def outcomes(
    gold: Sequence[str],
    predicted: Sequence,
    tree=None,
    well_formed: Sequence | None = None,
) -> np.ndarray:
    """Decide by rule what became of each case: one of `outcome_names`.

    Parameters
    ----------
    gold, predicted : sequences of length n
    well_formed : sequence of bool, length n, optional
        Tells an answer that names no code of the catalogue from an unreadable one
        where `predicted` is None for both. Default: None is unreadable.

    Returns
    -------
    numpy.ndarray of str, shape (n,)

    Examples
    --------
    >>> outcomes(["I21.11"] * 5, ["i2111", "I21.9", "I10", "X99", None]).tolist()
    ['exact', 'category', 'chapter', 'wrong', 'malformed']
    """
    tree = tree or load_tree()
    check_lengths(gold, predicted)
    if well_formed is None:
        well_formed = [isinstance(code, str) for code in predicted]
    same = [
        roll_up(gold, level, tree) == roll_up(predicted, level, tree)
        for level in reversed(tree.levels)
    ]
    known = roll_up(predicted, tree.levels[0], tree) != np.array(None)
    readable = np.asarray(list(well_formed), dtype=bool)
    return np.select(
        [~readable, ~known, *same],
        ["malformed", "not in catalogue", *outcome_names(tree)[: len(same)]],
        default="wrong",
    )
