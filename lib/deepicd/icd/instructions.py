"""What the tabular list says beside a code: titles, includes, excludes, orders."""

from deepicd.icd.name_table import NameTable, Titles


class Instructions:
    """Titles and instructions of a tree; decoded when first asked."""

    _names: NameTable
    _titles: Titles | None
    _notes: dict[int, dict] | None

    def title(self, name: str) -> str:
        """Official title of a code, block or chapter.

        Raises
        ------
        KeyError
            Where the tree has no such name.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().title("I20-I25")
        'Ischemic heart diseases (I20-I25)'
        """
        return self._all_titles()[self._any(name)]

    def notes(self, name: str) -> dict:
        """All instructions written at a node itself, by kind."""
        return self._all_notes().get(self._any(name), {})

    def includes(self, name: str) -> list[str]:
        """What a category, block or chapter includes."""
        return list(self.notes(name).get("includes", ()))

    def inclusion_terms(self, name: str) -> list[str]:
        """Conditions that the code is used for, as the tabular list names them.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().inclusion_terms("I21.11")
        ['Inferoposterior transmural (Q wave) infarction (acute)']
        """
        return list(self.notes(name).get("inclusion_terms", ()))

    def excludes1(self, name: str) -> list[str]:
        """Conditions never coded together with this one."""
        return list(self.notes(name).get("excludes1", ()))

    def excludes2(self, name: str) -> list[str]:
        """Conditions that are not part of this one but may be coded beside it."""
        return list(self.notes(name).get("excludes2", ()))

    def code_first(self, name: str) -> list[str]:
        """Underlying conditions to code first, from the nearest ancestor."""
        return list(self._inherited(name, "code_first") or ())

    def use_additional_code(self, name: str) -> list[str]:
        """What to code in addition, from the nearest ancestor."""
        return list(self._inherited(name, "use_additional_code") or ())

    def code_also(self, name: str) -> list[str]:
        """What to code also, from the nearest ancestor."""
        return list(self._inherited(name, "code_also") or ())

    def seventh_characters(self, name: str) -> dict[str, str]:
        """Meaning of the seventh character, from the nearest ancestor.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> load_tree().seventh_characters("S52.0")["D"]
        'subsequent encounter for closed fracture with routine healing'
        """
        return dict(self._inherited(name, "seventh_characters") or {})

    def _inherited(self, name: str, key: str):
        notes = self._all_notes()
        for node in self._ancestors(self._any(name)):
            if key in notes.get(node, ()):
                return notes[node][key]
        return None

    def _any(self, name: str) -> int:
        """Position of a code, else of a block or chapter."""
        node = self._node(name)
        if node is None:
            node = self._names.find_group(name)
        if node is None:
            raise KeyError(f"the tree holds no {name!r}")
        return node

    def _all_titles(self) -> Titles:
        if self._titles is None:
            self._titles = self._load_titles()
        return self._titles

    def _all_notes(self) -> dict[int, dict]:
        if self._notes is None:
            self._notes = self._load_notes()
        return self._notes
