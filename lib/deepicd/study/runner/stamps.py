"""Stamps: what a finished stage depended on, and why it would run again."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from deepicd.common.files import read_json, write_json
from deepicd.study.runner.fingerprint import (
    Hashes,
    code_cells,
    digest,
    folder_listing,
    reached_files,
)
from deepicd.study.runner.graph import STAGES, Stage, missing_outputs
from deepicd.study.runner.run_folder import PROGRESS_FILE, RUNNING_FILE

STAMP_FILE = ".stamp.json"
CHECKPOINTS = "checkpoints"
VIEWS = "views"  # the room of what is only looked at
#: Parameters, and options, that change how much is computed at once and nothing else.
ROOM = ("processes", "accumulation", "micro_batches", "predict_batch", "vllm_memory")
PLACES = ("run_dir", "data_dir")  # where things lie, not what they are


@dataclass(frozen=True)
class Sources:
    """Where the things lie that a stamp is made of.

    Attributes
    ----------
    notebooks, package, lock : Path
        Folder of the notebooks, folder of the package, pinned requirements.
    stages : tuple of Stage
        The whole graph.
    """

    notebooks: Path
    package: Path
    lock: Path
    stages: tuple[Stage, ...] = STAGES

    def notebook(self, stage: Stage) -> Path:
        """File of a stage's notebook."""
        return self.notebooks / f"{stage.name}.ipynb"

    def inputs(self, stage: Stage) -> list[str]:
        """Files a stage reads, relative to the run's folder."""
        by_name = {other.name: other for other in self.stages}
        return [
            f"{name}/{file}" for name in stage.reads for file in by_name[name].handed_on
        ]

    def optional_inputs(self, stage: Stage) -> list[str]:
        """Files a stage reads where they are."""
        by_name = {other.name: other for other in self.stages}
        return [
            f"{name}/{file}" for name in stage.reads for file in by_name[name].may_write
        ]


def make_stamp(
    stage: Stage,
    parameters: dict,
    run_dir: Path,
    sources: Sources,
    hashes: Hashes,
    threads: int = 1,
) -> dict:
    """Everything a stage depends on, as hashes and parameter values.

    Returns
    -------
    dict
        ``code``, ``lib`` and ``views`` (what only `views` reaches; both by file, and
        comments and docstrings do not count), ``parameters``, ``threads``,
        ``inputs`` (by file), ``lock`` and ``data`` (a listing of the data folder, for
        stages that read one).
    """
    cells = code_cells(sources.notebook(stage))
    reached = reached_files(cells, sources.package)
    works = reached_files(cells, sources.package, without=VIEWS)
    lib = {name: hashes.meaning(path) for name, path in works.items()}
    views = {n: hashes.meaning(p) for n, p in reached.items() if n not in works}
    names = sources.inputs(stage) + sources.optional_inputs(stage)
    inputs = {name: hashes.of(run_dir / name) for name in names}
    root = sources.notebooks.parent
    inputs |= {name: hashes.of(root / name) for name in stage.consults}
    data = parameters.get("data_dir")
    return {
        "code": digest(cells),
        "lib": lib,
        "views": views,
        "parameters": {k: v for k, v in parameters.items() if k not in PLACES},
        "threads": threads,
        "inputs": inputs,
        "lock": hashes.of(sources.lock),
        "data": folder_listing(Path(data)) if data else None,
    }


def read_record(folder: Path) -> dict:
    """What was recorded when the stage last ended well; empty where never."""
    return _read(folder / STAMP_FILE)


def _read(file: Path) -> dict:
    try:
        return read_json(file) if file.exists() else {}
    except ValueError:
        return {}


def write_record(
    stage: Stage, folder: Path, stamp: dict, seconds: float, hashes: Hashes
) -> dict:
    """Record a stage that ended well, with the hashes of its outputs."""
    record = {
        "stamp": stamp,
        "outputs": {name: hashes.of(folder / name) for name in stage.writes},
        "seconds": round(seconds, 2),
    }
    write_json(record, folder / STAMP_FILE)
    (folder / RUNNING_FILE).unlink(missing_ok=True)
    return record


