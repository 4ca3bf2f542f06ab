"""Metrics: the paired bootstrap against a loop over scikit-learn."""

import random
from time import process_time

import numpy as np

from deepicd.evaluation.counts import gold_labels, label_set_of, roll_up
from deepicd.evaluation.intervals import paired_bootstrap
from deepicd.evaluation.metrics import evaluate
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import Result, best_seconds, peak_memory
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS

TITLE = "Metrics: 2,000 paired resamples, 20,000 answers, three levels"
LEVELS = PRINCIPAL_DIAGNOSIS.shown


def run(cases: int = 20_000, resamples: int = 2_000, loop: int = 6) -> list[Result]:
    """Time the paired bootstrap of macro F1, and the loop it replaces (CPU seconds).

    Parameters
    ----------
    cases, resamples : int
    loop : int
        Resamples of the scikit-learn loop; its time is scaled to `resamples`.

    Returns
    -------
    list of Result
    """
    tree = load_tree()
    gold, a, b, patients = answers(tree, cases)
    ours = best_seconds(
        lambda: paired_bootstrap(
            gold, a, b, patients, LEVELS, resamples, 0, "macro_f1", tree
        ),
        2,
        process_time,
    )
    memory = peak_memory()
    theirs = _sklearn_loop(gold, a, b, tree, loop) * resamples / loop
    one = best_seconds(lambda: evaluate(gold, a, tree=tree, n_boot=0), 2, process_time)
    intervals = best_seconds(
        lambda: evaluate(gold, a, tree=tree, groups=patients, n_boot=1000),
        1,
        process_time,
    )
    apart = agreement(tree)
    return [
        Result("paired bootstrap, macro F1", ours, "s", goal=3.0),
        Result("loop over scikit-learn (scaled)", theirs, "s"),
        Result("times faster", theirs / ours, "x", goal=100.0, at_least=True),
        Result("peak memory", memory / 2**20, "MiB", goal=1024.0),
        Result("evaluate, no intervals", one, "s"),
        Result("evaluate, 1,000 resamples, all scores", intervals, "s"),
        Result("farthest from scikit-learn, 1,000 cases", apart, "", goal=1e-12),
    ]


def agreement(tree, cases: int = 1_000, seed: int = 0) -> float:
    """Largest difference from scikit-learn over random cases, levels and scores.

    Every case has 1 to 60 notes of 60 codes, answers that are right, wrong,
    unreadable or outside the label set.

    Examples
    --------
    >>> agreement(load_tree(), cases=2) <= 1e-12
    True
    """
    from sklearn.metrics import precision_recall_fscore_support

    generator = np.random.default_rng(seed)
    pool = generator.choice(sorted(tree.billable_codes()), 60, replace=False)
    farthest = 0.0
    for _ in range(cases):
        n = int(generator.integers(1, 61))
        gold = generator.choice(pool, n).tolist()
        said = [
            g if u < 0.4 else (None if u > 0.9 else s)
            for g, s, u in zip(
                gold, generator.choice(pool, n), generator.random(n), strict=True
            )
        ]
        ours = evaluate(gold, said, LEVELS, tree, n_boot=0)
        ours = ours.set_index(["level", "metric"])["value"]
        for level in LEVELS:
            place = {x: i for i, x in enumerate(label_set_of(gold, level, tree))}
            truth = [place[x] for x in gold_labels(gold, level, tree)]
            answer = [place.get(x, -1) for x in roll_up(said, level, tree)]
            for average in ("macro", "micro", "weighted"):
                scores = precision_recall_fscore_support(
                    truth,
                    answer,
                    labels=list(range(len(place))),
                    average=average,
                    zero_division=0,
                )
                for part, value in zip(
                    ("precision", "recall", "f1"), scores, strict=False
                ):
                    farthest = max(
                        farthest, abs(value - ours[level, f"{average}_{part}"])
                    )
    return farthest


def answers(tree, cases: int, codes: int = 7_000, seed: int = 0):
    """Gold codes by a Zipf law, two systems' answers, and patients.

    Returns
    -------
    tuple of four lists
        gold, a, b, patients.

    Examples
    --------
    >>> [len(part) for part in answers(load_tree(), 10, codes=50)]
    [10, 10, 10, 10]
    """
    chosen = random.Random(seed).sample(sorted(tree.billable_codes()), codes)
    generator = np.random.default_rng(seed)
    share = 1 / np.arange(1, codes + 1)
    share /= share.sum()
    gold, other = generator.choice(codes, (2, cases), p=share)
    right = generator.random(cases)
    systems = [
        [
            chosen[g] if r < skill else chosen[o]
            for g, o, r in zip(gold, other, right, strict=True)
        ]
        for skill in (0.5, 0.45)
    ]
    patients = generator.integers(int(0.8 * cases) + 1, size=cases).tolist()
    return [chosen[g] for g in gold], *systems, patients


def _sklearn_loop(gold, a, b, tree, resamples: int) -> float:
    """Seconds of some resamples, labels already integers."""
    from sklearn.metrics import f1_score

    coded = []
    for level in LEVELS:
        place = {name: i for i, name in enumerate(label_set_of(gold, level, tree))}
        columns = [
            gold_labels(gold, level, tree),
            roll_up(a, level, tree),
            roll_up(b, level, tree),
        ]
        coded.append(
            (
                list(range(len(place))),
                *(
                    np.array([place.get(label, -1) for label in column])
                    for column in columns
                ),
            )
        )
    generator = np.random.default_rng(0)
    begin = process_time()
    for _ in range(resamples):
        drawn = generator.integers(len(gold), size=len(gold))
        for labels, truth, *systems in coded:
            for said in systems:
                f1_score(
                    truth[drawn],
                    said[drawn],
                    labels=labels,
                    average="macro",
                    zero_division=0,
                )
    return process_time() - begin
