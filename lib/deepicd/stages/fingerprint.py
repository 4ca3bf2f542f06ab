"""Content hashes: of files, of a notebook's code, of the lib files it reaches."""

import ast
import hashlib
import json
from functools import lru_cache
from pathlib import Path

from deepicd.files import read_json, write_json

CODE_SUFFIX = ".py"
DATA_SUFFIXES = (".yaml", ".mplstyle", ".json", ".txt", ".csv", ".npz")
# Read only to display an example in place of a private note.
DISPLAY_ONLY = ("deepicd.privacy", "deepicd.sources")


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

    def _file(self, path: Path) -> str:
        status = path.stat()
        key = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self.known.get(str(path))
        if known and known[:3] == key:
            return known[3]
        with open(path, "rb") as stream:
            value = hashlib.file_digest(stream, "sha256").hexdigest()
        self.known[str(path)] = [*key, value]
        self.changed = True
        return value

    def save(self) -> None:
        """Keep what was learnt for the next call."""
        if self.memory and self.changed:
            write_json(self.known, self.memory)


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
    """Source of the code cells, without the ``parameters`` cell.

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


def reached_files(sources: list[str], package: Path) -> dict[str, Path]:
    """Files of a package that code can reach by its imports.

    Follows ``import`` statements through the package, also those inside functions;
    a package that uses ``import_module`` reaches all modules beside it. Takes the data
    files (YAML, style sheets) a reached module names, by their own name or the name of
    their folder.

    Parameters
    ----------
    sources : list of str
        Python sources, such as the code cells of a notebook.
    package : Path
        Folder of the package.

    Returns
    -------
    dict of str to Path
        By path relative to the package.

    Examples
    --------
    >>> import deepicd
    >>> package = Path(deepicd.__file__).parent
    >>> sorted(reached_files(["from deepicd.errors import UserError"], package))
    ['__init__.py', 'errors.py']
    """
    waiting = {m for text in sources for m in _imports(text, "", package)}
    modules: dict[str, Path] = {}
    while waiting:
        name = waiting.pop()
        path = _module_file(name, package) if name.startswith(package.name) else None
        if path is None or name in modules:
            continue
        modules[name] = path
        waiting |= _module_imports(path, name, package)
    files = set(modules.values())
    files |= {f for path in modules.values() for f in _data_files(path, package)}
    return {str(path.relative_to(package)): path for path in sorted(files)}


def _module_imports(path: Path, name: str, package: Path) -> set[str]:
    status = path.stat()
    found = _cached_imports(path, name, package, status.st_mtime_ns, status.st_size)
    if "importlib.import_module" in found:  # by a name that is made at run time
        found |= {f"{name}.{sibling.stem}" for sibling in path.parent.glob("*.py")}
    reader, shown = DISPLAY_ONLY
    return {m for m in found if name != reader or not m.startswith(shown)}


@lru_cache(maxsize=4096)
def _cached_imports(path, name, package, mtime, size) -> frozenset[str]:
    inside = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return frozenset(_imports(path.read_text(encoding="utf-8"), inside, package))


def _imports(text: str, inside: str, package: Path) -> set[str]:
    """Modules of the package that `text` imports, with their parent packages."""
    try:
        tree = ast.parse(_without_magics(text))
    except SyntaxError:
        return set()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, inside)
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    top = package.name
    own = {name for name in found if name.split(".")[0] == top}
    dynamic = found & {"importlib.import_module"}
    return dynamic | {p for name in own for p in _with_parents(name)}


def _without_magics(text: str) -> str:
    lines = text.splitlines()
    return "\n".join("" if li.lstrip().startswith(("%", "!")) else li for li in lines)


def _absolute(node: ast.ImportFrom, inside: str) -> str:
    if not node.level:
        return node.module or ""
    parts = inside.split(".")
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _module_file(name: str, package: Path) -> Path | None:
    base = package.joinpath(*name.split(".")[1:])
    for path in (base / "__init__.py", base.with_name(base.name + CODE_SUFFIX)):
        if path.is_file():
            return path
    return None


def _data_files(module: Path, package: Path) -> list[Path]:
    text = module.read_text(encoding="utf-8")
    return [
        path
        for path in _all_data(package)
        if path.name in text or (path.parent != package and path.parent.name in text)
    ]


@lru_cache(maxsize=8)
def _all_data(package: Path) -> tuple[Path, ...]:
    return tuple(p for p in sorted(package.rglob("*")) if p.suffix in DATA_SUFFIXES)
