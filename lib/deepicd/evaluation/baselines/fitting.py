"""Training of the small networks: losses, schedule, one epoch after another."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from deepicd.common.parameters import choice
from deepicd.common.progress import Count
from deepicd.evaluation.baselines.material import Material

LOSSES = ("cross_entropy", "ldam", "levels", "siblings")
LARGEST_MARGIN = 2.0
SIBLING_MARGIN = 1.0


def loss_of(name: str, material: Material) -> Callable:
    """Loss from logits and classes to a scalar.

    Parameters
    ----------
    name : str
        cross_entropy; ldam, which demands of the gold code a lead that is the larger
        the rarer the code: margin C n^(-1/4) (Cao et al. 2019), with C such that the
        rarest code has `LARGEST_MARGIN`; levels, the mean of the cross-entropies of
        the nodes at each shown level, where a node has the probability of all classes
        below it; siblings, cross-entropy and what the gold code lacks of a lead of
        `SIBLING_MARGIN` before the best other class of its category.
    material : Material

    Raises
    ------
    UserError
        For an unknown name.

    Examples
    --------
    >>> import pandas as pd
    >>> train = pd.DataFrame({"label": ["I10"] * 16 + ["I21.9"]})
    >>> loss = loss_of("ldam", Material([train], 0, tree=None))
    >>> logits = torch.zeros(2, 2)
    >>> [round(loss(logits[:1], torch.tensor([c])).item(), 2) for c in (0, 1)]
    [1.31, 2.13]
    """
    choice("loss", name, LOSSES)
    return {
        "cross_entropy": lambda material: functional.cross_entropy,
        "ldam": _ldam,
        "levels": _levels,
        "siblings": _siblings,
    }[name](material)


def _ldam(material: Material) -> Callable:
    counts = np.bincount(material.numbers, minlength=len(material.labels))
    margins = torch.as_tensor(np.maximum(counts, 1) ** -0.25, dtype=torch.float32)
    margins = margins * (LARGEST_MARGIN / margins.max())

    def loss(logits, gold):
        lead = margins.to(logits.device)[gold][:, None]
        return functional.cross_entropy(
            logits.scatter_add(1, gold[:, None], -lead), gold
        )

    return loss


def _levels(material: Material) -> Callable:
    tree = material.tree
    at = [[tree.at(x, level) for x in material.labels] for level in tree.shown]
    places = [torch.as_tensor(np.unique(x, return_inverse=True)[1]) for x in at]

    def loss(logits, gold):
        shares = logits.softmax(1)
        found = 0
        for place in places:
            node = place.to(logits.device)
            below = node == node[gold][:, None]
            found -= (shares * below).sum(1).clamp_min(1e-9).log().mean()
        return found / len(places)

    return loss


def _siblings(material: Material) -> Callable:
    family = np.array(material.families)
    near = torch.as_tensor(family == family[:, None]).fill_diagonal_(False)

    def loss(logits, gold):
        others = logits.masked_fill(~near.to(logits.device)[gold], -math.inf)
        lead = logits.gather(1, gold[:, None])[:, 0] - others.amax(1)
        lacking = functional.relu(SIBLING_MARGIN - lead).mean()
        return functional.cross_entropy(logits, gold) + lacking

    return loss


def epochs(
    network: nn.Module,
    batches: Callable,
    loss: Callable,
    n: int,
    number: int,
    steps: int,
    learning_rate: float,
    seed: int,
) -> Iterator[int]:
    """Train a network with AdamW, warm-up and cosine; yields after every epoch.

    Parameters
    ----------
    network : torch.nn.Module
    batches : callable
        From an order of the n notes to pairs of inputs and classes.
    loss : callable
    n, number, steps : int
        Notes, epochs, and batches an epoch.
    learning_rate : float
        At the peak, after a tenth of the steps.
    seed : int
        Of the order and of dropout; the global random state is left as it was.

    Yields
    ------
    int
        Epochs done, from 1.
    """
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=learning_rate, weight_decay=0.01
    )
    total = max(number * steps, 1)
    warm = max(total // 10, 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda i: min(
            (i + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(i / total, 1.0))) + 0.01
        ),
    )
    generator = np.random.default_rng(seed)
    count = Count(total, "training the encoder, batch")
    for epoch in range(number):
        network.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * 1000 + epoch)
            for inputs, gold in batches(generator.permutation(n)):
                optimiser.zero_grad(set_to_none=True)
                loss(network(inputs), gold).backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                count.add()
        yield epoch + 1
