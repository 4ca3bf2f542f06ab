"""A study: the runs of all grids in one run folder, planned, done and tabled."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import pandas as pd

from deepicd.common.files import read_json, write_parquet
from deepicd.data.privacy import is_private_run
from deepicd.study.ablations.inputs import load_material
from deepicd.study.ablations.jobs import DONE, GRPO, SFT, Job, jobs_of
from deepicd.study.ablations.kept_runs import Kept
from deepicd.study.ablations.points import no_history, resolve
from deepicd.study.ablations.workers import check_workers, run_jobs

HAD = "finished", "kept"
#: Seconds a step on two cores with the model of the cpu profile, answers included.
PACE = {SFT: 0.6, GRPO: 2.3}
FIRST = ["key", "kind", "seed", "seconds", "needs", "style", "reward"]


class Study:
    """Runs kept under ``07_run_ablations/runs`` of a run folder.

    Parameters
    ----------
    run_dir : path-like
        Folder of a run with the notebooks 01, 03 and 04 done.
    workers : int
        Runs side by side.
    report : callable, optional
        Called with done, total, text.
    kept : path-like or None
        Folder with runs of the reference, taken from there instead of being run
        again where everything they depend on is the same (`kept_of`); None runs all
        here.
    """

    def __init__(
        self,
        run_dir: str | Path,
        workers: int = 1,
        report: Callable[[int, int, str], None] | None = None,
        kept: str | Path | None = None,
    ):
        check_workers(workers)
        self.run_dir = str(Path(run_dir).expanduser().resolve())
        self.material = load_material(self.run_dir)
        self.workers, self.report = workers, report
        self.kept = Kept(kept)
        self.private = is_private_run(self.run_dir)

    def jobs(self, given: Mapping) -> tuple[Job | None, Job | None]:
        """SFT and GRPO run of a point."""
        return jobs_of(resolve(given, self.material.taught), self.material)

    def all_jobs(self, points: Sequence[Mapping]) -> list[Job]:
        """Every run that some points need, once, each behind what it needs."""
        found: dict[str, Job] = {}
        for given in points:
            for job in self.jobs(given):
                if job:
                    found.setdefault(job.key, job)
        return list(found.values())

    def plan(self, points: Sequence[Mapping]) -> pd.DataFrame:
        """What running the points would do.

        Returns
        -------
        DataFrame
            One row a run: key, kind, seed, state (finished, kept in the reference,
            interrupted, new), minutes (0 where nothing is to do), basis of the
            estimate, then parameters.
        """
        pace, basis = self._pace()
        rows = [
            {
                "key": job.key,
                "kind": job.kind,
                "seed": job.point.seed,
                "state": state,
                "minutes": round(
                    (state not in HAD) * job.steps * pace[job.kind] / 60, 2
                ),
                "basis": basis,
            }
            | job.point.of(job.kind)
            for job, state in self._states(self.all_jobs(points))
        ]
        return pd.DataFrame(rows)

    def _states(self, jobs: Sequence[Job]) -> list[tuple[Job, str]]:
        """What is there of each job."""
        had = {j.key for j in jobs if j.finished or j.key in self.kept}
        # Kept runs have no model: one that a new run starts from is trained again.
        starts = {j.needs for j in jobs if j.key not in had}
        had -= {j.key for j in jobs if j.key in starts and not j.has_model}
        found = []
        for job in jobs:
            state = "interrupted" if job.started else "new"
            if job.key in had:
                state = "finished" if job.finished else "kept"
            found.append((job, state))
        return found

    def run(self, points: Sequence[Mapping]) -> int:
        """Do what is not finished of the points; gives the number of runs done."""
        if self.material.past is None and any(p.get("history") for p in points):
            raise no_history("history in a grid")
        jobs = self.all_jobs(points)
        for job, state in self._states(jobs):
            if state == "kept":
                self.kept.unpack(job)
            elif state not in HAD:
                (job.folder / DONE).unlink(missing_ok=True)  # answers without model
        return run_jobs(
            jobs,
            self.run_dir,
            self._pace()[0],
            self.workers,
            self.report,
            lambda job: self.save_table(),
        )

    def _pace(self) -> tuple[dict[str, float], str]:
        """Seconds a step by kind: of runs finished here, else assumed; and of which."""
        whole = [d for d in self._finished() if "steps" in d and not d["resumed"]]
        pace = dict(PACE)
        for kind in pace:
            own = [d["seconds"] / d["steps"] for d in whole if d["kind"] == kind]
            pace[kind] = median(own) if own else pace[kind]
        basis = f"at the pace of {len(whole)} runs here" if whole else "assumed pace"
        return pace, basis

    def _finished(self) -> list[dict]:
        files = sorted(self.material.folder.glob(f"*/*/{DONE}"))
        return [read_json(file) for file in files]

    def table(self) -> pd.DataFrame:
        """All finished runs of all grids, one row each.

        Returns
        -------
        DataFrame
            Columns key, kind (sft, grpo), seed, seconds, needs (key of the SFT run
            it started from), every parameter, n_traces, the scores on the test
            notes (accuracy_full, macro_f1_chapter, …), well_formed, notes.
        """
        return run_table(self._finished())

    def save_table(self) -> Path:
        """Write `table` to ``results.parquet`` of the stage."""
        file = self.material.folder.parent / "results.parquet"
        write_parquet(self.table(), file)
        return file

    def predictions(self, job: Job) -> pd.DataFrame:
        """Greedy answers of a finished run."""
        return pd.read_parquet(job.folder / "predictions.parquet")

    def curves(self, job: Job) -> pd.DataFrame:
        """Curves of a finished run: step, name, value."""
        return pd.read_parquet(job.folder / "curves.parquet")


def run_table(runs: Iterable[Mapping]) -> pd.DataFrame:
    """One row for each of some finished runs, from what their ``done.json`` says."""
    rows = []
    for done in runs:
        own = {k: done[k] for k in ("n_traces", "n_prompts", "threads") if k in done}
        head = {name: done[name] for name in ("key", "kind", "seconds", "needs")}
        rows.append(head | done["given"] | own | done["scores"])
    table = pd.DataFrame(rows)
    table = table.reindex(columns=list(dict.fromkeys([*FIRST, *table])))
    if "n_traces" not in table:
        table["n_traces"] = float("nan")
    # A GRPO run has learned from the traces of the SFT run it started from.
    started = table.set_index("key")["n_traces"]
    table["n_traces"] = table["n_traces"].fillna(table["needs"].map(started))
    return table.convert_dtypes()
