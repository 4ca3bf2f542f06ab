"""Jobs: the SFT and GRPO runs behind a point, each with the key of all it uses."""

import ast
import dataclasses
import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from deepicd.ablations.material import Material
from deepicd.ablations.points import OF_SFT, Point
from deepicd.files import read_json
from deepicd.stages.fingerprint import digest, reached_files

DONE = "done.json"
SFT, GRPO = "sft", "grpo"
PACKAGE = Path(__file__).parents[1]
#: Where the code of a run starts; what these import belongs to it too.
CODE = {
    SFT: "from deepicd import catalogue_stage, encoding, generate, models, sft",
    GRPO: "from deepicd import generate, grpo, models, rewards",
    "faults": "from deepicd.bench.filtering import arms, spoil",
}


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes
    ----------
    key : str
        Hash of everything it depends on, and the name of its folder.
    kind : {"sft", "grpo"}
    folder : Path
    point : Point
    needs : str or None
        Key of the SFT run whose model it starts from; None for the study's model or
        for random weights.
    model : str
        Folder of that model.
    """

    key: str
    kind: str
    folder: Path
    point: Point = field(hash=False, compare=False)
    needs: str | None = None
    model: str = ""

    @property
    def finished(self) -> bool:
        return (self.folder / DONE).exists()

    @property
    def started(self) -> bool:
        return any((self.folder / "checkpoints").glob("**/checkpoint-*"))

    @property
    def has_model(self) -> bool:
        """Whether its model is here; of a run kept in the reference it is not."""
        return (self.folder / "model").exists()

    @property
    def steps(self) -> int:
        return (self.point.sft if self.kind == SFT else self.point.grpo).steps

    def done(self) -> dict:
        """What a finished run says of itself."""
        return read_json(self.folder / DONE)


def jobs_of(point: Point, material: Material) -> tuple[Job | None, Job | None]:
    """SFT and GRPO run of a point; None where it has none."""
    first = None
    if point.plain["start"] == "scratch":
        key = _key(_sft_facts(point, material))
        first = Job(key, SFT, material.folder / SFT / key, point)
    if point.grpo.steps == 0:
        return first, None
    start = first.key if first else material.hashes["model"]
    key = _key(_grpo_facts(point, material, start))
    model = str(first.folder / "model") if first else material.model
    return first, Job(key, GRPO, material.folder / GRPO / key, point,
                      first.key if first else None, model)


def _shared_facts(point: Point, material: Material) -> dict:
    taught = material.taught
    return {
        "admissions": material.hashes["admissions"],
        "tokenizer": material.hashes["tokenizer"],
        "taught": [taught["instruction"], taught["sft_ranks"],
                   taught["max_new_tokens"]],
        "style": point.plain["style"],
        "seed": point.seed,
        "test_notes": point.plain["test_notes"],
        "lora_rank": point.plain["lora_rank"],
        # Without the label of a build, such as +cpu: the code is the same.
        "versions": [version(name).partition("+")[0]
                     for name in ("torch", "transformers", "trl")],
    }  # fmt: skip


def _sft_facts(point: Point, material: Material) -> dict:
    own = {name: point.plain[name] for name in OF_SFT}
    # The shape of the study's model is taken over; its weights are not.
    shape = None if point.plain["base"] else _shape(material.model)
    roots = [CODE[SFT]] + ([CODE["faults"]] if point.plain["faults"] else [])
    return _shared_facts(point, material) | own | {
        "kind": SFT, "traces_hash": material.hashes["traces"], "shape": shape,
        "settings": dataclasses.asdict(point.sft), "code": code_hash(tuple(roots)),
    }  # fmt: skip


def _grpo_facts(point: Point, material: Material, start: str) -> dict:
    return _shared_facts(point, material) | {
        "kind": GRPO, "start": start, "reward": point.reward.to_dict(),
        "settings": dataclasses.asdict(point.grpo), "code": code_hash((CODE[GRPO],)),
    }  # fmt: skip


def _shape(model: str) -> dict:
    return read_json(Path(model) / "config.json")


def _key(facts: dict) -> str:
    return digest(facts)[:16]


@lru_cache(maxsize=8)
def code_hash(roots: tuple[str, ...]) -> str:
    """Hash of the code that a run reaches; comments and docstrings do not count."""
    files = reached_files(list(roots), PACKAGE)
    files["ablations/runs.py"] = Path(__file__).with_name("runs.py")
    files["ablations/material.py"] = Path(__file__).with_name("material.py")
    found = [(name, _meaning(path)) for name, path in sorted(files.items())]
    return digest(found)


def _meaning(path: Path) -> str:
    if path.suffix != ".py":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            body[0] = ast.Pass()
    return hashlib.sha256(repr(_plain(tree)).encode()).hexdigest()


def _plain(node):
    """A syntax tree as tuples; empty fields, which Python versions add, left out."""
    if isinstance(node, list):
        return [_plain(one) for one in node]
    if not isinstance(node, ast.AST):
        return node
    fields = [(name, _plain(value)) for name, value in ast.iter_fields(node)]
    return type(node).__name__, [(n, v) for n, v in fields if v not in ([], None)]


def _is_text(node) -> bool:
    return isinstance(node, ast.Expr) and isinstance(
        getattr(node.value, "value", None), str
    )
