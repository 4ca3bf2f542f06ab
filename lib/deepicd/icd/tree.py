"""`IcdTree`: names, places, distances and instructions of ICD-10-CM codes."""

import re
from array import array
from collections.abc import Callable, Iterator

from deepicd.icd.instructions import Instructions
from deepicd.icd.name_table import NameTable, Titles, as_written
from deepicd.icd.relatives import Relatives

#: The levels at which predictions are judged, from coarse to fine.
LEVELS = ("chapter", "block", "category", "full")
# A code-like word: a letter, two places with a digit among them, an extension.
# "~" stands for a letter outside ASCII, a look-alike or an invisible character: next
# to a code it makes it another word (`tasks.answers`).
_WRITTEN = re.compile(
    r"(?<![0-9A-Z.~])(?=[A-Z]{1,2}[0-9])"
    r"[A-Z][0-9A-Z]{2}(?:\.[0-9A-Z]{1,4}|[0-9A-Z]{1,4})?"
    r"(?![0-9A-Z~?]|\.[0-9A-Z])"
)
# A code inside reasoning; the ends of a range such as I20-I25 are none.
_NAMED = re.compile(
    r"(?<![\w.-])([A-Z]\d[0-9A-Z](?:\.[0-9A-Z]{1,4})?|[A-Z]\d[0-9A-Z]{3,5})"
    r"(?!\w|-[A-Z]\d)"
)
_DEPTH = {"chapter": 1, "block": 2, "category": 3}


class IcdTree(Instructions, Relatives):
    """ICD-10-CM as arrays in preorder.

    Codes may be given in any case, dotted or not, with spaces; they are given
    back dotted and in upper case. A *code* is a category or anything below it.
    Chapter and block come from the tree: `D49` and `D50` share a letter but no
    chapter.

    Parameters
    ----------
    names : NameTable
        Node names in preorder.
    parents : array of int
        Parent positions, -1 for chapters.
    billable : bytes
        1 for codes without children in their release.
    titles, notes : callable
        Give the titles and the instructions when first asked.
    report : UnionReport, optional
        What was done with extra codes.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> tree = load_tree()
    >>> tree.normalise(" i2111 "), tree.at("I21.11", "block")
    ('I21.11', 'I20-I25')
    >>> tree.title("I21")
    'Acute myocardial infarction'
    """

    # What a task asks of its space of labels: `tasks.task.LabelSpace`.
    tag = "diagnosis"
    levels = LEVELS
    shown = ("chapter", "category", "full")
    written = _WRITTEN
    order = aspects = ()
    named = _NAMED

    def __init__(
        self,
        names: NameTable,
        parents: array,
        billable: bytes,
        titles: Callable[[], Titles],
        notes: Callable[[], dict[int, dict]],
        report=None,
    ):
        self._names, self._parents, self._billable = names, parents, billable
        self._load_titles, self._load_notes = titles, notes
        self._titles: Titles | None = None
        self._notes: dict[int, dict] | None = None
        self.report = report
        self._ends: array | None = None
        self._paths: dict[str, tuple[str, ...]] = {}

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, code: object) -> bool:
        return isinstance(code, str) and self.valid(code)

    def __repr__(self) -> str:
        return f"IcdTree({len(self):,} nodes)"

    def __getstate__(self) -> dict:
        state = self.__dict__.copy()
        state["_titles"], state["_notes"] = self._all_titles(), self._all_notes()
        state["_load_titles"] = state["_load_notes"] = None
        return state

    # -- names ---------------------------------------------------------------

    def normalise(self, code: str) -> str | None:
        """Give a code as the catalogue writes it, or None where there is none.

        Case, white space, a missing dot and a final dot do not matter; letters
        of other scripts and invisible characters do.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().normalise("c4a0"), load_tree().normalise("I21.11X")
        ('C4A.0', None)
        """
        if isinstance(code, str) and self._names.known(code) is not None:
            return code
        node = self._node(code)
        return None if node is None else self._names[node]

    def _node(self, code: str) -> int | None:
        """Position of a code, however it is written."""
        node = self._names.known(code) if isinstance(code, str) else None
        if node is None:
            written = as_written(code)
            node = self._names.find(written) if written else None
        return node

    def valid(self, code: str) -> bool:
        """Whether the catalogue holds this code, billable or not."""
        return self._node(code) is not None

    def is_billable(self, code: str) -> bool:
        """Whether this code has no further subdivision, so may be assigned.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().is_billable("I21.11"), load_tree().is_billable("I21")
        (True, False)
        """
        node = self._node(code)
        return node is not None and bool(self._billable[node])

    # -- place ---------------------------------------------------------------

    def path(self, code: str) -> tuple[str, ...]:
        """Names from the chapter down to the code itself; () where unknown."""
        path = self._paths.get(code)
        if path is None:
            node = self._node(code)
            if node is None:
                return ()
            path = tuple(self._names[n] for n in self._ancestors(node))[::-1]
            self._paths[path[-1]] = path
        return path

    def _ancestors(self, node: int) -> Iterator[int]:
        while node >= 0:
            yield node
            node = self._parents[node]

    def depth(self, code: str) -> int:
        """Length of the path: 3 for a category, 0 where unknown."""
        return len(self.path(code))

    def at(self, code: str, level: str) -> str | None:
        """Give the chapter, block, category or full code of a code.

        Raises
        ------
        KeyError
            Where the level is not one of `LEVELS`.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> [load_tree().at("h59.0", level) for level in LEVELS]
        ['7', 'H59', 'H59', 'H59.0']
        """
        path = self.path(code)
        if level == "full":
            return path[-1] if path else None
        depth = _DEPTH[level]
        return path[depth - 1] if path else None

    def lca_depth(self, a: str, b: str) -> int:
        """Number of levels two codes share from the chapter down.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> [load_tree().lca_depth("I21.11", c) for c in ("D49", "I10", "I21.9")]
        [0, 1, 3]
        """
        shared = 0
        for left, right in zip(self.path(a), self.path(b), strict=False):
            if left != right:
                break
            shared += 1
        return shared

    def lca(self, a: str, b: str) -> str | None:
        """Name of the lowest common ancestor; None across chapters."""
        shared = self.lca_depth(a, b)
        return self.path(a)[shared - 1] if shared else None

    def lca_level(self, a: str, b: str) -> str | None:
        """Level of the lowest common ancestor of two codes.

        Returns
        -------
        str or None
            "full" for the same code, else "subcategory", "category", "block" or
            "chapter"; None for codes of different chapters or unknown ones.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> tree = load_tree()
        >>> tree.lca_level("I21.11", "I21.19"), tree.lca_level("H59", "H60")
        ('subcategory', None)
        """
        shared = self.lca_depth(a, b)
        if shared and shared == self.depth(a) == self.depth(b):
            return "full"
        return (None, "chapter", "block", "category", "subcategory")[min(shared, 4)]

    def distance(self, a: str, b: str) -> int | None:
        """Edges between two codes; chapters meet in a common root.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().distance("I21.11", "I21.19")
        2
        """
        left, right = self.depth(a), self.depth(b)
        if not left or not right:
            return None
        return left + right - 2 * self.lca_depth(a, b)
