"""Run grids of notebook 07 outside it, for hours if need be; go on after a kill.

python -m deepicd.study.ablations RUN_DIR --ablation full --sections a,b --workers 2
"""

import argparse
import sys
import time
from pathlib import Path

from deepicd.common.errors import UserError
from deepicd.common.parameters import Parameter, parse_value
from deepicd.common.progress import Pace, clock, line
from deepicd.study.ablations.kept_answers import save_reference
from deepicd.study.ablations.kept_runs import kept_of
from deepicd.study.ablations.one_question import ask, save_differences
from deepicd.study.ablations.questions import Changes, load_sections
from deepicd.study.ablations.study import Study
from deepicd.study.ablations.verdicts import tell_plan
from deepicd.study.runner.graph import ABLATIONS
from deepicd.study.runner.run_folder import open_run


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 where all was done, 2 for a wrong call."""
    given = _parser().parse_args(arguments)
    try:
        _run(given)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m deepicd.study.ablations", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run", help="folder of a run with notebooks 01, 03, 04 done")
    parser.add_argument("--ablation", default="full", help="quick or full")
    parser.add_argument("--sections", default="", help="such as a,b; default: all")
    parser.add_argument("--seeds", default="", help="such as 0,1; default: the grid's")
    parser.add_argument("--steps", type=int, default=0, help="GRPO steps of each run")
    parser.add_argument("--rewards", default="", help="such as flat,tree; section a")
    parser.add_argument(
        "--variants", nargs="+", default=[], help="of the sections; default: all"
    )
    parser.add_argument("--options", default="{}", help="parameters of every run")
    parser.add_argument("--workers", type=int, default=1, help="runs side by side")
    parser.add_argument("--n-boot", type=int, default=1000, help="resamples")
    parser.add_argument(
        "--anew", action="store_true", help="run also what outputs/reference keeps"
    )
    parser.add_argument("--plan", action="store_true", help="tell the plan and stop")
    parser.add_argument("--save", default="", help="keep it, in outputs/reference/cpu")
    return parser


def _run(given) -> None:
    options = Parameter("options", "dict", {}, "")
    changes = Changes(
        [int(seed) for seed in _list(given.seeds)],
        given.steps,
        _list(given.rewards),
        parse_value(options, given.options),
        given.variants,
    )
    run = open_run(given.run, ABLATIONS)
    sections = load_sections(
        given.ablation, _list(given.sections), changes, None, run.task, run.history
    )
    report = line if sys.stderr.isatty() else _Log()
    kept = None if given.anew else kept_of(run.task)
    study = Study(given.run, given.workers, report, kept)
    chosen = {name: one for name, one in sections.items() if one.runs}
    points = [p for one in chosen.values() for _, p in one.points()]
    print(tell_plan(study.plan(points), study.workers), flush=True)
    if given.plan:
        return
    study.run(points)
    folder = study.material.folder.parent
    questions = list(ask(study, chosen, given.n_boot).values())
    for question in questions:
        print(f"\n{question.section.letter}. {question.section.title}")
        question.show(folder / "figures")
    save_differences(questions, folder)
    print(f"\ntable of all runs: {study.save_table()}")
    if given.save:
        print(f"reference: {save_reference(questions, Path(given.save))}")


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


class _Log:
    """Progress as a line a minute, for a log, with the time left."""

    def __init__(self):
        self.pace, self.last = Pace(), 0.0

    def __call__(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        left = self.pace.left(done, total, now)
        if now - self.last >= 60 or done == total:
            self.last = now
            time_left = "" if left is None else f", {clock(left)} left"
            print(
                f"{done / total:4.0%}{time_left}: {text}", file=sys.stderr, flush=True
            )


if __name__ == "__main__":
    sys.exit(main())
