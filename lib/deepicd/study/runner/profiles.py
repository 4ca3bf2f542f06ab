"""Profiles: named sets of parameter values, and how they reach the notebooks.

A notebook's own defaults come first, then the profile's YAML file, then ``--set``
of the command line.
"""

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

import yaml
from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from deepicd.common.errors import UserError
from deepicd.common.parameters import Parameter, checked, nearest, parse_value, unknown


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Profile:
    """A named set of parameter values with what the runner expects of them.

    Attributes
    ----------
    name, about : str
    every : dict
        Values for every notebook that declares the name.
    parameters : dict of dict
        Values by stage name.
    threads : int
        That compute where the model is made here; 0 for one a core.
    seconds : dict of float
        Expected seconds by stage name, for the first estimate of the time left.
    limit_minutes : dict of float
        Wall-clock limit by stage name; ``default`` for the others.
    """

    name: str
    about: str = ""
    every: dict = field(default_factory=dict)
    parameters: dict[str, dict | None] = field(default_factory=dict)
    threads: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    limit_minutes: dict[str, float] = field(default_factory=dict)


def load_profile(name: str, folder: Path) -> Profile:
    """Read a profile.

    Raises
    ------
    UserError
        When there is no such profile, or the file is not a profile.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "cpu.yaml").write_text("about: a laptop")
    >>> load_profile("cpu", folder).about
    'a laptop'
    """
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        raise unknown("profile", name, known, "--profile {}")
    return _profile(name, folder / f"{name}.yaml")


def _profile(name: str, path: Path) -> Profile:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return Profile(**content, name=name)
    except (yaml.YAMLError, TypeError, ValidationError) as error:
        wrong = error.errors()[0] if isinstance(error, ValidationError) else None
        reason = f"{wrong['loc'][0]}: {wrong['msg']}" if wrong else str(error)
        raise UserError(
            found=f"profile file {path.name}: {' '.join(reason.split())}",
            expected="YAML with the fields of a profile: about, every, parameters, "
            "threads, seconds, limit_minutes",
            do=f"correct notebooks/profiles/{path.name}",
        ) from error


def resolve(
    profile: Profile,
    declared: Mapping[str, Mapping[str, Parameter]],
    sets: Mapping[str, str] | None = None,
) -> dict[str, dict]:
    """Values of every parameter of every notebook.

    The command line goes before the profile, the profile before the defaults.

    Parameters
    ----------
    profile : Profile
    declared : mapping of stage name to its parameters
        Of ALL notebooks, so that a name declared anywhere is known.
    sets : mapping of str to str, optional
        ``--set`` of the command line.

    Returns
    -------
    dict of dict
        Values by stage name and parameter name.

    Raises
    ------
    UserError
        For a name that no notebook declares, and for a value of another type.

    Examples
    --------
    >>> from deepicd.common.parameters import parse_parameters
    >>> declared = {"04_train_sft": parse_parameters("steps: int = 900")}
    >>> resolve(Profile("cpu"), declared, {"steps": "20"})
    {'04_train_sft': {'steps': 20}}
    """
    sets = dict(sets or {})
    origin = f"profile {profile.name}"
    _known(sets, declared, "--set ")
    _known(profile.every, declared, f"{origin}: every: ")
    for stage in profile.parameters.keys() - declared.keys():
        raise unknown(f"{origin}: parameters:", stage, declared)
    values = {}
    for stage, parameters in declared.items():
        own = profile.parameters.get(stage) or {}
        _known(own, {stage: parameters}, f"{origin}: parameters: {stage}: ")
        given = profile.every | own
        values[stage] = {
            name: parse_value(parameter, sets[name])
            if name in sets
            else checked(parameter, given.get(name, parameter.default), origin)
            for name, parameter in parameters.items()
        }
    return values


def _known(names, declared, origin: str) -> None:
    everywhere = dict.fromkeys(name for known in declared.values() for name in known)
    for name in names:
        if name in everywhere:
            continue
        near, said = nearest(name, everywhere), ""
        if near:
            stages = ", ".join(stage for stage in declared if near in declared[stage])
            said = f", such as {near} (of {stages})"
        raise UserError(
            found=f"{origin}{name}",
            expected=f"a parameter of a notebook{said}",
            do="./run_all.sh --list shows the parameters of every notebook",
        )
