"""Baselines that count words: prior, nearest case, logistic regression."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from deepicd.evaluation.baselines.material import Material, Trials


def prior(material: Material) -> Trials:
    """The most frequent code of training, whatever the note says."""
    scores = np.log(np.bincount(material.numbers))
    yield "none", lambda part: np.tile(scores, (len(material.parts[part]), 1))


def nearest_case(material: Material) -> Trials:
    """The code of the most similar training notes, for each number of them."""
    train = material.words[0]
    for k in material.options["neighbours"]:
        yield (
            f"k={k}",
            lambda part, k=k: nearest_votes(
                material.words[part], train, material.numbers, k
            ),
        )


def logistic_regression(material: Material) -> Trials:
    """Multinomial logistic regression, for each inverse regularisation C."""
    if len(material.labels) == 1:
        yield from prior(material)
        return
    for strength in material.options["strengths"]:
        model = LogisticRegression(
            C=strength, solver="lbfgs", tol=1e-3, max_iter=material.options["max_iter"]
        )
        with warnings.catch_warnings():  # an early stop is judged by validation too
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(material.words[0], material.numbers)
        yield (
            f"C={strength:g}",
            lambda part, model=model: _of_each(
                model.decision_function(material.words[part])
            ),
        )


def _of_each(scores: np.ndarray) -> np.ndarray:
    """One score a class, where of two classes only the second has one."""
    return scores if scores.ndim == 2 else np.stack([0 * scores, scores], axis=1)


def nearest_votes(notes, train, numbers: np.ndarray, k: int) -> np.ndarray:
    """Logarithm of the votes of the k most similar training notes for each class.

    Each votes with its cosine.

    Parameters
    ----------
    notes, train : sparse matrices with rows of unit length
    numbers : array of int
        Class of each training note.
    k : int

    Returns
    -------
    array, shape (notes, classes)
    """
    k = min(k, train.shape[0])
    found = []
    for start in range(0, notes.shape[0], 256):
        cosine = (notes[start : start + 256] @ train.T).toarray()
        near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
        votes = np.zeros((len(cosine), numbers.max() + 1))
        rows = np.arange(len(cosine))[:, None]
        np.add.at(
            votes,
            (rows, numbers[near]),
            np.take_along_axis(cosine, near, axis=1) + 1e-9,
        )
        found.append(votes)
    with np.errstate(divide="ignore"):
        return np.log(np.concatenate(found))


def nearest_rows(notes, train, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k most similar training notes to each note, the nearest first.

    Parameters
    ----------
    notes, train : sparse matrices with rows of unit length

    Returns
    -------
    (array of int, array of float), shape (notes, k)
        Rows of training notes, and their cosines.

    Examples
    --------
    >>> from deepicd.evaluation.baselines.material import word_features
    >>> train, new, _ = word_features(["chest pain", "cough"], ["a cough"], ["x"])
    >>> nearest_rows(new, train, 1)[0].tolist()
    [[1]]
    """
    cosine = (notes @ train.T).toarray()
    rows = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(cosine, rows, axis=1)
