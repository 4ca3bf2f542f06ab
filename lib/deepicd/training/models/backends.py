"""Which engine trains, and why. Light to import: Unsloth has to come first.

Unsloth patches trl, transformers and peft when it is imported, so a notebook
calls `choose` before it imports anything that imports those.
"""

import importlib
import importlib.util

from deepicd.common.errors import UserError

BACKENDS = ("auto", "trl", "unsloth")


def choose(wanted: str = "auto") -> tuple[str, str]:
    """Choose the training backend and import Unsloth where it is the one.

    Parameters
    ----------
    wanted : str
        ``auto``, ``trl`` (transformers and PEFT, CPU or GPU) or ``unsloth``
        (one NVIDIA GPU).

    Returns
    -------
    (str, str)
        Backend and the reason for it.

    Raises
    ------
    UserError
        For another name, or when Unsloth is asked for and cannot run.

    Examples
    --------
    >>> choose("trl")
    ('trl', 'asked for')
    """
    if wanted not in BACKENDS:
        raise UserError(
            found=f"backend {wanted!r}",
            expected=" or ".join(BACKENDS),
            do="set backend to one of these",
        )
    if wanted == "trl":
        return "trl", "asked for"
    obstacle = unsloth_obstacle()
    if obstacle and wanted == "unsloth":
        raise UserError(
            found=f"backend unsloth, but {obstacle}",
            expected="an NVIDIA GPU and the packages of requirements-gpu.txt",
            do="set backend=trl, or install them",
        )
    if obstacle:
        return "trl", obstacle
    importlib.import_module("unsloth")
    return "unsloth", "a usable GPU and unsloth are here"


def unsloth_obstacle() -> str:
    """Say what keeps Unsloth from running here; empty where nothing does."""
    import torch

    if not torch.cuda.is_available():
        return "no usable NVIDIA GPU"
    if importlib.util.find_spec("unsloth") is None:
        return "unsloth is not installed"
    return ""
