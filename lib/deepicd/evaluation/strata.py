"""Scores in parts of the test split: strata, subgroups, note length, single codes."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from deepicd.common.progress import counted
from deepicd.evaluation.counts import label_set_of, roll_up, tally
from deepicd.evaluation.systems import Cases, metrics_table

AGES = ("≤44", "45–64", "65–79", "≥80")


def frequency_band(
    codes: Sequence[str], train_codes: Sequence[str], rare: int = 10, frequent: int = 50
) -> np.ndarray:
    """Band of each code by its notes in training: tail < rare ≤ body < frequent ≤ head.

    >>> frequency_band(["I10", "J18.9"], ["I10"] * 12, rare=10, frequent=50).tolist()
    ['body (10–49)', 'tail (<10)']
    """
    counts = pd.Series(list(codes)).map(pd.Series(list(train_codes)).value_counts())
    counts = counts.fillna(0).to_numpy()
    names = [f"tail (<{rare})", f"body ({rare}–{frequent - 1})", f"head (≥{frequent})"]
    return np.array(names)[np.digitize(counts, [rare, frequent])]


def strata_of(
    notes: pd.DataFrame, train_codes: Sequence[str], minimum: int = 30, tree=None
) -> dict[str, np.ndarray]:
    """Masks of strata and subgroups that hold at least `minimum` notes.

    Smaller groups of patients are put together, see `merged`.

    Parameters
    ----------
    notes : pandas.DataFrame
        Evaluated admissions; columns sex, age, race, insurance, language and
        admission_type are used where they are there.
    train_codes : sequence of str
        Codes of the training notes.
    minimum : int
        Smaller strata say nothing and may identify patients.
    tree : deepicd.icd.IcdTree, optional
        With it, every chapter of the gold codes is a stratum too.

    Returns
    -------
    dict of "kind: value" to boolean array
    """
    kinds = {"frequency": frequency_band(notes["label"], train_codes)}
    if "note" in notes:
        words = notes["note"].str.count(r"\S+")
        kinds["note length"] = _thirds(words, "words")
    people = groups_of(notes)
    kinds |= {kind: merged(values, minimum)[0] for kind, values in people.items()}
    if tree is not None:
        kinds[tree.levels[0]] = roll_up(notes["label"], tree.levels[0], tree)
    masks = {}
    for kind, values in kinds.items():
        values = _said(values)
        sizes = values.value_counts()
        names = sizes[sizes >= minimum].index
        names = sorted(names, key=place_of)
        if len(names) > 1:
            masks |= {f"{kind}: {n}": (values == n).to_numpy() for n in names}
    return masks


def groups_of(notes: pd.DataFrame, tree=None) -> dict[str, pd.Series]:
    """Groups of patients by kind: age, sex and what else is known, last the chapter.

    Examples
    --------
    >>> groups_of(pd.DataFrame({"sex": ["F", ""], "age": [44, 80]}))["age"].tolist()
    ['≤44', '≥80']
    """
    kinds = {}
    if "age" in notes:
        age = pd.to_numeric(notes["age"], errors="coerce")
        kinds["age"] = pd.cut(age, [-1, 44, 64, 79, 200], labels=AGES)
    for kind in ("sex", "race", "insurance", "language", "admission_type"):
        if kind in notes:
            kinds[kind.replace("_", " ")] = notes[kind]
    if tree is not None:
        kinds[tree.levels[0]] = roll_up(notes["label"], tree.levels[0], tree)
    return {kind: _said(values) for kind, values in kinds.items()}


def merged(values: Sequence, minimum: int) -> tuple[pd.Series, dict[str, int]]:
    """Put groups of fewer than `minimum` notes together.

    What is part of another group (`WHITE - RUSSIAN`) joins it; what is still small
    becomes one group, which is left out (None) if it is small, too.

    Returns
    -------
    values : pandas.Series
    small : dict
        The groups that were put together or left out, and their notes.

    Examples
    --------
    >>> given = ["A"] * 3 + ["A - B", "C", "C", "D", None]
    >>> values, small = merged(given, 3)
    >>> values.tolist()[3:]
    ['A', 'small groups (2)', 'small groups (2)', 'small groups (2)', None]
    >>> small
    {'C': 2, 'A - B': 1, 'D': 1}
    """
    given = pd.Series(list(values), dtype=object)
    values = given.where(~_small(given, minimum), given.str.partition(" - ")[0])
    few = _small(values, minimum)
    values = values.where(~few, f"small groups ({values[few].nunique()})")
    values = values.where(~_small(values, minimum), None)
    return values, given[_small(given, minimum)].value_counts().to_dict()


def _small(values: pd.Series, minimum: int) -> pd.Series:
    return values.map(values.value_counts()) < minimum


def _said(values) -> pd.Series:
    """Text of each value; None where there is none."""
    values = pd.Series(np.asarray(values, dtype=object))
    return values.where(values.notna() & (values != ""), None)


def place_of(name) -> tuple[int, str]:
    """Order of strata: by size where the name says one, else by name."""
    order = ("head", "body", "tail", "short", "medium", "long", *AGES)
    first = str(name).split(" ")[0]
    place = order.index(first) if first in order else len(order)
    return place, first.zfill(3) if first.isdigit() else str(name)


def _thirds(values: pd.Series, unit: str) -> np.ndarray:
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    names = [
        f"short (<{low:.0f} {unit})",
        f"medium ({low:.0f}–{high:.0f})",
        f"long (>{high:.0f})",
    ]
    return np.array(names)[np.digitize(values, [low, np.nextafter(high, np.inf)])]


def strata_table(
    cases: Cases,
    train_codes: Sequence[str],
    tree,
    n_boot: int = 500,
    seed: int = 0,
    minimum: int = 30,
    systems=None,
    metrics=("accuracy", "macro_f1"),
) -> pd.DataFrame:
    """Scores (None: all) of every system in every stratum, chapters included."""
    cases = cases.only(systems)
    make = partial(
        metrics_table,
        tree=tree,
        n_boot=n_boot,
        seed=seed,
        levels=tree.shown,
        metrics=metrics,
    )
    masks = strata_of(cases.notes, train_codes, minimum, tree)
    groups = counted(masks.items(), "scoring groups of notes")
    tables = [make(cases.where(mask), stratum=name) for name, mask in groups]
    return pd.concat(tables, ignore_index=True) if tables else make(cases).head(0)


def length_table(
    cases: Cases, tree, groups: int = 5, n_boot: int = 500, seed: int = 0, systems=None
) -> pd.DataFrame:
    """Accuracy in groups of equally many notes, from the shortest to the longest.

    Columns as of `systems.metrics_table`, and words: the mean length of the group.
    """
    cases = cases.only(systems)
    words = cases.notes["note"].str.count(r"\S+")
    places = pd.qcut(words.rank(method="first"), min(groups, len(words)), labels=False)
    tables = []
    for place in counted(sorted(set(places)), "scoring by length of note"):
        own = (places == place).to_numpy()
        table = metrics_table(
            cases.where(own),
            tree,
            n_boot,
            seed,
            f"note length: group {place + 1}",
            tree.shown,
            ("accuracy",),
        )
        tables.append(table.assign(words=words[own].mean()))
    return pd.concat(tables, ignore_index=True)


def frequency_table(cases: Cases, train_codes: Sequence[str], tree) -> pd.DataFrame:
    """F1 of each full code beside its training notes: one row a system and code."""
    labels = label_set_of(cases.gold, tree.levels[-1], tree)
    gold, n = roll_up(cases.gold, tree.levels[-1], tree), len(labels)
    train_n = pd.Series(list(train_codes)).value_counts().reindex(labels).fillna(0)
    rows = []
    for system in cases.answers:
        sums = sum(
            tally(
                gold,
                roll_up(codes, tree.levels[-1], tree),
                labels,
                np.zeros(len(gold), dtype=int),
            ).totals[:, 0]
            for codes in cases.seeds(system)
        )
        f1 = 2 * sums[:n] / (sums[n : 2 * n] + sums[2 * n : 3 * n])
        seeds = len(cases.seeds(system))
        rows.append(
            pd.DataFrame(
                {
                    "system": system,
                    "code": labels,
                    "train_n": train_n.to_numpy(int),
                    "test_n": (sums[2 * n : 3 * n] / seeds).astype(int),
                    "f1": f1,
                }
            )
        )
    return pd.concat(rows, ignore_index=True)
