"""From the command line to what will run: profile, data, folder, parameters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import deepicd
from deepicd.common.errors import UserError
from deepicd.common.parameters import Parameter, notebook_parameters, unknown
from deepicd.common.processors import threads_asked
from deepicd.data.privacy import PRIVATE_FOLDER, PRIVATE_SOURCES
from deepicd.data.sources.opening import SOURCES, data_place
from deepicd.study.runner.device import Device, find_device
from deepicd.study.runner.graph import STAGES, Stage, select
from deepicd.study.runner.profiles import Profile, load_profile, resolve
from deepicd.study.runner.stamps import Sources
from deepicd.tasks.known import DEFAULT, get_task
from deepicd.tasks.task import Task

PACKAGE = Path(deepicd.__file__).resolve().parent
ROOT = PACKAGE.parents[1]
GPU_PROFILES = ("gpu", "paper")
OWN_MODELS = ("scratch", "base")  # small ones, made here
DATA_NAMES = ("source", "data")  # how a notebook may call the data parameter


@dataclass(frozen=True)
class Options:
    """The command line."""

    profile: str | None = None
    data: str = "synthetic"
    data_dir: str | None = None
    seed: int = 0
    start: str | None = None
    only: tuple[str, ...] = ()
    sets: Mapping[str, str] = field(default_factory=dict)
    force: bool = False
    dry_run: bool = False
    outputs: Path = ROOT / "outputs"


@dataclass(frozen=True)
class Plan:
    """Everything decided before the first notebook runs."""

    options: Options
    profile: Profile
    device: Device
    why_profile: str
    private: bool
    run_dir: Path
    sources: Sources
    stages: tuple[Stage, ...]
    parameters: Mapping[str, dict]
    model: str
    threads: int
    task: Task


def default_sources() -> Sources:
    """The notebooks, the package and the pinned requirements of this repository."""
    return Sources(ROOT / "notebooks", PACKAGE, ROOT / "requirements.txt", STAGES)


def make_plan(options: Options, sources: Sources, device: Device | None = None) -> Plan:
    """Check a command line against the notebooks; nothing is written.

    Raises
    ------
    UserError
        For an unknown profile, data set, task, stage or parameter, a value of another
        type, a missing or empty data folder, or a GPU profile without a GPU.
    """
    device = device or find_device()
    name, why = _profile_name(options.profile, device)
    profile = load_profile(name, sources.notebooks / "profiles")
    data_dir = _data_folder(options)
    stages = tuple(select(sources.stages, options.start, options.only))
    _require_gpu(name, device)
    _not_for_set(options.sets)
    declared = declarations(sources, stages)
    values = resolve(profile, declared, options.sets)
    private = options.data in PRIVATE_SOURCES
    parent = options.outputs / PRIVATE_FOLDER if private else options.outputs
    task = get_task(_first(values, "task", DEFAULT.name))
    run_dir = parent.resolve() / folder_name(name, options, task_suffix(task))
    fixed = {"run_dir": str(run_dir), "seed": options.seed, "data_dir": data_dir}
    fixed |= dict.fromkeys(DATA_NAMES, options.data)
    for stage, parameters in values.items():
        parameters |= {k: v for k, v in fixed.items() if k in declared[stage]}
    model = _first(values, "model", "none")
    return Plan(
        options=options,
        profile=profile,
        device=device,
        why_profile=why,
        private=private,
        run_dir=run_dir,
        sources=sources,
        stages=stages,
        parameters=values,
        model=model,
        # A model from elsewhere is large: it takes every core.
        threads=threads_asked(profile.threads if model in OWN_MODELS else 0),
        task=task,
    )


def declarations(
    sources: Sources, needed: tuple[Stage, ...] = ()
) -> dict[str, dict[str, Parameter]]:
    """Declared parameters of every notebook that exists.

    Raises
    ------
    UserError
        When the notebook of a stage in `needed` is not there.
    """
    found = {}
    for stage in sources.stages:
        file = sources.notebook(stage)
        if not file.exists() and stage in needed:
            raise UserError(
                found=f"no notebook {file.name} in {sources.notebooks}",
                expected="every notebook of the study",
                do="restore it with git checkout",
            )
        if file.exists():
            found[stage.name] = notebook_parameters(file)
    return found


def _profile_name(given: str | None, device: Device) -> tuple[str, str]:
    if given:
        return given, "as asked"
    if device.kind == "cuda":
        return "gpu", device.why
    return "cpu", device.why


def _require_gpu(profile: str, device: Device) -> None:
    if profile in GPU_PROFILES and device.kind != "cuda":
        raise UserError(
            found=device.why,
            expected=f"an NVIDIA GPU that computes, for profile {profile}",
            do="--profile cpu, or repair the driver (nvidia-smi shows its state)",
        )


def _not_for_set(sets: Mapping[str, str]) -> None:
    options = {"seed": "--seed", "data_dir": "--data-dir", "run_dir": "--profile"}
    options |= dict.fromkeys(DATA_NAMES, "--data")
    for name in sets:
        if name in options:
            raise UserError(
                found=f"--set {name}",
                expected=f"{options[name]}, which also names the folder of the run",
                do=f"write {options[name]} {sets[name]}",
            )


def _data_folder(options: Options) -> str:
    if options.data not in SOURCES:
        raise unknown("data", options.data, SOURCES, "--data {}")
    if options.data != "synthetic":
        return str(data_place(options.data, options.data_dir or ""))
    if options.data_dir:
        raise UserError(
            found="--data-dir with --data synthetic",
            expected="--data eicu, mimic or table with a folder of your own",
            do=f"--data mimic --data-dir {options.data_dir}",
        )
    return ""


def folder_name(profile: str, options: Options, suffix: str) -> str:
    """Name of a run's folder.

    Examples
    --------
    >>> folder_name("cpu", Options(), task_suffix(DEFAULT))
    'cpu-synthetic-seed0'
    """
    return f"{profile}-{options.data}{suffix}-seed{options.seed}"


def task_suffix(task: Task) -> str:
    """What the name of a task adds to that of a folder; nothing for the default.

    Examples
    --------
    >>> task_suffix(get_task("length_of_stay")), task_suffix(DEFAULT)
    ('-length_of_stay', '')
    """
    return "" if task is DEFAULT else f"-{task.name}"


def _first(values: Mapping[str, dict], name: str, missing: str) -> str:
    """Value of a parameter in the first notebook that has it."""
    return next((str(v[name]) for v in values.values() if name in v), missing)
