"""What is asked of a note: a space of labels, levels, words of the question, reward."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class LabelSpace(Protocol):
    """Where the labels of a task hang; `deepicd.icd.tree.IcdTree` is one."""

    def normalise(self, text: str) -> str | None:
        """The label that a text names as the space writes it; None for none."""

    def path(self, label: str) -> tuple[str, ...]:
        """Nodes from the coarsest level to the label."""

    def at(self, label: str, level: str) -> str | None:
        """Node of a label at a level; None where it has none."""

    def title(self, node: str) -> str:
        """A node in words."""


@dataclass(frozen=True)
class Task:
    """One question that a model answers from an admission note.

    Attributes
    ----------
    name : str
    levels : tuple of str
        At which answers are judged, from coarse to fine.
    shown : tuple of str
        Those that tables and figures show.
    instructions : mapping of str to mapping of str to str
        Words of the question by length ("full", "brief") and style of the answer.
    tag : str
        Of the answer in a completion, such as ``diagnosis``.
    reward : str
        Named reward to learn with.

    Examples
    --------
    >>> from deepicd.tasks import PRINCIPAL_DIAGNOSIS
    >>> PRINCIPAL_DIAGNOSIS.finest, PRINCIPAL_DIAGNOSIS.shown
    ('full', ('chapter', 'category', 'full'))
    """

    name: str
    levels: tuple[str, ...]
    shown: tuple[str, ...]
    instructions: Mapping[str, Mapping[str, str]]
    tag: str
    reward: str = "tree"

    @property
    def finest(self) -> str:
        """The level of the label itself."""
        return self.levels[-1]
