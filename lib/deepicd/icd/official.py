"""What the tabular list says that bears on a code, each with the place it stands."""

#: Kinds of instructions, in the order of the tabular list, and what they are called.
KINDS = {
    "includes": "Includes",
    "inclusion_terms": "Also called",
    "excludes1": "Excludes1 (never together)",
    "excludes2": "Excludes2 (not part of it)",
    "code_first": "Code first",
    "use_additional_code": "Use additional code",
    "code_also": "Code also",
}
_ORDERS = ("code_first", "use_additional_code", "code_also")


def official_notes(code: str, tree) -> list[dict]:
    """Notes of the tabular list on the way to a code, from the category down.

    Of chapter and block only the orders are told (code first, use additional code, code
    also), which hold for every code below.

    Parameters
    ----------
    code : str
    tree : deepicd.icd.IcdTree

    Returns
    -------
    list of dict
        One a node that has any: code, title, and notes, of kind (a key of `KINDS`) to
        a list of str.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> for node in official_notes("E11.21", load_tree()):
    ...     print(node["code"], *node["notes"])
    E11 includes excludes1 use_additional_code
    E11.21 inclusion_terms
    """
    found = []
    for depth, node in enumerate(tree.path(code)):
        written = tree.notes(node)
        kinds = [
            kind for kind in (KINDS if depth > 1 else _ORDERS) if written.get(kind)
        ]
        if kinds:
            told = {kind: list(written[kind]) for kind in kinds}
            found.append({"code": node, "title": tree.title(node), "notes": told})
    return found
