"""Tasks on open data: the flow of each cohort, its labels, and what a note tells.

`python -m deepicd.study.bench tasks --mimic DIR --eicu DIR` reads the demos of MIMIC-IV
2.2 (no notes: cohorts alone) and eICU 2.0 as they come from PhysioNet; without a
folder, those in `../shared/data` beside the repository. Names of results have four
parts: data, task, what is counted, of what.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.data.admissions import TELLS, build_admissions
from deepicd.data.cohort import build_cohort
from deepicd.data.sources.opening import open_source
from deepicd.data.sources.raw_tables import RawTables
from deepicd.evaluation.baselines.search import run_baselines
from deepicd.evaluation.ordered import KAPPA
from deepicd.evaluation.systems import differences_table, gather, metrics_table
from deepicd.study.bench.measure import BETWEEN, Result
from deepicd.tasks.known import FURTHER, TASKS
from deepicd.tasks.routing import ROUTING
from deepicd.tasks.task import Task

TITLE = "Tasks on open data: cohorts of the MIMIC-IV demo, scores on the eICU demo"
NAMES = {"mimic": "MIMIC-IV demo", "eicu": "eICU demo"}
BESIDE = Path(__file__).resolve().parents[5] / "shared" / "data"
OF_EICU = ("length_of_stay", "routing", "mortality")
BASELINES = ("prior", "tfidf_lr", "encoder")
METRICS = ("accuracy", "macro_f1", KAPPA)
PHYSIOLOGY = "Worst values of the first day"
FEWEST = 5  # admissions of a node that is listed
SEED = 0


def run(mimic: str = "", eicu: str = "") -> list[Result]:
    """Count cohorts and labels, and score baselines against the most frequent label.

    Parameters
    ----------
    mimic, eicu : str
        Folders of the data; with one of them given, the other is left out.

    Returns
    -------
    list of Result

    Raises
    ------
    UserError
        Where there are no such data.
    """
    folders = {
        name: place for name, place in (("mimic", mimic), ("eicu", eicu)) if place
    }
    raws = {name: open_source(name, f) for name, f in (folders or _beside()).items()}
    found = []
    for name, raw in raws.items():
        for task in (*TASKS.values(), *FURTHER):
            found += _cohort(NAMES[name], raw, task)
    if "eicu" in raws:
        for name in OF_EICU:
            found += _scores(NAMES["eicu"], raws["eicu"], TASKS[name])
        found += _leaks(NAMES["eicu"], raws["eicu"])
        found += _made_leaks()
    return found


def _beside() -> dict[str, Path]:
    found = {name: BESIDE / f"{name}_demo" for name in NAMES}
    found["mimic"] = BESIDE / "mimic_iv_demo"
    if not all(place.is_dir() for place in found.values()):
        raise UserError(
            "no open data beside the repository (../shared/data)",
            "the folders of the MIMIC-IV and eICU demos",
            "python -m deepicd.study.bench tasks --mimic DIR --eicu DIR",
        )
    return found


def _named(*parts: str) -> str:
    return BETWEEN.join(parts)


def _cohort(data: str, raw: RawTables, task: Task) -> Iterator[Result]:
    """The flow of a cohort, its labels, and how they spread at the coarsest level."""
    try:
        space, _ = task.open(raw)
        cohort, flow = build_cohort(raw, space, task)
    except UserError as error:
        yield Result(_named(data, task.name, "not asked", str(error)), 0, "admissions")
        return
    for row in flow[flow["excluded"] > 0].itertuples():
        step = _named(data, task.name, "left out", f"{row.step} ({row.reason})")
        yield Result(step, row.excluded, row.unit)
    yield Result(_named(data, task.name, "used", "all"), len(cohort), "admissions")
    doubts = cohort["doubts"].fillna("").ne("").sum()
    yield Result(_named(data, task.name, "used", "flagged"), int(doubts), "admissions")
    for level in space.shown:
        nodes = cohort["label"].map(lambda label, at=level: space.at(label, at))
        name = _named(data, task.name, "different", level)
        yield Result(name, nodes.nunique(), "nodes")
    yield from _spread(data, task, cohort["label"], space)


def _spread(data: str, task: Task, labels: pd.Series, space) -> Iterator[Result]:
    level = space.levels[0]
    counts = labels.map(lambda label: space.at(label, level)).value_counts()
    large = counts[counts >= FEWEST]
    for node, count in large.items():
        title = space.title(node)
        of = node if title == node else f"{node} ({title})"
        yield Result(_named(data, task.name, level, of), int(count), "admissions")
    rest = int(counts.sum() - large.sum())
    if rest:
        of = f"{len(counts) - len(large)} with fewer than {FEWEST} each"
        yield Result(_named(data, task.name, level, of), rest, "admissions")


def _scores(
    data: str,
    raw: RawTables,
    task: Task,
    baselines: Sequence[str] = BASELINES,
    note: str = "",
) -> Iterator[Result]:
    """Baselines on the test notes, and how far they are ahead of the first of them."""
    space, _ = task.open(raw)
    admissions, _ = build_admissions(raw, space, SEED, workers=1, task=task)
    predictions, _ = run_baselines(admissions, space, SEED, baselines)
    cases = gather(predictions, admissions)
    yield Result(
        _named(data, task.name, "test", f"notes{note}"), len(cases.gold), "notes"
    )
    table = metrics_table(cases, space, levels=space.shown, metrics=METRICS)
    for row in table.itertuples():
        of = _named(data, task.name, f"{row.metric}, {row.level}", row.system + note)
        yield _with_interval(of, row)
    first, *others = baselines
    pairs = [(system, first) for system in others]
    gaps = differences_table(cases, pairs, space, space.shown, ["accuracy"])
    for row in gaps.itertuples():
        what = f"{row.metric} minus {first}, {row.level}"
        yield _with_interval(_named(data, task.name, what, row.a + note), row)


def _with_interval(name: str, row) -> Result:
    low, high = round(float(row.low), 4), round(float(row.high), 4)
    return Result(name, round(float(row.value), 4), "", low=low, high=high)


def _leaks(data: str, raw: RawTables) -> Iterator[Result]:
    """How often notes name the unit that routing asks for, and what that is worth."""
    whole = replace(raw, hide=None)
    yield from _naming(data, whole, "as charted")
    yield from _naming(data, raw, "as asked")
    yield from _naming(data, raw, "as asked, drop_named", drop_named=True)
    yield from _charting(data, raw)
    yield from _scores(data, whole, ROUTING, BASELINES[:2], ", unit in the note")


def _charting(data: str, raw: RawTables) -> Iterator[Result]:
    """Share of notes with physiology, by care: what is charted tells the unit, too."""
    notes, _ = build_admissions(raw, workers=1, task=ROUTING)
    space, _ = ROUTING.open(raw)
    care = notes["label"].map(lambda unit: space.at(unit, space.levels[0]))
    there = notes["note"].str.contains(PHYSIOLOGY, regex=False).groupby(care).mean()
    for node, share in there.items():
        name = _named(data, ROUTING.name, PHYSIOLOGY, str(node))
        yield Result(name, round(float(share), 4), "of notes")


def _made_leaks(notes: int = 1000) -> Iterator[Result]:
    with tempfile.TemporaryDirectory() as folder:
        raw = open_source("synthetic", "", folder, SEED, {"notes": notes})
        yield from _naming("synthetic corpus", raw, "as asked")


def _naming(data: str, raw: RawTables, how: str, **options) -> Iterator[Result]:
    """Share of notes that name their own unit, and of those that name any."""
    notes, _ = build_admissions(raw, workers=1, task=ROUTING, **options)
    pairs = zip(notes["note"].str.lower(), notes["label"].str.lower(), strict=True)
    own = sum(unit in note for note, unit in pairs) / len(notes)
    told = notes["note"].map(lambda note: bool(ROUTING.tells.search(note))).mean()
    flagged = notes["flags"].str.contains(TELLS).mean()
    for what, share in (
        ("names its own unit", own),
        ("names a unit or a place to go", told),
        (f"flagged {TELLS}", flagged),
    ):
        yield Result(_named(data, ROUTING.name, what, how), round(share, 4), "of notes")