def why_run(stage: Stage, folder: Path, stamp: dict, hashes: Hashes) -> str | None:
    """The reason in one line why a stage must run; None where it need not.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> why_run(Stage("00_a"), folder, {}, Hashes())
    'it has not run yet'
    """
    record = read_record(folder)
    if not record:
        unfinished = (folder / RUNNING_FILE).exists()
        return "it was interrupted" if unfinished else "it has not run yet"
    missing = missing_outputs(stage, folder)
    if missing:
        return f"output {missing[0]} is missing"
    changed = _changed(record["stamp"], stamp)
    if changed:
        return changed
    if not stage.trains and (views := _files_changed(record["stamp"], stamp, "views")):
        return f"lib/deepicd/{views} changed"
    for name in stage.writes:
        if hashes.of(folder / name) != record["outputs"].get(name):
            return f"output {name} was changed since"
    return None


def _changed(old: dict, new: dict) -> str | None:
    for name in sorted(old["parameters"].keys() | new["parameters"].keys()):
        before = old["parameters"].get(name, "(none)")
        after = new["parameters"].get(name, "(none)")
        if before != after:
            return f"parameter {name} changed {before} -> {after}"
    if old["code"] != new["code"]:
        return "the notebook's code changed"
    if new.keys() - old.keys():
        return "it was run by an older version of this repository"
    if old["threads"] != new["threads"]:
        return f"the number of threads changed {old['threads']} -> {new['threads']}"
    for part, text in (("lib", "lib/deepicd/{}"), ("inputs", "input {}")):
        if names := _files_changed(old, new, part):
            return text.format(names) + " changed"
    if old["lock"] != new["lock"]:
        return "requirements.txt changed"
    return "the data folder changed" if old["data"] != new["data"] else None


def old_look(stage: Stage, folder: Path, stamp: dict) -> str:
    """The file of `views` that changed since a stage drew its figures; empty if none.

    A stage that trains does not run again for it: its results would be the same.
    """
    record = read_record(folder)
    if not record or not stage.trains:
        return ""
    return _files_changed(record["stamp"], stamp, "views")


def _files_changed(old: dict, new: dict, part: str) -> str:
    """The first file that differs and how many more; empty where none does."""
    before, after = old.get(part, {}), new[part]
    names = sorted(n for n in before | after if before.get(n) != after.get(n))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return names[0] + more if names else ""


def work(stamp: dict) -> dict:
    """A stamp without what only changes the room that training takes.

    Examples
    --------
    >>> def stamp(rows, passes):
    ...     options = {"accumulation": passes, "shots": 3}
    ...     return {"parameters": {"batch_size": rows, "sft_options": options}}
    >>> one = work(stamp(32, 1))
    >>> one == work(stamp(16, 2)), one == work(stamp(16, 1))
    (True, False)
    """
    given = dict(stamp.get("parameters", {}))
    passes = (given.get("sft_options") or {}).get("accumulation", 1)
    if "batch_size" in given:
        given["batch_size"] *= passes
    for name in [n for n, value in given.items() if isinstance(value, dict)]:
        given[name] = {k: v for k, v in given[name].items() if k not in ROOM}
    kept = {name: value for name, value in given.items() if name not in ROOM}
    return stamp | {"parameters": kept}


def prepare_folder(folder: Path, stamp: dict, force: bool) -> bool:
    """Ready the folder of a stage to run; whether it goes on from checkpoints.

    Checkpoints stay only when the interrupted run had the very same stamp, but for
    `ROOM`: who ran out of memory changes that and goes on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.rglob(".*.tmp-*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    (folder / PROGRESS_FILE).unlink(missing_ok=True)
    checkpoints = folder / CHECKPOINTS
    old = _read(folder / RUNNING_FILE).get("stamp")
    same = old is not None and work(old) == work(stamp) and not force
    if checkpoints.exists() and not same:
        shutil.rmtree(checkpoints)
    return checkpoints.exists()


def mark_running(folder: Path, stamp: dict, pid: int) -> None:
    """Leave word of the stamp that is being run, and by which process."""
    write_json({"stamp": stamp, "pid": pid}, folder / RUNNING_FILE)


def drop_stale_figures(folder: Path, started: float) -> None:
    """Remove figures that the run which started then did not write."""
    for path in (folder / "figures").glob("*"):
        if path.is_file() and path.stat().st_mtime < started - 1:
            path.unlink()
