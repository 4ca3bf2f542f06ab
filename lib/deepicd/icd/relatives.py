"""Who stands near whom in the tree: children, siblings, leaves."""

from array import array
from collections.abc import Iterator

from deepicd.icd.name_table import NameTable


class Relatives:
    """Relations of a tree in preorder: a subtree is one slice of the arrays."""

    _names: NameTable
    _parents: array
    _billable: bytes
    _ends: array | None

    def _subtree_ends(self) -> array:
        """Position after the last descendant of each node."""
        if self._ends is None:
            ends = array("i", range(1, len(self._names) + 1))
            for node in range(len(ends) - 1, -1, -1):
                parent = self._parents[node]
                if parent >= 0 and ends[node] > ends[parent]:
                    ends[parent] = ends[node]
            self._ends = ends
        return self._ends

    def _child_nodes(self, node: int) -> Iterator[int]:
        ends = self._subtree_ends()
        child = node + 1
        while child < ends[node]:
            yield child
            child = ends[child]

    def children(self, name: str) -> list[str]:
        """Names directly below a code, block range or chapter.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().children("I21.1")
        ['I21.11', 'I21.19']
        """
        return [self._names[n] for n in self._child_nodes(self._any(name))]

    def siblings(self, code: str) -> list[str]:
        """Other children of a code's parent, in the release's order.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().siblings("I21.11")
        ['I21.19']
        """
        return [name for name in self.family(code) if name != self._written(code)]

    def family(self, code: str) -> list[str]:
        """A code and its siblings, in the release's order.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().family("I21.11"), load_tree().family("C50")
        (['I21.11', 'I21.19'], ['C50'])
        """
        parent = self._parents[self._any(code)]
        if parent < 0:
            return self.chapters()
        return [self._names[n] for n in self._child_nodes(parent)]

    def _written(self, code: str) -> str:
        return self._names[self._any(code)]

    def leaves(self, name: str) -> list[str]:
        """Billable codes at or below a code, block range or chapter.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().leaves("I21.1"), load_tree().leaves("I10")
        (['I21.11', 'I21.19'], ['I10'])
        """
        start = self._any(name)
        nodes = range(start, self._subtree_ends()[start])
        return [self._names[n] for n in nodes if self._billable[n]]

    def chapters(self) -> list[str]:
        """The chapter numbers, "1" to "22"."""
        return self._at_depth(1)

    def blocks(self) -> list[str]:
        """Names of all blocks; ranges without categories of their own included."""
        return self._at_depth(2)

    def categories(self) -> list[str]:
        """Names of all three-character categories."""
        return self._at_depth(3)

    def _at_depth(self, depth: int) -> list[str]:
        nodes = [n for n, parent in enumerate(self._parents) if parent < 0]
        for _ in range(depth - 1):
            nodes = [child for node in nodes for child in self._child_nodes(node)]
        return [self._names[n] for n in nodes]

    def billable_codes(self) -> list[str]:
        """All codes that may be assigned: leaves that are codes, not ranges."""
        return [self._names[n] for n, flag in enumerate(self._billable) if flag]

    def codes(self) -> list[str]:
        """All codes of the catalogue, categories included, each once."""
        return [self._names[node] for node in sorted(self._names.order)]
