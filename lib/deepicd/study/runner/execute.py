"""Run one notebook with a time limit, and leave nothing half-done behind."""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_json
from deepicd.common.processes import (
    adopt_orphans,
    descendants,
    kill_descendants,
    memory_bytes,
)
from deepicd.common.processors import thread_variables
from deepicd.study.runner.fast_imports import skip_slow_imports
from deepicd.study.runner.graph import Stage, missing_outputs
from deepicd.study.runner.run_folder import END_MARKER

POLL_SECONDS = 0.25
SCRATCH = ".kernel"  # settings and log of the kernel at work
ANSI = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"File .*(deepicd/[\w/]+\.py):(\d+),? in (\w+)")
SETTINGS = ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR")
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
        _check(job, partial, _execute(job, partial, scratch))
        job.check(partial)
    except BaseException:
        _keep_failed(job, partial)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    os.replace(partial, job.executed)
    _failed_copy(job).unlink(missing_ok=True)
    return time.monotonic() - begin


def _execute(job: Job, partial: Path, scratch: Path) -> dict | None:
    """Papermill in a thread, the notebook's kernel as the one child; the error if any.

    The thread keeps papermill's handling of signals away from the runner's own.
    """
    mine = {process.pid for process in descendants(os.getpid())}
    adopt_orphans()
    with open(scratch / "log.txt", "wb") as log, ThreadPoolExecutor(1) as pool:
        papermill = pool.submit(_papermill, job, partial, scratch, log)
        try:
            _wait(job, papermill)
        finally:  # the kernel and whatever it started
            kill_descendants(os.getpid(), besides=mine)
        return papermill.result()


def _papermill(job: Job, partial: Path, scratch: Path, log) -> dict | None:
    skip_slow_imports()
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    from deepicd.study.runner.kernel import own_kernel

    # It looks for names in one cell of parameters; ours were checked before.
    logging.getLogger("papermill").setLevel(logging.ERROR)
    options = {}
    if job.private:  # no outputs on the disk before they were checked
        options = {"request_save_on_cell_execute": False, "autosave_cell_every": 0}
    environment = _environment(scratch) | thread_variables(job.threads)
    try:
        papermill.execute_notebook(
            _last_decides(nbformat.read(job.notebook, as_version=4)),
            partial,
            parameters=job.parameters,
            kernel_name="python3",
            language="python",
            cwd=job.notebook.parent,
            progress_bar=False,
            log_output=False,
            start_timeout=120,
            kernel_manager_class=own_kernel(scratch, environment, log),
            **options,
        )
    except PapermillExecutionError as error:
        return _cell_error(error, partial)
    except Exception as error:  # the kernel died, the file cannot be written, …
        return _other_error(error)
    return None


def _last_decides(notebook):
    """Let the values that are given stand behind all cells of parameters.

    Papermill puts them behind the first one, where the next would undo them.
    """
    cells = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", ())]
    for cell in cells[:-1]:
        cell.metadata.tags.remove("parameters")
    return notebook


def _other_error(error: Exception) -> dict:
    kind = type(error).__name__
    message = "the kernel died; was it killed, or out of memory?"
    if "Dead" not in kind:
        message = getattr(error, "strerror", None) or "papermill could not run it"
    return {"kind": kind, "message": message, "cell": 0, "frames": []}


def _cell_error(error, partial: Path) -> dict:
    trace = ANSI.sub("", "\n".join(error.traceback))
    frames = [f"{file}:{line} in {name}" for file, line, name in FRAME.findall(trace)]
    return {
        "kind": error.ename,
        "message": ANSI.sub("", str(error.evalue)),
        "cell": _cell_number(partial),
        "frames": frames,
    }


def _cell_number(partial: Path) -> int:
    """Number, among the code cells as people count them, of the cell that failed."""
    number = 0
    for cell in read_json(partial)["cells"]:
        tags = cell.get("metadata", {}).get("tags", [])
        if "papermill-error-cell-tag" in tags or "injected-parameters" in tags:
            continue
        number += cell["cell_type"] == "code"
        if any(out["output_type"] == "error" for out in cell.get("outputs", [])):
            return number
    return number


def _wait(job: Job, papermill: Future) -> None:
    begin = time.monotonic()
    measured = begin
    while not papermill.done():
        now = time.monotonic()
        if now - begin > job.limit:
            raise StageFailed(
                f"{job.stage.number} took longer than its limit of "
                f"{job.limit / 60:.3g} minutes; raise limit_minutes in the profile, "
                "or start again: a stage with checkpoints goes on where it was"
            )
        if now - measured > 1:
            job.peak_bytes = max(job.peak_bytes, memory_bytes(os.getpid()))
            measured = now
        job.tick(now - begin)
        time.sleep(POLL_SECONDS)


def _environment(scratch: Path) -> dict[str, str]:
    """Variables of the kernel: no settings of the user."""
    environment = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    environment |= {name: str(scratch) for name in SETTINGS}
    package = str(Path(__file__).resolve().parents[3])
    paths = [package, environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(p for p in paths if p)
    return environment | NO_BARS


def _check(job: Job, partial: Path, error: dict | None) -> None:
    if error:
        raise StageFailed(failure_text(job.stage, error, job.private))
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
