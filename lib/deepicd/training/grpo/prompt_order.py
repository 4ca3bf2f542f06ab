"""Which prompt GRPO sees when: shuffled, balanced over codes, by difficulty."""

from collections import Counter

import numpy as np
import pandas as pd
import torch

from deepicd.common.errors import UserError
from deepicd.training.grpo.settings import GrpoSettings


def pass_rates(answers: pd.DataFrame) -> pd.DataFrame:
    """How often each note was answered exactly right.

    Parameters
    ----------
    answers : DataFrame
        Columns note_id and right (bool): rollouts of an earlier run, or samples.

    Returns
    -------
    DataFrame
        Columns note_id, tried, right (counts).

    Examples
    --------
    >>> log = pd.DataFrame({"note_id": ["a", "a"], "right": [True, False]})
    >>> pass_rates(log).values.tolist()
    [['a', 2, 1]]
    """
    groups = answers.groupby("note_id", sort=True)["right"]
    table = groups.agg(tried="size", right="sum").reset_index()
    return table.astype({"tried": int, "right": int})


def chance_of_a_lesson(tried, right, group_size: int) -> np.ndarray:
    """Chance that a group is neither all right nor all wrong.

    The pass rate is unknown: with a uniform prior and `right` of `tried` it has a
    Beta distribution, over which the chance is averaged. A note never tried keeps
    the chance of the prior.

    Parameters
    ----------
    tried, right : array-like of int
    group_size : int

    Examples
    --------
    >>> chance_of_a_lesson([0, 8, 8], [0, 8, 4], 8).round(2).tolist()
    [0.78, 0.47, 0.96]
    """
    a = np.asarray(right, float) + 1
    b = np.asarray(tried, float) - a + 2
    k = np.arange(group_size)[:, None]
    total = a + b + k
    return 1 - np.prod((a + k) / total, 0) - np.prod((b + k) / total, 0)


def prompt_weights(prompts, settings: GrpoSettings, rates=None) -> np.ndarray:
    """Probability of each prompt, from the frequency of its code and its pass rate.

    Parameters
    ----------
    prompts : datasets.Dataset
        Columns note_id, label.
    settings : GrpoSettings
    rates : DataFrame, optional
        From `pass_rates`; needed by order ``useful``.
    """
    codes = prompts["label"]
    count = Counter(codes)
    weights = np.array([count[code] ** -settings.balance for code in codes])
    if settings.order == "useful":
        tried, right = _known(prompts, rates, settings)
        weights = weights * chance_of_a_lesson(tried, right, settings.group_size)
    return weights / weights.sum()


def _known(prompts, rates, settings) -> tuple[np.ndarray, np.ndarray]:
    if rates is None:
        raise UserError(
            found=f"order {settings.order!r} without pass rates",
            expected="a table of note_id, tried, right",
            do="set order=shuffled, or give deepicd.training.grpo.train the pass rates",
        )
    table = rates.set_index("note_id").reindex(list(prompts["note_id"])).fillna(0)
    return table["tried"].to_numpy(), table["right"].to_numpy()


def order_of_run(prompts, settings: GrpoSettings, rates=None) -> list[int]:
    """Rows of the prompts for the whole run, `settings.prompts` a batch.

    Put in order before training, so that a resumed run sees the same prompts.

    Parameters
    ----------
    prompts, settings, rates
        See `prompt_weights`.

    Returns
    -------
    list of int
        No prompt twice in a batch, unless there are fewer than a batch holds.
    """
    batches = -(-settings.steps // settings.updates_per_batch)
    if settings.order == "easy_first":
        return _easy_first(prompts, settings, batches, rates)
    if settings.order == "shuffled" and settings.balance == 0:
        return _epochs(len(prompts), settings, batches)
    weights = prompt_weights(prompts, settings, rates)
    draw = np.random.default_rng(settings.seed)
    chosen = [draw_rows(weights, settings.prompts, draw) for _ in range(batches)]
    return [row for batch in chosen for row in batch]


def draw_rows(weights: np.ndarray, n: int, draw, without=()) -> list[int]:
    """Draw `n` rows by weight, none twice and none of `without` where possible."""
    weights = weights.copy()
    weights[list(without)] = 0
    left = int((weights > 0).sum())
    if left < n:
        weights, left = np.ones(len(weights)), len(weights)
    chances = weights / weights.sum()
    return draw.choice(len(weights), n, replace=left < n, p=chances).tolist()


def _epochs(n: int, settings: GrpoSettings, batches: int) -> list[int]:
    """Shuffle each epoch and drop its rest, as TRL's own sampler does."""
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


def _easy_first(prompts, settings, batches: int, rates) -> list[int]:
    """Spread the run over the pass rates, from the easiest to the hardest prompt."""
    tried, right = _known(prompts, rates, settings)
    weights = prompt_weights(prompts, settings)
    draw = np.random.default_rng(settings.seed)
    rate = (right + 1) / (tried + 2) + draw.uniform(-1e-6, 1e-6, len(tried))
    ranked = np.argsort(-rate, kind="stable")
    edges = np.cumsum(weights[ranked])  # each prompt's stretch of the run
    n = batches * settings.prompts
    places = (np.arange(n) + 0.5) / n
    rows = ranked[np.searchsorted(edges, places * edges[-1])]
    return rows.tolist()
