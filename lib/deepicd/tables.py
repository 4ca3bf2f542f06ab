"""The tables of the evaluation: every system on the same notes.

`gather` puts predictions of all systems and seeds beside the gold codes, on the
notes that every system answered; the other functions make one table each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from deepicd.errors import UserError
from deepicd.icd import LEVELS
from deepicd.metrics import OUTCOMES, evaluate, outcomes
from deepicd.scores import label_set_of, roll_up, tally
from deepicd.statistics import holm, mcnemar, paired_bootstrap

NO_ANSWER = "none"
AGES = ("≤44", "45–64", "65–79", "≥80")
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
        return self.notes["icd_code"].tolist()

    @property
    def patients(self) -> list:
        return self.notes["subject_id"].tolist()

    def seeds(self, system: str) -> list[list]:
        """Answers of a system, one list a seed."""
        return list(self.answers[system].values())

    def where(self, mask: Sequence[bool]) -> "Cases":
        """The same systems on some of the notes."""
        keep = np.flatnonzero(np.asarray(mask, dtype=bool))
        cut = [{system: {seed: [values[i] for i in keep]
                         for seed, values in seeds.items()}
                for system, seeds in part.items()}
               for part in (self.answers, self.well_formed)]
        return Cases(self.notes.iloc[keep].reset_index(drop=True), *cut)


def gather(predictions: pd.DataFrame, admissions: pd.DataFrame,
           split: str = "test") -> Cases:
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
    ...                       "icd_code": ["I10", "I21.9"], "split": "test"})
    >>> answers = notes[["note_id", "split"]].assign(
    ...     system="sft", seed=0, sample=0, code=["I10", None], well_formed=True)
    >>> gather(answers, notes).seeds("sft")
    [['I10', None]]
    """
    rows = predictions[(predictions["sample"] == 0) & (predictions["split"] == split)]
    wide = {key: part.set_index("note_id")
            for key, part in rows.groupby(["system", "seed"], sort=False)}
    notes = admissions[admissions["split"] == split]
    keep = notes["note_id"]
    for (system, seed), part in wide.items():
        if part.index.has_duplicates:
            raise UserError(f"two answers of {system}, seed {seed}, to one note",
                            "one greedy answer a note", "run its stage again")
        keep = keep[keep.isin(part.index)]
    if not wide or not len(keep):
        raise UserError(f"no note of split {split!r} that every system answered",
                        "the same notes in every predictions.parquet",
                        "run the stages of this run folder again")
    notes = notes[notes["note_id"].isin(keep)].reset_index(drop=True)
    answers: dict = {}
    formed: dict = {}
    for (system, seed), part in wide.items():
        part = part.reindex(notes["note_id"])
        codes = [code if isinstance(code, str) else None for code in part["code"]]
        answers.setdefault(system, {})[seed] = codes
        formed.setdefault(system, {})[seed] = part["well_formed"].astype(bool).tolist()
    return Cases(notes, answers, formed)


def metrics_table(cases: Cases, tree, n_boot: int = 1000, seed: int = 0,
                  stratum: str = OVERALL, levels: Sequence[str] = LEVELS,
                  metrics: Sequence[str] | None = None) -> pd.DataFrame:
    """Scores of every system: `metrics.evaluate` with the columns of metrics.parquet.

    Columns system, seed (several seeds joined by "+"), level, stratum, metric,
    value, low, high, n, label_set.
    """
    tables = []
    for system, seeds in cases.answers.items():
        formed = [cases.well_formed[system][name] for name in seeds]
        table = evaluate(cases.gold, list(seeds.values()), levels, tree,
                         cases.patients, None, n_boot, seed, formed, metrics)
        names = "+".join(str(name) for name in seeds)
        tables.append(table.assign(system=system, seed=names, stratum=stratum))
    columns = ["system", "seed", "level", "stratum", "metric", "value", "low", "high",
               "n", "label_set"]
    return pd.concat(tables, ignore_index=True)[columns]


