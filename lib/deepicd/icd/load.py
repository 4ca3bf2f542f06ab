"""Load the tree: from the cache in milliseconds, from the release in seconds."""

import os
import zlib
from collections.abc import Mapping
from importlib.util import find_spec
from threading import Lock

from deepicd.common.errors import UserError
from deepicd.icd import cache
from deepicd.icd.name_table import NameTable, Titles
from deepicd.icd.tree import IcdTree

PACKAGE = "simple_icd_10_cm"
_lock = Lock()
_loaded: list[IcdTree] = []


def load_tree(extra_codes: Mapping[str, str] | None = None) -> IcdTree:
    """Load the ICD-10-CM tree of the installed release.

    The first call on a machine compacts the release and caches it (keyed by the
    package's version and content); later processes read the cache. Within one
    process the tree is loaded once.

    Parameters
    ----------
    extra_codes : mapping of str to str, optional
        Codes (dotted or not) to titles, as in MIMIC's `d_icd_diagnoses`. Codes
        that this release no longer holds are hung under their longest known
        prefix; `tree.report` says what was done.

    Returns
    -------
    IcdTree

    Raises
    ------
    UserError
        Where simple-icd-10-cm is not installed.

    Examples
    --------
    >>> tree = load_tree()
    >>> tree.path("I21.11")
    ('9', 'I20-I25', 'I21', 'I21.1', 'I21.11')
    >>> load_tree({"S0261XA": "Fracture of condylar process"}).path("S02.61XA")[-2:]
    ('S02.61', 'S02.61XA')
    """
    with _lock:
        if not _loaded:
            name = f"icd10cm-{release_key()}.bin"
            _loaded.append(load_from(os.path.join(cache.cache_folder(), name)))
    tree = _loaded[0]
    if not extra_codes:
        return tree
    from deepicd.icd.union import unite

    return unite(tree, extra_codes)


def release_key() -> str:
    """Name the installed release by version and content, without importing it.

    The hashes of the content come from the package's installation record; a copy
    without one has its data files read. Sizes and times of the data files are
    part of the key, so that an edited file is noticed too.
    """
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            found="no package simple-icd-10-cm",
            expected="the pinned requirements to be installed",
            do="./run_all.sh, or pip install -r requirements.txt",
        )
    folder = os.path.abspath(spec.submodule_search_locations[0])
    version, record = _record(os.path.dirname(folder))
    check = zlib.crc32(record)
    for path in _data_files(os.path.join(folder, "data")):
        state = os.stat(path)
        line = f"{os.path.basename(path)} {state.st_size} {state.st_mtime_ns}"
        check = zlib.crc32(line.encode(), check)
        if not record:
            with open(path, "rb") as file:
                check = zlib.crc32(file.read(), check)
    return f"{version}-{check:08x}"


def _data_files(folder: str) -> list[str]:
    names = (name for name in os.listdir(folder) if name.endswith((".txt", ".xml")))
    return [os.path.join(folder, name) for name in sorted(names)]


def _record(folder: str) -> tuple[str, bytes]:
    """Version of the package and the lines its installation recorded."""
    for name in sorted(os.listdir(folder)):
        if name.startswith(f"{PACKAGE}-") and name.endswith(".dist-info"):
            version = name.removesuffix(".dist-info").rpartition("-")[2]
            try:
                with open(os.path.join(folder, name, "RECORD"), "rb") as file:
                    lines = file.read().splitlines()
            except OSError:
                return version, b""
            return version, b"\n".join(x for x in lines if b"__pycache__" not in x)
    return "unknown", b""


def load_from(path: str) -> IcdTree:
    """Load the tree from a cache file, which is made anew where it is no good."""
    sections = cache.read(path)
    if sections is None:
        from deepicd.icd.build import compact

        data = cache.pack(compact())
        cache.write(data, path)
        sections = cache.unpack(data)
    return _tree(sections)


def _tree(sections: dict[str, memoryview]) -> IcdTree:
    def titles() -> Titles:
        return Titles(zlib.decompress(sections["titles"]))

    def notes() -> dict[int, dict]:
        import json

        loaded = json.loads(zlib.decompress(sections["notes"]))
        return {int(node): value for node, value in loaded.items()}

    return IcdTree(
        names=NameTable(bytes(sections["names"]), cache.integers(sections["order"])),
        parents=cache.integers(sections["parents"]),
        billable=bytes(sections["billable"]),
        titles=titles,
        notes=notes,
    )
