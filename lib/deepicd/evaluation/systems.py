"""The tables of the evaluation: every system on the same notes.

`gather` puts predictions of all systems and seeds beside the gold codes, on the
notes that every system answered; the other functions make one table each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from deepicd.common.errors import UserError
from deepicd.common.progress import counted
from deepicd.evaluation.counts import roll_up
from deepicd.evaluation.intervals import Interval, paired_bootstrap
from deepicd.evaluation.metrics import evaluate, outcome_names, outcomes
from deepicd.evaluation.resampling import group_numbers, missing_groups

DESCRIBED = ["value", "low", "high", "clear", "n", "patients", "resamples"]
"""Columns of a difference: `clear` where its interval excludes zero."""
SCORED = ["system", "seed", "level", "stratum", "metric", "value", "low", "high"]
SCORED += ["n", "label_set"]
"""Columns of metrics.parquet, which notebook 06 follows with labelled_notes."""
NO_ANSWER = "none"
OVERALL = "overall"


@dataclass(frozen=True)
class Cases:
    """Notes of one split with the answers of every system.

    Attributes
    ----------
    notes : pandas.DataFrame
        Admissions answered by every system, in their order, index 0…n-1.
    answers, well_formed : dict of system to dict of seed to list of length n
        Codes (None where there is none) and whether the answer could be read.
    """

    notes: pd.DataFrame
    answers: dict
    well_formed: dict

    @property
    def gold(self) -> list[str]:
        return self.notes["label"].tolist()

    @property
    def patients(self) -> list:
        return self.notes["subject_id"].tolist()

    @property
    def people(self) -> str:
        """How many patients, and how many notes say not whose they are."""
        unknown = missing_groups(self.patients)
        known = self.notes["subject_id"].nunique()
        if not unknown:
            return f"{known:,} patients"
        return (
            f"{known + unknown:,} patients ({unknown:,} notes without a patient's id "
            "count as one each)"
        )

    def seeds(self, system: str) -> list[list]:
        """Answers of a system, one list a seed."""
        return list(self.answers[system].values())

    def where(self, mask: Sequence[bool]) -> "Cases":
        """The same systems on some of the notes."""
        keep = np.flatnonzero(np.asarray(mask, dtype=bool))
        cut = [
            {
                system: {
                    seed: [values[i] for i in keep] for seed, values in seeds.items()
                }
                for system, seeds in part.items()
            }
            for part in (self.answers, self.well_formed)
        ]
        return Cases(self.notes.iloc[keep].reset_index(drop=True), *cut)

    def only(self, systems: Sequence[str] | None) -> "Cases":
        """Some of the systems (None: all) on the same notes."""
        if systems is None:
            return self
        parts = (self.answers, self.well_formed)
        cut = [{s: part[s] for s in systems if s in part} for part in parts]
        return Cases(self.notes, *cut)


def gather(
    predictions: pd.DataFrame, admissions: pd.DataFrame, split: str = "test"
) -> Cases:
    """Put the greedy answers of every system beside the gold codes.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns system, seed, note_id, split, sample, code, well_formed.
    admissions : pandas.DataFrame
    split : str

    Returns
    -------
    Cases
        On the notes that every system and seed answered.

    Raises
    ------
    UserError
        Where no note was answered by all, or a note twice by one.

    Examples
    --------
    >>> notes = pd.DataFrame({"note_id": ["a", "b"], "subject_id": [1, 2],
    ...                       "label": ["I10", "I21.9"], "split": "test"})
    >>> answers = notes[["note_id", "split"]].assign(
    ...     system="sft", seed=0, sample=0, code=["I10", None], well_formed=True)
    >>> gather(answers, notes).seeds("sft")
    [['I10', None]]
    """
    rows = predictions[(predictions["sample"] == 0) & (predictions["split"] == split)]
    wide = {
        key: part.set_index("note_id")
        for key, part in rows.groupby(["system", "seed"], sort=False)
    }
    notes = admissions[admissions["split"] == split]
    keep = notes["note_id"]
    for (system, seed), part in wide.items():
        if part.index.has_duplicates:
            raise UserError(
                f"two answers of {system}, seed {seed}, to one note",
                "one greedy answer a note",
                "run its stage again",
            )
        keep = keep[keep.isin(part.index)]
    if not wide or not len(keep):
        raise UserError(
            f"no note of split {split!r} that every system answered",
            "the same notes in every predictions.parquet",
            "run the stages of this run folder again",
        )
    notes = notes[notes["note_id"].isin(keep)].reset_index(drop=True)
    answers: dict = {}
    formed: dict = {}
    for (system, seed), part in wide.items():
        part = part.reindex(notes["note_id"])
        codes = [code if isinstance(code, str) else None for code in part["code"]]
        answers.setdefault(system, {})[seed] = codes
        formed.setdefault(system, {})[seed] = part["well_formed"].astype(bool).tolist()
    return Cases(notes, answers, formed)


def metrics_table(
    cases: Cases,
    tree,
    n_boot: int = 1000,
    seed: int = 0,
    stratum: str = OVERALL,
    levels: Sequence[str] | None = None,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Scores of every system: `metrics.evaluate` with the columns of metrics.parquet.

    Columns system, seed (several seeds joined by "+"), level, stratum, metric,
    value, low, high, n, label_set.
    """
    tables = []
    for system, seeds in counted(cases.answers.items(), "scoring systems"):
        formed = [cases.well_formed[system][name] for name in seeds]
        table = evaluate(
            cases.gold,
            list(seeds.values()),
            levels,
            tree,
            cases.patients,
            None,
            n_boot,
            seed,
            formed,
            metrics,
        )
        names = "+".join(str(name) for name in seeds)
        tables.append(table.assign(system=system, seed=names, stratum=stratum))
    return pd.concat(tables, ignore_index=True)[SCORED]


