"""Which engine trains, and why. Light to import: Unsloth has to come first.

Unsloth patches trl, transformers and peft when it is imported, so a notebook
calls `choose` before it imports anything that imports those.
"""

import importlib
import importlib.util

from deepicd.common.errors import UserError
from deepicd.training.models.troubles import of_this_gpu

BACKENDS = ("auto", "trl", "unsloth")


def choose(wanted: str = "auto", processes: int = 1) -> tuple[str, str]:
    """Choose the training backend and import Unsloth where it is the one.

    Parameters
    ----------
    wanted : str
        ``auto``, ``trl`` (transformers and PEFT, CPU or GPU) or ``unsloth``
        (one NVIDIA GPU).
    processes : int
        That train together; Unsloth trains in one.

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
        return "trl", "; ".join(["asked for", *of_this_gpu()])
    obstacle = unsloth_obstacle()
    if processes > 1:
        obstacle = obstacle or "several processes train together"
    if obstacle and wanted == "unsloth":
        raise UserError(
            found=f"backend unsloth, but {obstacle}",
            expected="an NVIDIA GPU and the packages of requirements-gpu.txt",
            do="set backend=trl, or install them",
        )
    if obstacle:
        return "trl", "; ".join([obstacle, *of_this_gpu()])
    importlib.import_module("unsloth")
    return "unsloth", "; ".join(["a usable GPU and unsloth are here", *of_this_gpu()])


def unsloth_obstacle() -> str:
    """Say what keeps Unsloth from running here; empty where nothing does."""
    import torch

    if not torch.cuda.is_available():
        return "no usable NVIDIA GPU"
    if importlib.util.find_spec("unsloth") is None:
        return "unsloth is not installed"
    return ""
