"""One notebook through papermill, in a process of its own.

``python -m deepicd.study.runner.worker JOB.json`` executes the notebook the job names
and writes what happened to the job's result file. It never prints a cell's output.
"""

import os
import re
import sys
from pathlib import Path

from deepicd.common.files import read_json, write_json
from deepicd.study.runner.fast_imports import skip_slow_imports
from deepicd.study.runner.processes import (
    adopt_orphans,
    die_with_parent,
    kill_descendants,
)

KERNEL = "deepicd"
ANSI = re.compile(r"\x1b\[[0-9;]*m")
FRAME = re.compile(r"File .*(deepicd/[\w/]+\.py):(\d+),? in (\w+)")


def execute(job: dict) -> dict:
    """Execute a notebook; what happened as a plain dictionary.

    Parameters
    ----------
    job : dict
        ``notebook``, ``output``, ``parameters``, ``cwd``, ``private``.

    Returns
    -------
    dict
        ``error`` is None, or has ``kind``, ``message``, ``cell``, ``frames``.
    """
    skip_slow_imports()
    import papermill
    from papermill.exceptions import PapermillExecutionError

    options = {}
    if job["private"]:  # no outputs on the disk before they were checked
        options = {"request_save_on_cell_execute": False, "autosave_cell_every": 0}
    try:
        papermill.execute_notebook(
            job["notebook"],
            job["output"],
            parameters=job["parameters"],
            kernel_name=KERNEL,
            language="python",
            cwd=job["cwd"],
            progress_bar=False,
            log_output=False,
            start_timeout=120,
            **options,
        )
    except PapermillExecutionError as error:
        return {"error": _cell_error(error, job["output"])}
    except Exception as error:  # the kernel died, the file cannot be written, …
        return {"error": _other_error(error)}
    return {"error": None}


def _other_error(error: Exception) -> dict:
    kind = type(error).__name__
    message = "the kernel died; was it killed, or out of memory?"
    if "Dead" not in kind:
        message = getattr(error, "strerror", None) or "papermill could not run it"
    return {"kind": kind, "message": message, "cell": 0, "frames": []}


def _cell_error(error, output: str) -> dict:
    trace = ANSI.sub("", "\n".join(error.traceback))
    frames = [f"{file}:{line} in {name}" for file, line, name in FRAME.findall(trace)]
    return {
        "kind": error.ename,
        "message": ANSI.sub("", str(error.evalue)),
        "cell": _cell_number(output),
        "frames": frames,
    }


def _cell_number(output: str) -> int:
    """Number, among the code cells as people count them, of the cell that failed."""
    number = 0
    for cell in read_json(output)["cells"]:
        tags = cell.get("metadata", {}).get("tags", [])
        if "papermill-error-cell-tag" in tags or "injected-parameters" in tags:
            continue
        number += cell["cell_type"] == "code"
        if any(out["output_type"] == "error" for out in cell.get("outputs", [])):
            return number
    return number


def main() -> None:
    """Read the job, execute it, leave nothing running."""
    die_with_parent()
    adopt_orphans()
    job = read_json(Path(sys.argv[1]))
    result = execute(job)
    result["left_behind"] = kill_descendants(os.getpid())
    write_json(result, job["result"])


if __name__ == "__main__":
    main()
