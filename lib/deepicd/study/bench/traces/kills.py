"""Kill a run of the openai teacher again and again; count what is lost or doubled."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import write_parquet
from deepicd.icd.load import load_tree
from deepicd.study.bench.traces.loopback import LoopbackServer
from deepicd.traces.distil import build_traces
from deepicd.traces.teachers.attempts import AttemptLog
from deepicd.traces.teachers.openai import OpenAITeacher

_CODES = ("I21.11", "J44.1", "K35.80", "I10", "E11.9", "N39.0")
_FINDINGS = ("crushing chest pain", "wheeze", "rebound", "headache", "thirst", "chills")
_CONCURRENCY = 16
IN_FLIGHT = 2 * _CONCURRENCY  # asked or waiting for their turn in the teacher


def killed_run(notes: int, kills: int, latency: float = 0.02) -> dict:
    """Distil traces in a process that is killed (SIGKILL) at even steps of its work.

    Parameters
    ----------
    notes : int
        Training notes, one request each.
    kills : int
    latency : float
        Seconds the server takes for an answer; slow enough to be hit in the middle.

    Returns
    -------
    dict
        `stored`: answers after each kill and at the end; `missing`, `doubled`: notes
        of the final files; `lost`: answers stored at a kill and gone later; `again`:
        requests in flight at a kill, which were asked once more.
    """
    with tempfile.TemporaryDirectory() as name, LoopbackServer(latency) as server:
        folder = Path(name)
        write_parquet(_corpus(notes), folder / "notes.parquet")
        stored = []
        for number in range(1, kills + 1):
            goal = notes * number // (kills + 1)
            stored.append(_run_and_kill(folder, server.url, goal))
        _run(folder, server.url).wait()
        stored.append(_stored(folder))
        return _count(folder, notes, stored, server)


def _corpus(notes: int) -> pd.DataFrame:
    rows = [
        (f"n{i}", f"Note {i}: {_FINDINGS[i % 6]} since {i} hours.", _CODES[i % 6], i)
        for i in range(notes)
    ]
    names = ["note_id", "note", "label", "sft_rank"]
    return pd.DataFrame(rows, columns=names).assign(split="train")


def _run(folder: Path, url: str) -> subprocess.Popen:
    library = str(Path(__file__).parents[4])
    code = (
        f"import sys; sys.path.insert(0, {library!r})\n"
        "from deepicd.study.bench.traces.kills import distil\n"
        "distil(*sys.argv[1:])"
    )
    return subprocess.Popen([sys.executable, "-c", code, str(folder), url])


def distil(folder: str, url: str) -> None:
    """What the killed process does: go on with the log, write the final file."""
    notes = pd.read_parquet(Path(folder) / "notes.parquet")
    tree = load_tree()
    teacher = OpenAITeacher(tree, "m", url, concurrency=_CONCURRENCY)
    log = Path(folder) / "log.jsonl"
    table = build_traces(notes, tree, teacher, attempts=1, log_path=log)
    write_parquet(table, Path(folder) / "traces.parquet")


def _run_and_kill(folder: Path, url: str, goal: int) -> set:
    """Kill as soon as `goal` lines are stored; gives what is stored then."""
    process, log = _run(folder, url), folder / "log.jsonl"
    try:
        while _lines(log) < goal:
            if process.poll() is not None:
                raise UserError(
                    found=f"a run that ended by itself ({process.returncode})",
                    expected=f"a run that goes on until {goal} answers are stored",
                    do="raise latency, so that a kill can hit it",
                )
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    return _stored(folder)


def _stored(folder: Path) -> set:
    return set(AttemptLog(folder / "log.jsonl").answers)


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _count(folder: Path, notes: int, stored: list[set], server) -> dict:
    table = pd.read_parquet(folder / "traces.parquet")
    first = table[table["attempt"] == 0]["note_id"]
    lines = (folder / "log.jsonl").read_text().splitlines()
    ids = pd.Series([json.loads(line)["note_id"] for line in lines])
    return {
        "stored": [len(keys) for keys in stored],
        "missing": 2 * notes - first.nunique() - ids.nunique(),
        "doubled": int(first.duplicated().sum() + ids.duplicated().sum()),
        "lost": sum(len(a - b) for a, b in zip(stored, stored[1:], strict=False)),
        "again": sum(server.seen.values()) - notes,
    }
