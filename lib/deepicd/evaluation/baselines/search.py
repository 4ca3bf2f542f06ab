"""Run the baselines: settings chosen on validation alone, every one recorded."""

import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import softmax

from deepicd.common.errors import UserError
from deepicd.common.progress import report
from deepicd.evaluation.baselines import counting_words
from deepicd.evaluation.baselines.embeddings import frozen_embeddings
from deepicd.evaluation.baselines.encoder import fine_tuned_encoder
from deepicd.evaluation.baselines.material import Material, splits
from deepicd.evaluation.metrics import evaluate

SYSTEMS = {
    "prior": counting_words.prior,
    "nearest_case": counting_words.nearest_case,
    "tfidf_lr": counting_words.logistic_regression,
    "embed_mlp": frozen_embeddings,
    "encoder": fine_tuned_encoder,
}
CHOSEN_BY = "macro_f1"  # at the finest level
PREDICTION_COLUMNS = [
    "system",
    "seed",
    "note_id",
    "split",
    "sample",
    "completion",
    "code",
    "well_formed",
    "in_catalogue",
    "labelled_notes",
]
TRACED = "tfidf_lr_traced"


def run_baselines(
    admissions: pd.DataFrame,
    tree,
    seed: int = 0,
    systems: Sequence[str] = tuple(SYSTEMS),
    *,
    strengths: Sequence[float] = (10.0, 100.0, 300.0),
    neighbours: Sequence[int] = (1, 5, 15),
    max_features: int = 10_000,
    max_iter: int = 60,
    encoder: str = "scratch",
    encoder_shape: Sequence[int] = (96, 1),
    encoder_heads: Sequence[str] = ("label_attention",),
    encoder_epochs: int = 6,
    encoder_learning_rate: float = 2e-3,
    encoder_length: int = 512,
    embedder: str = "svd",
    losses: Sequence[str] = ("cross_entropy",),
    code_embeddings: str = "none",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit the baselines on train, choose settings on validation, answer val and test.

    Parameters
    ----------
    admissions : pandas.DataFrame
        Columns note_id, note, label, split (train, val, test).
    tree : deepicd.icd.IcdTree
    seed : int
        Of the networks' weights and order of notes; the others are deterministic.
    systems : sequence of str
        Of `SYSTEMS`.
    strengths : sequence of float
        Inverse regularisation C of the logistic regression to try.
    neighbours : sequence of int
        Numbers of similar notes to try.
    max_features, max_iter : int
        Word n-grams kept; L-BFGS iterations.
    encoder : str
        "scratch" for a small network made here, else a hub name or folder.
    encoder_shape : two ints
        Width and layers of the network made here.
    encoder_heads : sequence of str
        Of mean, label_attention; each is tried with each loss.
    encoder_epochs, encoder_length : int
        Passes over train, each judged on validation; tokens of a note that are read.
    encoder_learning_rate : float
        Peak; 2e-3 suits the small network, 3e-5 a pretrained one.
    embedder : str
        "svd" for truncated SVD of TF-IDF, else a hub name or folder whose hidden
        states are averaged over the note.
    losses : sequence of str
        Of both networks: cross_entropy, ldam, levels (at each level of the tree) or
        siblings (a margin before codes of the same category), see `fitting.loss_of`.
    code_embeddings : str
        What both networks know of a code: "none" (free weights), its place in the
        "tree" or its "titles". With the last two they may answer any code of the
        categories in training, also such without training notes.

    Returns
    -------
    predictions : pandas.DataFrame
        One row per system and note of val and test, columns as in
        `PREDICTION_COLUMNS`; where labels have an order also `shares`, the
        probability of each; where codes without training notes may be answered also
        `unseen_code`, the likeliest of those.
    search : pandas.DataFrame
        One row per setting tried: system, setting, validation scores, seconds,
        chosen.

    Raises
    ------
    UserError
        Where a split is empty, a system, head or loss is unknown, or there is no
        such encoder.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> notes = pd.DataFrame({
    ...     "note_id": list("abcd"), "split": ["train", "train", "val", "test"],
    ...     "note": ["crushing chest pain", "fever and cough"] * 2,
    ...     "label": ["I21.9", "J18.9"] * 2})
    >>> predictions, search = run_baselines(
    ...     notes, load_tree(), systems=["prior", "nearest_case"], neighbours=[1])
    >>> predictions.query("split == 'test'")[["system", "code"]].values.tolist()
    [['prior', 'I21.9'], ['nearest_case', 'J18.9']]
    """
    unknown = sorted(set(systems) - set(SYSTEMS))
    if unknown:
        raise UserError(f"baselines {unknown}", ", ".join(SYSTEMS), "correct the list")
    options = {
        name: value
        for name, value in locals().items()
        if name not in ("admissions", "tree", "seed", "systems", "unknown")
    }
    material = Material(splits(admissions), seed, tree, options)
    predictions, search = [], []
    for done, system in enumerate(systems):
        report(done, len(systems), f"fitting {system}")
        scores, tried = _tune(system, material, tree)
        search += tried
        predictions.append(_table(system, material, np.concatenate(scores), tree))
    return pd.concat(predictions, ignore_index=True), pd.DataFrame(search)


def on_traced_notes(
    admissions: pd.DataFrame, traced: Sequence[str], tree, seed: int = 0, **options
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit `tfidf_lr` on some of the training notes alone: those that SFT learns from.

    Parameters
    ----------
    admissions, tree, seed
        See `run_baselines`.
    traced : sequence of str
        note_id of the training notes; no other one is read, not for the words either.
    **options
        Of `run_baselines`.

    Returns
    -------
    predictions, search : pandas.DataFrame
        As those of `run_baselines`, of system `TRACED`.

    Raises
    ------
    UserError
        Where none of the notes is a training note.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> notes = pd.DataFrame({
    ...     "note_id": list("abcd"), "split": ["train", "train", "val", "test"],
    ...     "note": ["crushing chest pain", "fever and cough"] * 2,
    ...     "label": ["I21.9", "J18.9"] * 2})
    >>> predictions, _ = on_traced_notes(notes, ["a"], load_tree())
    >>> predictions[["system", "code", "labelled_notes"]].values.tolist()[-1]
    ['tfidf_lr_traced', 'I21.9', 1]
    """
    left_out = admissions["split"] == "train"
    left_out &= ~admissions["note_id"].isin(traced)
    fewer = admissions[~left_out]
    tables = run_baselines(fewer, tree, seed, ["tfidf_lr"], **options)
    return tuple(table.assign(system=TRACED) for table in tables)


def _tune(system: str, material: Material, tree):
    """Scores for (val, test) of the setting that is best on val, and the record.

    A trial is drawn, answered on val, and answers the test split only where it is
    the best so far: a network goes on training from there.
    """
    best, kept, record, place = -1.0, None, [], 0
    chosen_by = f"{CHOSEN_BY}_{tree.levels[-1]}"
    start = time.perf_counter()
    for setting, answer in SYSTEMS[system](material):
        validated = answer(1)
        codes = material.answerable[validated.argmax(axis=1)]
        scores = _validation_scores(material.parts[1]["label"], codes, tree)
        if scores[chosen_by] > best:
            best, place = scores[chosen_by], len(record)
            kept = [validated, answer(2)]
        record.append(
            {
                "system": system,
                "setting": setting,
                **scores,
                "seconds": round(time.perf_counter() - start, 2),
                "chosen": False,
            }
        )
        start = time.perf_counter()
    record[place]["chosen"] = True
    return kept, record


def _validation_scores(gold, answers, tree) -> dict[str, float]:
    table = evaluate(
        gold,
        answers,
        tree.shown,
        tree,
        n_boot=0,
        metrics=("accuracy", "macro_f1"),
    )
    return {f"{row.metric}_{row.level}": row.value for row in table.itertuples()}


def _table(system: str, material: Material, scores, tree) -> pd.DataFrame:
    notes = pd.concat(material.parts[1:], ignore_index=True)
    answers = material.answerable[scores.argmax(axis=1)]
    codes = [tree.normalise(code) for code in answers]
    table = pd.DataFrame(
        {
            "system": system,
            "seed": material.seed,
            "note_id": notes["note_id"],
            "split": notes["split"],
            "sample": 0,
            "completion": "",
            "code": codes,
            "well_formed": True,
            "in_catalogue": [code is not None for code in codes],
            "labelled_notes": len(material.parts[0]),
        }
    )
    table = table[PREDICTION_COLUMNS]
    if material.unseen:
        seen = len(material.labels)
        others = material.answerable[seen:][scores[:, seen:].argmax(axis=1)]
        return table.assign(unseen_code=others)
    if not tree.order:
        return table
    answered = material.answerable[: scores.shape[1]]
    known = pd.DataFrame(softmax(scores, axis=1), columns=answered)
    shares = known.reindex(columns=list(tree.order), fill_value=0.0).to_numpy(float)
    return table.assign(shares=list(shares))
