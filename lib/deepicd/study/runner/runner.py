"""Run the stages of a plan, in order, only where something changed."""

import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_json
from deepicd.common.progress import Pace, clock
from deepicd.data.privacy import RUN_FILE, make_private_folder
from deepicd.study.runner.display import Display, about, status_text
from deepicd.study.runner.execute import Job, StageFailed, run_notebook
from deepicd.study.runner.fingerprint import Hashes
from deepicd.study.runner.graph import FIGURES, Stage
from deepicd.study.runner.leaks import check_leaks
from deepicd.study.runner.manifest import write_run_manifest, write_stage_manifest
from deepicd.study.runner.plan import Plan
from deepicd.study.runner.report import write_report
from deepicd.study.runner.run_folder import PROGRESS_FILE
from deepicd.study.runner.stamps import (
    drop_stale_figures,
    make_stamp,
    mark_running,
    old_look,
    prepare_folder,
    read_record,
    why_run,
    write_record,
)

HASH_MEMORY = ".hashes.json"
LIMIT_MINUTES = 240
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Exception):
    """The runner was asked to end, by Ctrl-C or SIGTERM."""

    def __init__(self, number: int):
        self.number = number
        super().__init__(f"stopped by {signal.Signals(number).name}")


class Runner:
    """Runs a plan.

    Parameters
    ----------
    plan : Plan
    display : Display, optional

    Attributes
    ----------
    states : dict
        By stage name: ``status`` (ran, skipped, failed), ``why``, ``seconds``.
    """

    def __init__(self, plan: Plan, display: Display | None = None):
        self.plan = plan
        self.display = display or Display()
        self.states: dict[str, dict] = {}
        self.hashes = Hashes(plan.run_dir / HASH_MEMORY)

    def run(self) -> Path:
        """Run what must run and write the report; the path of the report.

        Raises
        ------
        StageFailed
            When a notebook does not end well; later stages do not run.
        UserError
            When a file of a stage outside the selection is missing.
        """
        with private_umask(self.plan), _stop_signals(), self._lock():
            try:
                for position, stage in enumerate(self.plan.stages):
                    self._stage(position, stage)
            finally:
                self.hashes.save()
                write_run_manifest(self.plan, self.states)
            ran = any(s["status"] == "ran" for s in self.states.values())
            return write_report(self.plan, refresh=ran)

    def dry_run(self) -> None:
        """Say what would run and why, and write nothing."""
        stale: set[str] = set()
        for stage in self.plan.stages:
            why = self._why(stage, self._stamp(stage))
            before = [name for name in stage.reads if name in stale]
            if not why and before:
                why = f"if the outputs of {before[0][:2]} change"
            if why:
                stale.add(stage.name)
            verb = "would run" if why else "would be skipped"
            self.display.line(f"{stage.number} {verb}: {why or 'nothing changed'}")

    def _stamp(self, stage: Stage) -> dict:
        plan = self.plan
        values = plan.parameters[stage.name]
        return make_stamp(
            stage, values, plan.run_dir, plan.sources, self.hashes, plan.threads
        )

    def _why(self, stage: Stage, stamp: dict) -> str | None:
        if self.plan.options.force:
            return "--force"
        folder = self.plan.run_dir / stage.name
        why = why_run(stage, folder, stamp, self.hashes)
        executed = _executed(self.plan, stage)
        return why or (None if executed.exists() else "its executed copy is missing")

    def _stage(self, position: int, stage: Stage) -> None:
        stamp = self._stamp(stage)
        why = self._why(stage, stamp)
        if why is None:
            seconds = read_record(self.plan.run_dir / stage.name)["seconds"]
            said = self._unchanged(stage, stamp)
            self.states[stage.name] = _state("skipped", said, seconds)
            self.display.line(f"{stage.number} skipped: {said}")
            return
        self._require_inputs(stage)
        self._announce(position, stage, why)
        self.states[stage.name] = _state("failed", why, None)
        seconds = self._execute(position, stage, stamp)
        self.states[stage.name] = _state("ran", why, round(seconds, 2))
        self.display.line(f"      done in {clock(seconds)}")

    def _unchanged(self, stage: Stage, stamp: dict) -> str:
        views = old_look(stage, self.plan.run_dir / stage.name, stamp)
        if not views:
            return "nothing changed"
        return (
            f"its results are unchanged; its figures were drawn before lib/deepicd/"
            f"{views} changed (--only {stage.number} --force draws them anew)"
        )

    def _require_inputs(self, stage: Stage) -> None:
        for name in self.plan.sources.inputs(stage):
            if not (self.plan.run_dir / name).exists():
                other = name.split("/")[0]
                raise UserError(
                    found=f"no {name} in {self.plan.run_dir}",
                    expected=f"the output of {other}, which {stage.name} reads",
                    do=f"run without --only, or with --from {other[:2]}",
                )

    def _announce(self, position: int, stage: Stage, why: str) -> None:
        notebook = about(self.plan.sources.notebook(stage))
        total = len(self.plan.stages)
        self.display.line(f"[{position + 1}/{total}] {stage.number} {notebook.title}")
        if notebook.purpose:
            self.display.line(f"      {notebook.purpose}")
        own = self._expected(stage)
        later = self._later(position)
        guess = f"about {clock(own)}, " if own else ""
        guess += f"then about {clock(later)} for the rest; " if later else ""
        self.display.line(f"      {guess}{stage.number} runs: {why}")

    def _execute(self, position: int, stage: Stage, stamp: dict) -> float:
        plan = self.plan
        folder, pace = plan.run_dir / stage.name, Pace()
        if prepare_folder(folder, stamp, plan.options.force):
            self.display.line("      goes on from checkpoints of an interrupted run")
        job = Job(
            stage=stage,
            notebook=plan.sources.notebook(stage),
            executed=_executed(plan, stage),
            folder=folder,
            parameters=plan.parameters[stage.name],
            limit=60 * _limit(plan, stage),
            private=plan.private,
            threads=plan.threads,
            tick=lambda seconds: self._tick(position, stage, seconds, pace),
            check=lambda file: check_leaks(plan, file),
        )
        began = time.time()
        mark_running(folder, stamp, os.getpid())
        seconds = run_notebook(job)
        if FIGURES in stage.writes:
            drop_stale_figures(folder, began)
        record = write_record(stage, folder, stamp, seconds, self.hashes)
        write_stage_manifest(plan, stage, record, job.peak_bytes)
        self.hashes.save()
        return seconds

    def _tick(self, position: int, stage: Stage, seconds: float, pace: Pace):
        progress = _progress(self.plan.run_dir / stage.name / PROGRESS_FILE)
        done, total = progress.get("done", 0), progress.get("total", 0)
        counted, later = pace.left(done, total, seconds), self._later(position)
        expected = self._expected(stage)
        self.display.status(
            status_text(progress, seconds, expected, counted, later), seconds
        )

    def _later(self, position: int) -> float:
        rest = self.plan.stages[position + 1 :]
        return sum(self._expected(stage) or 0 for stage in rest)

    def _expected(self, stage: Stage) -> float | None:
        past = read_record(self.plan.run_dir / stage.name).get("seconds")
        return past or self.plan.profile.seconds.get(stage.name)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Hold the folder of the run, so that two runs do not mix their files."""
        folder = self.plan.run_dir
        make_folder(self.plan)
        with open(folder / ".lock", "a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise UserError(
                    found=f"another run (process {holder}) at work in {folder}",
                    expected="one run at a time in one folder",
                    do="wait until it ends, or use another --seed or --profile",
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            write_json(
                {"data": self.plan.options.data, "private": self.plan.private},
                folder / RUN_FILE,
            )
            yield


def make_folder(plan: Plan) -> None:
    """Make the folder of a run, for the owner only where the notes are private."""
    try:
        if plan.private:
            make_private_folder(plan.run_dir)
        plan.run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            found=f"run folder {plan.run_dir} cannot be made ({error.strerror})",
            expected="a folder that can be written",
            do="change its permissions, or clone the repository elsewhere",
        ) from error


def _state(status: str, why: str, seconds: float | None) -> dict:
    return {"status": status, "why": why, "seconds": seconds}


def _executed(plan: Plan, stage: Stage) -> Path:
    return plan.run_dir / "notebooks" / f"{stage.name}.ipynb"


def _limit(plan: Plan, stage: Stage) -> float:
    limits = plan.profile.limit_minutes
    return limits.get(stage.name, limits.get("default", LIMIT_MINUTES))


def _progress(file: Path) -> dict:
    try:
        return read_json(file)
    except (OSError, ValueError):
        return {}


@contextmanager
def private_umask(plan: Plan) -> Iterator[None]:
    """Close every new file to others where the notes are private."""
    old = os.umask(0o077) if plan.private else None
    try:
        yield
    finally:
        if old is not None:
            os.umask(old)


@contextmanager
def _stop_signals() -> Iterator[None]:
    """Turn Ctrl-C, SIGTERM and a closed terminal into an exception."""

    def stop(number, frame):
        raise Stopped(number)

    old = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number, handler in old.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


__all__ = ["Runner", "StageFailed", "Stopped"]
