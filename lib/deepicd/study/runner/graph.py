"""The stages as data: what each reads and writes, and how to select some."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deepicd.common.errors import UserError
from deepicd.study.runner.run_folder import CATALOGUE, EXTRACT

FIGURES = "figures"


@dataclass(frozen=True)
class Stage:
    """One notebook of the study.

    Attributes
    ----------
    name : str
        File name of the notebook without suffix, ``NN_verb_object``.
    reads : tuple of str
        Stages whose outputs it reads.
    writes : tuple of str
        Files and folders in its own folder that must exist when it ends.
    may_write : tuple of str
        Files it writes for some data only, and later stages read where they are.
    consults : tuple of str
        Files and folders of the repository that it reads where they are.
    trains : bool
        Whether it trains for minutes: a change of what is only looked at (the room
        `views`) does not run it again.
    """

    name: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = (FIGURES,)
    may_write: tuple[str, ...] = ()
    consults: tuple[str, ...] = ()
    trains: bool = False

    @property
    def number(self) -> str:
        """The two digits in front of the name."""
        return self.name.split("_")[0]

    @property
    def handed_on(self) -> tuple[str, ...]:
        """Outputs that a later stage may read; figures are for people."""
        return tuple(f for f in self.writes if f != FIGURES)


BASELINES, DISTILL = "02_run_baselines", "03_distill_traces"
SFT, GRPO = "04_train_sft", "05_train_grpo"
EVALUATE, ABLATIONS = "06_evaluate_hierarchy", "07_run_ablations"
VERIFY = "08_verify_and_rank"
TRAINED = ("model", "metrics.csv", "arguments.json")
ADAPTER = ("adapter",)

STAGES = (
    Stage("00_tour_icd_and_rewards"),
    Stage(
        EXTRACT,
        (),
        ("admissions.parquet", "flow.csv", "source.json", FIGURES),
        (CATALOGUE, "oracle.parquet", "history.parquet"),
    ),
    Stage(BASELINES, (EXTRACT,), ("predictions.parquet", "search.csv", FIGURES)),
    Stage(DISTILL, (EXTRACT,), ("traces.parquet", "checks.csv", FIGURES)),
    Stage(
        SFT,
        (EXTRACT, DISTILL),
        (
            *TRAINED,
            "learned.parquet",
            "predictions.parquet",
            "samples.parquet",
            FIGURES,
        ),
        ADAPTER,
        trains=True,
    ),
    Stage(
        GRPO,
        (EXTRACT, DISTILL, SFT),
        (
            *TRAINED,
            "rollouts.parquet",
            "predictions.parquet",
            "samples.parquet",
            FIGURES,
        ),
        ADAPTER,
        trains=True,
    ),
    Stage(
        EVALUATE,
        (EXTRACT, BASELINES, SFT, GRPO),
        (
            "predictions.parquet",
            "metrics.parquet",
            "differences.csv",
            "reasoning.csv",
            FIGURES,
        ),
    ),
    Stage(
        ABLATIONS,
        (EXTRACT, DISTILL, SFT),
        ("results.parquet", FIGURES),
        consults=tuple(f"outputs/reference/{n}/ablations" for n in ("cpu", "cpu-drg")),
    ),
    Stage(
        VERIFY,
        (EXTRACT, DISTILL, SFT, GRPO),
        (
            "process",
            "outcome",
            "predictions.parquet",
            "metrics.parquet",
            "gains.csv",
            "harm.csv",
            FIGURES,
        ),
    ),
)


def select(
    stages: Iterable[Stage], start: str | None = None, only: Iterable[str] = ()
) -> list[Stage]:
    """Stages from a number on, or only some.

    Parameters
    ----------
    stages : iterable of Stage
    start : str, optional
        Number or name of the first stage.
    only : iterable of str
        Numbers or names; all from `start` on when empty.

    Returns
    -------
    list of Stage

    Raises
    ------
    UserError
        When no stage has such a number.

    Examples
    --------
    >>> [stage.number for stage in select(STAGES, start="5")]
    ['05', '06', '07', '08']
    >>> [stage.name for stage in select(STAGES, only=["04"])]
    ['04_train_sft']
    """
    stages = list(stages)
    if only:
        wanted = [_find(stages, text, "--only") for text in only]
        return [stage for stage in stages if stage in wanted]
    if start is None:
        return stages
    return stages[stages.index(_find(stages, start, "--from")) :]


def _find(stages: list[Stage], text: str, option: str) -> Stage:
    number = text.strip().split("_")[0].zfill(2)
    for stage in stages:
        if stage.number == number and text.strip() in (stage.name, number, number[1:]):
            return stage
    raise UserError(
        found=f"{option} {text}",
        expected="one of " + ", ".join(stage.number for stage in stages),
        do="./run_all.sh --list names every stage",
    )


def missing_outputs(stage: Stage, folder: Path) -> list[str]:
    """Declared outputs that are not in the folder of the stage.

    Examples
    --------
    >>> missing_outputs(Stage("00_a"), Path("/nowhere"))
    ['figures']
    """
    return [name for name in stage.writes if not _present(folder / name)]


def _present(path: Path) -> bool:
    if path.is_dir():
        return any(not child.name.startswith(".") for child in path.iterdir())
    return path.is_file()
