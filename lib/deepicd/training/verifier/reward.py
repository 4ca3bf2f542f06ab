"""The part `process` of rewards: a verifier pays the steps of an answer.

A policy that is paid by a verifier learns to please it. So the part is bounded, pays
nothing where the answer's category is wrong or the form is broken, and of each kind of
step the worst one counts: more steps never earn more, and a kind that is left out earns
nothing.
"""

from functools import lru_cache

from deepicd.rewards.registry import Seen, part
from deepicd.tasks.known import get_task
from deepicd.tasks.steps import KINDS


@part("process", needs=("note", "think"), many=True)
def process(batch: list[Seen]) -> list[float]:
    """Mean over the kinds of steps of the lowest probability that one is right."""
    paid = [0.0] * len(batch)
    chosen = [i for i, s in enumerate(batch) if s.parsed.think and s.right_above]
    if chosen:
        values = _values([batch[i] for i in chosen])
        for i, value in zip(chosen, values, strict=True):
            paid[i] = value
    return paid


def _values(batch: list[Seen]) -> list[float]:
    import pandas as pd

    from deepicd.training.verifier.inputs import marked
    from deepicd.training.verifier.verifier import probabilities

    model, tokenizer = _loaded(batch[0].spec.verifier)
    names = {
        note: str(i) for i, note in enumerate(dict.fromkeys(s.note for s in batch))
    }
    answers = pd.DataFrame(
        {
            "note_id": [names[seen.note] for seen in batch],
            "completion": [seen.text for seen in batch],
        }
    )
    notes = pd.Series({name: note for note, name in names.items()})
    table = marked(model, answers, notes, batch[0].tree)
    asked = dict(model.config.asked)
    asked["task"] = get_task(asked["task"])
    found = probabilities(model, tokenizer, table, **asked)
    return [by_kind(*pair) for pair in zip(table["kinds"], found, strict=True)]


def by_kind(kinds: list[str], chances: list[float]) -> float:
    """Mean over all kinds of steps of the lowest chance among the steps of a kind.

    Examples
    --------
    >>> by_kind(["evidence", "evidence", "code"], [0.5, 1.0, 1.0])
    0.3
    """
    least: dict[str, float] = {}
    for kind, chance in zip(kinds, chances, strict=True):
        least[kind] = min(chance, least.get(kind, 1.0))
    return sum(least.get(kind, 0.0) for kind in KINDS) / len(KINDS)


@lru_cache(maxsize=1)
def _loaded(folder: str):
    from deepicd.common.errors import UserError
    from deepicd.training.verifier.verifier import load

    model, tokenizer = load(folder)
    if model.config.verifier != "process" or not getattr(model.config, "asked", None):
        raise UserError(
            found=f"the {model.config.verifier} verifier of {folder!r}",
            expected="a process verifier of notebook 08",
            do="set verifier in reward_weights to its folder process/model",
        )
    return model, tokenizer
