"""Rarely used settings by name: one notebook parameter for all of them."""

import dataclasses

from deepicd.common.parameters import Parameter, checked, unknown


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
            raise unknown(f"{where}:", name, fields)
        kind, default = _kind(fields[name].type), getattr(settings, name)
        values[name] = checked(Parameter(name, kind, default, ""), value, where)
    return dataclasses.replace(settings, **values)


def _kind(annotation) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
