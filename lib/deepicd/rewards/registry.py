"""The parts that can be added to an outcome: one function, one registration each.

A new part is one function of what is `Seen` of a completion, with its range::

    @part("brevity", low=-1.0, high=0.0)
    def brevity(seen):
        return -min(len(seen.text) / 1000, 1.0)

From then on ``get_spec("tree", weight_brevity=0.1)`` switches it on, in `score`, in
TRL's reward functions, in the rollout log and in the tables of notebook 00.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepicd.tasks.format import Parsed
from deepicd.tasks.task import above


@dataclass(slots=True)
class Seen:
    """One completion, with all that a part may look at.

    Attributes
    ----------
    text : str
        The completion; empty where it is no text.
    parsed : Parsed
        Its structure. The reasoning is there where a part that is switched on needs
        it (`Part.needs`).
    code : str or None
        The answer that was read.
    gold : str
    note : str
        Empty where no part needs it.
    spec : RewardSpec
    tree : IcdTree
    background : Background or None
        What is usual in the training notes.
    """

    text: str
    parsed: Parsed
    code: str | None
    gold: str
    note: str
    spec: Any
    tree: Any
    background: Any = None

    @property
    def right_above(self) -> bool:
        """Whether there is an answer, right at the level shown above the labels."""
        level = above(self.tree)
        return self.code is not None and (
            self.tree.at(self.code, level) == self.tree.at(self.gold, level)
        )


@dataclass(frozen=True)
class Part:
    """A registered part.

    Attributes
    ----------
    name : str
    value : callable
        Of one `Seen`; of a list of them, giving a list, where `many` is set.
    low, high : float
        Range of its values before the weight.
    needs : frozenset of str
        "note" and "think", where it reads them.
    many : bool
        Whether it values a whole batch at once.
    revision : int
        Count it up when the part pays differently: kept runs that used it are then
        not taken for runs of today.
    """

    name: str
    value: Callable
    low: float = 0.0
    high: float = 1.0
    needs: frozenset[str] = frozenset()
    many: bool = False
    revision: int = 1


#: Every part by name, in the order of registration, which is that of columns.
PARTS: dict[str, Part] = {}


def part(name: str, low: float = 0.0, high: float = 1.0, needs=(), **more):
    """Register a function as a part of rewards.

    Parameters
    ----------
    name : str
        Its weight is the setting ``weight_<name>``, 0 by default.
    low, high : float
        Smallest and largest value.
    needs : iterable of {"note", "think"}
    **more
        Further fields of `Part`.

    Examples
    --------
    >>> @part("shouting", low=-1.0, high=0.0)
    ... def shouting(seen):
    ...     return -float(seen.text.isupper())
    >>> from deepicd.rewards import get_spec
    >>> get_spec("tree", weight_shouting=0.5).bounds
    (-1.0, 1.0)
    >>> del PARTS["shouting"]
    """

    def register(function: Callable) -> Callable:
        PARTS[name] = Part(name, function, low, high, frozenset(needs), **more)
        return function

    return register
