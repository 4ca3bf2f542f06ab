"""Processors of this machine, and how many threads compute side by side.

Threads that share a computation wait for each other at every step. Where another
program takes a processor from one of them, all wait, and those that spin while they
wait take processors from it in turn. And every number of threads adds up in an order of
its own, so it trains a model of its own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from deepicd.common.errors import UserError

VARIABLE = "OMP_NUM_THREADS"
# Turns that a thread waits for another before it sleeps; the library's own are 300,000.
# SFT steps of two threads, alone and beside one busy process, against 0.63 s alone with
# the library's own: 3,000 take 0.78 and 1.15 s, 30,000 take 0.67 and 1.57 s.
SPINS = "30000"


def cores() -> int:
    """Processors that this process may use.

    Examples
    --------
    >>> cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_asked(otherwise: int = 0) -> int:
    """Threads of a computation: of the environment, else as given, else one a core.

    Parameters
    ----------
    otherwise : int
        Where ``OMP_NUM_THREADS`` is not set; 0 for one a core.

    Raises
    ------
    UserError
        Where the variable is no number.

    Examples
    --------
    >>> threads_asked(1) >= 1
    True
    """
    given = os.environ.get(VARIABLE, "").split(",")[0].strip()
    if not given:
        return otherwise or cores()
    if given.isdigit() and int(given):
        return int(given)
    raise UserError(
        found=f"{VARIABLE}={given}",
        expected="a number of threads, 1 or more",
        do=f"unset {VARIABLE}, or {VARIABLE}=1",
    )


def thread_variables(threads: int) -> dict[str, str]:
    """Environment of a process that computes with so many threads.

    Examples
    --------
    >>> thread_variables(1)["OMP_NUM_THREADS"]
    '1'
    """
    kept = {"GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", SPINS)}
    return kept | {VARIABLE: str(threads)}


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let PyTorch compute with so many threads for a while.

    Examples
    --------
    >>> import torch
    >>> with torch_threads(1):
    ...     torch.get_num_threads()
    1
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
