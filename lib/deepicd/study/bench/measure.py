"""Tools for benchmarks: best-of timings, fresh processes, memory."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import read_json

BETWEEN = " | "
"""Between the parts of a name that has some."""


@dataclass(frozen=True)
class Result:
    """One measured number, and the goal it is held against.

    Attributes
    ----------
    name, unit : str
    value : float
    goal : float or None
        None where there is none.
    at_least : bool
        Whether more is better.
    low, high : float or None
        Its 95 % interval, where it has one.

    Examples
    --------
    >>> Result("load", 20.0, "ms", goal=50.0).met
    True
    """

    name: str
    value: float
    unit: str
    goal: float | None = None
    at_least: bool = False
    low: float | None = None
    high: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def to_dict(self) -> dict:
        """Fields and verdict, for JSON."""
        fields = {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": self.goal,
            "met": self.met,
        }
        between = {} if self.low is None else {"low": self.low, "high": self.high}
        return fields | between


def read_results(file: Path, parts: list[str]) -> pd.DataFrame:
    """Results that ``bench NAME --json`` wrote; parts of their names as columns."""
    found = pd.DataFrame(read_json(file))
    names = found["name"].str.split(BETWEEN, n=len(parts) - 1, regex=False)
    found[parts] = pd.DataFrame(names.tolist(), columns=parts, index=found.index)
    return found


def best_seconds(
    work: Callable[[], object],
    repeats: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Shortest of some timings: the least disturbed by other work on the machine.

    Parameters
    ----------
    work : callable
        What to time.
    repeats : int
    clock : callable
        `time.process_time` counts the seconds of this process only, for work on
        one core of a machine that others use too.

    Examples
    --------
    >>> best_seconds(lambda: sum(range(10))) < 1.0
    True
    """
    best = float("inf")
    for _ in range(repeats):
        begin = clock()
        work()
        best = min(best, clock() - begin)
    return best


_PROBE = """
import json, sys, time
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
def memory():
    try:
        return resident()
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
sys.path[:0] = json.loads(sys.argv[1])
before, begin = memory(), time.perf_counter()
exec(sys.argv[2])
took, after = time.perf_counter() - begin, memory()
print(json.dumps({"seconds": took, "bytes": after - before}))
"""


def fresh_process(code: str, repeats: int = 3) -> dict[str, float]:
    """Seconds and bytes that some code takes in a new interpreter (best of some).

    Parameters
    ----------
    code : str
        Statements; imports they cause are part of the time.
    repeats : int

    Returns
    -------
    dict
        `seconds` and `bytes` (growth of the resident memory).

    Examples
    --------
    >>> sorted(fresh_process("x = 1", repeats=1))
    ['bytes', 'seconds']
    """
    library = str(Path(__file__).parents[3])
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        _PROBE,
        json.dumps([library]),
        code,
    ]
    runs = []
    for _ in range(repeats):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(
                found="a benchmark process that failed",
                expected="the pinned requirements to be installed",
                do="./run_all.sh test",
            )
        runs.append(json.loads(done.stdout))
    return {key: min(run[key] for run in runs) for key in ("seconds", "bytes")}


def peak_memory(device: str = "cpu") -> float:
    """Largest memory that this process has had so far, in bytes.

    Parameters
    ----------
    device : str
        ``cuda`` for what PyTorch had of the GPU, else the resident memory.
    """
    if device == "cuda":
        import torch

        return float(torch.cuda.max_memory_allocated())
    # What getrusage tells on Linux includes the process that started this one.
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    peaks = [float(s.split()[1]) * 1024 for s in lines if s.startswith("VmHWM")]
    if peaks:
        return peaks[0]
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * float(unit)
