"""Content hashes: of files, of a notebook's code, of the lib files it reaches."""

import ast
import hashlib
import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from deepicd.common.files import read_json, write_json

CODE_SUFFIX = ".py"
# Literals at the top of a module that the fingerprint reads without running it:
# the data files beside it that it opens, and the homes of the names of a face.
DATA_FILES, HOMES = "DATA_FILES", "HOMES"
# Read only to display an example in place of a private note.
DISPLAY_ONLY = ("deepicd.data.privacy", "deepicd.data.synthetic")


class Hashes:
    """Hashes of files, remembered by size, time of change and inode.

    Parameters
    ----------
    memory : Path, optional
        JSON file that keeps the hashes between calls.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "a"
    >>> _ = file.write_text("one")
    >>> Hashes().of(file)[:12]
    '7692c3ad3540'
    """

    def __init__(self, memory: Path | None = None):
        self.memory = memory
        self.changed = False
        self.known: dict[str, list] = {}
        if memory and memory.exists():
            try:
                self.known = read_json(memory)
            except ValueError:
                self.known = {}

    def of(self, path: Path) -> str | None:
        """Hash of a file or of a folder's visible content; None where missing."""
        if path.is_dir():
            files = sorted(f for f in path.rglob("*") if f.is_file())
            names = [f.relative_to(path) for f in files]
            listing = [
                (str(name), self._file(path / name))
                for name in names
                if not any(part.startswith(".") for part in name.parts)
            ]
            return digest(listing)
        return self._file(path) if path.is_file() else None

    def meaning(self, path: Path) -> str:
        """Hash of a file of the package by what it says to Python."""
        return self._known(path, f"meaning of {path}", meaning)

    def _file(self, path: Path) -> str:
        return self._known(path, str(path), _bytes_hash)

    def _known(self, path: Path, name: str, compute: Callable[[Path], str]) -> str:
        status = path.stat()
        key = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self.known.get(name)
        if known and known[:3] == key:
            return known[3]
        value = compute(path)
        self.known[name] = [*key, value]
        self.changed = True
        return value

    def save(self) -> None:
        """Keep what was learnt for the next call."""
        if self.memory and self.changed:
            write_json(self.known, self.memory)


