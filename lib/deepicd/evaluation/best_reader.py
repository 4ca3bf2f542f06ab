"""The best possible reader, where the corpus knows the probability of every code."""

from collections.abc import Sequence

import pandas as pd

from deepicd.common.progress import counted
from deepicd.evaluation.intervals import paired_bootstrap
from deepicd.evaluation.metrics import evaluate
from deepicd.evaluation.ordered import OFF
from deepicd.evaluation.systems import DESCRIBED, OVERALL, SCORED, Cases, described


def answers_at(cases: Cases, oracle: pd.DataFrame, level: str, tree) -> list:
    """A code of the most probable label of each note at a level, or None.

    The most probable chapter need not be that of the most probable code.
    """
    best = oracle.set_index("note_id").reindex(cases.notes["note_id"])
    known = sorted({*cases.gold, *oracle[tree.levels[-1]]})
    speaks = {tree.at(code, level): code for code in known}
    return [speaks.get(label) for label in best[level]]


def oracle_metrics(
    cases: Cases, oracle: pd.DataFrame, tree, n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Scores of the best possible answer, where the corpus knows it.

    Parameters
    ----------
    oracle : pandas.DataFrame
        Column note_id and one for each level and aspect of the space: the most probable
        label of each note there, given everything the note says. Where labels have an
        order also `middle`: the answer that is fewest steps off.

    Returns
    -------
    pandas.DataFrame
        Rows of system "oracle", columns as of `systems.metrics_table`. At each level
        the label of that level is scored, not the roll-up of the full code. Of the
        scores of ordered labels only `bins_off` is there: no one set of answers is
        known to reach the highest kappa.
    """
    given = cases.patients, None, n_boot, seed
    tables, judged = [], (*tree.levels, *tree.aspects)
    for level in counted(judged, "levels: scoring the best reader"):
        answers = answers_at(cases, oracle, level, tree)
        table = evaluate(cases.gold, answers, [level], tree, *given)
        tables.append(table[table["level"] == level])
    if tree.order:
        middle = oracle.set_index("note_id")["middle"].reindex(cases.notes["note_id"])
        steps = evaluate(cases.gold, list(middle), [], tree, *given, metrics=[OFF])
        tables.append(steps)
    table = pd.concat(tables).assign(system="oracle", seed="-", stratum=OVERALL)
    return table[SCORED].reset_index(drop=True)


def with_oracle(
    metrics: pd.DataFrame,
    cases: Cases,
    oracle: pd.DataFrame | None,
    tree,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Scores of systems, and below them those of the best reader where it is known."""
    if oracle is None:
        return metrics
    ceiling = oracle_metrics(cases, oracle, tree, n_boot, seed)
    return pd.concat([metrics, ceiling], ignore_index=True)


def oracle_gap(
    cases: Cases,
    oracle: pd.DataFrame,
    tree,
    n: int = 1000,
    seed: int = 0,
    levels: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Accuracy of the oracle minus that of each system, on the same resamples.

    Returns
    -------
    pandas.DataFrame
        Columns system, level and `systems.DESCRIBED`.
    """
    rows, levels = [], levels or tree.shown
    best = {level: answers_at(cases, oracle, level, tree) for level in levels}
    pairs = [(level, system) for level in levels for system in cases.answers]
    for level, system in counted(pairs, "comparing with the best reader"):
        one = paired_bootstrap(
            cases.gold,
            best[level],
            cases.seeds(system),
            cases.patients,
            level,
            n,
            seed,
            "accuracy",
            tree,
        )
        rows.append((system, level, *described(one)))
    return pd.DataFrame(rows, columns=["system", "level", *DESCRIBED])
