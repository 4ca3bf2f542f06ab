"""Extraction at the size of MIMIC-IV: speed, memory and linearity, or a fuzz.

`python -m deepicd.study.bench extract` writes 331,794 full-length summaries into a
temporary folder (1 GB) and takes minutes; `--notes 20000` takes seconds. With
`--fuzz 100000` so many mutated summaries are read instead, and counted is what leaks.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from deepicd.common.errors import UserError
from deepicd.data.sections.splitting import MODES, admission_note
from deepicd.study.bench.extract import made_summaries, mutations
from deepicd.study.bench.measure import Result, best_seconds

TITLE = "Extraction: notes a second, memory, linearity; or --fuzz"
UNSEEN = 5_000  # mutated summaries of a style that the guard has not seen
SAMPLE = 3_000  # notes of the published way in pandas

# What the measured processes run: argv is the library, the file, a folder.
_READ = """
import polars as pl
query = pl.scan_csv(sys.argv[2], infer_schema=False).select("note_id", "text")
notes = sum(len(batch) for batch in query.collect_batches(chunk_size=1024))
"""
_OURS = """
from deepicd.data import extraction, extraction_worker, sections
from deepicd.data.sources import mimic
from pathlib import Path
import pyarrow as pa
batches = mimic.iter_notes(Path(sys.argv[2]))
tables = (pa.Table.from_pandas(batch, preserve_index=False) for batch in batches)
folder, notes, guard = Path(sys.argv[3]), 0, None
folder.mkdir()
if sys.argv[4] == "guard":
    first = [text for _, batch in zip(range(2), mimic.iter_notes(Path(sys.argv[2])))
             for text in batch["text"]]
    guard = sections.learn_guard(first)
for number, part in enumerate(extraction.stream(tables, "robust", folder, guard=guard)):
    notes += len(part)
    if not (folder / f"part-{number:05}.arrow").exists():  # there are few
        extraction_worker.write(part, folder / f"part-{number:05}.arrow")
"""
_PUBLISHED = """
from deepicd.study.bench.extract import published_rule
from pathlib import Path
notes = published_rule.extract(Path(sys.argv[2]), int(sys.argv[3]))
"""


def run(notes: int = made_summaries.FULL_SIZE, fuzz: int = 0) -> list[Result]:
    """Measure reading, our extraction and the published one on the same file.

    Parameters
    ----------
    notes : int
        Summaries in the file.
    fuzz : int
        Mutate so many summaries instead of measuring.

    Returns
    -------
    list of Result
    """
    if fuzz:
        seen = mutations.results(mutations.run(fuzz))
        strange = mutations.unseen(min(fuzz, UNSEEN))
        return seen + mutations.results(strange, "unseen style, ")
    with tempfile.TemporaryDirectory(prefix="deepicd-bench-") as folder:
        path = made_summaries.write_notes(Path(folder), notes)
        before = _others(path, min(SAMPLE, notes))
        parts = Path(folder) / "parts"
        ours = _measured(_OURS, path, parts, "plain")
        after = _others(path, min(SAMPLE, notes))
        guarded = _measured(_OURS, path, Path(folder) / "guarded", "guard")
        read, published = map(_mean, zip(before, after, strict=True))
        size = sum(part.stat().st_size for part in parts.iterdir())
        about = [
            Result("summaries", notes, ""),
            Result("cores", os.cpu_count() or 1, ""),
            Result("size of the gzip file", path.stat().st_size / 2**20, "MiB"),
            Result("size of the Arrow files", size / 2**20, "MiB"),
        ]
    return [*about, *_told(read, ours, guarded, published), *_linearity()]


def _told(read: dict, ours: dict, guarded: dict, published: dict) -> list[Result]:
    """Lay out times; wall clock says little without the cores that were obtained."""
    ways = {
        "Polars reads two columns": read,
        "extraction from gzip to Arrow": ours,
        "extraction with the guard": guarded,
        "published rule in pandas": published,
    }
    out = []
    for name, way in ways.items():
        out += [
            Result(name, way["seconds"], "s"),
            Result(name, way["notes"] / way["seconds"], "notes/s"),
            Result(f"{name}: cores obtained", way["cpu"] / way["seconds"], ""),
            Result(f"{name}: processor time", _each(way), "us/note", _GOALS.get(name)),
        ]
    faster = ours["notes"] / ours["seconds"] / published["notes"] * published["seconds"]
    return [
        *out,
        Result("times the reading", ours["seconds"] / read["seconds"], "x", goal=3.5),
        Result("times the reading, processor time", _each(ours) / _each(read), "x"),
        Result("times faster than in pandas", faster, "x", goal=5.0, at_least=True),
        Result("peak memory, all processes", ours["bytes"] / 2**30, "GiB", goal=1.5),
        Result("peak memory, with the guard", guarded["bytes"] / 2**30, "GiB", 1.5),
    ]


_GOALS = {"extraction from gzip to Arrow": 175.0}


def _each(way: dict[str, float]) -> float:
    return 1e6 * way["cpu"] / way["notes"]


def _others(path: Path, sample: int):
    """Measure the short ones, before and after ours: the machine's pace may change."""
    return _measured(_READ, path), _measured(_PUBLISHED, path, sample)


