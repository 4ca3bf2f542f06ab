"""Coverage: how often the 95 % interval of what is known holds it.

With 200 notes, differences of two unlike systems. With few notes (1 to 50, of one
patient, of patients with three notes, of one note a patient): how often two systems
that are equally good look different ("false clear"), and how often intervals of
differences and of scores hold the truth.
"""

import argparse
from itertools import product

import numpy as np
import pandas as pd

from deepicd.evaluation.intervals import paired_bootstrap
from deepicd.evaluation.metrics import evaluate
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import Result

TITLE = "Coverage of 95 % intervals, 500 simulated data sets each"
SETTINGS = (("accuracy", 0.7), ("macro_f1", 0.3), ("macro_f1", 0.7), ("macro_f1", 1.2))
"""Score, and the exponent of the Zipf law of the codes: larger, more rare codes."""
FEW = (1, 2, 3, 5, 10, 20, 50)
PATIENTS = {"one patient": None, "patients of three notes": 3, "one note a patient": 1}
SCORES = ("accuracy", "macro_f1")
WORLDS = ((0.5, 1), (0.95, 1), (0.7, 2))
"""Share of right answers and seeds; at 0.95 few are wrong, and few differ."""


def run(data_sets: int = 500, cases: int = 200) -> list[Result]:
    """Measure the coverage at every setting.

    Parameters
    ----------
    data_sets, cases : int
        Simulated data sets a setting, and notes in each (200: of those with many).

    Returns
    -------
    list of Result
        Goals: 0.93 or more of intervals hold the truth; 0.05 or fewer of equal
        systems look different.
    """
    many = [
        Result(
            f"{metric}, Zipf {exponent}",
            coverage(data_sets, cases, metric, exponent),
            "share",
            goal=0.93,
            at_least=True,
        )
        for metric, exponent in SETTINGS
    ]
    return many + few_cases(data_sets)


def few_cases(data_sets: int, notes=FEW, resamples: int = 200) -> list[Result]:
    """Measure intervals of few notes; each row is the worst of `WORLDS`.

    Examples
    --------
    >>> found = few_cases(2, notes=[3], resamples=50)
    >>> len(found), found[0].name
    (18, 'false clear: accuracy, 3 notes, one patient')
    """
    found = []
    for kind, size in PATIENTS.items():
        for n in notes:
            each = pd.DataFrame(
                [_shares(data_sets, n, size or n, resamples, *w) for w in WORLDS]
            )
            for (what, metric), values in each.items():
                harm = what == "false clear"
                name = f"{what}: {metric}, {n} notes, {kind}"
                worst = values.max() if harm else values.min()
                goal = 0.05 if harm else 0.93
                found.append(Result(name, worst, "share", goal, at_least=not harm))
    return sorted(found, key=lambda one: one.name.split(",")[0])  # stable


def _shares(data_sets, n, size, resamples, skill, seeds) -> dict:
    """How often equal systems look different, and intervals hold the truth."""
    tree, share = load_tree(), dict.fromkeys(product(EVENTS, SCORES), 0.0)
    for equal in (True, False):
        world = _Small(equal, skill, np.random.default_rng(n))
        truth = world.truth()
        for number in range(data_sets):
            gold, a, b, patients = world.draw(n, size, seeds)
            names, a, b = CODES[gold], CODES[a].tolist(), CODES[b].tolist()
            real = {m: truth(m, 0, gold) - truth(m, 1, gold) for m in SCORES}
            for m in SCORES:
                one = paired_bootstrap(
                    names, a, b, patients, "full", resamples, number, m, tree
                )
                held = one.low - 1e-9 <= real[m] <= one.high + 1e-9
                share[EVENTS[0 if equal else 1], m] += one.clear if equal else held
            if not equal:
                continue
            table = evaluate(
                names,
                a,
                ["full"],
                tree,
                patients,
                None,
                resamples,
                number,
                None,
                SCORES,
            )
            for row in table.itertuples():
                held = row.low - 1e-9 <= truth(row.metric, 0, gold) <= row.high + 1e-9
                share[EVENTS[2], row.metric] += held
    return {event: count / data_sets for event, count in share.items()}


