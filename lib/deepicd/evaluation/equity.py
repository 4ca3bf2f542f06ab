"""Gaps between groups of patients: how large, how sure, and what else gives them.

Groups differ by chance, the smaller the more, and they differ in their diagnoses, some
of which are easier. So beside the largest gap between two groups of a kind stand the
gaps that come up when the groups are dealt anew among patients: among all of them
(chance), and only among notes of the same chapter (chance and mix of diagnoses).
"""

import numpy as np
import pandas as pd
from scipy import sparse

from deepicd.common.progress import counted
from deepicd.evaluation.counts import ratio, ratios, roll_up
from deepicd.evaluation.metrics import WHOLE, path_parts
from deepicd.evaluation.resampling import BLOCK, bootstrap, group_numbers
from deepicd.evaluation.strata import groups_of, merged, place_of
from deepicd.evaluation.systems import Cases, holm

COLUMNS = [
    *("system", "kind", "level", "metric", "groups", "n"),
    *("best", "worst", "gap", "low", "high"),
    *("chance", "p", "p_holm", "mix", "p_mix", "p_mix_holm"),
]
_OFTEN = 0.95  # share of the deals whose largest gap is no larger


def gaps_table(
    cases: Cases, tree, minimum: int = 30, n: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Largest gap between groups of patients of every kind, in every score, tested.

    Parameters
    ----------
    cases : Cases
        Kinds of groups that `strata.groups_of` finds in its notes.
    tree : LabelSpace
    minimum : int
        Notes; smaller groups are put together, see `strata.merged`.
    n, seed : int
        Resamples of patients for the intervals, deals for the tests; random seed.

    Returns
    -------
    pandas.DataFrame
        One row a system, kind and score. Scores are those that are a mean over notes,
        or one sum by another: a macro F1 of each group has a label set of its own and
        does not compare. `best` and `worst` are the groups with the highest and the
        lowest value, `gap` their distance, `low` and `high` its interval for these
        two groups (that they were chosen is what the tests take into account).
        `chance` and `mix`: the gap that 95 of 100 deals do not exceed, among all
        patients and within chapters; `p` and `p_mix`: share of deals with a gap as
        large as this; with Holm's correction over the kinds. Where the kind is the
        chapter itself, the mix is missing.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> notes = pd.DataFrame({"subject_id": range(80), "label": "I10",
    ...                       "sex": ["F", "M"] * 40})
    >>> said = ["I10" if sex == "F" else "J18.9" for sex in notes["sex"]]
    >>> cases = Cases(notes, {"sft": {0: said}}, {"sft": {0: [True] * 80}})
    >>> found = gaps_table(cases, load_tree(), n=200).iloc[0]
    >>> print(*found[["kind", "best", "worst", "gap"]], found["p"] < 0.01)
    sex F M 1.0 True
    """
    kinds = groups_of(cases.notes, tree)
    kinds = {kind: merged(values, minimum)[0] for kind, values in kinds.items()}
    kinds = {kind: v for kind, v in kinds.items() if v.nunique() > 1}
    parts = _parts(cases, tree)
    chapters = pd.factorize(roll_up(cases.gold, tree.levels[0], tree))[0]
    patients = group_numbers(cases.patients, len(chapters))
    rows = [
        (*key[:1], kind, *key[1:], *found)
        for kind, values in counted(kinds.items(), "comparing groups of patients")
        for key, found in _gaps(
            parts, values, patients, chapters * (kind != tree.levels[0]), n, seed
        )
    ]
    table = pd.DataFrame(rows, columns=[c for c in COLUMNS if "holm" not in c])
    table.loc[table["kind"] == tree.levels[0], ["mix", "p_mix"]] = np.nan
    for name in ("p", "p_mix"):
        each = table.groupby(["system", "level", "metric"])[name]
        table[f"{name}_holm"] = each.transform(_corrected)
    return table[COLUMNS]


def _corrected(p: pd.Series) -> pd.Series:
    return p.where(p.isna(), pd.Series(holm(p.dropna()), p.dropna().index))


def in_words(notes: pd.DataFrame, minimum: int, tree) -> list[str]:
    """Name the groups that are put together or left out.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> notes = pd.DataFrame({"label": "I10", "race": ["WHITE"] * 9 + ["ASIAN"]})
    >>> in_words(notes, 5, load_tree())
    ['race: fewer than 5 notes of ASIAN (1)']
    """
    said = []
    for kind, values in groups_of(notes, tree).items():
        small = merged(values, minimum)[1]
        if small:
            each = ", ".join(f"{name} ({size})" for name, size in small.items())
            said.append(f"{kind}: fewer than {minimum} notes of {each}")
    return said


def _parts(cases: Cases, tree) -> dict[tuple, np.ndarray]:
    """Numerator and denominator of every score of every note: mean over seeds.

    Keys are system, level and metric; arrays of shape (2, notes).
    """
    found = {}
    for system, seeds in cases.answers.items():
        each = [
            _of_notes(cases.gold, codes, tree, cases.well_formed[system][seed])
            for seed, codes in seeds.items()
        ]
        for key in each[0]:
            found[system, *key] = np.mean([one[key] for one in each], axis=0)
    return found


def _of_notes(gold, codes, tree, well_formed) -> dict[tuple, tuple]:
    one = np.ones(len(gold))
    found = {
        (level, "accuracy"): (
            roll_up(codes, level, tree) == roll_up(gold, level, tree),
            one,
        )
        for level in tree.shown
    }
    whole = path_parts(gold, codes, tree, well_formed)
    return found | {(WHOLE, name): parts for name, parts in whole.items()}


def _gaps(parts, values, patients, within, n, seed):
    """Give system, level, metric and the facts of the largest gap, score by score."""
    known = values.notna().to_numpy()
    names = sorted(values[known].unique(), key=place_of)
    groups = pd.Categorical(values[known], names).codes
    patients = group_numbers(patients[known].tolist(), int(known.sum()))
    parts = {key: part[:, known] for key, part in parts.items()}
    tops, bottoms = np.stack(list(parts.values()), axis=1)
    dealt = [
        _dealt(groups, cut, patients, tops, bottoms, n, seed)
        for cut in (np.zeros_like(patients), within[known])
    ]
    own = {
        (number, group): (
            tops[number] * (groups == group),
            bottoms[number] * (groups == group),
        )
        for number in range(len(tops))
        for group in range(len(names))
    }
    made = ratios(own, patients)
    points, draws, _ = bootstrap([made], made.names, n, seed)
    points = points.reshape(len(tops), len(names))
    draws = draws.reshape(len(tops), len(names), n)
    for number, key in enumerate(parts):
        best, worst = points[number].argmax(), points[number].argmin()
        gap = points[number, best] - points[number, worst]
        spread = draws[number, best] - draws[number, worst]
        low, high = gap + np.quantile(spread, [0.025, 0.975]) - spread.mean()
        tests = [x for deals in dealt for x in _tested(gap, deals[:, number])]
        facts = (len(names), int(known.sum()), names[best], names[worst])
        yield key, (*facts, gap, low, high, *tests)


def _tested(gap: float, deals: np.ndarray) -> tuple[float, float]:
    as_large = (deals > gap - 1e-9).sum()
    return np.quantile(deals, _OFTEN), (1 + as_large) / (1 + len(deals))


def _dealt(groups, within, patients, tops, bottoms, n, seed) -> np.ndarray:
    """Largest gap of every score where groups are dealt anew, shape (n, scores).

    What a patient has in one group (and one part of `within`) is dealt as a whole.
    """
    keys = np.stack([patients, groups, within])
    _, firsts, hands = np.unique(keys, axis=1, return_index=True, return_inverse=True)
    member = sparse.csr_array((np.ones(len(hands)), (hands, np.arange(len(hands)))))
    tops, bottoms = member @ tops.T, member @ bottoms.T
    groups, within = groups[firsts], within[firsts]
    generator, found = np.random.default_rng(seed), []
    for start in range(0, n, BLOCK):
        drawn = generator.random((min(BLOCK, n - start), len(firsts))) + within
        anew = np.empty(drawn.shape, dtype=groups.dtype)
        anew[:, np.argsort(within, kind="stable")] = groups[np.argsort(drawn, axis=1)]
        found.append(_largest(anew, tops, bottoms, groups.max() + 1))
    return np.concatenate(found)


def _largest(groups: np.ndarray, tops, bottoms, many: int) -> np.ndarray:
    """Distance of the highest from the lowest group, of each deal and score."""
    masks = ((groups == number).astype(float) for number in range(many))
    values = np.stack([ratio(mask @ tops, mask @ bottoms) for mask in masks])
    return values.max(0) - values.min(0)
