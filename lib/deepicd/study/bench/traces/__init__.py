"""Traces: planted faults, speed of the checks, many requests at once, kills."""

import time

import pandas as pd

from deepicd.data.examples import synthetic_admissions
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import Result, best_seconds
from deepicd.study.bench.traces.kills import IN_FLIGHT, killed_run
from deepicd.study.bench.traces.loopback import LoopbackServer
from deepicd.traces.case import Limits
from deepicd.traces.distil import build_traces
from deepicd.traces.faults import FAULTS, catch_rates
from deepicd.traces.judging import Judge
from deepicd.traces.teachers.openai import OpenAITeacher
from deepicd.traces.teachers.records import Answer, Request
from deepicd.traces.teachers.rule import RuleTeacher

TITLE = "Traces: planted faults, speed of the checks, requests at once, kills"
PLANTED = 200  # of each kind
ASKED = 200  # requests of the comparison with one at a time
LATENCY = 0.05  # seconds of every answer there


def run() -> list[Result]:
    """Measure on a synthetic corpus of 4,000 notes and servers on this machine.

    Returns
    -------
    list of Result
    """
    tree = load_tree()
    notes = synthetic_notes(4000)
    begin = time.process_time()
    teacher = RuleTeacher(tree).fit(notes)
    written = teacher.write(notes[notes["split"] == "train"])
    seconds = time.process_time() - begin
    table = build_traces(notes, tree, teacher)
    killed = killed_run(notes=2000, kills=10)
    return [
        Result("rule teacher, fit included", len(written) / seconds, "traces/s"),
        *_first_tries(notes, tree),
        *planted_faults(table, notes, tree),
        *_speed(table, notes, tree),
        *_at_once(notes, tree),
        Result("killed 10 times: notes missing", killed["missing"], "", 0.0),
        Result("killed 10 times: notes doubled", killed["doubled"], "", 0.0),
        Result("killed 10 times: stored, then lost", killed["lost"], "", 0.0),
        Result("killed 10 times: asked again", killed["again"], "", 10 * IN_FLIGHT),
    ]


def synthetic_notes(count: int, seed: int = 0) -> pd.DataFrame:
    """Admissions table of a fresh synthetic corpus."""
    return synthetic_admissions(count, seed, length="brief")


def _first_tries(notes, tree) -> list[Result]:
    """Good traces rejected when they are written: nothing was chosen before."""
    results = []
    for length in ("short", "long"):
        teacher = RuleTeacher(tree, length=length).fit(notes)
        table = build_traces(notes, tree, teacher, attempts=1)
        tried = table[table["attempt"] == 0]
        share = 100 * float(1 - tried["accepted"].mean())
        name = f"rule teacher, {length}: rejected of {len(tried):,}"
        results.append(Result(name, share, "%", 2.0))
    return results


def planted_faults(table, notes, tree, count: int = PLANTED) -> list[Result]:
    """Share caught of each kind of fault, and of good traces rejected."""
    rates = catch_rates(table, notes, tree, count).set_index("fault")
    results = []
    for kind in FAULTS:
        name = f"{kind.replace('_', ' ')}, caught of {rates.loc[kind, 'n']}"
        share = 100 * float(rates.loc[kind, "share"])
        results.append(Result(name, share, "%", 95.0, True))
    wrong, n = 100 * float(rates.loc["none", "share"]), rates.loc["none", "n"]
    return [*results, Result(f"good ones rejected, of {n}", wrong, "%", 2.0)]


def _speed(table, notes, tree) -> list[Result]:
    """Traces judged in a second of one core."""
    train = notes[notes["split"] == "train"]
    tried = table[table["trace"] != ""].drop_duplicates("note_id")
    answers = [
        Answer(row.note_id, 0, row.trace, row.answer) for row in tried.itertuples()
    ]

    def judge(recovery: bool) -> float:
        made = Judge(notes, train, tree, {}, Limits(), 0, recovery)
        work = best_seconds(lambda: made.judge(answers, "rule"), 1, time.process_time)
        return len(answers) / work

    plain = max(judge(False) for _ in range(3))
    return [
        Result("judged without answer recovery", plain, "traces/s", 2000.0, True),
        Result("judged with answer recovery", judge(True), "traces/s"),
    ]


def _at_once(notes, tree) -> list[Result]:
    """One server, many requests at once against one at a time."""
    rows = notes[["note_id", "note", "label"]].head(ASKED)
    asked = [Request(*row) for row in rows.itertuples(index=False, name=None)]
    speeds = {}
    for concurrency in (1, 16):
        with LoopbackServer(latency=LATENCY) as server:
            teacher = OpenAITeacher(tree, "m", server.url, concurrency=concurrency)
            begin = time.perf_counter()
            answered = sum(not a.failed for a in teacher.answer(asked))
            speeds[concurrency] = answered / (time.perf_counter() - begin)
    wait = f"server answers after {1000 * LATENCY:.0f} ms"
    return [
        Result(f"one request at a time, {wait}", speeds[1], "/s"),
        Result(f"16 at a time, {wait}", speeds[16], "/s"),
        Result("16 at a time against one", speeds[16] / speeds[1], "x"),
    ]
