"""Parameters and settings, checked by pydantic and told in one grammar.

A notebook declares its own in ``parameters`` cells of annotated literals, one a
line: ``steps: int = 900  # help: optimiser steps``. Settings of the library are
dataclasses on `Settings`.
"""

import ast
import dataclasses
import difflib
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args, get_origin

from pydantic import ConfigDict, TypeAdapter, ValidationError

from deepicd.common.errors import UserError

HELP = "# help:"
FEW = 12  # names that an error may list
#: What an annotation of a notebook may be made of.
TYPES = {kind.__name__: kind for kind in (str, int, float, bool, list, dict)}


def nearest(name, known: Iterable[str]) -> str:
    """The known name that `name` most likely means; empty where none is near.

    Examples
    --------
    >>> nearest("epsilom", ["epsilon", "beta"]), nearest("zzz", ["epsilon", "beta"])
    ('epsilon', '')
    """
    return next(iter(difflib.get_close_matches(str(name), known, 1, cutoff=0.5)), "")


def unknown(what: str, name, known: Iterable[str], do: str = "") -> UserError:
    """Make the error for a name that nobody knows, with the nearest known one.

    Parameters
    ----------
    what : str
        What was named, such as ``reward spec``.
    name : object
        As it was given.
    known : iterable of str
        Told in full where there are few of them, or none is near.
    do : str, optional
        The next step, with ``{}`` for the nearest name, or else the first.

    Examples
    --------
    >>> print(unknown("data source", "mimc", ["synthetic", "mimic"], "--data {}"))
    found data source 'mimc'; expected one of synthetic, mimic; do: --data mimic
    """
    known = list(known)
    near = nearest(name, known)
    told = repr(near) if near and len(known) > FEW else "one of " + ", ".join(known)
    hint = f"did you mean {near!r}?" if near else "choose one of these"
    do = do.format(near or known[0]) if do else hint
    return UserError(found=f"{what} {name!r}", expected=told, do=do)


def choice(what: str, value, known: tuple[str, ...]):
    """Give `value` back where it is one of the known words of a setting.

    Raises
    ------
    UserError
        Where it is not.

    Examples
    --------
    >>> choice("method", "grpo", ("grpo", "dpo"))
    'grpo'
    >>> choice("method", "gpro", ("grpo", "dpo"))
    Traceback (most recent call last):
    deepicd.common.errors.UserError: found method 'gpro'; expected grpo or dpo; do: \
set method=grpo
    """
    if value in known:
        return value
    near = nearest(value, known)
    raise UserError(
        found=f"{what} {value!r}",
        expected=" or ".join(filter(None, (", ".join(known[:-1]), known[-1]))),
        do=f"set {what}={near}" if near else f"set {what} to one of these",
    )


@dataclass(frozen=True)
class Parameter:
    """One declared parameter of a notebook, or one field of settings.

    Attributes
    ----------
    name : str
    kind : str or type
        The annotation, such as ``list[str]``; as it is written in a notebook.
    default : object
    help : str
    """

    name: str
    kind: object
    default: object
    help: str = ""

    @property
    def annotation(self) -> str:
        """The annotation as a person writes it."""
        return self.kind.__name__ if isinstance(self.kind, type) else str(self.kind)


@functools.cache
def _checker(kind) -> TypeAdapter:
    # What a notebook declares is an expression of types, and nothing else.
    known = {"__builtins__": {}} | TYPES
    kind = eval(kind, known) if isinstance(kind, str) else kind
    return TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False))


def checked(parameter: Parameter, value, origin: str):
    """Value of the declared type, or an error that says what is wrong.

    An int is taken for a float. A string that reads as a number is refused with
    the hint how to write it, because YAML takes ``1e-5`` for a string.

    Raises
    ------
    UserError
        For a value of another type, one that is no choice, and nan.

    Examples
    --------
    >>> rate = Parameter("rate", "float", 1e-5)
    >>> checked(rate, 1, "profile cpu")
    1.0
    >>> checked(rate, "1e-5", "profile cpu")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    deepicd.common.errors.UserError: found rate = '1e-5' (str) in profile cpu; ...
    """
    if get_origin(parameter.kind) is Literal:
        return choice(parameter.name, value, get_args(parameter.kind))
    try:
        return _checker(parameter.kind).validate_python(value, strict=True)
    except ValidationError:
        raise UserError(
            found=f"{parameter.name} = {value!r} ({type(value).__name__}) in {origin}",
            expected=f"{parameter.annotation}, such as {parameter.default!r}",
            do=_hint(parameter, value),
        ) from None


def _hint(parameter: Parameter, value) -> str:
    if "float" not in parameter.annotation or not isinstance(value, str):
        return f"give {parameter.name} a value of type {parameter.annotation}"
    from numpy import format_float_scientific

    try:
        number = format_float_scientific(float(value), trim="0", exp_digits=1)
    except ValueError:
        return f"give {parameter.name} a number"
    return f"write {number} (YAML reads {value} as a string)"


def parse_value(parameter: Parameter, text: str):
    """Read a value from the command line by the declared type.

    Examples
    --------
    >>> parse_value(Parameter("rate", "float", 0.1), "1e-5")
    1e-05
    >>> parse_value(Parameter("systems", "list[str]", []), "base,sft")
    ['base', 'sft']
    """
    try:
        return _checker(parameter.kind).validate_python(_read(text, parameter.kind))
    except ValueError:
        default = parameter.default
        shown = ",".join(map(str, default)) if isinstance(default, list) else default
        raise UserError(
            found=f"--set {parameter.name}={text}",
            expected=f"a value of type {parameter.annotation}, such as {default!r}",
            do=f"--set {parameter.name}={shown}",
        ) from None


