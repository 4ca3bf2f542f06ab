"""Compact the official release, as simple-icd-10-cm carries it, into flat arrays.

The package keeps one Python object a node (about 190 MB and two seconds); the
tree itself fits into three integers and a name a node. This module is the only
one that imports the package, and only when the cache has to be built.
"""

import warnings
from array import array
from dataclasses import dataclass, field

from deepicd.icd.name_table import NameTable

#: Instruction fields kept for a node, and the package's reader of each.
NOTE_FIELDS = {
    "includes": "get_includes",
    "inclusion_terms": "get_inclusion_term",
    "excludes1": "get_excludes1",
    "excludes2": "get_excludes2",
    "code_first": "get_code_first",
    "use_additional_code": "get_use_additional_code",
    "code_also": "get_code_also",
    "seventh_characters": "get_seven_chr_def",
}


@dataclass
class Nodes:
    """A tree in preorder: node 0 is chapter 1, a child follows its parent.

    Attributes
    ----------
    names : list of str
        Chapter number, block range, category or code of each node.
    titles : list of str
        Official description of each node.
    parents : array of int
        Position of the parent; -1 for a chapter.
    billable : bytearray
        1 where the node is a code without children in its release.
    notes : dict of int to dict
        Instructions (`NOTE_FIELDS`) of the nodes that have any.

    Examples
    --------
    >>> nodes = Nodes()
    >>> nodes.add("C51", "Block", nodes.add("2", "Neoplasms", -1))
    1
    >>> nodes.table().find("C51") is None
    True
    """

    names: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    parents: array = field(default_factory=lambda: array("i"))
    billable: bytearray = field(default_factory=bytearray)
    notes: dict[int, dict] = field(default_factory=dict)

    def table(self) -> NameTable:
        """Pack the names."""
        depths = [0] * len(self.names)
        for node, parent in enumerate(self.parents):
            depths[node] = 0 if parent < 0 else depths[parent] + 1
        return NameTable.of(self.names, depths)

    def add(self, name: str, title: str, parent: int) -> int:
        """Append a node and give its position."""
        self.names.append(name)
        self.titles.append(title)
        self.parents.append(parent)
        self.billable.append(0)
        return len(self.names) - 1


def compact() -> Nodes:
    """Walk the installed release once, chapter by chapter.

    Returns
    -------
    Nodes
        22 chapters, their blocks and all codes. 39 names are both a block and
        a category (`C50`): they appear twice, once at each depth.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reads its data by a deprecated call
        import simple_icd_10_cm as release

    nodes = Nodes()
    chapters = [c for c in release.get_all_codes() if release.is_chapter(c)]
    for chapter in chapters:
        _walk(release, nodes, chapter, -1, 0)
    return nodes


def _walk(release, nodes: Nodes, name: str, parent: int, depth: int) -> None:
    """Add `name` and what hangs below it; depth 0 chapter, 1 block, 2 category."""
    as_block = depth == 1
    title = release.get_description(name, prioritize_blocks=as_block)
    here = nodes.add(name, title, parent)
    notes = _notes(release, name, as_block)
    if notes:
        nodes.notes[here] = notes
    children = release.get_children(name, prioritize_blocks=as_block)
    nodes.billable[here] = depth >= 2 and not children
    for child in children:
        _walk(release, nodes, child, here, depth + 1)


def _notes(release, name: str, as_block: bool) -> dict:
    notes = {}
    for key, reader in NOTE_FIELDS.items():
        value = getattr(release, reader)(name, prioritize_blocks=as_block)
        if isinstance(value, str):
            value = value.split("\n") if value else []
        if value:
            notes[key] = value
    return notes