def frequency_band(codes: Sequence[str], train_codes: Sequence[str],
                   rare: int = 10, frequent: int = 50) -> np.ndarray:
    """Band of each code by its notes in training: tail < rare ≤ body < frequent ≤ head.

    >>> frequency_band(["I10", "J18.9"], ["I10"] * 12, rare=10, frequent=50).tolist()
    ['body (10–49)', 'tail (<10)']
    """
    counts = pd.Series(list(codes)).map(pd.Series(list(train_codes)).value_counts())
    counts = counts.fillna(0).to_numpy()
    names = [f"tail (<{rare})", f"body ({rare}–{frequent - 1})", f"head (≥{frequent})"]
    return np.array(names)[np.digitize(counts, [rare, frequent])]


def strata_of(notes: pd.DataFrame, train_codes: Sequence[str],
              minimum: int = 30) -> dict[str, np.ndarray]:
    """Masks of strata and subgroups that hold at least `minimum` notes.

    Parameters
    ----------
    notes : pandas.DataFrame
        Evaluated admissions; columns sex, age, race, insurance, language and
        admission_type are used where they are there.
    train_codes : sequence of str
        Codes of the training notes.
    minimum : int
        Smaller strata say nothing and may identify patients.

    Returns
    -------
    dict of "kind: value" to boolean array
    """
    kinds = {"frequency": frequency_band(notes["icd_code"], train_codes)}
    if "note" in notes:
        words = notes["note"].str.count(r"\S+")
        kinds["note length"] = _thirds(words, "words")
    if "age" in notes:
        age = pd.to_numeric(notes["age"], errors="coerce")
        kinds["age"] = pd.cut(age, [-1, 44, 64, 79, 200],
                              labels=AGES).astype(object)
    for kind in ("sex", "race", "insurance", "language", "admission_type"):
        if kind in notes:
            kinds[kind.replace("_", " ")] = notes[kind]
    masks = {}
    for kind, values in kinds.items():
        values = pd.Series(np.asarray(values, dtype=object)).replace("", None)
        sizes = values.value_counts()
        names = sizes[sizes >= minimum].index
        names = sorted(names, key=_place)
        if len(names) > 1:
            masks |= {f"{kind}: {n}": (values == n).to_numpy() for n in names}
    return masks


def _place(name) -> tuple[int, str]:
    """Order of strata: by size where the name says one, else by name."""
    order = ("head", "body", "tail", "short", "medium", "long", *AGES)
    first = str(name).split(" ")[0]
    return order.index(first) if first in order else len(order), str(name)


def _thirds(values: pd.Series, unit: str) -> np.ndarray:
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    names = [f"short (<{low:.0f} {unit})", f"medium ({low:.0f}–{high:.0f})",
             f"long (>{high:.0f})"]
    return np.array(names)[np.digitize(values, [low, np.nextafter(high, np.inf)])]


def strata_table(cases: Cases, train_codes: Sequence[str], tree, n_boot: int = 500,
                 seed: int = 0, minimum: int = 30, systems=None) -> pd.DataFrame:
    """Accuracy and macro F1 of every system in every stratum."""
    if systems is not None:
        cases = Cases(cases.notes, *({s: part[s] for s in systems if s in part}
                                     for part in (cases.answers, cases.well_formed)))
    make = partial(metrics_table, tree=tree, n_boot=n_boot, seed=seed,
                   levels=("chapter", "category", "full"),
                   metrics=("accuracy", "macro_f1"))
    masks = strata_of(cases.notes, train_codes, minimum)
    tables = [make(cases.where(mask), stratum=name) for name, mask in masks.items()]
    return pd.concat(tables, ignore_index=True) if tables else make(cases).head(0)


