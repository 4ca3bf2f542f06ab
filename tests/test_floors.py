"""The order of the floors: imports go only downward, and never in a circle."""

import ast
import importlib
import json
import re
from graphlib import TopologicalSorter
from importlib import metadata
from pathlib import Path

import pytest

from deepicd.study.runner.plan import PACKAGE

FLOORS = (
    "common",
    "icd",
    "tasks",
    "rewards",
    "data",
    "training",
    "traces",
    "evaluation",
    "views",
    "study",
)
BESIDE = ("__init__.py", "predict.py")  # the command stands beside the floors

PINS = PACKAGE.parents[1] / "requirements.txt"


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


FILES = {module_of(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imports(file: Path) -> set[str]:
    """Modules of the package that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else node.module for name in whole}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name in FILES}


def test_every_room_has_its_floor():
    rooms = {p.name for p in PACKAGE.iterdir() if not p.name.startswith("__py")}
    assert rooms == {*FLOORS, *BESIDE}


@pytest.mark.parametrize("room", FLOORS)
def test_a_room_imports_nothing_from_above(room):
    above = FLOORS[FLOORS.index(room) + 1 :]
    wrong = [
        f"{name} imports {other}"
        for name, file in FILES.items()
        if name.split(".")[1:2] == [room]
        for other in imports(file)
        if other.split(".")[1:2] and other.split(".")[1] in above
    ]
    assert not wrong


def test_no_files_import_each_other_in_a_circle():
    graph = {name: imports(file) - {name} for name, file in FILES.items()}
    assert list(TopologicalSorter(graph).static_order())


def test_modules_that_texts_name_are_there():
    """Commands in docstrings, and programs that benchmarks run as text."""
    named = re.compile(r"(?:from|import|-m) (deepicd[.\w]*\w)")
    wrong = {
        (file.name, name)
        for file in [*FILES.values(), *PINS.parent.glob("*.md")]
        for name in named.findall(file.read_text(encoding="utf-8"))
        if name not in FILES and name != "deepicd"
    }
    assert not wrong


DOORS = {  # what others may call; their names stay
    "deepicd.icd": ("load_tree",),
    "deepicd.tasks": ("parse_completion",),
    "deepicd.rewards": ("score",),
    "deepicd.data.sections": ("split_sections", "admission_note"),
    "deepicd.evaluation": ("evaluate", "paired_bootstrap"),
    "deepicd.training": ("predict",),
}


@pytest.mark.parametrize("room", DOORS)
def test_the_doors_of_a_room_open(room):
    for name in DOORS[room]:
        assert callable(getattr(importlib.import_module(room), name))


def test_what_a_face_hands_on_is_there_and_shadowed_by_no_file():
    for name, file in FILES.items():
        if file.name == "__init__.py":
            for one in getattr(importlib.import_module(name), "HOMES", {}):
                assert getattr(importlib.import_module(name), one) is not None
                assert f"{name}.{one}" not in FILES


BROUGHT = "# What these bring along"
COMMANDS = {"jupyterlab", "pytest-xdist", "ruff", "tensorboard"}  # imported by no file


def pins(text: str) -> set[str]:
    return {line.split("==")[0] for line in text.splitlines() if "==" in line}


def imported() -> set[str]:
    """Top names that lib, tests and notebooks import."""
    sources = [file.read_text(encoding="utf-8") for file in FILES.values()]
    sources += [
        f.read_text(encoding="utf-8") for f in Path(__file__).parent.glob("*.py")
    ]
    for book in (PINS.parent / "notebooks").glob("*.ipynb"):
        cells = json.loads(book.read_text(encoding="utf-8"))["cells"]
        sources += ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    found = set()
    for node in ast.walk(ast.parse("\n".join(sources))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_every_pin_is_imported_or_brought_along_by_one_that_is():
    own, brought = map(pins, PINS.read_text(encoding="utf-8").split(BROUGHT))
    absent = {name for name in own | brought if not _installed(name)}
    if absent:
        pytest.skip(f"requirements.txt is not installed here: {sorted(absent)}")
    names, told = imported(), metadata.packages_distributions()
    used = {_plain(one) for name in names for one in told.get(name, ())}
    assert own - used - COMMANDS == set()
    wanted = {
        _plain(re.match(r"[\w.-]+", line)[0])
        for name in own | brought
        for line in metadata.requires(name) or ()
    }
    assert brought - wanted == set()


def _installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
