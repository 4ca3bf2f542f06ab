"""Benchmarks: `python -m deepicd.study.bench NAME [--json]`. One module a benchmark.

A module in this package is a benchmark when it has `TITLE` (one line) and
`run() -> list[Result]`; its name is what the command takes. Both sides of a
comparison are measured in the same run, because machines differ and are shared.
"""

from deepicd.common.faces import face

HOMES = {
    "Result": "measure",
    "best_seconds": "measure",
    "fresh_process": "measure",
    "peak_memory": "measure",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