def _bytes_hash(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(value) -> str:
    """Hash of a value that JSON can write.

    Examples
    --------
    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def code_cells(notebook: Path) -> list[str]:
    """Source of the code cells, without those of parameters.

    Prose may change freely, and the parameters enter a stamp by their values.
    """
    content = json.loads(notebook.read_text(encoding="utf-8"))
    return [
        "".join(cell["source"])
        for cell in content["cells"]
        if cell["cell_type"] == "code"
        and "parameters" not in cell.get("metadata", {}).get("tags", [])
    ]


def folder_listing(folder: Path) -> str:
    """Hash of names, sizes and times in a data folder or of one data file."""
    files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    rows = []
    for file in filter(Path.is_file, files):
        status = file.stat()
        name = str(file.relative_to(folder)) if file != folder else file.name
        rows.append((name, status.st_size, status.st_mtime_ns))
    return digest(rows)


def reached_files(
    sources: list[str], package: Path, without: str = ""
) -> dict[str, Path]:
    """Files of a package that code can reach by its imports.

    Follows ``import`` statements through the package, also those inside functions. A
    package that only hands on names (`common.faces`) leads to the files of the names
    that are taken from it. A module's data files are those that its ``DATA_FILES``
    declares, as patterns relative to its folder.

    Parameters
    ----------
    sources : list of str
        Python sources, such as the code cells of a notebook.
    package : Path
        Folder of the package.
    without : str
        A room whose files are neither given nor followed.

    Returns
    -------
    dict of str to Path
        By path relative to the package.

    Examples
    --------
    >>> import deepicd
    >>> package = Path(deepicd.__file__).parent
    >>> found = reached_files(["from deepicd.icd import load_tree"], package)
    >>> "icd/load.py" in found, "icd/__init__.py" in found
    (True, False)
    """
    waiting = _imports(_cells(sources), package)
    modules: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        path = _module_file(name, package)
        if path is None or name in modules or name.split(".")[1:2] == [without]:
            continue
        modules[name] = path
        waiting |= _module_imports(path, name, package)
    files = {path for path in modules.values() if not _literals(path).get(HOMES)}
    files |= {file for path in modules.values() for file in _data_files(path)}
    return {str(path.relative_to(package)): path for path in sorted(files)}


def meaning(path: Path) -> str:
    """Hash of a file by what it says to Python: comments and docstrings do not count.

    Examples
    --------
    >>> import tempfile
    >>> one, two = (Path(tempfile.mkdtemp()) / "a.py" for _ in range(2))
    >>> _ = one.write_text("x = 1"), two.write_text("# one\\nx = 1  # more")
    >>> meaning(one) == meaning(two)
    True
    """
    if path.suffix != CODE_SUFFIX:
        return _bytes_hash(path)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            body[0] = ast.Pass()
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def _is_text(node) -> bool:
    return isinstance(node, ast.Expr) and isinstance(
        getattr(node.value, "value", None), str
    )


def _parsed(path: Path) -> tuple[ast.Module, dict]:
    """Syntax tree of a file, and what its literals `DATA_FILES` and `HOMES` hold."""
    status = path.stat()
    return _parse(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4096)
def _parse(path: Path, mtime: int, size: int) -> tuple[ast.Module, dict]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    literals = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and getattr(node.targets[0], "id", "") in (DATA_FILES, HOMES)
    }
    return tree, literals


def _literals(path: Path) -> dict:
    return _parsed(path)[1]


def _module_imports(path: Path, name: str, package: Path) -> set[str]:
    tree, literals = _parsed(path)
    found = set() if literals.get(HOMES) else _imports(tree, package)
    reader, shown = DISPLAY_ONLY
    return {m for m in found if name != reader or not m.startswith(shown)}


def _imports(tree: ast.AST, package: Path) -> set[str]:
    """Modules of the package that code imports, with their parent packages."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                asked = _attributes(tree, alias.asname or alias.name)
                found |= _behind(node.module, alias.name, asked, package)
    own = {name for name in found if name.split(".")[0] == package.name}
    return {part for name in own for part in _with_parents(name)}


def _attributes(tree: ast.AST, local: str) -> set[str]:
    """Names that are taken from a module under its local name: ``local.name``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == local
    }


def _behind(base: str, name: str, asked: set[str], package: Path) -> set[str]:
    """Modules behind ``from base import name``; `asked` are its attributes in use."""
    whole = f"{base}.{name}"
    module = _module_file(whole, package)
    if module is not None:
        homes = _literals(module).get(HOMES, {})
        return {whole} | {f"{whole}.{homes[a]}" for a in asked if a in homes}
    source = _module_file(base, package)
    homes = _literals(source).get(HOMES, {}) if source else {}
    return {f"{base}.{homes[name]}"} if name in homes else {base}


def _cells(sources: list[str]) -> ast.Module:
    """Syntax tree of code cells without magics; empty where Python cannot read them."""
    lines = [line for text in sources for line in text.splitlines()]
    try:
        return ast.parse(
            "\n".join(li for li in lines if not li.lstrip().startswith(("%", "!")))
        )
    except SyntaxError:  # the kernel will say so
        return ast.Module([], [])


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _module_file(name: str, package: Path) -> Path | None:
    if name.split(".")[0] != package.name:
        return None
    base = package.joinpath(*name.split(".")[1:])
    for path in (base / "__init__.py", base.with_name(base.name + CODE_SUFFIX)):
        if path.is_file():
            return path
    return None


def _data_files(module: Path) -> list[Path]:
    patterns = _literals(module).get(DATA_FILES, ())
    return [file for pattern in patterns for file in module.parent.glob(pattern)]
