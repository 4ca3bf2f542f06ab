"""``--task all``: a run of each task that the data have, and a page to compare them."""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from deepicd.common.errors import UserError
from deepicd.common.files import atomic_path, write_text
from deepicd.data.cohort import build_cohort
from deepicd.data.sources.opening import CORPUS, open_source
from deepicd.study.runner.device import find_device
from deepicd.study.runner.display import Display
from deepicd.study.runner.execute import StageFailed
from deepicd.study.runner.graph import EXTRACT
from deepicd.study.runner.plan import Options, Plan, folder_name, make_plan
from deepicd.study.runner.report import INDEX, rendered
from deepicd.study.runner.runner import make_folder, private_umask
from deepicd.study.runner.stamps import Sources
from deepicd.tasks.known import TASKS

ALL = "all"


def run_all(
    options: Options,
    sources: Sources,
    display: Display,
    work: Callable[[Plan, Display], int],
    sharing: bool = False,
) -> tuple[dict[str, Plan], dict[str, str]]:
    """Do the same for every task that the data have, one after the other.

    A task that fails is told, and the others still run.

    Parameters
    ----------
    options : Options
        Its task is not used.
    sources : Sources
    display : Display
    work : callable
        What is done with a plan: run it, check it, list its stages; its exit status.
    sharing : bool
        Whether a synthetic corpus is made once for all of them.

    Returns
    -------
    done : dict of str to Plan
        Those that ended well, by task.
    rest : dict of str to str
        Those that the data do not have, each with the reason.

    Raises
    ------
    UserError
        Where the data have no task.
    """
    plans = _plans(options, sources)
    rest = lacking(next(iter(plans.values())))
    for name, why in rest.items():
        display.line(f"task {name} left out: {why}")
    plans = {name: plan for name, plan in plans.items() if name not in rest}
    if not plans:
        raise UserError(
            "data without any of the tasks",
            "the tables of at least one",
            "give --task NAME to see what one of them needs",
        )
    if sharing:
        share(plans.values())
    done: dict[str, Plan] = {}
    for place, (name, plan) in enumerate(plans.items(), 1):
        display.line(f"task {place} of {len(plans)}: {name}, {plan.task.about}")
        try:
            if work(plan, display) == 0:
                done[name] = plan
        except (UserError, StageFailed) as error:
            display.line()
            sys.stderr.write(f"error: task {name}: {error}\n")
    return done, rest


def _plans(options: Options, sources: Sources) -> dict[str, Plan]:
    device = find_device()
    asked = {name: {**options.sets, "task": name} for name in TASKS}
    return {
        name: make_plan(replace(options, sets=sets), sources, device)
        for name, sets in asked.items()
    }


def lacking(plan: Plan) -> dict[str, str]:
    """Tasks that the data of a plan cannot answer, each with the reason."""
    data = plan.options.data
    if data == "synthetic":  # it has the tables of all
        return {}
    values = plan.parameters[EXTRACT]
    raw = open_source(data, values["data_dir"], options=values)
    found = {}
    for task in TASKS.values():
        try:
            build_cohort(raw, task=task)
        except UserError as error:
            found[task.name] = str(error)
    return found


def share(plans: Iterable[Plan]) -> None:
    """Make the synthetic corpus that runs lack once, with the answers to every task."""
    lack = {p.run_dir / EXTRACT / CORPUS: p for p in plans if _makes_a_corpus(p)}
    lack = {place: plan for place, plan in lack.items() if not place.exists()}
    if len(lack) < 2:
        return
    (first, plan), *others = lack.items()
    values = plan.parameters[EXTRACT]
    settings = {"notes": values["notes"], "length": values["note_length"]}
    open_source("synthetic", "", first.parent, plan.options.seed, settings)
    for place, _ in others:
        with atomic_path(place) as folder:
            shutil.copytree(first, folder, copy_function=_link)


def _makes_a_corpus(plan: Plan) -> bool:
    runs = any(stage.name == EXTRACT for stage in plan.stages)
    return plan.options.data == "synthetic" and runs


def _link(file: str, place: str) -> None:
    """A second name for a file that nobody changes where it is; a copy elsewhere."""
    try:
        os.link(file, place)
    except OSError:
        shutil.copy2(file, place)


def write_comparison(done: dict[str, Plan], rest: dict[str, str]) -> Path | None:
    """Write the page that compares the runs of several tasks, its table and figure.

    Parameters
    ----------
    done, rest
        From `run_all`.

    Returns
    -------
    Path or None
        The page; None where no run has been evaluated yet.
    """
    from deepicd.study.reference.tasks import BETWEEN, compare  # brings matplotlib
    from deepicd.views.figures import caption, plot_tasks, save
    from deepicd.views.in_words import tasks_table

    frame = compare([plan.run_dir for plan in done.values()])
    if frame.empty:
        return None
    one = next(iter(done.values()))
    name = folder_name(one.profile.name, one.options, f"-{ALL}")
    whole = replace(one, run_dir=one.run_dir.parent / name)
    said, known = caption("tasks", frame), set(frame["task"])
    ends = frame[(frame["depth"] != BETWEEN) & (frame["metric"] != "macro_f1")]
    page = rendered(
        "all_tasks.html.j2",
        run=name,
        plan=whole,
        private=whole.private,
        table=tasks_table(ends).to_html(classes="results", border=0),
        caption=said,
        runs=[
            (p.task, f"../{p.run_dir.name}/{INDEX}", p.task.name in known)
            for p in done.values()
        ],
        left_out=rest,
    )
    with private_umask(whole):
        make_folder(whole)
        save(plot_tasks(frame), frame, whole.run_dir / "figures", "tasks", said)
        write_text(page, whole.run_dir / INDEX)
    return whole.run_dir / INDEX