class _Small:
    """Notes of patients with dependent errors; two equal systems, or one ahead.

    Notes of a patient share their code and their luck half of the time. Of systems
    that are not equal the second is never right where the first is wrong.
    """

    def __init__(self, equal: bool, skill: float, generator):
        self.equal, self.generator = equal, generator
        share = 1 / np.arange(1, len(CODES) + 1)
        self.share = share / share.sum()
        spread = 0.04 * np.where(np.arange(len(CODES)) % 2, 1, -1)
        first = np.clip(skill + spread, 0.02, 0.98)
        self.skills = first, first if self.equal else 0.7 * first

    def draw(self, n: int, size: int, seeds: int):
        """Gold codes, answers of two systems (one list a seed), patients."""
        patients = np.arange(n) // size
        pick = self.generator.choice
        gold, luck = pick(len(CODES), n, p=self.share), self.generator.random(n)
        same = self.generator.random(n) < 0.5
        gold = np.where(same, gold[patients * size], gold)
        luck = np.where(same, luck[patients * size], luck)
        a, b = [], []
        for _ in range(seeds):
            mine, other = self._lucks(luck), self._lucks(luck)
            wrong = pick(len(CODES), (2, n), p=self.share)
            wrong = np.where(wrong == gold, (wrong + 1) % len(CODES), wrong)
            other = other if self.equal else mine
            a.append(np.where(mine < self.skills[0][gold], gold, wrong[0]))
            b.append(np.where(other < self.skills[1][gold], gold, wrong[1]))
        return gold, np.array(a), np.array(b), patients

    def _lucks(self, luck):
        own = self.generator.random(len(luck))
        return np.where(self.generator.random(len(luck)) < 0.7, luck, own)

    def truth(self):
        """Score of a system by metric, for the labels that a data set has."""
        gold, a, b, _ = self.draw(100_000, 1, 1)
        f1 = [_f1_by_label(gold, said[0], len(CODES)) for said in (a, b)]
        right = [(said[0] == gold).mean() for said in (a, b)]
        if self.equal:  # the same skill: no difference but that of these draws
            f1, right = [np.mean(f1, axis=0)] * 2, [np.mean(right)] * 2
        return lambda metric, system, seen: (
            right[system]
            if metric == "accuracy"
            else f1[system][np.unique(seen)].mean()
        )


EVENTS = ("false clear", "one-sided difference held", "score held")
CODES = np.array(
    ["I10", "E11.9", "J18.9", "N17.9", "I21.4", "I50.9", "A41.9", "K35.80", "I63.9",
     "F10.20", "C34.11", "S72.001A"], dtype=object,
)  # fmt: skip


def coverage(
    data_sets: int,
    cases: int,
    metric: str,
    exponent: float,
    resamples: int = 400,
    codes: int = 40,
    seed: int = 0,
) -> float:
    """Share of simulated data sets whose interval holds the true difference.

    Gold codes follow a Zipf law; two systems differ in skill by code and make
    dependent errors. The truth is the difference on 300,000 cases, for macro scores
    over the labels that the data set has.

    Examples
    --------
    >>> coverage(2, 30, "accuracy", 0.7, resamples=99, codes=5) in (0.0, 0.5, 1.0)
    True
    """
    world = _World(codes, exponent, np.random.default_rng(seed))
    tree = load_tree()
    billable = sorted(tree.billable_codes())
    names = np.array(billable[:: len(billable) // codes][:codes], dtype=object)
    big = world.draw(300_000)
    f1 = [_f1_by_label(big[0], said, codes) for said in big[1:]]
    right = (big[0] == big[2]).mean() - (big[0] == big[1]).mean()
    held = 0
    for number in range(data_sets):
        gold, one, two = world.draw(cases)
        truth = (
            right if metric == "accuracy" else (f1[1] - f1[0])[np.unique(gold)].mean()
        )
        found = paired_bootstrap(
            names[gold],
            names[two].tolist(),
            names[one].tolist(),
            None,
            "full",
            resamples,
            number,
            metric,
            tree,
        )
        held += bool(found.low <= truth <= found.high)
    return held / data_sets


class _World:
    """Codes by a Zipf law and two systems whose errors depend on each other."""

    def __init__(self, codes: int, exponent: float, generator):
        share = 1 / np.arange(1, codes + 1) ** exponent
        self.share = share / share.sum()
        self.generator = generator
        skill = 0.5 + 0.3 * generator.standard_normal(codes)
        self.skills = [np.clip(skill + more, 0.05, 0.95) for more in (0, 0.08)]

    def draw(self, n: int):
        """Gold codes and two systems' answers, as numbers."""
        generator = self.generator
        gold, one, two = generator.choice(len(self.share), (3, n), p=self.share)
        luck = generator.random(n)
        other = np.where(generator.random(n) < 0.7, luck, generator.random(n))
        return (
            gold,
            np.where(luck < self.skills[0][gold], gold, one),
            np.where(other < self.skills[1][gold], gold, two),
        )


def _f1_by_label(gold, said, codes: int) -> np.ndarray:
    both, of_said, of_gold = (
        np.bincount(x, minlength=codes) for x in (gold[gold == said], said, gold)
    )
    return 2 * both / np.maximum(of_said + of_gold, 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-sets", type=int, default=500)
    for result in run(parser.parse_args().data_sets):
        print(
            f"{result.name}: {result.value:.3f}", "" if result.met else "(goal missed)"
        )
