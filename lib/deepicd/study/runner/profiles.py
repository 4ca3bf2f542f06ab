"""Profiles: named sets of parameter values, and how they reach the notebooks.

A notebook's own defaults come first, then the profile's YAML file, then ``--set``
of the command line.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from deepicd.common.errors import UserError
from deepicd.common.parameters import Parameter, checked, nearest, parse_value, unknown


@dataclass(frozen=True)
class Profile:
    """A named set of parameter values with what the runner expects of them.

    Attributes
    ----------
    name, about : str
    every : dict
        Values for every notebook that declares the name.
    parameters : dict of dict
        Values by stage name.
    seconds : dict
        Expected seconds by stage name, for the first estimate of the time left.
    limit_minutes : dict
        Wall-clock limit by stage name; ``default`` for the others.
    """

    name: str
    about: str = ""
    every: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)
    seconds: dict = field(default_factory=dict)
    limit_minutes: dict = field(default_factory=dict)


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
        return Profile(name=name, **content)
    except (yaml.YAMLError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            found=f"profile file {path.name}: {reason}",
            expected="YAML with about, every, parameters, seconds, limit_minutes",
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
    _known(sets, declared, "--set ")
    _known(profile.every, declared, f"profile {profile.name}: every: ")
    origin = f"profile {profile.name}"
    values = {}
    for stage, parameters in declared.items():
        own = profile.parameters.get(stage) or {}
        _known(own, {stage: parameters}, f"{origin}: parameters: {stage}: ")
        given = {k: v for k, v in profile.every.items() if k in parameters} | own
        values[stage] = {name: p.default for name, p in parameters.items()}
        for name, value in given.items():
            values[stage][name] = checked(parameters[name], value, origin)
        for name in sets.keys() & parameters.keys():
            values[stage][name] = parse_value(parameters[name], sets[name])
    return values


def _known(names, declared, origin: str) -> None:
    by_name: dict[str, list[str]] = {}
    for stage, parameters in declared.items():
        for name in parameters:
            by_name.setdefault(name, []).append(stage)
    for name in names:
        if name in by_name:
            continue
        close = nearest(name, by_name)
        if not close:
            expected = f"one of {', '.join(sorted(by_name))}"
            do = "./run_all.sh --list shows the parameters of every notebook"
        else:
            stages = ", ".join(by_name[close])
            expected = f"a parameter of a notebook, such as {close} (of {stages})"
            do = f"write {close}, or see ./run_all.sh --list"
        raise UserError(found=f"{origin}{name}", expected=expected, do=do)
