"""A space whose labels are a few names: of units, of services, of outcomes."""

from collections.abc import Iterable

from deepicd.tasks.task import LabelSpace


class Names(LabelSpace):
    """Names as labels; a subclass says its tag and levels, and may set some above.

    Parameters
    ----------
    names : iterable of str
        In any order.

    Examples
    --------
    >>> space = Names(["Died", "Alive at discharge"])
    >>> space.normalise(" alive at  discharge. "), space.normalise("alive")
    ('Alive at discharge', None)
    >>> space.path("Died"), space.labels
    (('Died',), ('Alive at discharge', 'Died'))
    """

    def __init__(self, names: Iterable[str] | None = None):
        self.labels = tuple(sorted(set(names or ())))
        self._known = {_plain(name): name for name in self.labels}

    def normalise(self, text: str) -> str | None:
        """The name that a text gives; case, space and a last full stop aside."""
        return self._known.get(_plain(str(text)))

    def path(self, label: str) -> tuple[str, ...]:
        """The name itself."""
        return (label,) if label in self.labels else ()

    def title(self, node: str) -> str:
        """A node in words: its name."""
        return node


def _plain(text: str) -> str:
    return " ".join(text.lower().rstrip(". ").split())
