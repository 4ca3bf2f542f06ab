"""Runs kept in the repository: their answers and curves, without their models.

A grid then costs what is new in it, also for those who did not run the rest.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from deepicd.common.files import write_json, write_parquet, write_text
from deepicd.study.ablations.jobs import DONE, Job
from deepicd.study.runner.plan import task_suffix
from deepicd.tasks.task import Task

RUNS, ANSWERS, CURVES = "runs.jsonl", "answers.parquet", "curves.parquet"
#: What comparisons and figures read of the answers and curves of a run.
ANSWER = ["note_id", "code", "well_formed"]
CURVE = "val_accuracy"
LEFT_OUT = ("trainer", "from")
FROM = "outputs/reference"
DETAILS = "ablations"


def kept_of(task: Task) -> Path:
    """Where the reference keeps the grids that were asked of a task.

    Examples
    --------
    >>> from deepicd.tasks.known import DEFAULT, get_task
    >>> kept_of(DEFAULT).parent.name, kept_of(get_task("drg")).parent.name
    ('cpu', 'cpu-drg')
    """
    return Path(__file__).parents[4] / FROM / f"cpu{task_suffix(task)}" / DETAILS


class Kept:
    """Runs in a folder of the reference, by key.

    Parameters
    ----------
    folder : path-like or None
        None, or a folder without runs, holds none.
    """

    def __init__(self, folder: str | Path | None):
        self.folder = Path(folder) if folder else None

    @cached_property
    def runs(self) -> dict[str, dict]:
        """What each run says of itself, as in its ``done.json``."""
        file = self.folder / RUNS if self.folder else None
        if file is None or not file.exists():
            return {}
        lines = file.read_text(encoding="utf-8").splitlines()
        return {one["key"]: one for one in map(json.loads, lines)}

    def __contains__(self, key: str) -> bool:
        return key in self.runs

    @cached_property
    def _answers(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / ANSWERS)

    @cached_property
    def _curves(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / CURVES)

    @staticmethod
    def _rows(table: pd.DataFrame, job: Job) -> pd.DataFrame:
        return table[table["key"] == job.key].drop(columns="key")

    def unpack(self, job: Job) -> None:
        """Write a kept run to the folder of its job, as if it had been run there."""
        answers = self._rows(self._answers, job).assign(
            system=job.kind,
            seed=job.point.seed,
            split="test",
            sample=0,
            completion=None,
        )
        write_parquet(answers, job.folder / "predictions.parquet")
        write_parquet(self._rows(self._curves, job), job.folder / "curves.parquet")
        done = self.runs[job.key] | {"from": FROM}
        write_json(done, job.folder / DONE)  # last: with it the run is finished

    def add(self, jobs: Sequence[Job]) -> None:
        """Keep finished jobs; those kept before stay."""
        new = {job.key: job for job in jobs if job.finished and job.key not in self}
        if not new:
            return
        said = [
            {k: v for k, v in job.done().items() if k not in LEFT_OUT}
            for job in new.values()
        ]
        answers = [
            pd.read_parquet(job.folder / "predictions.parquet")[ANSWER].assign(key=key)
            for key, job in new.items()
        ]
        curves = [
            _shown(pd.read_parquet(job.folder / "curves.parquet")).assign(key=key)
            for key, job in new.items()
        ]
        if self.runs:
            # A kill may have left rows of a run that is not listed yet.
            answers.insert(0, self._answers[self._answers["key"].isin(self.runs)])
            curves.insert(0, self._curves[self._curves["key"].isin(self.runs)])
        write_parquet(pd.concat(answers, ignore_index=True), self.folder / ANSWERS)
        write_parquet(pd.concat(curves, ignore_index=True), self.folder / CURVES)
        lines = [json.dumps(one) for one in [*self.runs.values(), *said]]
        write_text("\n".join(lines) + "\n", self.folder / RUNS)
        for name in ("runs", "_answers", "_curves"):
            self.__dict__.pop(name, None)  # read anew


def _shown(curves: pd.DataFrame) -> pd.DataFrame:
    return curves[curves["name"].str.startswith(CURVE)]
