"""Keep what finished runs found, and write its page.

save RUN... --to FOLDER                      scores, differences, figures of runs
variants RUN... --against RUN... --to FOLDER  the whole run with another setting
verifiers RUN... --to FOLDER                 what notebook 08 found
tasks RUN... --to FOLDER                     runs of several tasks
page FOLDER [README.md]                      the tables as pages
"""

import argparse
import sys
from collections.abc import Sequence

from deepicd.common.errors import UserError
from deepicd.study.reference import page, scores, tasks, variants, verifiers


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; 0 where it was done, 2 for a wrong call."""
    given = _parser().parse_args(arguments)
    try:
        _COMMANDS[given.command](given)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m deepicd.study.reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("save", "variants", "verifiers", "tasks"):
        one = commands.add_parser(name)
        one.add_argument("runs", nargs="+", help="folders of finished runs")
        one.add_argument("--to", required=True, help="such as outputs/reference/cpu")
        if name == "save":
            one.add_argument("--no-figures", action="store_true", help="tables alone")
        if name == "variants":
            one.add_argument("--against", nargs="+", required=True, help="the default")
    pages = commands.add_parser("page")
    pages.add_argument("to", help="such as outputs/reference/cpu")
    pages.add_argument("readme", nargs="?", help="left out: the page alone")
    return parser


def _save(given) -> None:
    print(scores.save_reference(given.runs, given.to, not given.no_figures))


_COMMANDS = {
    "save": _save,
    "variants": lambda g: print(variants.keep(g.runs, g.against, g.to)),
    "verifiers": lambda g: print(verifiers.keep(g.runs, g.to)),
    "tasks": lambda g: print(tasks.keep(g.runs, g.to)),
    "page": lambda g: page.write(g.to, g.readme),
}

if __name__ == "__main__":
    sys.exit(main())
