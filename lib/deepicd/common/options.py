"""Rarely used settings by name: one notebook parameter for all of them."""

import dataclasses
import difflib

from deepicd.common.errors import UserError
from deepicd.common.parameters import Parameter, checked


def settings_with(settings, options: dict, where: str):
    """Settings with the values of some options; a name they lack is an error.

    Parameters
    ----------
    settings : dataclass instance
        Such as `deepicd.training.grpo.GrpoSettings`.
    options : dict
        Field name → value.
    where : str
        Name of the notebook parameter, for the message.

    Returns
    -------
    dataclass instance
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
            raise _unknown(name, fields, where)
        kind, default = _kind(fields[name].type), getattr(settings, name)
        values[name] = checked(Parameter(name, kind, default, ""), value, where)
    return dataclasses.replace(settings, **values)


def _kind(annotation) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _unknown(name: str, known, where: str) -> UserError:
    close = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    return UserError(
        found=f"{where}: {name!r}",
        expected=f"{close[0]!r}" if close else "one of " + ", ".join(known),
        do=f"correct the name in {where}",
    )


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is none of the choices.

    Examples
    --------
    >>> check_choice("method", "grpo", ("grpo", "dpo"))
    """
    if value not in choices:
        close = difflib.get_close_matches(str(value), choices, 1)
        raise UserError(
            found=f"{name} {value!r}",
            expected=", ".join(choices[:-1]) + " or " + choices[-1],
            do=f"set {name}={close[0]}" if close else f"set {name} to one of these",
        )
