"""Processes that must not outlive the one that started them.

``python -m deepicd.common.processes MODULE ARGUMENT…`` runs a module that is told to
end (SIGTERM) when the process that started it has ended, however that was.
"""

import ctypes
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
POLL_SECONDS = 1.0


def die_with_parent(how: int = signal.SIGKILL) -> None:
    """Kill this process when the one that started it ends, however it ends.

    Parameters
    ----------
    how : int
        Signal that Linux sends; SIGTERM lets it end what is below it.
    """
    parent = os.getppid()
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, how)
        if os.getppid() != parent:
            os._exit(1)
        return
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    kill_descendants(os.getpid())
    os._exit(1)


def adopt_orphans() -> None:
    """Let grandchildren whose parent ended become children of this process."""
    if sys.platform == "linux":
        _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _prctl(option: int, value: int) -> None:
    try:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (AttributeError, OSError) as error:
        sys.stderr.write(f"prctl is not available: {error}\n")


def descendants(pid: int) -> list[psutil.Process]:
    """Processes below `pid`, nearest first.

    Examples
    --------
    >>> descendants(0) == []
    True
    """
    try:
        return psutil.Process(pid).children(recursive=True) if pid else []
    except psutil.NoSuchProcess:
        return []


def kill_descendants(pid: int, wait: float = 3.0, besides=frozenset()) -> int:
    """Kill every process below `pid` but those of some ids; how many there were."""
    left = [process for process in descendants(pid) if process.pid not in besides]
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(left, timeout=wait)
    return len(left)


def end(process: subprocess.Popen, grace: float = 20.0) -> None:
    """Tell a process to end; kill what is left of its session.

    Parameters
    ----------
    process : subprocess.Popen
        Started with ``start_new_session=True``: what it has started is found even
        where it has ended itself.
    grace : float
        Seconds that it has.
    """
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def memory_bytes(pid: int) -> int:
    """Resident memory of all processes below one."""
    total = 0
    for process in descendants(pid):
        with suppress(psutil.Error):  # it just ended
            total += process.memory_info().rss
    return total


if __name__ == "__main__":
    die_with_parent(signal.SIGTERM)
    sys.argv[:] = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
