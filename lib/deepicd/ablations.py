"""Ablations: small GRPO runs that differ in named parameters, each kept for reuse.

A run lives in a folder named by the hash of everything it depends on: its
parameters, the starting model, the data and the code. A finished run is read, an
interrupted one goes on from its last checkpoint.
"""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from deepicd import generate, grpo, models, rewards
from deepicd.files import read_json, write_json, write_parquet
from deepicd.stages.fingerprint import reached_files

DONE = "done.json"
#: Where the code of a run starts; what these import belongs to it too.
CODE = "from deepicd import generate, grpo, models, rewards"


def grid(**axes: Iterable) -> list[dict]:
    """All combinations of the named values, as one dict a run.

    Examples
    --------
    >>> grid(reward=["tree", "flat"], seed=[0])
    [{'reward': 'tree', 'seed': 0}, {'reward': 'flat', 'seed': 0}]
    """
    names = list(axes)
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*axes.values())
    ]


@dataclass
class RewardStudy:
    """What all runs of a reward ablation share.

    Attributes
    ----------
    model : str
        Folder of the model that every run starts from.
    admissions : DataFrame
        Contract of stage 01.
    notes : DataFrame
        Training notes of GRPO.
    style, instruction : str
        The prompt.
    settings : GrpoSettings
        Of every run; a run sets its own seed.
    folder : Path
        Where the runs are kept.
    tree : IcdTree
    answering : dict
        Passed to `deepicd.generate.predict`.
    validate_notes : int
        Validation notes answered for the curves.
    report : callable, optional
        Called with done, total, text.
    """

    model: str
    admissions: pd.DataFrame
    notes: pd.DataFrame
    style: str
    instruction: str
    settings: grpo.GrpoSettings
    folder: Path
    tree: object
    answering: dict = field(default_factory=dict)
    validate_notes: int = 100
    report: Callable[[int, int, str], None] | None = None

    def key(self, point: dict) -> str:
        """Hash of everything that a run depends on."""
        data = pd.util.hash_pandas_object(self.admissions).to_numpy().tobytes()
        weights = (Path(self.model) / "model.safetensors").read_bytes()
        spec = rewards.get_spec(point["reward"], style=self.style)
        facts = [
            point,
            dataclasses.asdict(self.settings),
            dataclasses.asdict(spec),
            self.answering,
            [self.style, self.instruction, self.validate_notes, len(self.notes)],
            hashlib.sha256(data).hexdigest(),
            hashlib.sha256(weights).hexdigest(),
            _code_hash(),
        ]
        text = json.dumps(facts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def plan(self, points: list[dict]) -> pd.DataFrame:
        """Which runs are finished already: the points with key and finished."""
        keys = [self.key(point) for point in points]
        finished = [(self.folder / key / DONE).exists() for key in keys]
        return pd.DataFrame(points).assign(key=keys, finished=finished)

    def run(self, points: list[dict]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Run or read every point.

        Parameters
        ----------
        points : list of dict
            Keys reward and seed.

        Returns
        -------
        (DataFrame, DataFrame)
            Predictions on the test notes, the system named after the reward; and
            curves with the columns reward, seed, step, name, value.
        """
        answers, curves = [], []
        for number, point in enumerate(points):
            folder = self.folder / self.key(point)
            if not (folder / DONE).exists():
                self._train(point, folder, number, len(points))
            answers.append(pd.read_parquet(folder / "predictions.parquet"))
            curve = pd.read_parquet(folder / "curves.parquet")
            curves.append(curve.assign(**point))
        return pd.concat(answers, ignore_index=True), pd.concat(
            curves, ignore_index=True
        )

    def _train(self, point: dict, folder: Path, number: int, total: int) -> None:
        settings = dataclasses.replace(self.settings, seed=point["seed"])
        net, tokenizer = models.load(self.model)
        data, _ = grpo.prompt_set(
            self.notes, tokenizer, self.style, self.instruction, settings.max_prompt
        )
        given = self.answering | {"tokenizer": tokenizer, "tree": self.tree}
        given |= {"style": self.style, "instruction": self.instruction}
        given |= {"seed": point["seed"]}
        of_split = self.admissions["split"]
        val = self.admissions[of_split == "val"].head(self.validate_notes)
        net, curves, _, resolved = grpo.train(
            net,
            tokenizer,
            data,
            rewards.get_spec(point["reward"], style=self.style),
            settings,
            folder / "checkpoints",
            self.tree,
            generate.measure_accuracy(val, **given),
            self._progress(number, total, point),
        )
        test = self.admissions[of_split == "test"]
        found = generate.predict(net, test, system=point["reward"], **given)
        write_parquet(curves, folder / "curves.parquet")
        write_parquet(found, folder / "predictions.parquet")
        write_json(point | {"trainer": resolved}, folder / DONE)

    def _progress(self, number: int, total: int, point: dict):
        if self.report is None:
            return None
        name = ", ".join(f"{k} {v}" for k, v in point.items())

        def report(step, steps, text):
            self.report(number * steps + step, total * steps, f"{name}: {text}")

        return report


def _code_hash() -> str:
    files = reached_files([CODE], Path(__file__).parent)
    files["ablations.py"] = Path(__file__)
    text = "".join(
        files[name].read_text(encoding="utf-8")
        for name in sorted(files)
        if files[name].suffix == ".py"
    )
    return hashlib.sha256(text.encode()).hexdigest()


def finished_runs(folder: str | Path) -> pd.DataFrame:
    """Parameters of all finished runs in a folder."""
    rows = [read_json(f) for f in sorted(Path(folder).glob(f"*/{DONE}"))]
    kept = [{k: v for k, v in row.items() if k != "trainer"} for row in rows]
    return pd.DataFrame(kept)
