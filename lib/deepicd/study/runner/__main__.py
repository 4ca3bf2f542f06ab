"""The command line: ``python -m deepicd.study.runner run|check``."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from deepicd.common.errors import UserError
from deepicd.common.parameters import nearest
from deepicd.common.processors import VARIABLE
from deepicd.data.sources.opening import SOURCES
from deepicd.study.runner.all_tasks import ALL, run_all, write_comparison
from deepicd.study.runner.display import Display, about
from deepicd.study.runner.plan import (
    ROOT,
    Options,
    Plan,
    declarations,
    default_sources,
    make_plan,
    task_suffix,
)
from deepicd.tasks.known import TASKS

USAGE = """\
./run_all.sh [--profile smoke|cpu|scratch|gpu|paper] [--data synthetic|eicu|mimic|table]
             [--data-dir DIR] [--task NAME] [--seed N] [--from NN] [--only NN]
             [--set NAME=VALUE] [--force] [--dry-run] [--list]
       ./run_all.sh test [pytest arguments]
       ./run_all.sh check"""
EPILOG = "A stage runs again only where its code, parameters or inputs changed."


class _Parser(argparse.ArgumentParser):
    given: tuple[str, ...] = ()

    def parse_args(self, args=None, namespace=None):
        self.given = tuple(sys.argv[1:] if args is None else args)
        return super().parse_args(args, namespace)

    def error(self, message: str):
        known = [o for a in self._actions for o in a.option_strings]
        wrong = [w for w in self.given if w.startswith("-") and w not in known]
        close = nearest(wrong[0], known) if wrong else ""
        do = f"write {close}" if close else "./run_all.sh --help"
        sys.stderr.write(f"error: {message}; do: {do}\n")
        raise SystemExit(2)


def parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    made = _Parser(
        prog="run_all.sh", usage=USAGE, epilog=EPILOG, allow_abbrev=False, add_help=True
    )
    add = made.add_argument
    add("command", choices=("run", "check"), help=argparse.SUPPRESS)
    add("--profile", help="smoke, cpu, scratch, gpu or paper (default: by device)")
    add(
        "--data", default="synthetic", help=f"{', '.join(SOURCES)} (default: synthetic)"
    )
    add("--data-dir", metavar="DIR", help="folder of the data, or a file for table")
    add("--task", metavar="NAME", help=f"{', '.join(TASKS)} or {ALL} (default: first)")
    add("--seed", type=int, default=0, metavar="N", help="random seed (default: 0)")
    add("--from", dest="start", metavar="NN", help="begin with this stage")
    add("--only", action="append", default=[], metavar="NN", help="only this stage")
    add(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter in every notebook that declares it; repeat for more",
    )
    add("--force", action="store_true", help="run even where nothing changed")
    add("--dry-run", action="store_true", help="say what would run and why")
    add("--list", action="store_true", help="list the stages and their parameters")
    add("--outputs", type=Path, default=ROOT / "outputs", help=argparse.SUPPRESS)
    return made


def options_of(given: argparse.Namespace) -> Options:
    """Options from parsed arguments.

    Examples
    --------
    >>> options_of(parser().parse_args(["run", "--set", "a=1", "--only", "04,05"])).only
    ('04', '05')
    """
    sets = dict(_pair(text) for text in given.sets)
    return Options(
        profile=given.profile,
        data=given.data,
        data_dir=given.data_dir,
        seed=given.seed,
        start=given.start,
        only=tuple(n for text in given.only for n in text.split(",")),
        sets=sets | ({"task": given.task} if given.task else {}),
        force=given.force,
        dry_run=given.dry_run,
        outputs=given.outputs,
    )


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UserError(
            found=f"--set {text}",
            expected="NAME=VALUE without spaces around the equals sign",
            do="--set learning_rate=1e-4",
        )
    return name.strip(), value.strip()


def list_stages(plan: Plan, display: Display) -> int:
    """Print every stage with its parameters, their values and help."""
    declared = declarations(plan.sources)
    for stage in plan.stages:
        notebook = about(plan.sources.notebook(stage))
        display.line(f"{stage.number} {stage.name}: {notebook.purpose}")
        for parameter in declared[stage.name].values():
            value = plan.parameters[stage.name][parameter.name]
            named = f"   {parameter.name}: {parameter.kind} = {value!r}"
            display.line(f"{named:<50} {parameter.help}")
    return 0


def describe(plan: Plan, display: Display) -> None:
    """Say what was chosen, and why."""
    data = plan.options.data
    whence = "default" if data == "synthetic" else plan.options.data_dir
    display.line(f"profile {plan.profile.name}: {plan.profile.about.strip()}")
    display.line(f"   chosen because: {plan.why_profile}")
    display.line(f"model   {plan.model or 'made here from scratch'}")
    display.line(f"data    {data} ({whence}){', private' if plan.private else ''}")
    display.line(f"task    {plan.task.name}: {plan.task.about}")
    display.line(f"device  {plan.device.name}: {plan.device.why}")
    display.line(f"threads {plan.threads}; {VARIABLE} sets another number")
    display.line(f"folder  {_short(plan.run_dir)}")


def _run(plan: Plan, display: Display) -> int:
    from deepicd.study.runner.runner import Runner

    describe(plan, display)
    runner = Runner(plan, display)
    if plan.options.dry_run:
        runner.dry_run()
        return 0
    report = runner.run()
    ran = sum(state["status"] == "ran" for state in runner.states.values())
    display.line(f"{ran} notebooks executed, {len(runner.states) - ran} skipped")
    display.line(f"figures {_short(plan.run_dir)}/*/figures/")
    display.line(f"report  {_short(report)}")
    return 0


def _check(plan: Plan, display: Display) -> int:
    from deepicd.study.reference import scores  # brings scipy: only where needed

    table = scores.check_run(plan.run_dir, _reference(plan))
    why = scores.why_different(plan.run_dir, _reference(plan))
    for line in [*scores.lines(table), *why]:
        display.line(line)
    return int(table["verdict"].isin(["differs", "missing"]).any())


def _reference(plan: Plan) -> Path:
    name = plan.profile.name
    data = plan.options.data
    name += "" if data == "synthetic" else f"-{data}"
    name += task_suffix(plan.task)
    return plan.options.outputs / "reference" / name


def _short(path: Path) -> str:
    """A path as seen from where the user is, when that is shorter."""
    relative = os.path.relpath(path)
    return relative if not relative.startswith("../..") else str(path)


def _work(given: argparse.Namespace) -> Callable[[Plan, Display], int]:
    """What the command does with a plan."""
    if given.list:
        return list_stages
    return _check if given.command == "check" else _run


def _all_tasks(given: argparse.Namespace, options: Options, display: Display) -> int:
    work = _work(given)
    runs = work is _run and not options.dry_run
    done, rest = run_all(options, default_sources(), display, work, runs)
    page = write_comparison(done, rest) if runs and done else None
    if page:
        display.line(f"compare {_short(page)}")
    return int(len(done) + len(rest) < len(TASKS))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; its exit status."""
    from deepicd.study.runner.execute import StageFailed
    from deepicd.study.runner.runner import Stopped

    display = Display()
    try:
        given = parser().parse_args(arguments)
        options = options_of(given)
        if options.sets.get("task") == ALL:
            return _all_tasks(given, options, display)
        return _work(given)(make_plan(options, default_sources()), display)
    except (UserError, StageFailed) as error:
        display.line()
        sys.stderr.write(f"error: {error}\n")
        return 1
    except Stopped as stopped:
        display.line()
        sys.stderr.write(f"{stopped}; the same command goes on from here\n")
        return 128 + stopped.number


if __name__ == "__main__":
    sys.exit(main())
