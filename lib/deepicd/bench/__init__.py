"""Benchmarks: `python -m deepicd.bench NAME [--json]`. One module a benchmark.

A module in this package is a benchmark when it has `TITLE` (one line) and
`run() -> list[Result]`; its name is what the command takes. Both sides of a
comparison are measured in the same run, because machines differ and are shared.
"""

from deepicd.bench.measure import Result, best_seconds, fresh_process, peak_memory

__all__ = ["Result", "best_seconds", "fresh_process", "peak_memory"]