def with_labelled_notes(table: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Add the column `labelled_notes`: how many each system has learned from.

    Parameters
    ----------
    table : pandas.DataFrame
        Column system.
    predictions : pandas.DataFrame
        Columns system and labelled_notes, the same in all rows of a system and seed;
        where seeds differ, the most.

    Returns
    -------
    pandas.DataFrame
        Missing where it is not known, or means nothing (the oracle).

    Examples
    --------
    >>> answers = pd.DataFrame({"system": ["sft"], "labelled_notes": [400]})
    >>> rows = pd.DataFrame({"system": ["sft", "oracle"]})
    >>> with_labelled_notes(rows, answers)["labelled_notes"].tolist()
    [400, <NA>]
    """
    known = predictions.groupby("system")["labelled_notes"].max()
    numbers = table["system"].map(known).astype("Int64")
    return table.assign(labelled_notes=numbers)


def differences_table(
    cases: Cases,
    pairs: Sequence[tuple[str, str]],
    tree,
    levels: Sequence[str] | None = None,
    metrics=("accuracy", "macro_f1"),
    n: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Paired differences a minus b of systems, with intervals and McNemar's test.

    Columns a, b, level, metric, value, low, high, clear, n, patients, resamples,
    p_sign (exact sign test of patients, accuracy only: McNemar's where each has one
    note) and p_holm (corrected over all rows that have one).
    """
    levels = levels or tree.shown
    rows = []
    for a, b in counted(pairs, "comparing systems"):
        for metric in metrics:
            found = paired_bootstrap(
                cases.gold,
                cases.seeds(a),
                cases.seeds(b),
                cases.patients,
                levels,
                n,
                seed,
                metric,
                tree,
            )
            for level, one in found.items():
                p = _p_sign(cases, a, b, level, tree) if metric == "accuracy" else None
                rows.append((a, b, level, metric, *described(one), p))
    table = pd.DataFrame(
        rows, columns=["a", "b", "level", "metric", *DESCRIBED, "p_sign"]
    )
    table["p_sign"] = table["p_sign"].astype(float)
    tested = table["p_sign"].notna()
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_sign"])
    return table


def described(one: Interval) -> tuple:
    """An interval as a row of a table of differences: its `DESCRIBED`."""
    return (
        one.value,
        one.low,
        one.high,
        one.clear,
        one.n,
        one.groups,
        one.resamples,
    )


def _p_sign(cases: Cases, a: str, b: str, level: str, tree) -> float:
    gold = roll_up(cases.gold, level, tree)
    right = [
        np.mean([roll_up(c, level, tree) == gold for c in cases.seeds(s)], axis=0)
        for s in (a, b)
    ]
    groups = group_numbers(cases.patients, len(gold))
    return sign_test(np.bincount(groups, right[0] - right[1]))


def sign_test(gaps: Sequence[float]) -> float:
    """Exact two-sided sign test: p-value that gaps are as often up as down.

    With the gap of every note it is McNemar's exact test, with that of every patient
    it holds where patients have several notes.

    Examples
    --------
    >>> sign_test([1] * 8 + [-1] + [0] * 5)
    0.0390625
    """
    gaps = np.asarray(gaps, dtype=float)
    up, down = int((gaps > 1e-9).sum()), int((gaps < -1e-9).sum())
    return float(stats.binomtest(up, up + down).pvalue) if up + down else 1.0


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down correction of p-values, in the given order.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return corrected


def outcome_table(cases: Cases, tree) -> pd.DataFrame:
    """Rule-decided outcomes: columns system, outcome, n, share (mean over seeds)."""
    rows = []
    for system, seeds in cases.answers.items():
        found = np.concatenate(
            [
                outcomes(cases.gold, codes, tree, cases.well_formed[system][name])
                for name, codes in seeds.items()
            ]
        )
        for outcome in outcome_names(tree):
            count = int((found == outcome).sum())
            rows.append((system, outcome, count / len(seeds), count / len(found)))
    return pd.DataFrame(rows, columns=["system", "outcome", "n", "share"])


def confusion_table(
    cases: Cases, system: str, tree, level: str | None = None
) -> pd.DataFrame:
    """Gold against answered labels, by default at the coarsest level.

    Returns
    -------
    pandas.DataFrame
        Columns gold, predicted, n, share of the gold, level.
    """
    level = level or tree.levels[0]
    gold = np.tile(roll_up(cases.gold, level, tree), len(cases.seeds(system)))
    answered = np.concatenate(
        [roll_up(codes, level, tree) for codes in cases.seeds(system)]
    )
    answered = [NO_ANSWER if label is None else label for label in answered]
    pairs = pd.DataFrame({"gold": gold, "predicted": answered})
    counts = pairs.value_counts(sort=False)
    table = counts.rename("n").reset_index()
    table["share"] = table["n"] / table.groupby("gold")["n"].transform("sum")
    return table.assign(level=level)


def icicle_table(
    cases: Cases, system: str, tree, levels: Sequence[str] | None = None
) -> pd.DataFrame:
    """Share right of the notes below every node of the tree that has some.

    An answer is right at a node if it lies below that node too.

    Returns
    -------
    pandas.DataFrame
        Columns level, label, title, start, n, value: nodes stand side by side, each
        as wide as its notes and below its parent. Mean over seeds.
    """
    levels = levels or tree.levels
    gold = {level: roll_up(cases.gold, level, tree) for level in levels}
    order = np.lexsort([[_natural(x) for x in gold[level]] for level in levels[::-1]])
    rows = []
    for level in levels:
        labels = gold[level][order]
        right = np.mean(
            [
                roll_up(codes, level, tree)[order] == labels
                for codes in cases.seeds(system)
            ],
            axis=0,
        )
        starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
        for start, stop in zip(starts, [*starts[1:], len(labels)], strict=True):
            rows.append(
                (
                    level,
                    labels[start],
                    tree.title(labels[start]),
                    int(start),
                    int(stop - start),
                    right[start:stop].mean(),
                )
            )
    return pd.DataFrame(
        rows, columns=["level", "label", "title", "start", "n", "value"]
    )


def _natural(label: str) -> str:
    """A key that sorts chapter 9 before chapter 10."""
    return label.zfill(3) if label.isdigit() else label