def differences_table(cases: Cases, pairs: Sequence[tuple[str, str]], tree,
                      levels=("chapter", "category", "full"),
                      metrics=("accuracy", "macro_f1"), n: int = 2000,
                      seed: int = 0) -> pd.DataFrame:
    """Paired differences a minus b of systems, with intervals and McNemar's test.

    Columns a, b, level, metric, value, low, high, n, patients, resamples, p_mcnemar
    (exact, of the first seeds; accuracy only) and p_holm (corrected over all rows
    that have one).
    """
    rows = []
    for a, b in pairs:
        for metric in metrics:
            found = paired_bootstrap(cases.gold, cases.seeds(a), cases.seeds(b),
                                     cases.patients, levels, n, seed, metric, tree)
            for level, one in found.items():
                p = _mcnemar(cases, a, b, level, tree) if metric == "accuracy" else None
                rows.append((a, b, level, metric, one.value, one.low, one.high, one.n,
                             one.groups, one.resamples, p))
    table = pd.DataFrame(rows, columns=["a", "b", "level", "metric", "value", "low",
                                        "high", "n", "patients", "resamples",
                                        "p_mcnemar"])
    table["p_mcnemar"] = table["p_mcnemar"].astype(float)
    tested = table["p_mcnemar"].notna()
    table.loc[tested, "p_holm"] = holm(table.loc[tested, "p_mcnemar"])
    return table


def _mcnemar(cases: Cases, a: str, b: str, level: str, tree) -> float:
    gold = roll_up(cases.gold, level, tree)
    return mcnemar(*(roll_up(cases.seeds(s)[0], level, tree) == gold for s in (a, b)))


def outcome_table(cases: Cases, tree) -> pd.DataFrame:
    """Rule-decided outcomes: columns system, outcome, n, share (mean over seeds)."""
    rows = []
    for system, seeds in cases.answers.items():
        found = np.concatenate([
            outcomes(cases.gold, codes, tree, cases.well_formed[system][name])
            for name, codes in seeds.items()])
        for outcome in OUTCOMES:
            count = int((found == outcome).sum())
            rows.append((system, outcome, count / len(seeds), count / len(found)))
    return pd.DataFrame(rows, columns=["system", "outcome", "n", "share"])


def confusion_table(cases: Cases, system: str, tree,
                    level: str = "chapter") -> pd.DataFrame:
    """Gold against answered labels: columns gold, predicted, n, share of the gold."""
    gold = np.tile(roll_up(cases.gold, level, tree), len(cases.seeds(system)))
    answered = np.concatenate([roll_up(codes, level, tree)
                               for codes in cases.seeds(system)])
    answered = [NO_ANSWER if label is None else label for label in answered]
    pairs = pd.DataFrame({"gold": gold, "predicted": answered})
    counts = pairs.value_counts(sort=False)
    table = counts.rename("n").reset_index()
    table["share"] = table["n"] / table.groupby("gold")["n"].transform("sum")
    return table


def frequency_table(cases: Cases, train_codes: Sequence[str], tree) -> pd.DataFrame:
    """F1 of each full code beside its training notes: one row a system and code."""
    labels = label_set_of(cases.gold, "full", tree)
    gold, n = roll_up(cases.gold, "full", tree), len(labels)
    train_n = pd.Series(list(train_codes)).value_counts().reindex(labels).fillna(0)
    rows = []
    for system in cases.answers:
        sums = sum(tally(gold, roll_up(codes, "full", tree), labels,
                         np.zeros(len(gold), dtype=int)).totals[:, 0]
                   for codes in cases.seeds(system))
        f1 = 2 * sums[:n] / (sums[n : 2 * n] + sums[2 * n : 3 * n])
        seeds = len(cases.seeds(system))
        rows.append(pd.DataFrame({"system": system, "code": labels,
                                  "train_n": train_n.to_numpy(int),
                                  "test_n": (sums[2 * n : 3 * n] / seeds).astype(int),
                                  "f1": f1}))
    return pd.concat(rows, ignore_index=True)
