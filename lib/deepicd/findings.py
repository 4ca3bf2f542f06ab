"""What the tables of the evaluation say, in words and in readable tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from deepicd.figures.palette import LEVEL_NAMES, METRIC_NAMES, in_order, look
from deepicd.metrics import evaluate, outcomes
from deepicd.tables import OVERALL, Cases

PRIVATE_TEXT = "(not shown: the notes of this run are private)"


def wide_table(metrics: pd.DataFrame, levels=("chapter", "category", "full"),
               names=("accuracy", "macro_f1")) -> pd.DataFrame:
    """One row a system, one column a level and metric: "0.62 [0.58, 0.66]".

    Parameters
    ----------
    metrics : pandas.DataFrame
        Columns system, level, stratum, metric, value, low, high.

    Examples
    --------
    >>> row = {"system": "sft", "level": "full", "stratum": "overall",
    ...        "metric": "accuracy", "value": 0.621, "low": 0.58, "high": 0.66}
    >>> wide_table(pd.DataFrame([row]), ["full"], ["accuracy"]).iloc[0, 0]
    '0.621 [0.580, 0.660]'
    """
    rows = metrics[metrics["stratum"] == OVERALL]
    rows = rows.assign(text=[f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]"
                             for r in rows.itertuples()])
    grid = rows.pivot_table(index="system", columns=["level", "metric"], values="text",
                            aggfunc="first")
    columns = [(level, name) for level in levels for name in names
               if (level, name) in grid.columns]
    systems = in_order(grid.index)
    grid = grid.reindex(index=systems)[columns].fillna("")
    grid.index = pd.Index([look(s, systems).name for s in systems], name="system")
    grid.columns = [f"{LEVEL_NAMES[level]}, {METRIC_NAMES.get(name, name)}"
                    for level, name in columns]
    return grid


def describe_difference(row) -> str:
    """Say in one sentence what a row of `differences_table` shows.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> print(describe_difference(SimpleNamespace(
    ...     a="sft_grpo", b="sft", level="full", metric="accuracy", value=0.02,
    ...     low=-0.01, high=0.05, n=800, patients=760)))
    Full code, accuracy: SFT + GRPO is 0.020 above SFT, 95 % interval -0.010 to 0.050 \
(800 notes of 760 patients); the interval holds zero, so no difference is shown.
    """
    way = "above" if row.value >= 0 else "below"
    clear = row.low > 0 or row.high < 0
    verdict = ("the interval excludes zero" if clear
               else "the interval holds zero, so no difference is shown")
    return (f"{LEVEL_NAMES[row.level]}, {METRIC_NAMES.get(row.metric, row.metric)}: "
            f"{look(row.a).name} is {abs(row.value):.3f} {way} {look(row.b).name}, "
            f"95 % interval {row.low:.3f} to {row.high:.3f} ({row.n:,} notes of "
            f"{row.patients:,} patients); {verdict}.")


def describe_change(cases: Cases, a: str, b: str, tree) -> str:
    """Count the notes whose outcome differs between two systems (first seeds).

    Says how many notes b answered better than a and the reverse, by the deepest
    level that is right.
    """
    order = {name: place for place, name in enumerate(
        ("malformed", "not in catalogue", "wrong", "chapter", "block", "category",
         "exact"))}
    depth = [np.array([order[o] for o in outcomes(
        cases.gold, cases.seeds(s)[0], tree,
        next(iter(cases.well_formed[s].values())))]) for s in (a, b)]
    better, worse = int((depth[0] > depth[1]).sum()), int((depth[0] < depth[1]).sum())
    return (f"Of {len(depth[0]):,} notes, {look(a).name} is nearer to the gold code "
            f"than {look(b).name} on {better:,} and farther on {worse:,}; "
            f"{len(depth[0]) - better - worse:,} are equally near.")


def first_changed(cases: Cases, a: str, b: str, tree) -> int:
    """Row of the first note that a answers exactly and b not; else of any change.

    Row 0 where the two systems agree on every note. A chosen case shows what can
    happen, not how often.
    """
    one, two = (outcomes(cases.gold, cases.seeds(s)[0], tree) for s in (a, b))
    won = np.flatnonzero((one == "exact") & (two != "exact"))
    changed = np.flatnonzero(one != two)
    return int(next(iter([*won, *changed, 0])))


def tell_answers(cases: Cases, row: int, predictions: pd.DataFrame, tree,
                 systems: Sequence[str], private: bool) -> str:
    """What each system said about one note, with the path of its answer.

    Completions quote the note, so for private data they are left out, and so are
    the codes of that note.
    """
    if private:
        return PRIVATE_TEXT
    note = cases.notes.iloc[row]
    told = [f"GOLD  {_path(note['icd_code'], tree)}"]
    rows = predictions[(predictions["note_id"] == note["note_id"])
                       & (predictions["sample"] == 0)]
    for system in systems:
        for said in rows[rows["system"] == system].head(1).itertuples():
            result = outcomes([note["icd_code"]], [said.code], tree,
                              [said.well_formed])[0]
            told.append(f"{look(system).name.upper()}  ({result})\n"
                        f"{said.completion.strip()[:1200] or '(no text)'}\n"
                        f"= {_path(said.code, tree)}")
    return "\n\n".join(told)


def _path(code, tree) -> str:
    if not isinstance(code, str):
        return "no code"
    return f"{' > '.join(tree.path(code))}  {tree.title(code)}"


def oracle_metrics(cases: Cases, oracle: pd.DataFrame, tree, n_boot: int = 1000,
                   seed: int = 0) -> pd.DataFrame:
    """Scores of the best possible answer, where the corpus knows it.

    Parameters
    ----------
    oracle : pandas.DataFrame
        Columns note_id, chapter, block, category, full: the most probable label of
        each note at each level, given everything the note says.

    Returns
    -------
    pandas.DataFrame
        Rows of system "oracle", columns as of `tables.metrics_table`. At each level
        the label of that level is scored, not the roll-up of the full code.
    """
    best = oracle.set_index("note_id").reindex(cases.notes["note_id"])
    known = sorted({*cases.gold, *best["full"].dropna()})
    tables = []
    for level in ("chapter", "block", "category", "full"):
        speaks = {tree.at(code, level): code for code in known}
        answers = [speaks.get(label) for label in best[level]]
        table = evaluate(cases.gold, answers, [level], tree, cases.patients, None,
                         n_boot, seed)
        tables.append(table[table["level"] == level])
    table = pd.concat(tables).assign(system="oracle", seed="-", stratum=OVERALL)
    return table[["system", "seed", "level", "stratum", "metric", "value", "low",
                  "high", "n", "label_set"]].reset_index(drop=True)
