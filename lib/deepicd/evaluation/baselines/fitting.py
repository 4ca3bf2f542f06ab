"""Training of the small networks: losses, schedule, one epoch after another."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from deepicd.common.parameters import choice
from deepicd.common.progress import Count

LOSSES = ("cross_entropy", "ldam")
LARGEST_MARGIN = 2.0


def loss_of(name: str, numbers: np.ndarray, classes: int) -> Callable:
    """Loss from logits and classes to a scalar.

    Parameters
    ----------
    name : str
        cross_entropy; or ldam, which demands of the gold code a lead that is the
        larger the rarer the code: margin C n^(-1/4) (Cao et al. 2019), with C such
        that the rarest code has `LARGEST_MARGIN`.
    numbers : array of int
        Classes of the training notes.
    classes : int

    Examples
    --------
    >>> loss = loss_of("ldam", np.array([0] * 16 + [1]), 2)
    >>> logits = torch.zeros(2, 2)
    >>> [round(loss(logits[:1], torch.tensor([c])).item(), 2) for c in (0, 1)]
    [1.31, 2.13]
    """
    choice("loss", name, LOSSES)
    if name == "cross_entropy":
        return functional.cross_entropy
    counts = np.maximum(np.bincount(numbers, minlength=classes), 1)
    margins = torch.as_tensor(counts**-0.25, dtype=torch.float32)
    margins = margins * (LARGEST_MARGIN / margins.max())

    def ldam(logits, gold):
        lead = margins.to(logits.device)[gold][:, None]
        return functional.cross_entropy(
            logits.scatter_add(1, gold[:, None], -lead), gold
        )

    return ldam


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
