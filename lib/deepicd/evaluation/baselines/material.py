"""What every baseline is given: the three splits and the training labels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer

from deepicd.common.errors import UserError
from deepicd.tasks.task import LabelSpace, above

Answer = Callable[[int], np.ndarray]
"""From the number of a part (1 val, 2 test) to scores of the classes, shape (notes,
classes): log-probabilities up to a constant a note. The highest is answered."""
Trials = Iterator[tuple[str, Answer]]
"""Settings in words, each with what answers by it; drawn one after the other."""


@dataclass
class Material:
    """Notes of train, val and test, with the codes of train as classes.

    Attributes
    ----------
    parts : list of three pandas.DataFrame
        Columns note_id, note, label, split.
    seed : int
    tree : deepicd.tasks.task.LabelSpace
    options : dict
        Settings to try and sizes, by name; see `run_baselines`.
    """

    parts: list[pd.DataFrame]
    seed: int
    tree: LabelSpace
    options: dict = field(default_factory=dict)

    @cached_property
    def codes(self) -> np.ndarray:
        """Codes of the training notes."""
        return self.parts[0]["label"].to_numpy(dtype=object)

    @cached_property
    def labels(self) -> np.ndarray:
        """Codes that occur in training, sorted: the classes."""
        return np.unique(self.codes.astype(str)).astype(object)

    @cached_property
    def numbers(self) -> np.ndarray:
        """Class of each training note."""
        return np.searchsorted(self.labels.astype(str), self.codes.astype(str))

    @cached_property
    def families(self) -> list[str]:
        """Node shown above each class: the category of a code."""
        level = above(self.tree)
        return [self.tree.at(label, level) for label in self.labels]

    @cached_property
    def unseen(self) -> list[str]:
        """Labels below the same nodes without training notes, if they are answered."""
        if self.options.get("code_embeddings", "none") == "none":
            return []
        return sorted(near_labels(self.labels, self.tree) - set(self.labels))

    @cached_property
    def answerable(self) -> np.ndarray:
        """Classes, then labels without training notes."""
        return np.array([*self.labels, *self.unseen], dtype=object)

    def notes(self, part: int) -> list[str]:
        """Texts of a part: 0 train, 1 val, 2 test."""
        return self.parts[part]["note"].tolist()

    @cached_property
    def words(self) -> list:
        """TF-IDF features of the three parts."""

        texts = (self.notes(part) for part in range(3))
        return word_features(*texts, self.options["max_features"])


def near_labels(labels, tree: LabelSpace) -> set[str]:
    """Labels below the nodes that are shown above some labels: codes of a category."""
    nodes = {tree.at(label, above(tree)) for label in labels}
    return {leaf for node in nodes for leaf in tree.leaves(node)}


def splits(admissions: pd.DataFrame) -> list[pd.DataFrame]:
    """Train, val and test; raises `UserError` where one is empty."""
    parts = [
        admissions[admissions["split"] == name] for name in ("train", "val", "test")
    ]
    sizes = [len(part) for part in parts]
    if not all(sizes):
        raise UserError(
            f"{sizes} admissions in train, val and test",
            "at least one in each",
            "use more notes or other fractions",
        )
    return parts


def word_features(
    train: Sequence[str],
    val: Sequence[str],
    test: Sequence[str],
    max_features: int = 10_000,
):
    """TF-IDF of words and word pairs, fitted on the training notes alone.

    Returns
    -------
    list of three scipy.sparse matrices, shape (notes, features), float32
        Rows have unit length, so a dot product is the cosine.
    """
    rare = 1 if len(train) < 50 else 2
    vectorizer = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=rare,
        sublinear_tf=True,
        max_features=max_features,
        dtype=np.float32,
        token_pattern=r"(?u)\b\w[\w./%-]*\b",
    )
    return [
        vectorizer.fit_transform(train),
        vectorizer.transform(val),
        vectorizer.transform(test),
    ]
