"""Skill: how far a system goes from the most frequent label to the best reader.

An accuracy says little of a question that most patients answer alike, and levels of one
task cannot be set beside those of another. The share of what there is to be told can.
"""

import numpy as np
import pandas as pd

from deepicd.evaluation.best_reader import answers_at
from deepicd.evaluation.counts import ratios, roll_up
from deepicd.evaluation.intervals import paired_bootstrap, score_interval
from deepicd.evaluation.resampling import bootstrap, group_numbers, mean_over_seeds
from deepicd.evaluation.systems import Cases

SKILL = "skill"
MAJORITY = "prior"


def skill_table(
    cases: Cases,
    tree,
    oracle: pd.DataFrame | None = None,
    level: str | None = None,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Share of the way from the most frequent label to the best answers.

    Accuracy above that of the most frequent label of training, divided by what the
    best possible reader is above it: 0 for who says the same to everybody, 1 for who
    tells all that a note tells, below 0 for who does worse than a constant.

    Parameters
    ----------
    cases : Cases
        With the system "prior".
    tree : LabelSpace
    oracle : DataFrame, optional
        As of `best_reader.oracle_metrics`. Without it the way ends where every answer
        is right.
    level : str, optional
        Default: the finest.
    n_boot, seed : int
        Resamples of patients for the intervals.

    Returns
    -------
    pandas.DataFrame
        Columns system, level, metric, value, low, high, n. Where the best answers are
        not clearly above the most frequent label there is nothing to tell, and the
        value is missing.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> gold = ["I10", "I10", "I10", "J18.9"] * 20
    >>> notes = pd.DataFrame({"note_id": range(80), "subject_id": range(80),
    ...                       "label": gold})
    >>> answers = {"prior": {0: ["I10"] * 80}, "sft": {0: ["I10"] * 60 + gold[60:]}}
    >>> made = skill_table(Cases(notes, answers, {}), load_tree(), n_boot=50)
    >>> made[["system", "value"]].values.tolist()
    [['sft', 0.25]]
    """
    level = level or tree.levels[-1]
    gold = roll_up(cases.gold, level, tree)
    groups = group_numbers(cases.patients, len(gold))
    floor, best = cases.seeds(MAJORITY)[0], cases.gold
    if oracle is not None:
        best = answers_at(cases, oracle, level, tree)
    told = paired_bootstrap(
        cases.gold, best, floor, cases.patients, level, n_boot, seed, "accuracy", tree
    )

    def right(answers) -> np.ndarray:
        return (roll_up(answers, level, tree) == gold).astype(float)

    way = right(best) - right(floor)
    rows = []
    for system in cases.answers:
        if system == MAJORITY:
            continue
        ends = (np.nan, np.nan, np.nan)
        if told.low > 0:
            gone = [right(answers) - right(floor) for answers in cases.seeds(system)]
            ends = _interval([(one, way) for one in gone], groups, n_boot, seed)
        rows.append((system, level, SKILL, *ends, len(gold)))
    columns = ["system", "level", "metric", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns)


def _interval(parts, groups, n_boot: int, seed: int) -> tuple[float, float, float]:
    made = [ratios({SKILL: part}, groups) for part in parts]
    points, draws, shifts = (
        found[:, 0] for found in bootstrap(made, [SKILL], n_boot, seed)
    )
    found = score_interval(
        points.mean(),
        mean_over_seeds(draws, seed),
        mean_over_seeds(shifts, seed),
        len(groups),
        made[0].weights(SKILL),
        np.inf,
    )
    return found.value, found.low, found.high
