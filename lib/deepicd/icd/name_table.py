"""Names of nodes: how a code is written, and a packed table to find it in."""

from array import array
from bisect import bisect_left

#: Bytes a name takes in the packed table; the longest is `S02.61XA`.
WIDTH = 8


def as_written(code: object) -> str | None:
    """Write text that has the shape of a code as a catalogue would.

    Case, white space, a missing dot and a final dot do not matter. A dot in the
    wrong place, letters of other scripts and invisible characters do.

    Parameters
    ----------
    code : object
        Anything; what is no text is no code.

    Returns
    -------
    str or None
        Upper case and dotted; None where the text cannot be a code. Whether
        such a code exists is for the tree to say.

    Examples
    --------
    >>> as_written(" i21 11 "), as_written("c4a."), as_written("I2.111")
    ('I21.11', 'C4A', None)
    """
    if not isinstance(code, str) or len(code) > 64 or not code.isascii():
        return None
    text = "".join(code.split()).upper().removesuffix(".")
    if text[3:4] == ".":
        text = text[:3] + text[4:]
    if not 3 <= len(text) <= WIDTH - 1 or not text.isalnum() or text[0].isdigit():
        return None
    if not (text[1].isdigit() or text[2].isdigit()):
        return None
    return text if len(text) == 3 else f"{text[:3]}.{text[3:]}"


class NameTable:
    """Names of nodes in preorder, packed, with a sorted order to search by.

    A dictionary of 98,000 strings takes 25 ms to build and 15 MB; this takes
    neither, and a name that was found once is remembered.

    Parameters
    ----------
    packed : bytes
        Names padded with blanks to `WIDTH` bytes each.
    order : array of int
        Positions of the codes (categories and below), sorted by name.

    Examples
    --------
    >>> table = NameTable.of(["9", "I20-I25", "I21", "I21.1"], [0, 1, 2, 3])
    >>> table.find("I21.1"), table.find("I20-I25"), table.find("I22")
    (3, None, None)
    """

    def __init__(self, packed: bytes, order: array):
        self.packed, self.order = packed, order
        self._found: dict[str, int] = {}
        self._groups: dict[str, int] | None = None

    @classmethod
    def of(cls, names: list[str], depths: list[int]) -> "NameTable":
        """Pack names; depth 0 and 1 are chapters and blocks, which are no codes."""
        packed = b"".join(name.encode("ascii").ljust(WIDTH) for name in names)
        codes = [node for node, depth in enumerate(depths) if depth >= 2]
        codes.sort(key=names.__getitem__)
        return cls(packed, array("i", codes))

    def __len__(self) -> int:
        return len(self.packed) // WIDTH

    def __getitem__(self, node: int) -> str:
        start = node * WIDTH
        return self.packed[start : start + WIDTH].rstrip().decode("ascii")

    def _key(self, node: int) -> bytes:
        start = node * WIDTH
        return self.packed[start : start + WIDTH]

    def known(self, name: str) -> int | None:
        """Position of a code that was found before, else None."""
        return self._found.get(name)

    def find(self, name: str) -> int | None:
        """Position of a code as the catalogue writes it; None where unknown."""
        node = self._found.get(name)
        if node is not None or not name.isascii() or len(name) > WIDTH:
            return node
        key = name.encode("ascii").ljust(WIDTH)
        place = bisect_left(self.order, key, key=self._key)
        if place == len(self.order) or self._key(self.order[place]) != key:
            return None
        self._found[name] = self.order[place]
        return self.order[place]

    def find_group(self, name: str) -> int | None:
        """Position of a chapter or a block."""
        if self._groups is None:
            above = set(range(len(self))).difference(self.order)
            self._groups = {self[node]: node for node in sorted(above)}
        return self._groups.get(name)


class Titles:
    """Titles of nodes in preorder, kept as one block of text.

    Parameters
    ----------
    text : bytes
        UTF-8, one title a line.

    Examples
    --------
    >>> titles = Titles(b"Cholera\\nTyphoid fever")
    >>> titles[1], len(titles)
    ('Typhoid fever', 2)
    """

    def __init__(self, text: bytes):
        self._text = text
        self._starts = array("i", [0])
        place = text.find(b"\n")
        while place >= 0:
            self._starts.append(place + 1)
            place = text.find(b"\n", place + 1)
        self._starts.append(len(text) + 1)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, node: int) -> str:
        if not 0 <= node < len(self):
            raise IndexError(node)
        return self._text[self._starts[node] : self._starts[node + 1] - 1].decode()
