"""What a network knows of a code beside its training notes: its place, its title.

A classifier has free weights for every code, so it can answer no code that training
never shows. Here the weights of a code are made from what is known of it, and codes
of the same categories without training notes can be answered, too.
"""

from collections.abc import Iterator

import numpy as np
import torch
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn

from deepicd.common.parameters import choice
from deepicd.evaluation.baselines.material import Answer, Material
from deepicd.icd.titles import titles_on_path

SOURCES = ("none", "tree", "titles")
DIMENSIONS = 128
LEADS = (-8, -4, -2, 0, 2, 4)
"""Logits that codes without training notes are given ahead, chosen on validation."""


class LabelVectors(nn.Module):
    """A linear layer whose weights and biases are made from what is known of codes.

    It starts at zero: what no training note says anything of stays there.

    Parameters
    ----------
    hidden : int
        Width of the states that it reads.
    known : torch.Tensor, shape (codes, features)
        The codes with training notes first.
    seen : int
        Number of those; in training only they have a logit.

    Examples
    --------
    >>> layer = LabelVectors(4, torch.eye(3), seen=2)
    >>> [layer.train(mode)(torch.zeros(1, 4)).shape[1] for mode in (True, False)]
    [2, 3]
    """

    def __init__(self, hidden: int, known: torch.Tensor, seen: int):
        super().__init__()
        self.register_buffer("known", known)
        self.seen, self.out_features = seen, len(known)
        self.made = nn.Linear(known.shape[1], hidden + 1, bias=False)
        nn.init.zeros_(self.made.weight)

    def _all(self) -> torch.Tensor:
        return self.made(self.known[: self.seen] if self.training else self.known)

    @property
    def weight(self) -> torch.Tensor:
        """Shape (codes, hidden)."""
        return self._all()[:, :-1]

    @property
    def bias(self) -> torch.Tensor:
        """Shape (codes,)."""
        return self._all()[:, -1]

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Logits of states, shape (..., codes)."""
        made = self._all()
        return nn.functional.linear(states, made[:, :-1], made[:, -1])


def label_layer(
    hidden: int, classes: int, known: torch.Tensor | None, bias: bool = True
) -> nn.Module:
    """The last layer: free weights for every class, or such made from `known`."""
    if known is None:
        return nn.Linear(hidden, classes, bias=bias)
    return LabelVectors(hidden, known, classes)


def known_of(material: Material) -> torch.Tensor | None:
    """What is known of every code that may be answered; None for nothing.

    Returns
    -------
    torch.Tensor, shape (codes, features), or None
        With `code_embeddings` "tree" whether a node lies on the path to the code,
        with "titles" a truncated SVD of the TF-IDF of its title and those above it.
    """
    source = choice("code_embeddings", material.options["code_embeddings"], SOURCES)
    if source == "none":
        return None
    known = _titles(material) if source == "titles" else _places(material)
    return torch.as_tensor(known, dtype=torch.float32)


def _places(material: Material) -> np.ndarray:
    """Nodes above training codes and these themselves: others are never trained."""
    path = material.tree.path
    nodes = sorted({node for label in material.labels for node in path(label)})
    column = {node: i for i, node in enumerate(nodes)}
    found = np.zeros((len(material.answerable), len(nodes)))
    for row, label in enumerate(material.answerable):
        found[row, [column[node] for node in path(label) if node in column]] = 1
    return found


def _titles(material: Material) -> np.ndarray:
    texts = [titles_on_path(label, material.tree) for label in material.answerable]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1)
    words = vectorizer.fit_transform(texts)
    most = min(DIMENSIONS, min(words.shape) - 1)
    if most < 1:
        return words.toarray()
    found = TruncatedSVD(most, random_state=material.seed).fit_transform(words)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def with_leads(answer: Answer, material: Material) -> Iterator[tuple[str, Answer]]:
    """An answer for each lead of the codes without training notes, with its name.

    A network scores what it was trained on higher, but those codes are many, and some
    sound alike: validation tells what is fair.
    """
    seen, kept = len(material.labels), {}

    def led(part: int, lead: float) -> np.ndarray:
        if part not in kept:
            kept[part] = answer(part)
        scores = kept[part].copy()
        scores[:, seen:] += lead
        return scores

    if not material.unseen:
        yield "", answer
        return
    for lead in LEADS:
        yield f", lead={lead}", lambda part, lead=lead: led(part, lead)
