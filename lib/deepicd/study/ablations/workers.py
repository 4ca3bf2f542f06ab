"""Do jobs one after another, or several side by side in processes."""

import logging
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait

from deepicd.common.errors import UserError
from deepicd.common.processes import die_with_parent
from deepicd.common.processors import cores
from deepicd.study.ablations.inputs import load_material
from deepicd.study.ablations.jobs import Job
from deepicd.study.ablations.one_run import execute


def check_workers(workers: int) -> None:
    """Refuse more workers than cores.

    Examples
    --------
    >>> check_workers(1)
    """
    if not 1 <= workers <= cores():
        raise UserError(
            f"workers {workers}", f"1 to {cores()}, the cores here", "set workers=1"
        )


def run_jobs(
    jobs: Sequence[Job],
    run_dir: str,
    pace: Mapping[str, float],
    workers: int = 1,
    report: Callable[[int, int, str], None] | None = None,
    finished: Callable[[Job], None] | None = None,
) -> int:
    """Do the jobs that are not finished.

    Parameters
    ----------
    jobs : sequence of Job
        A job stands behind those that it needs.
    run_dir : str
        Folder of the run.
    pace : mapping of kind to float
        Seconds a step, by which runs of both kinds are counted together.
    workers : int
        Runs side by side, each with the threads that its point names.
    report : callable, optional
        Called with seconds done, seconds in all (both estimated), text.
    finished : callable, optional
        Called with each job that was done.

    Returns
    -------
    int
        Jobs that were done.
    """
    check_workers(workers)
    _hush()
    todo = [job for job in jobs if not job.finished]
    progress = _Progress(todo, pace, report)
    if workers == 1 or len(todo) < 2:
        for job in todo:
            execute(job, load_material(run_dir), progress.inside(job))
            progress.end(job)
            if finished:
                finished(job)
    else:
        _side_by_side(todo, run_dir, min(workers, len(todo)), progress, finished)
    return len(todo)


class _Progress:
    """Seconds of work done, over all jobs."""

    def __init__(self, todo, pace, report):
        self.seconds = {job.key: pace[job.kind] * job.steps for job in todo}
        self.total = max(sum(self.seconds.values()), 1e-9)
        self.jobs, self.report, self.done, self.count = todo, report, 0.0, 0

    def inside(self, job: Job):
        if self.report is None:
            return None
        name = describe(job, self.jobs)  # once a run, not once a step

        def report(step, steps, text):
            part = self.seconds[job.key] * step / max(steps, 1)
            self._tell(self.done + part, f"{name}: {text}")

        return report

    def end(self, job: Job) -> None:
        self.done += self.seconds[job.key]
        self.count += 1
        self._tell(self.done, f"{describe(job, self.jobs)} finished")

    def _tell(self, seconds: float, text: str) -> None:
        if self.report:
            place = f"run {min(self.count + 1, len(self.seconds))}"
            place += f" of {len(self.seconds)}, {text}"
            self.report(round(seconds), max(round(self.total), 1), place)


def describe(job: Job, jobs: Sequence[Job] = ()) -> str:
    """A run in a few words, with the settings in which it differs from other jobs."""
    plain, given = job.point.plain, job.point.given
    what = f"{plain['traces']:.0%} of traces" if job.kind == "sft" else plain["reward"]
    spaces = ("sft.",) if job.kind == "sft" else ("grpo.", "reward.")
    own = [
        f"{name.rpartition('.')[2]} {value}"
        for name, value in given.items()
        if name.startswith(spaces)
        and any(other.point.given.get(name) != value for other in jobs)
    ]
    words = [what, plain["style"], *own, f"seed {plain['seed']}"]
    return f"{job.kind.upper()} ({', '.join(words)})"


def _side_by_side(todo, run_dir, workers, progress, finished) -> None:
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork
    waiting, running, missing = list(todo), {}, {job.key for job in todo}
    with ProcessPoolExecutor(workers, context, _begin) as pool:
        try:
            while waiting or running:
                ready = [j for j in waiting if j.needs not in missing]
                for job in ready[: workers - len(running)]:
                    running[pool.submit(_work, job, run_dir)] = job
                    waiting.remove(job)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    future.result()
                    missing.discard(job.key)
                    progress.end(job)
                    if finished:
                        finished(job)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _hush() -> None:
    """Leave out a warning that says nothing here.

    Checkpoints of a small run are written within a second of each other. transformers
    then orders them by their step, which is right, and takes the disk for unreliable.
    """
    logging.getLogger("transformers.trainer_utils").addFilter(_is_not_about_mtime)


def _is_not_about_mtime(record: logging.LogRecord) -> bool:
    return "mtime may not be reliable" not in record.getMessage()


def _begin() -> None:
    """Set up a worker, which ends with its parent."""
    die_with_parent()
    _hush()


def _work(job: Job, run_dir: str) -> str:
    execute(job, load_material(run_dir))
    return job.key
