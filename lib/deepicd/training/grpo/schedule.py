"""What a GRPO run adds to TRL: its prompts, its random numbers, its KL schedule."""

import functools
import math
from dataclasses import dataclass

import numpy as np
import torch

from deepicd.common.errors import UserError
from deepicd.training.grpo.rollout_log import RolloutLog
from deepicd.training.grpo.settings import GrpoSettings


@dataclass
class Plan:
    """What the trainer needs beyond TRL's arguments.

    Attributes
    ----------
    settings : GrpoSettings
    prompts : datasets.Dataset
        Every prompt once: where other prompts are drawn from.
    log : RolloutLog
    guide : Guide or None
        `deepicd.traces.guiding.Guide`: writes what groups without a right answer are
        shown.
    """

    settings: GrpoSettings
    prompts: object
    log: RolloutLog
    guide: object = None

    @functools.cached_property
    def places(self) -> dict[str, int]:
        """Row of each note among the prompts."""
        return {note: i for i, note in enumerate(self.prompts["note_id"])}

    def spare(self, n: int, step: int, number: int, rank: int, used: list) -> list:
        """Draw `n` prompts that are not in use, the same at every call.

        None twice, unless too few are left: then any of them.
        """
        draw = np.random.default_rng([self.settings.seed, step, number, rank])
        without = {self.places[row["note_id"]] for row in used}
        chances = np.ones(len(self.places))
        chances[list(without)] = 0
        if chances.sum() < n:
            chances[:] = 1
        again, chances = len(chances) < n, chances / chances.sum()
        rows = draw.choice(len(chances), n, replace=again, p=chances).tolist()
        return [self.prompts[row] for row in rows]


def order_of_run(n: int, settings: GrpoSettings) -> list[int]:
    """Rows of `n` prompts for the whole run, `settings.prompts` a batch.

    Put in order before training, so that a resumed run sees the same prompts. Each
    epoch is shuffled and its rest dropped, as TRL's own sampler does.

    Raises
    ------
    UserError
        When there are fewer prompts than one batch holds.

    Examples
    --------
    >>> sorted(order_of_run(4, GrpoSettings(prompts=2, steps=2)))
    [0, 1, 2, 3]
    """
    batches = -(-settings.steps // settings.updates_per_batch)
    generator = torch.Generator().manual_seed(settings.seed)
    size = settings.prompts
    if n < size:
        raise UserError(
            found=f"{n} prompts",
            expected=f"at least {size}, those of one step",
            do="lower prompts_per_step, or raise max_prompt",
        )
    found: list[int] = []
    while len(found) < batches * size:
        found += torch.randperm(n, generator=generator).tolist()[: n // size * size]
    return found[: batches * size]


def uniform(seed: int, step: int, number: int, rows: int, length: int) -> torch.Tensor:
    """Uniform numbers that decide the tokens of one draw, for all processes alike.

    Parameters
    ----------
    seed, step, number : int
        Of the run, the optimiser step, the draw within it.
    rows, length : int
        Completions and their most tokens.
    """
    draw = np.random.default_rng([seed, step, number])
    return torch.from_numpy(draw.random((rows, length), dtype=np.float32))


def kl_weight(settings: GrpoSettings, step: int) -> float:
    """Weight of the KL penalty at a step.

    Examples
    --------
    >>> given = GrpoSettings(beta=0.1, beta_schedule="cosine", steps=100)
    >>> [round(kl_weight(given, step), 3) for step in (0, 50, 99)]
    [0.1, 0.05, 0.0]
    """
    if settings.beta_schedule == "constant":
        return settings.beta
    return settings.beta * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
