"""A classifier learned over hospitals whose notes stay where they are.

Federated averaging (McMahan et al. 2017): in each round every site trains the shared
network on its own notes, and the mean of their weights, each counted by its number of
notes, is the next shared network. Only weights leave a site. For that the embedding
must not be fitted on anybody's notes: `hashed_vectors` is the same function everywhere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.random_projection import SparseRandomProjection
from torch import nn
from torch.nn import functional

from deepicd.evaluation.baselines.embeddings import mlp

FEATURES, WIDTH = 2**18, 512
BATCH, LEARNING_RATE = 64, 2e-3


@dataclass(frozen=True)
class Site:
    """What one hospital keeps to itself.

    Attributes
    ----------
    vectors : torch.Tensor, shape (notes, width), float32
    numbers : torch.Tensor, shape (notes,), int64
        Classes; all sites number the codes alike.
    """

    vectors: torch.Tensor
    numbers: torch.Tensor

    def at(self, rows) -> "Site":
        """Some of the notes."""
        rows = torch.as_tensor(np.asarray(rows))
        return Site(self.vectors[rows], self.numbers[rows])


def hashed_vectors(notes: Sequence[str], width: int = WIDTH) -> torch.Tensor:
    """Words and word pairs, hashed and randomly projected: nothing is fitted.

    At the usual density (Li et al. 2006) a word reaches one dimension on average, so
    four of ten reach none; cosines between notes of many words survive nevertheless.
    Dimensions have unit variance over a note.

    Examples
    --------
    >>> said = "cough, fever, chills and dyspnea for three days in a heavy smoker"
    >>> vectors = hashed_vectors([said, said.upper()])
    >>> round(float(vectors[0] @ vectors[1]) / WIDTH, 2), vectors[0].shape
    (1.0, torch.Size([512]))
    """
    words = HashingVectorizer(
        n_features=FEATURES,
        ngram_range=(1, 2),
        alternate_sign=False,
        norm=None,
        stop_words="english",
        dtype=np.float32,
    ).transform(notes)
    words.data = np.log1p(words.data)
    project = SparseRandomProjection(width, random_state=0, dense_output=True)
    found = torch.as_tensor(project.fit_transform(words), dtype=torch.float32)
    return functional.normalize(found) * width**0.5


def averaged(
    sites: Sequence[Site], classes: int, seed: int, rounds: int
) -> Iterator[nn.Module]:
    """Federated averaging; with a single site it is ordinary training.

    A site keeps the moments of its optimiser (AdamW) from round to round.

    Parameters
    ----------
    sites : sequence of Site
        Each with a note at least.
    classes : int
    seed : int
        Of the first weights, the order of notes and dropout.
    rounds : int
        Of averaging; in each a site passes over its notes once.

    Yields
    ------
    torch.nn.Module
        The shared network after each round, the same object, for answering.
    """
    width = sites[0].vectors.shape[1]
    shared = mlp(width, classes, seed)
    own = [mlp(width, classes, seed) for _ in sites]
    optimisers = [
        torch.optim.AdamW(network.parameters(), LEARNING_RATE, fused=True)
        for network in own
    ]
    counts = np.array([len(site.numbers) for site in sites])
    for number in range(rounds):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * 1000 + number)
            for site, network, optimiser in zip(sites, own, optimisers, strict=True):
                network.load_state_dict(shared.state_dict())
                _one_pass(site, network.train(), optimiser)
        weights = [network.state_dict() for network in own]
        shared.load_state_dict(_mean(weights, counts / counts.sum()))
        yield shared.eval()


def _one_pass(site: Site, network: nn.Module, optimiser) -> None:
    for rows in torch.randperm(len(site.numbers)).split(BATCH):
        optimiser.zero_grad(set_to_none=True)
        logits = network(site.vectors[rows])
        functional.cross_entropy(logits, site.numbers[rows]).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()


def _mean(states: Sequence[dict], shares: np.ndarray) -> dict:
    parts = list(zip(states, shares, strict=True))
    return {
        name: sum(state[name] * share for state, share in parts) for name in states[0]
    }
