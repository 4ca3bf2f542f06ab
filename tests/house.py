"""A tiny study of three notebooks, for tests of the runner."""

import json
import shutil
from pathlib import Path

from deepicd.study.runner.device import Device
from deepicd.study.runner.fast_imports import skip_slow_imports
from deepicd.study.runner.graph import FIGURES, Stage
from deepicd.study.runner.plan import PACKAGE, Options, make_plan
from deepicd.study.runner.runner import Runner
from deepicd.study.runner.stamps import Sources

skip_slow_imports()
import nbformat  # noqa: E402

CPU = Device("cpu", "CPU", "a test")
FIRST, SECOND, THIRD = "01_first", "02_second", "03_third"
STAGES = (
    Stage(FIRST, (), ("numbers.json", FIGURES)),
    Stage(SECOND, (FIRST,), ("sum.json",)),
    Stage(THIRD, (SECOND,), ("end.json",)),
)
HEAD = """\
run_dir: str = "../outputs/cpu-synthetic-seed0"  # help: folder of this run
seed: int = 0  # help: random seed"""
OPEN = "from deepicd.study.runner import open_run\nrun = open_run(run_dir, {stage!r})"
BODIES = {
    FIRST: [
        "import json\nnumbers = [seed, size]",
        "(run.dir / 'numbers.json').write_text(json.dumps(numbers))\n"
        "(run.figures / 'dots.png').write_bytes(b'png')",
    ],
    SECOND: [
        "import json\npath = run.path('01_first', 'numbers.json')",
        "total = sum(json.loads(path.read_text())) * (weight > 0)\n"
        "(run.dir / 'sum.json').write_text(str(total))",
    ],
    THIRD: [
        "text = run.path('02_second', 'sum.json').read_text()\n"
        "(run.dir / 'end.json').write_text(text)"
    ],
}
PARAMETERS = {
    FIRST: "size: int = 3  # help: how many",
    SECOND: "weight: float = 0.5  # help: a weight",
    THIRD: "",
}


class ListDisplay:
    """A display that keeps its lines."""

    def __init__(self):
        self.lines: list[str] = []

    def line(self, text: str = "") -> None:
        self.lines.append(text)

    def status(self, text: str, seconds: float) -> None:
        self.lines.append(text)


class House:
    """A folder with notebooks, profiles and outputs.

    Parameters
    ----------
    root : Path
        Where to build it.
    """

    def __init__(self, root: Path):
        self.root = root
        self.notebooks = root / "notebooks"
        (self.notebooks / "profiles").mkdir(parents=True)
        self.profile("about: a test\n")
        self.lock = root / "requirements.txt"
        self.lock.write_text("nothing\n")
        self.sources = Sources(self.notebooks, root / "deepicd", self.lock, STAGES)
        self.copy_package()
        for stage in STAGES:
            self.write(stage.name, BODIES[stage.name])

    def copy_package(self) -> None:
        """Hash a copy, so that an edit of lib during the tests changes nothing."""
        for name in ("__init__.py", "common", "data/privacy.py", "study/runner"):
            source, target = PACKAGE / name, self.sources.package / name
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)

    @classmethod
    def reopen(cls, root: Path, stages=STAGES) -> "House":
        """A house that was built before, as another process sees it."""
        house = cls.__new__(cls)
        house.root, house.notebooks = root, root / "notebooks"
        lock = root / "requirements.txt"
        house.sources = Sources(house.notebooks, root / "deepicd", lock, stages)
        return house

    def profile(self, text: str, name: str = "cpu") -> None:
        """Write a profile."""
        (self.notebooks / "profiles" / f"{name}.yaml").write_text(text)

    def write(self, stage: str, cells: list[str], parameters=None, prose="") -> None:
        """Write the notebook of a stage."""
        declared = PARAMETERS[stage] if parameters is None else parameters
        new = nbformat.v4
        tags = {"tags": ["parameters"]}
        tagged = [new.new_code_cell(c, metadata=tags) for c in (HEAD, declared) if c]
        title = new.new_markdown_cell(
            f"# Title of {stage}\n\n**Purpose.** It works. {prose}"
        )
        code = [OPEN.format(stage=stage), *cells, "run.finish()"]
        body = [title, *tagged, *map(new.new_code_cell, code)]
        book = new.new_notebook(cells=body)
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(book, self.notebooks / f"{stage}.ipynb")

    def plan(self, **options):
        """A plan for this house."""
        options.setdefault("outputs", self.root / "outputs")
        return make_plan(Options(**options), self.sources, CPU)

    def run(self, **options) -> Runner:
        """Run the house and give the runner with its states and lines."""
        runner = Runner(self.plan(**options), ListDisplay())
        runner.run()
        return runner

    def ran(self, **options) -> list[str]:
        """Numbers of the stages that a run executed."""
        states = self.run(**options).states
        return [name[:2] for name, s in states.items() if s["status"] == "ran"]

    @property
    def run_dir(self) -> Path:
        return self.root / "outputs" / "cpu-synthetic-seed0"

    def record(self, stage: str) -> dict:
        return json.loads((self.run_dir / stage / ".stamp.json").read_text())
