"""Typed parameters, as a notebook declares them in its ``parameters`` cell.

The cell holds annotated literals, one a line:
``steps: int = 900  # help: optimiser steps``.
"""

import ast
import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deepicd.common.errors import UserError

HELP = "# help:"
SCALARS = {"str": str, "int": int, "float": float, "bool": bool}
FEW = 12  # names that an error may list
TRUE, FALSE = ("true", "yes", "1"), ("false", "no", "0")


def nearest(name, known: Iterable[str]) -> str:
    """The known name that `name` most likely means; empty where none is near.

    Examples
    --------
    >>> nearest("balanse", ["balance", "order"]), nearest("zzz", ["balance", "order"])
    ('balance', '')
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
    """One declared parameter of a notebook.

    Attributes
    ----------
    name : str
    kind : str
        The annotation as written, such as ``float`` or ``list[str]``.
    default : object
    help : str
    """

    name: str
    kind: str
    default: object
    help: str


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
    found = {}
    for node in ast.parse(source).body:
        parameter = _declaration(node, lines, where)
        found[parameter.name] = parameter
    return found


def _declaration(node: ast.stmt, lines: list[str], where: str) -> Parameter:
    line = lines[(node.end_lineno or node.lineno) - 1]
    try:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            raise ValueError
        default = ast.literal_eval(node.value)
    except (ValueError, TypeError) as error:
        raise UserError(
            found=f"line {node.lineno} of the parameters cell of {where}",
            expected="name: type = literal  # help: text",
            do="move anything derived to a cell below",
        ) from error
    kind = ast.unparse(node.annotation)
    text = line.split(HELP, 1)[1].strip() if HELP in line else ""
    parameter = Parameter(node.target.id, kind, default, text)
    checked(parameter, default, f"the default in {where}")
    return parameter


def notebook_parameters(notebook: Path) -> dict[str, Parameter]:
    """Declared parameters of a notebook file; empty where no cell is tagged.

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
    for cell in content["cells"]:
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            return parse_parameters("".join(cell["source"]), notebook.stem)
    return {}


def checked(parameter: Parameter, value, origin: str):
    """Value of the declared type, or an error that says what is wrong.

    An int is taken for a float. A string that reads as a number is refused with
    the hint how to write it, because YAML takes ``1e-5`` for a string.

    Examples
    --------
    >>> rate = Parameter("rate", "float", 1e-5, "")
    >>> checked(rate, 1, "profile cpu")
    1.0
    >>> checked(rate, "1e-5", "profile cpu")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    deepicd.common.errors.UserError: found rate = '1e-5' (str) in profile cpu; ...
    """
    for kind in parameter.kind.replace("Optional[", "None | ").split("|"):
        fits, result = _fits(value, kind.strip().rstrip())
        if fits:
            return result
    raise UserError(
        found=f"{parameter.name} = {value!r} ({type(value).__name__}) in {origin}",
        expected=f"{parameter.kind}, such as {parameter.default!r}",
        do=_hint(parameter, value),
    )


def _fits(value, kind: str) -> tuple[bool, object]:
    if kind == "None":
        return value is None, value
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return True, float(value)
    if kind in SCALARS:
        return type(value) is SCALARS[kind], value
    if kind.startswith("list[") and isinstance(value, (list, tuple)):
        pairs = [_fits(item, kind[5:-1]) for item in value]
        return all(ok for ok, _ in pairs), [item for _, item in pairs]
    return kind in ("list", "dict") and type(value).__name__ == kind, value


def _hint(parameter: Parameter, value) -> str:
    if "float" in parameter.kind and isinstance(value, str):
        try:
            mantissa, _, exponent = f"{float(value):.6e}".partition("e")
        except ValueError:
            return f"give {parameter.name} a number"
        short = mantissa.rstrip("0")
        short += "0" if short.endswith(".") else ""
        return f"write {short}e{int(exponent)} (YAML reads {value} as a string)"
    return f"give {parameter.name} a value of type {parameter.kind}"


def parse_value(parameter: Parameter, text: str):
    """Read a value from the command line by the declared type.

    Examples
    --------
    >>> parse_value(Parameter("rate", "float", 0.1, ""), "1e-5")
    1e-05
    >>> parse_value(Parameter("systems", "list[str]", [], ""), "base,sft")
    ['base', 'sft']
    """
    for kind in (part.strip() for part in parameter.kind.split("|")):
        try:
            return _read(text, kind)
        except ValueError:
            continue
    raise UserError(
        found=f"--set {parameter.name}={text}",
        expected=f"a value of type {parameter.kind}, such as {parameter.default!r}",
        do=f"--set {parameter.name}={_plain(parameter.default)}",
    )


def _read(text: str, kind: str):
    if kind == "None":
        if text.lower() in ("none", "null", ""):
            return None
    elif kind == "bool":
        if text.lower() in TRUE + FALSE:
            return text.lower() in TRUE
    elif kind in SCALARS:
        return SCALARS[kind](text)
    elif kind.startswith("list["):
        items = [part.strip() for part in text.strip("[]").split(",") if part.strip()]
        return [_read(item.strip("'\""), kind[5:-1]) for item in items]
    elif kind in ("dict", "list"):
        value = json.loads(text)
        if type(value).__name__ == kind:
            return value
    raise ValueError(kind)


def _plain(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
