"""Jobs: the SFT and GRPO runs behind a point, each with the key of all it uses."""

import dataclasses
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from deepicd.common.files import read_json
from deepicd.rewards.registry import PARTS
from deepicd.rewards.spec import RewardSpec
from deepicd.study.ablations.inputs import Material
from deepicd.study.ablations.points import OF_SFT, Point
from deepicd.study.runner.fingerprint import digest
from deepicd.training.revision import REVISION

DONE = "done.json"
SFT, GRPO = "sft", "grpo"


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
        if self.kind == GRPO:
            return self.point.grpo.steps
        return self.point.sft.steps + self.point.sft.catalogue_steps

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
    return first, Job(
        key,
        GRPO,
        material.folder / GRPO / key,
        point,
        first.key if first else None,
        model,
    )


def _shared_facts(point: Point, material: Material) -> dict:
    taught, form = material.taught, point.plain["history"]
    told = {"history": [form, material.hashes.get("history")]} if form else {}
    return told | {
        "admissions": material.hashes["admissions"],
        "tokenizer": material.hashes["tokenizer"],
        "taught": [
            taught["instruction"],
            taught["sft_ranks"],
            taught["max_new_tokens"],
        ],
        "style": point.plain["style"],
        "seed": point.seed,
        "threads": point.plain["threads"],
        "test_notes": point.plain["test_notes"],
        "lora_rank": point.plain["lora_rank"],
        # Without the label of a build, such as +cpu: the code is the same.
        "versions": [
            version(name).partition("+")[0] for name in ("torch", "transformers", "trl")
        ],
    }


def _sft_facts(point: Point, material: Material) -> dict:
    own = {name: point.plain[name] for name in OF_SFT}
    # The shape of the study's model is taken over; its weights are not.
    shape = None if point.plain["base"] else _shape(material.model)
    return (
        _shared_facts(point, material)
        | own
        | {
            "kind": SFT,
            "traces_hash": material.hashes["traces"],
            "shape": shape,
            "settings": dataclasses.asdict(point.sft),
            "revision": REVISION,
        }
    )


def _grpo_facts(point: Point, material: Material, start: str) -> dict:
    return _shared_facts(point, material) | {
        "kind": GRPO,
        "start": start,
        "reward": _reward_facts(point.reward),
        "settings": dataclasses.asdict(point.grpo),
        "revision": REVISION,
    }


def _reward_facts(spec: RewardSpec) -> dict:
    """Settings of a reward, and the revisions of its parts; parts that are off are
    left out, so that a new part is no change of those that do without it."""
    on = {f"weight_{name}": PARTS[name].revision for name in spec.parts[1:]}
    off = {f"weight_{name}" for name in PARTS} - on.keys()
    off |= set() if "weight_process" in on else {"verifier"}
    own = {name: value for name, value in spec.to_dict().items() if name not in off}
    return own | {"revisions": on}


def _shape(model: str) -> dict:
    return read_json(Path(model) / "config.json")


def _key(facts: dict) -> str:
    return digest(facts)[:16]