def _read(text: str, kind: str):
    """Take the text apart; pydantic reads the numbers in it."""
    if "None" in kind and text.lower() in ("none", "null", ""):
        return None
    if kind in ("dict", "list"):
        return json.loads(text)
    if kind.startswith("list["):
        items = [part.strip() for part in text.strip("[]").split(",")]
        return [item.strip("'\"") for item in items if item]
    return text


class Settings:
    """Base of a dataclass of settings: its fields are checked when it is made.

    Its values stay as they were given, so that keys made of them stay too.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Walk(Settings):
    ...     steps: int = 9
    ...     pace: Literal["slow", "fast"] = "slow"
    >>> Walk(steps="many")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    deepicd.common.errors.UserError: found steps = 'many' (str) in Walk; expected ...
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            checked(setting(field), getattr(self, field.name), type(self).__name__)


def setting(field: dataclasses.Field) -> Parameter:
    """A field of settings as a parameter."""
    return Parameter(field.name, field.type, field.default)


def settings_with(settings: Settings, options: dict, where: str):
    """Settings with the values of some options; a name they lack is an error.

    Parameters
    ----------
    settings : Settings
        Such as `deepicd.training.grpo.GrpoSettings`.
    options : dict
        Field name → value.
    where : str
        Name of the notebook parameter, for the message.

    Returns
    -------
    Settings
        A copy.

    Raises
    ------
    UserError
        For an unknown name (with the closest known one) or a value of another type.

    Examples
    --------
    >>> from deepicd.training.sft import SftSettings
    >>> settings_with(SftSettings(), {"warmup_steps": 5}, "sft_options").warmup_steps
    5
    """
    fields = {field.name: field for field in dataclasses.fields(settings)}
    values = {}
    for name, value in options.items():
        if name not in fields:
            raise unknown(f"{where}:", name, fields)
        values[name] = checked(setting(fields[name]), value, where)
    return dataclasses.replace(settings, **values)


def once(own: Mapping, options: Mapping, where: str) -> dict:
    """Put settings together that come from two places; a name in both is an error.

    Parameters
    ----------
    own : mapping
        What parameters of their own say.
    options : mapping
        Further settings.
    where : str
        Name of the parameter that holds them, for the message.

    Raises
    ------
    UserError
        For a name in both: which of them wins would be a silent choice.

    Examples
    --------
    >>> once({"style": "reasoning"}, {"weight_near": 0.6}, "reward_weights")
    {'style': 'reasoning', 'weight_near': 0.6}
    >>> once({"beta": 0.05}, {"beta": 0.0}, "grpo_options")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    deepicd.common.errors.UserError: found 'beta' in grpo_options, and ...
    """
    for name in options:
        if name in own:
            raise UserError(
                found=f"{name!r} in {where}, and in a parameter of its own",
                expected="each setting in one place",
                do=f"take it out of {where} and set the parameter, {own[name]!r} now",
            )
    return {**own, **options}


def parse_parameters(source: str, where: str = "notebook") -> dict[str, Parameter]:
    """Read the declarations of a ``parameters`` cell.

    Parameters
    ----------
    source : str
        Text of the cell.
    where : str
        Name for error messages.

    Returns
    -------
    dict of str to Parameter
        In the order of the cell.

    Raises
    ------
    UserError
        When a line is not an annotated literal, or a default has another type.

    Examples
    --------
    >>> cell = "rate: float = 1e-5  # help: learning rate"
    >>> parse_parameters(cell)["rate"]
    Parameter(name='rate', kind='float', default=1e-05, help='learning rate')
    """
    lines = source.splitlines()
    found = [_declared(node, lines, where) for node in ast.parse(source).body]
    return {parameter.name: parameter for parameter in found}


def _declared(node: ast.stmt, lines: list[str], where: str) -> Parameter:
    _, _, text = lines[(node.end_lineno or node.lineno) - 1].partition(HELP)
    try:
        name, default = node.target.id, ast.literal_eval(node.value)
        parameter = Parameter(name, ast.unparse(node.annotation), default, text.strip())
        checked(parameter, default, f"the default in {where}")
    except (AttributeError, ValueError, TypeError, NameError) as error:
        raise UserError(
            found=f"line {node.lineno} of the parameters cell of {where}",
            expected="name: type = literal  # help: text",
            do="move anything derived to a cell below",
        ) from error
    return parameter


def notebook_parameters(notebook: Path) -> dict[str, Parameter]:
    """Parameters that the cells tagged so declare; empty where there is none.

    Examples
    --------
    >>> import tempfile
    >>> cell = {"cell_type": "code", "metadata": {"tags": ["parameters"]},
    ...         "source": ["seed: int = 0  # help: random seed"]}
    >>> path = Path(tempfile.mkdtemp()) / "00_a.ipynb"
    >>> _ = path.write_text(json.dumps({"cells": [cell]}))
    >>> list(notebook_parameters(path))
    ['seed']
    """
    content = json.loads(notebook.read_text(encoding="utf-8"))
    tagged = [
        "".join(cell["source"])
        for cell in content["cells"]
        if "parameters" in cell.get("metadata", {}).get("tags", [])
    ]
    return parse_parameters("\n".join(tagged), notebook.stem)
