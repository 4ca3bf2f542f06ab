"""Candidates by retrieval: how often the right code is among the k proposed.

On the default corpus of several seeds: each ranker alone and all together, for all
test notes, and for those of codes that have lost their training notes (every code of
the known categories may then be proposed). Names of results have three parts: ranker,
notes, score. Recall at 1 is the accuracy of answering the first candidate.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from deepicd.data.examples import synthetic_admissions
from deepicd.evaluation.baselines.material import near_labels
from deepicd.icd.load import load_tree
from deepicd.study.bench.encoders import (
    EICU,
    eicu_admissions,
    over_seeds,
    without_some,
)
from deepicd.study.bench.measure import BETWEEN, Result
from deepicd.training.candidates import Retriever

TITLE = "Candidates by retrieval: recall at k of each ranker and of all together"
KS = (1, 3, 5, 10, 20)
ALL, UNSEEN, SEEN = "all codes", "zero-shot codes", "the other codes beside them"
FUSED = "all together"


def run(notes: int = 4000, seeds: int = 5, eicu: str = "") -> list[Result]:
    """Fit on the training notes of every seed's corpus, and propose for its test notes.

    Parameters
    ----------
    notes, seeds : int
        Size of a corpus and number of corpora.
    eicu : str
        Folder of the eICU demo 2.0; with it, five splits of its notes are read, too.

    Returns
    -------
    list of Result
        Means over seeds with 95 % intervals over seeds (t).
    """
    rows = [row for seed in range(seeds) for row in _seed(notes, seed, eicu)]
    table = pd.DataFrame(rows, columns=["ranker", "notes", "k", "value"])
    groups = table.groupby(["ranker", "notes", "k"], sort=False)["value"]
    return [
        over_seeds(named(ranker, of, f"recall at {k}"), found)
        for (ranker, of, k), found in groups
    ]


def named(*parts: str) -> str:
    """Parts of a name put together."""
    return BETWEEN.join(parts)


def _seed(notes: int, seed: int, eicu: str) -> Iterator[tuple]:
    tree = load_tree()
    admissions = synthetic_admissions(notes, seed)
    yield from _recall(admissions, tree, seed, {ALL: None})
    some = without_some(admissions, tree, seed)
    train = some.loc[some["split"] == "train", "label"]
    near = near_labels(set(train), tree)
    yield from _recall(some, tree, seed, {UNSEEN: False, SEEN: True}, near)
    if eicu:
        real = eicu_admissions(eicu, tree, seed)
        yield from _recall(real, tree, seed, {EICU: None})


def _recall(admissions, tree, seed: int, groups: dict, others=()) -> Iterator[tuple]:
    """Rows of ranker, group, k and recall; groups by whether a code has notes."""
    train, test = (admissions[admissions["split"] == s] for s in ("train", "test"))
    finder = Retriever(train["note"], train["label"], tree, seed, others)
    found = finder.scores(test["note"]) | {FUSED: finder.fused(test["note"])}
    place = {code: i for i, code in enumerate(finder.codes)}
    gold = np.array([place[code] for code in test["label"]])
    seen = test["label"].isin(train["label"]).to_numpy()
    for ranker, scores in found.items():
        own = scores[np.arange(len(gold)), gold][:, None]
        # Of equal scores the first wins, as in `Retriever.propose`.
        earlier = (scores == own) & (np.arange(scores.shape[1]) < gold[:, None])
        rank = ((scores > own) | earlier).sum(axis=1)
        for name, known in groups.items():
            rows = slice(None) if known is None else seen == known
            for k in KS:
                yield ranker, name, k, (rank[rows] < k).mean()
