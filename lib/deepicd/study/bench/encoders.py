"""Encoders that know the tree: losses and label vectors, with and without unseen codes.

On the default corpus of several seeds, a network is trained with each loss on all
codes, and with each kind of label vectors where some codes have lost their training
notes. Those codes are counted apart: `zero-shot`. Names of results have four parts:
system, variant, setting, score.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from deepicd.data.admissions import build_admissions
from deepicd.data.examples import synthetic_admissions
from deepicd.data.sources.opening import open_source
from deepicd.evaluation.baselines.search import run_baselines
from deepicd.evaluation.counts import roll_up
from deepicd.evaluation.intervals import half_over_seeds
from deepicd.evaluation.strata import frequency_band, frequency_table
from deepicd.evaluation.systems import gather
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import BETWEEN, Result
from deepicd.tasks.task import above

TITLE = "Encoders that know the tree: macro F1 by frequency, zero-shot codes apart"
ALL, SOME, EICU = "all codes", "a fifth of the codes unseen", "eICU demo"
SHARE = 0.2
ZERO_SHOT = "zero-shot"
AMONG = "full accuracy, zero-shot codes among such alone"
CROSS_ENTROPY, TREE, TITLES = "cross-entropy", "tree vectors", "title vectors"


@dataclass(frozen=True)
class Variant:
    """A loss and what is known of codes."""

    name: str
    loss: str = "cross_entropy"
    known: str = "none"


VARIANTS = {
    ALL: (
        Variant(CROSS_ENTROPY),
        Variant("levels", "levels"),
        Variant("siblings", "siblings"),
        Variant(TREE, known="tree"),
        Variant(TITLES, known="titles"),
    ),
    SOME: (
        Variant(CROSS_ENTROPY),
        Variant(TREE, known="tree"),
        Variant(TITLES, known="titles"),
        Variant(f"levels, {TITLES}", "levels", "titles"),
    ),
}


def run(
    notes: int = 4000, seeds: int = 5, system: str = "embed_mlp", eicu: str = ""
) -> list[Result]:
    """Train and score every variant on the corpus of every seed.

    Parameters
    ----------
    notes, seeds : int
        Size of a corpus and number of corpora; each is split and trained by its seed.
    system : str
        "embed_mlp" (seconds a variant and seed) or "encoder" (a minute).
    eicu : str
        Folder of the eICU demo 2.0; with it, as many splits of its notes are read too.

    Returns
    -------
    list of Result
        Means over seeds with 95 % intervals over seeds (t), and paired differences
        from cross-entropy.
    """
    rows = [row for seed in range(seeds) for row in _seed(notes, seed, system, eicu)]
    return _results(system, rows)


def _results(system: str, rows: list[tuple]) -> list[Result]:
    """Of each score its mean over seeds, and how far it is from cross-entropy."""
    table = pd.DataFrame(rows, columns=["variant", "setting", "score", "value", "seed"])
    wide = table.pivot(index="seed", columns=["setting", "variant", "score"])["value"]
    wide = wide[table[list(wide.columns.names)].drop_duplicates().agg(tuple, axis=1)]
    found = []
    for setting, variant, score in wide.columns:
        own = wide[setting, variant, score]
        name = (system, variant, setting, score)
        found.append(over_seeds(BETWEEN.join(name), own))
        if variant != CROSS_ENTROPY and (setting, CROSS_ENTROPY, score) in wide:
            name = (system, f"{variant} minus {CROSS_ENTROPY}", setting, score)
            change = own - wide[setting, CROSS_ENTROPY, score]
            found.append(over_seeds(BETWEEN.join(name), change))
    return found


def over_seeds(name: str, values: pd.Series) -> Result:
    """Mean over seeds, with its 95 % interval where there are three or more."""
    values = values.dropna().to_numpy(float)
    mean, k = values.mean(), len(values)
    if k < 3:
        return Result(name, round(mean, 4), "")
    half = half_over_seeds(values)
    low, high = round(mean - half, 4), round(mean + half, 4)
    return Result(name, round(mean, 4), "", low=low, high=high)


def _seed(notes: int, seed: int, system: str, eicu: str) -> Iterator[tuple]:
    tree = load_tree()
    admissions = synthetic_admissions(notes, seed)
    frames = {ALL: admissions, SOME: without_some(admissions, tree, seed)}
    asked = [(name, variants, frames[name]) for name, variants in VARIANTS.items()]
    if eicu:
        asked.append((EICU, VARIANTS[ALL], eicu_admissions(eicu, tree, seed)))
    for setting, variants, frame in asked:
        for one in variants:
            for score, value in scores_of(frame, tree, seed, system, one):
                yield one.name, setting, score, value, seed


def eicu_admissions(folder: str, tree, seed: int) -> pd.DataFrame:
    """Notes of the eICU demo, split by the seed."""
    raw = open_source("eicu", Path(folder), "", seed, {})
    return build_admissions(raw, tree, seed, workers=1)[0]


def without_some(
    admissions: pd.DataFrame, tree, seed: int, share: float = SHARE
) -> pd.DataFrame:
    """Take the training notes of some codes away whose category keeps another code.

    Half of these codes stay in validation, where the lead of unseen codes is chosen,
    the other half in test: no code is in both.

    Parameters
    ----------
    admissions : pandas.DataFrame
        Columns label, split.
    tree : deepicd.icd.IcdTree
    seed : int
    share : float
        Of the codes in training.
    """
    train = admissions["split"] == "train"
    codes = sorted(admissions.loc[train, "label"].unique())
    left = pd.Series({code: tree.at(code, above(tree)) for code in codes})
    gone: list[str] = []
    for code in np.random.default_rng(seed).permutation(codes):
        if len(gone) < share * len(codes) and (left == left[code]).sum() > 1:
            gone.append(code)
            left = left.drop(code)
    lost = {"train": gone, "val": gone[::2], "test": gone[1::2]}
    away = pd.Series(False, index=admissions.index)
    for split, names in lost.items():
        away |= (admissions["split"] == split) & admissions["label"].isin(names)
    return admissions[~away]


def scores_of(
    admissions: pd.DataFrame, tree, seed: int, system: str, variant: Variant
) -> Iterator[tuple[str, float]]:
    """Macro F1 over the codes of each frequency, and accuracy by level.

    Of codes without training notes it is also told how often the right one is the
    likeliest of them all, when no code with notes may be answered: the question of
    zero-shot learning as it is usually put.
    """
    predictions, _ = run_baselines(
        admissions,
        tree,
        seed,
        [system],
        losses=[variant.loss],
        code_embeddings=variant.known,
    )
    cases = gather(predictions, admissions)
    train = admissions.loc[admissions["split"] == "train", "label"]
    table = frequency_table(cases, train, tree)
    band = np.where(
        table["train_n"] == 0, ZERO_SHOT, frequency_band(table["code"], train)
    )
    for name, f1 in [("all", table["f1"]), *table["f1"].groupby(band)]:
        yield f"macro F1, {name}", f1.mean()
    unseen = ~cases.notes["label"].isin(train)
    answers = next(iter(cases.answers[system].values()))
    for level in tree.shown:
        gold, said = (roll_up(x, level, tree) for x in (cases.gold, answers))
        right = pd.Series(gold == said)
        for name, own in (("seen", ~unseen), (ZERO_SHOT, unseen)):
            if own.any():
                yield f"{level} accuracy, {name} codes", right[own.to_numpy()].mean()
    if "unseen_code" in predictions and unseen.any():
        told = predictions.set_index("note_id")["unseen_code"]
        asked = cases.notes.loc[unseen, ["note_id", "label"]]
        right = told.reindex(asked["note_id"]).to_numpy() == asked["label"].to_numpy()
        yield AMONG, right.mean()
