"""Baselines that count words: prior, nearest case, logistic regression."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from deepicd.evaluation.baselines.material import Material, Trials


def prior(material: Material) -> Trials:
    """The most frequent code of training, whatever the note says."""
    counts = pd.Series(material.codes).value_counts().sort_index(kind="stable")
    code = counts.idxmax()
    yield "none", lambda part: np.full(len(material.parts[part]), code, dtype=object)


def nearest_case(material: Material) -> Trials:
    """The code of the most similar training notes, for each number of them."""
    train = material.words[0]
    for k in material.options["neighbours"]:
        yield (
            f"k={k}",
            lambda part, k=k: nearest_codes(
                material.words[part], train, material.codes, k
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
            lambda part, model=model: material.labels[
                model.predict(material.words[part])
            ],
        )


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
        np.add.at(
            votes,
            (rows, numbers[near]),
            np.take_along_axis(cosine, near, axis=1) + 1e-9,
        )
        answers.append(labels[votes.argmax(1)])
    return np.concatenate(answers).astype(object)
