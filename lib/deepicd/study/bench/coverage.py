"""Coverage: how often the 95 % interval of a known difference holds it."""

import argparse

import numpy as np

from deepicd.evaluation.intervals import paired_bootstrap
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import Result

TITLE = "Coverage of the paired bootstrap's 95 % interval, 500 simulated data sets each"
SETTINGS = (("accuracy", 0.7), ("macro_f1", 0.3), ("macro_f1", 0.7), ("macro_f1", 1.2))
"""Score, and the exponent of the Zipf law of the codes: larger, more rare codes."""


def run(data_sets: int = 500, cases: int = 200) -> list[Result]:
    """Measure the coverage at every setting.

    Parameters
    ----------
    data_sets, cases : int
        Simulated data sets a setting, and notes in each.

    Returns
    -------
    list of Result
        One coverage a setting; the goal is 0.93 or more (and 0.97 or less).
    """
    return [
        Result(
            f"{metric}, Zipf {exponent}",
            coverage(data_sets, cases, metric, exponent),
            "share",
            goal=0.93,
            at_least=True,
        )
        for metric, exponent in SETTINGS
    ]


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
        print(f"{result.name}: {result.value:.3f}")
