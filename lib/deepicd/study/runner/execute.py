"""Run one notebook with a time limit, and leave nothing half-done behind."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_json
from deepicd.common.processors import thread_variables
from deepicd.study.runner.graph import Stage, missing_outputs
from deepicd.study.runner.processes import kill_descendants, memory_bytes
from deepicd.study.runner.run_folder import END_MARKER
from deepicd.study.runner.worker import KERNEL

POLL_SECONDS = 0.25
SCRATCH = ".kernel"  # settings and log of the kernel at work
NO_BARS = {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONHASHSEED": "0",
}


class StageFailed(Exception):
    """A notebook did not end well; the message is fit for a screen or a log."""


@dataclass
class Job:
    """One notebook to run.

    Attributes
    ----------
    stage : Stage
    notebook : Path
        The notebook as committed.
    executed : Path
        Where the executed copy goes.
    folder : Path
        Folder the stage writes into.
    parameters : dict
    limit : float
        Wall-clock limit in seconds.
    private : bool
        Whether nothing of the notes may be shown.
    threads : int
        That compute side by side.
    started : callable
        Called with the process id before the first cell can run.
    tick : callable
        Called with the seconds so far, several times a second.
    check : callable
        Called with the executed copy; raises when it must not be kept.
    """

    stage: Stage
    notebook: Path
    executed: Path
    folder: Path
    parameters: dict
    limit: float
    private: bool = False
    threads: int = 1
    started: Callable[[int], None] = lambda pid: None
    tick: Callable[[float], None] = lambda seconds: None
    check: Callable[[Path], None] = lambda file: None
    peak_bytes: int = field(default=0, init=False)


def run_notebook(job: Job) -> float:
    """Run a notebook to its end marker; its seconds.

    Raises
    ------
    StageFailed
        When a cell fails, the limit is reached, the end marker or a declared output
        is missing. The executed copy is then kept as ``NAME.failed.ipynb``, without
        outputs where the notes are private.
    """
    job.executed.parent.mkdir(parents=True, exist_ok=True)
    partial = job.executed.with_name(f".{job.stage.name}.partial.ipynb")
    begin = time.monotonic()
    # In the folder of the run, so that one that a kill leaves goes at the next start.
    scratch = job.executed.with_name(SCRATCH)
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        result = _in_worker(job, partial, scratch)
        _check(job, partial, result)
        job.check(partial)
    except BaseException:
        _keep_failed(job, partial)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    os.replace(partial, job.executed)
    _failed_copy(job).unlink(missing_ok=True)
    return time.monotonic() - begin


def _in_worker(job: Job, partial: Path, scratch: Path) -> dict:
    order = {
        "notebook": str(job.notebook),
        "output": str(partial),
        "parameters": job.parameters,
        "cwd": str(job.notebook.parent),
        "private": job.private,
        "result": str(scratch / "result.json"),
    }
    write_json(order, scratch / "job.json")
    with open(scratch / "log.txt", "wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "deepicd.study.runner.worker",
                str(scratch / "job.json"),
            ],
            cwd=job.notebook.parent,
            env=_environment(scratch) | thread_variables(job.threads),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        job.started(process.pid)
        try:
            _wait(job, process)
        finally:
            _end(process)
    if not Path(order["result"]).exists():
        raise StageFailed(_died(job, process.returncode, scratch / "log.txt"))
    return read_json(order["result"])


def _wait(job: Job, process: subprocess.Popen) -> None:
    begin = time.monotonic()
    measured = begin
    while process.poll() is None:
        now = time.monotonic()
        if now - begin > job.limit:
            raise StageFailed(
                f"{job.stage.number} took longer than its limit of "
                f"{job.limit / 60:.3g} minutes; raise limit_minutes in the profile, "
                "or start again: a stage with checkpoints goes on where it was"
            )
        if now - measured > 1:
            job.peak_bytes = max(job.peak_bytes, memory_bytes(process.pid))
            measured = now
        job.tick(now - begin)
        time.sleep(POLL_SECONDS)


def _end(process: subprocess.Popen) -> None:
    """Kill the worker, its kernel and whatever those started."""
    kill_descendants(process.pid)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _environment(scratch: Path) -> dict[str, str]:
    """Variables of the child: this Python as the kernel, no settings of the user."""
    here = Path(__file__).resolve()
    folder = scratch / "jupyter" / "kernels" / KERNEL
    folder.mkdir(parents=True)
    command = [sys.executable, str(here.with_name("kernel.py"))]
    spec = {
        "argv": [*command, "-f", "{connection_file}"],
        "display_name": "DeepICD-R1",
        "language": "python",
    }
    (folder / "kernel.json").write_text(json.dumps(spec))
    places = {
        "JUPYTER_PATH": "jupyter",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTER_CONFIG_DIR": "config",
        "IPYTHONDIR": "ipython",
    }
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    for name, place in places.items():
        (scratch / place).mkdir(exist_ok=True)
        environment[name] = str(scratch / place)
    paths = [str(here.parents[2]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
    return environment | NO_BARS


def _died(job: Job, code: int, log: Path) -> str:
    text = f"{job.stage.number} ended without a result (exit status {code})"
    if job.private:
        return text
    tail = log.read_text(errors="replace").strip().splitlines()[-3:]
    return "\n".join([text, *(f"   {line[:200]}" for line in tail)])


def _check(job: Job, partial: Path, result: dict) -> None:
    if result["error"]:
        raise StageFailed(failure_text(job.stage, result["error"], job.private))
    if not _has_end_marker(partial, job.stage):
        raise StageFailed(
            f"{job.stage.number} ended before its end marker; did a cell call "
            "sys.exit, or is run.finish() missing from the last cell?"
        )
    missing = missing_outputs(job.stage, job.folder)
    if missing:
        raise StageFailed(
            f"{job.stage.number} ended without its output {', '.join(missing)} "
            f"in {job.folder}"
        )


def failure_text(stage: Stage, error: dict, private: bool) -> str:
    """What to show of a failed cell.

    A UserError shows its message only. Of private data nothing else shows than
    the kind of error and where it arose, because a message may quote a note.

    Examples
    --------
    >>> error = {"kind": "KeyError", "message": "'told in confidence'", "cell": 3,
    ...          "frames": ["deepicd/splits.py:12 in split"]}
    >>> print(failure_text(Stage("01_a"), error, private=True))
    01 failed in code cell 3: KeyError (message withheld: private notes)
       deepicd/splits.py:12 in split
    """
    if error["kind"] == UserError.__name__:
        return f"{stage.number} stopped: {error['message']}"
    if private:
        what = f"{error['kind']} (message withheld: private notes)"
    else:
        what = f"{error['kind']}: {error['message'][:500]}"
    where = f" in code cell {error['cell']}" if error["cell"] else ""
    lines = [f"   {frame}" for frame in error["frames"][-5:]]
    return "\n".join([f"{stage.number} failed{where}: {what}", *lines])


def _has_end_marker(partial: Path, stage: Stage) -> bool:
    marker = f"{END_MARKER} {stage.name}"
    cells = [c for c in read_json(partial)["cells"] if c["cell_type"] == "code"]
    outputs = cells[-1]["outputs"] if cells else []
    return any(marker in "".join(out.get("text", "")) for out in outputs)


def _failed_copy(job: Job) -> Path:
    return job.executed.with_name(f"{job.stage.name}.failed.ipynb")


def _keep_failed(job: Job, partial: Path) -> None:
    if not partial.exists():
        return
    if job.private:
        write_json(without_outputs(read_json(partial)), partial)
    shutil.move(partial, _failed_copy(job))


def without_outputs(notebook: dict) -> dict:
    """A notebook with the outputs of every code cell removed.

    Examples
    --------
    >>> cells = [{"cell_type": "code", "outputs": ["told in confidence"]}]
    >>> without_outputs({"cells": cells})
    {'cells': [{'cell_type': 'code', 'outputs': []}]}
    """
    cells = [
        cell | {"outputs": []} if cell["cell_type"] == "code" else cell
        for cell in notebook["cells"]
        if "papermill-error-cell-tag" not in cell.get("metadata", {}).get("tags", [])
    ]
    return notebook | {"cells": cells}
