"""Run a benchmark: `python -m deepicd.study.bench icd`, with `--json` for machines."""

import argparse
import importlib
import inspect
import json
import pkgutil
import sys
import warnings

import deepicd.study.bench
from deepicd.common.errors import UserError
from deepicd.common.parameters import unknown
from deepicd.study.bench.measure import Result


def names() -> list[str]:
    """Benchmarks that exist: modules of the package that can `run`.

    Examples
    --------
    >>> {"icd", "rewards"} <= set(names())
    True
    """
    modules = pkgutil.iter_modules(deepicd.study.bench.__path__)
    found = (m.name for m in modules if m.name not in ("measure", "__main__"))
    return sorted(found)


def run(name: str, **options) -> list[Result]:
    """Run one benchmark by name, with the options it knows.

    Raises
    ------
    UserError
        For a name that does not exist, and an option that the benchmark lacks.
    """
    if name not in names():
        command = "python -m deepicd.study.bench {}"
        raise unknown("benchmark", name, names(), command)
    if options.get("backend"):
        from deepicd.training.models import backends  # brings torch, most need none

        backends.choose(options["backend"])  # Unsloth has to come before TRL
    work = importlib.import_module(f"deepicd.study.bench.{name}").run
    other = sorted(options.keys() - inspect.signature(work).parameters.keys())
    if other:
        raise UserError(
            found=f"the option --{other[0]} for {name}",
            expected="an option that this benchmark has",
            do=f"python -m deepicd.study.bench {name}",
        )
    return work(**options)


def table(results: list[Result]) -> str:
    """Lay results out for a terminal.

    Examples
    --------
    >>> print(table([Result("load", 20.04, "ms", goal=50.0)]))
    load           20.04 ms  goal <= 50: met
    """
    width = max(len(result.name) for result in results) + 2
    return "\n".join(_line(result, width) for result in results)


def _line(result: Result, width: int) -> str:
    text = f"{result.name:{width}}{_number(result.value):>14} {result.unit}"
    if result.low is not None:
        text += f"[{_number(result.low)}, {_number(result.high)}]"
    if result.goal is None:
        return text
    sign = ">=" if result.at_least else "<="
    verdict = "met" if result.met else "NOT met"
    return f"{text}  goal {sign} {_number(result.goal)}: {verdict}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def main(arguments: list[str] | None = None) -> int:
    """Command line; 0 on success, 2 for a wrong name."""
    parser = argparse.ArgumentParser(
        prog="python -m deepicd.study.bench", description=__doc__
    )
    parser.add_argument("name", nargs="?", help=", ".join(names()))
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--notes", type=int, help="extract, history, federated, adapting"
    )
    parser.add_argument("--fuzz", type=int, help="extract: mutate so many instead")
    parser.add_argument("--size", help="paper, generate, train: 50m, 1b or 7b")
    parser.add_argument("--device", help="paper: cuda or cpu")
    parser.add_argument("--backend", help="train: trl or unsloth")
    parser.add_argument("--engine", help="generate: eager, graphs or compiled vLLM")
    parser.add_argument("--rows", type=int, help="generate: prompts")
    parser.add_argument("--mimic", help="tasks, history: folder of MIMIC-IV")
    parser.add_argument(
        "--eicu", help="tasks, encoders, candidates, federated: folder of eICU"
    )
    parser.add_argument(
        "--seeds", type=int, help="encoders, candidates, federated, adapting"
    )
    parser.add_argument("--system", help="encoders: embed_mlp or encoder")
    parser.add_argument("--model", help="adapting: base, a folder or a hub name")
    parser.add_argument("--traces", type=int, help="adapting: to learn from")
    parser.add_argument("--steps", type=int, help="adapting: of training")
    parser.add_argument("--prune", type=int, help="adapting: layers taken out")
    parser.add_argument("--rates", help="adapting: learning rates, with commas")
    parser.add_argument("--instruction", help="adapting: brief or full")
    given = parser.parse_args(arguments)
    if given.name is None:
        parser.print_help()
        return 0
    warnings.simplefilter("ignore")
    try:
        own = {k: v for k, v in vars(given).items() if k not in ("name", "json")}
        asked = {k: v for k, v in own.items() if v is not None}
        results = run(given.name, **asked)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps([result.to_dict() for result in results], indent=2))
    else:
        print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
