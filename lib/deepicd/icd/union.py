"""Join a table of codes of other releases (MIMIC's d_icd_diagnoses) to the tree."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field

from deepicd.icd.build import Nodes
from deepicd.icd.name_table import Titles, as_written
from deepicd.icd.tree import IcdTree


@dataclass
class UnionReport:
    """What was done with the codes of a table.

    Attributes
    ----------
    given : int
        Codes in the table.
    leaves, internal : int
        Codes this release knows, as billable codes or as inner nodes.
    hung : dict of str to str
        Codes added, each with the node it was hung under.
    rejected : list of str
        Entries that are no ICD-10-CM codes, or have no place in the tree.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> print(load_tree({"I2111": "known", "S0261XA": "gone", "99591": "ICD-9"}).report)
    3 codes given: 1 known leaves, 0 known inner nodes, 1 hung in, 1 rejected
    """

    given: int = 0
    leaves: int = 0
    internal: int = 0
    hung: dict[str, str] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.given:,} codes given: {self.leaves:,} known leaves, "
            f"{self.internal:,} known inner nodes, {len(self.hung):,} hung in, "
            f"{len(self.rejected):,} rejected"
        )


def unite(tree: IcdTree, extra_codes: Mapping[str, str]) -> IcdTree:
    """Give a new tree that also holds the codes of a table.

    Parameters
    ----------
    tree : IcdTree
        The release; stays as it is.
    extra_codes : mapping of str to str
        Code (dotted or not) to title.

    Returns
    -------
    IcdTree
        With `report`. Added codes without extensions in the table are billable.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> joined = unite(load_tree(), {"S030XXA": "Dislocation of jaw"})
    >>> joined.at("S03.0XXA", "category"), joined.report.hung
    ('S03', {'S03.0XXA': 'S03.0'})
    """
    report = UnionReport(given=len(extra_codes))
    codes = tree.codes()
    known = dict(zip(codes, map(tree.is_billable, codes), strict=True))
    unknown = {}
    for code, title in extra_codes.items():
        name = as_written(str(code))
        if name in known:
            report.leaves += known[name]
            report.internal += not known[name]
        else:
            unknown[name or str(code)] = str(title)
    titles = _hang(tree, known, unknown, report)
    joined = _rebuild(tree, titles, report.hung) if titles else _copy(tree)
    joined.report = report
    return joined


def _hang(tree: IcdTree, known, unknown: dict[str, str], report) -> dict[str, str]:
    """Note the place of each unknown code, shorter codes first; give titles."""
    titles: dict[str, str] = {}
    for name in sorted(unknown, key=lambda name: (len(name), name)):
        written = as_written(name) == name
        place = _place(tree, name, known, titles) if written else None
        if place is None:
            report.rejected.append(name)
        else:
            titles[name], report.hung[name] = unknown[name], place
    return titles


def _place(tree: IcdTree, name: str, known, titles) -> str | None:
    """Longest known prefix of a code, else the narrowest block that spans it."""
    for end in range(len(name) - 1, 2, -1):
        prefix = name[:end]
        if prefix in titles or prefix in known:
            return prefix
    ranges = [b for b in tree.blocks() if "-" in b]
    spans = [b for b in ranges if b[:3] <= name[:3] <= b[4:] and tree.children(b)]
    return spans[-1] if spans else None


def _rebuild(tree: IcdTree, titles: dict[str, str], hung: dict[str, str]) -> IcdTree:
    """Write the tree anew in preorder, with added codes after older children."""
    below: dict[str, list[str]] = {}
    for name, place in hung.items():
        below.setdefault(place, []).append(name)
    nodes, codes = Nodes(), set(tree._names.order)
    old_titles, old_notes = tree._all_titles(), tree._all_notes()

    def hang(place: str, parent: int) -> None:
        for name in below.get(place, ()):
            here = nodes.add(name, titles[name], parent)
            nodes.billable[here] = name not in below
            hang(name, here)

    def copy(old: int, parent: int) -> None:
        name = tree._names[old]
        here = nodes.add(name, old_titles[old], parent)
        nodes.billable[here] = tree._billable[old]
        if old in old_notes:
            nodes.notes[here] = old_notes[old]
        for child in tree._child_nodes(old):
            copy(child, here)
        if old in codes:
            hang(name, here)

    for old, parent in enumerate(tree._parents):
        if parent < 0:
            copy(old, -1)
    return _as_tree(nodes)


def _copy(tree: IcdTree) -> IcdTree:
    return IcdTree(
        tree._names,
        array("i", tree._parents),
        tree._billable,
        tree._all_titles,
        tree._all_notes,
    )


def _as_tree(nodes: Nodes) -> IcdTree:
    return IcdTree(
        names=nodes.table(),
        parents=nodes.parents,
        billable=bytes(nodes.billable),
        titles=lambda: Titles("\n".join(nodes.titles).encode()),
        notes=lambda: nodes.notes,
    )