def _mean(pair: tuple[dict[str, float], dict[str, float]]) -> dict[str, float]:
    return {key: (pair[0][key] + pair[1][key]) / 2 for key in pair[0]}


def _linearity() -> list[Result]:
    """Compare 40,000 blank lines with 10,000: 4 is linear."""
    results = []
    texts = ["HPI: x\n" + " \n" * size + "PMH: y" for size in (10_000, 40_000)]
    for mode in MODES:
        short, long = (
            best_seconds(lambda t=t, m=mode: admission_note(t, m), 5, time.process_time)
            for t in texts
        )
        name = f"blank lines, 4 times as many, {mode}"
        results.append(Result(name, long / short, "x", goal=6.0))
    return results


_FRAME = """
import json, sys, time
sys.path.insert(0, sys.argv[1])
import deepicd
if __name__ == "__main__":
    begin = time.perf_counter()
{code}
    print(json.dumps({{"seconds": time.perf_counter() - begin, "notes": notes}}))
"""


def _measured(code: str, *arguments) -> dict[str, float]:
    """Run code in a new process: its seconds, notes, memory and processor time."""
    body = "\n".join("    " + line for line in code.strip().split("\n"))
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "measured.py"
        script.write_text(_FRAME.format(code=body), encoding="utf-8")
        library = str(Path(__file__).parents[4])
        command = [sys.executable, str(script), library, *map(str, arguments)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        usage = _Usage(child.pid)
        output, _ = child.communicate()
        peak, cpu = usage.stop()
    if child.returncode:
        raise UserError(
            found="a benchmark process that failed",
            expected="the pinned requirements, 2 GB of disk and memory for them",
            do="./run_all.sh test, then the benchmark with --notes 20000",
        )
    return json.loads(output) | {"bytes": peak, "cpu": cpu}


class _Usage(threading.Thread):
    """Sample the memory of a process and its children; shared pages count once."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.process, self.peak, self.cpu = psutil.Process(pid), 0.0, {}
        self.ended = threading.Event()
        self.start()

    def run(self) -> None:
        """Look ten times a second."""
        while not self.ended.wait(0.1):
            try:
                family = [self.process, *self.process.children(recursive=True)]
            except psutil.Error:
                continue
            self.peak = max(self.peak, sum(map(self._one, family)))

    def _one(self, process: psutil.Process) -> float:
        try:
            times = process.cpu_times()
            self.cpu[process.pid] = times.user + times.system
            memory = process.memory_full_info()
        except psutil.Error:
            return 0.0
        return float(getattr(memory, "pss", 0) or memory.rss)

    def stop(self) -> tuple[float, float]:
        """Give the largest sum of memory, in bytes, and the processor seconds."""
        self.ended.set()
        self.join()
        return self.peak, sum(self.cpu.values())
