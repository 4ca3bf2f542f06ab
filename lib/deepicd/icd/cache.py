"""The compacted tree on disk: one file, checked, written atomically.

Layout: a fixed header (mark, checksum, section sizes), then the sections back to
back. Only the small ones are decoded on loading; titles and instructions stay
compressed until first used.
"""

import os
import struct
import sys
import zlib
from array import array

SECTIONS = ("names", "order", "parents", "billable", "titles", "notes")
_MARK = b"deepicd tree 2\n\0"
_HEADER = struct.Struct(f"<16sI{len(SECTIONS)}I")


def cache_folder() -> str:
    """Give a writable folder for the cache: the user's, else a temporary one.

    Examples
    --------
    >>> os.path.basename(cache_folder())
    'deepicd'
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.expanduser("~/.cache")
    folder = os.path.join(base, "deepicd")
    if _writable(folder):
        return folder
    import tempfile

    user = getattr(os, "getuid", lambda: "user")()
    folder = os.path.join(tempfile.gettempdir(), f"deepicd-cache-{user}", "deepicd")
    os.makedirs(folder, exist_ok=True, mode=0o700)
    return folder


def _writable(folder: str) -> bool:
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def pack(nodes) -> bytes:
    """Turn compacted nodes (`build.Nodes`) into the bytes of a cache file."""
    import json

    table = nodes.table()
    notes = json.dumps(nodes.notes, separators=(",", ":")).encode()
    sections = [
        table.packed,
        _little_endian(table.order).tobytes(),
        _little_endian(nodes.parents).tobytes(),
        bytes(nodes.billable),
        zlib.compress("\n".join(nodes.titles).encode(), 6),
        zlib.compress(notes, 6),
    ]
    body = b"".join(sections)
    sizes = [len(section) for section in sections]
    return _HEADER.pack(_MARK, zlib.crc32(body), *sizes) + body


def unpack(data: bytes) -> dict[str, memoryview] | None:
    """Split a cache file into its sections; None where it is damaged.

    Examples
    --------
    >>> unpack(b"half a file") is None
    True
    """
    if len(data) < _HEADER.size:
        return None
    mark, checksum, *sizes = _HEADER.unpack_from(data)
    body = memoryview(data)[_HEADER.size :]
    if mark != _MARK or sum(sizes) != len(body) or zlib.crc32(body) != checksum:
        return None
    sections, start = {}, 0
    for name, size in zip(SECTIONS, sizes, strict=True):
        sections[name] = body[start : start + size]
        start += size
    return sections


def read(path: str) -> dict[str, memoryview] | None:
    """Read a cache file; None where there is none or it is damaged."""
    try:
        with open(path, "rb") as file:
            return unpack(file.read())
    except OSError:
        return None


def write(data: bytes, path: str) -> None:
    """Write a cache file whole; a disk that refuses is no reason to stop."""
    from deepicd.common.errors import UserError
    from deepicd.common.files import atomic_path

    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    except (OSError, UserError):
        return


def integers(section: memoryview) -> array:
    """Decode a section of integers."""
    values = array("i")
    values.frombytes(section)
    return _little_endian(values)


def _little_endian(values: array) -> array:
    if sys.byteorder == "little":
        return values
    values = array("i", values)
    values.byteswap()
    return values
