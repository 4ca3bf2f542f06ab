"""Baselines that need no language model: what counting words already achieves.

Three systems: `prior` answers the most frequent code of the training split,
`nearest_case` the code of the most similar training notes, `tfidf_lr` is a
multinomial logistic regression on word n-grams. Settings are chosen on the
validation split alone, and every setting tried is in the search table.
"""

import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from deepicd.errors import UserError
from deepicd.metrics import evaluate

SYSTEMS = ("prior", "nearest_case", "tfidf_lr")
CHOSEN_BY = "macro_f1_full"
PREDICTION_COLUMNS = ["system", "seed", "note_id", "split", "sample", "completion",
                      "code", "well_formed", "in_catalogue"]


def run_baselines(admissions: pd.DataFrame, tree, seed: int = 0,
                  systems: Sequence[str] = SYSTEMS,
                  strengths: Sequence[float] = (3.0, 10.0, 100.0),
                  neighbours: Sequence[int] = (1, 5, 15),
                  max_features: int = 20_000, max_iter: int = 60,
                  ) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Fit the baselines on train, choose settings on validation, answer val and test.

    Parameters
    ----------
    admissions : pandas.DataFrame
        Columns note_id, note, icd_code, split (train, val, test).
    tree : deepicd.icd.IcdTree
    seed : int
        Recorded; all three systems are deterministic.
    systems : sequence of str
        Of prior, nearest_case, tfidf_lr.
    strengths : sequence of float
        Inverse regularisation C of the logistic regression to try.
    neighbours : sequence of int
        Numbers of similar notes to try.
    max_features, max_iter : int
        Word n-grams kept; L-BFGS iterations.

    Returns
    -------
    predictions : pandas.DataFrame
        One row per system and note of val and test, columns as in
        `PREDICTION_COLUMNS`.
    search : pandas.DataFrame
        One row per setting tried: system, setting, validation scores, seconds,
        chosen.

    Raises
    ------
    UserError
        Where a split is empty or a system is unknown.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> notes = pd.DataFrame({
    ...     "note_id": list("abcd"), "split": ["train", "train", "val", "test"],
    ...     "note": ["crushing chest pain", "fever and cough"] * 2,
    ...     "icd_code": ["I21.9", "J18.9"] * 2})
    >>> predictions, search = run_baselines(notes, load_tree(), neighbours=[1])
    >>> predictions.query("split == 'test'")[["system", "code"]].values.tolist()
    [['prior', 'I21.9'], ['nearest_case', 'J18.9'], ['tfidf_lr', 'J18.9']]
    """
    parts = _splits(admissions)
    settings = {"prior": [{}], "nearest_case": [{"k": k} for k in neighbours],
                "tfidf_lr": [{"C": c} for c in strengths]}
    unknown = sorted(set(systems) - set(settings))
    if unknown:
        raise UserError(f"baselines {unknown}", ", ".join(SYSTEMS), "correct the list")
    features = word_features(*(part["note"] for part in parts), max_features)
    codes = parts[0]["icd_code"].to_numpy(dtype=object)
    predictions, search = [], []
    for system in systems:
        answers, tried = _tune(system, settings[system], features, codes, parts[1],
                               tree, max_iter)
        search += tried
        predictions.append(_table(system, seed, parts[1:], answers, tree))
    return pd.concat(predictions, ignore_index=True), pd.DataFrame(search)


def _splits(admissions: pd.DataFrame) -> list[pd.DataFrame]:
    parts = [admissions[admissions["split"] == name]
             for name in ("train", "val", "test")]
    sizes = [len(part) for part in parts]
    if not all(sizes):
        raise UserError(f"{sizes} admissions in train, val and test",
                        "at least one in each", "use more notes or other fractions")
    return parts


def word_features(train: Sequence[str], val: Sequence[str], test: Sequence[str],
                  max_features: int = 20_000):
    """TF-IDF of words and word pairs, fitted on the training notes alone.

    Returns
    -------
    list of three scipy.sparse matrices, shape (notes, features), float32
        Rows have unit length, so a dot product is the cosine.
    """
    rare = 1 if len(train) < 50 else 2
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), min_df=rare, sublinear_tf=True,
                                 max_features=max_features, dtype=np.float32,
                                 token_pattern=r"(?u)\b\w[\w./%-]*\b")
    return [vectorizer.fit_transform(train), vectorizer.transform(val),
            vectorizer.transform(test)]


def _tune(system, settings, features, codes, val, tree, max_iter):
    """Answers for (val, test) of the setting that is best on val, and the record."""
    best, kept, record = -1.0, None, []
    for setting in settings:
        start = time.perf_counter()
        answer = _fit(system, setting, features[0], codes, max_iter)
        answers = [answer(part) for part in features[1:]]
        scores = _validation_scores(val["icd_code"], answers[0], tree)
        name = ", ".join(f"{k}={v:g}" for k, v in setting.items()) or "none"
        record.append({"system": system, "setting": name, **scores,
                       "seconds": round(time.perf_counter() - start, 2),
                       "chosen": False})
        if scores[CHOSEN_BY] > best:
            best, kept, place = scores[CHOSEN_BY], answers, len(record) - 1
    record[place]["chosen"] = True
    return kept, record


def _validation_scores(gold, answers, tree) -> dict[str, float]:
    table = evaluate(gold, answers, ("chapter", "category", "full"), tree, n_boot=0,
                     metrics=("accuracy", "macro_f1"))
    return {f"{row.metric}_{row.level}": row.value for row in table.itertuples()}


def _fit(system: str, setting: dict, train, codes, max_iter: int) -> Callable:
    """Fit one system; returns a function from features to an array of codes."""
    if system == "prior":
        most = pd.Series(codes).value_counts(sort=True).sort_index(kind="stable")
        code = most.idxmax()
        return lambda notes: np.full(notes.shape[0], code, dtype=object)
    if system == "nearest_case":
        return lambda notes: nearest_codes(notes, train, codes, setting["k"])
    if len(set(codes)) == 1:
        return lambda notes: np.full(notes.shape[0], codes[0], dtype=object)
    model = LogisticRegression(C=setting["C"], solver="lbfgs", max_iter=max_iter,
                               tol=1e-3)
    labels, numbers = np.unique(codes.astype(str), return_inverse=True)
    with warnings.catch_warnings():  # an early stop is judged by validation too
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(train, numbers)
    return lambda notes: labels[model.predict(notes)].astype(object)


def nearest_codes(notes, train, codes: Sequence[str], k: int) -> np.ndarray:
    """Code with the largest summed cosine among the k most similar training notes.

    Parameters
    ----------
    notes, train : sparse matrices with rows of unit length
    codes : sequence of str
        Of the training notes.
    k : int

    Returns
    -------
    numpy.ndarray of str
    """
    labels, numbers = np.unique(np.asarray(codes, dtype=str), return_inverse=True)
    k = min(k, train.shape[0])
    answers = []
    for start in range(0, notes.shape[0], 256):
        cosine = (notes[start : start + 256] @ train.T).toarray()
        near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        votes = np.zeros((len(cosine), len(labels)))
        rows = np.arange(len(cosine))[:, None]
        np.add.at(votes, (rows, numbers[near]),
                  np.take_along_axis(cosine, near, axis=1) + 1e-9)
        answers.append(labels[votes.argmax(1)])
    return np.concatenate(answers).astype(object)


def _table(system, seed, parts, answers, tree) -> pd.DataFrame:
    notes = pd.concat(parts, ignore_index=True)
    codes = [tree.normalise(code) for code in np.concatenate(answers)]
    table = pd.DataFrame({
        "system": system, "seed": seed, "note_id": notes["note_id"],
        "split": notes["split"], "sample": 0, "completion": "", "code": codes,
        "well_formed": True, "in_catalogue": [code is not None for code in codes]})
    return table[PREDICTION_COLUMNS]
