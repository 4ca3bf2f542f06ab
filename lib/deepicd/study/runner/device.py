"""Which device there is, and whether it really computes."""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deepicd.common.processors import cores

TRY_GPU = """
import torch
if not torch.cuda.is_available():
    raise SystemExit("PyTorch %s sees no GPU it can use" % torch.__version__)
a = torch.ones(64, 64, device="cuda")
assert float((a @ a).sum()) == 64 ** 3
free, total = torch.cuda.mem_get_info()
print("%s, %.0f GB" % (torch.cuda.get_device_name(0), total / 1e9))
"""


@dataclass(frozen=True)
class Device:
    """The device of a run.

    Attributes
    ----------
    kind : str
        ``cuda`` or ``cpu``.
    name : str
        What to print.
    why : str
        Why it was chosen.
    """

    kind: str
    name: str
    why: str


def find_device() -> Device:
    """The GPU where one answers a small computation, otherwise the CPU.

    Examples
    --------
    >>> find_device().kind in ("cpu", "cuda")
    True
    """
    if not _nvidia_hint():
        return Device("cpu", _cpu_name(), "no NVIDIA GPU on this machine")
    works, text = _try_gpu()
    if works:
        return Device("cuda", text, "the GPU answered a small computation")
    return Device("cpu", _cpu_name(), f"an NVIDIA GPU is present but unusable: {text}")


def _nvidia_hint() -> bool:
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return bool(shutil.which("nvidia-smi")) or Path("/dev/nvidia0").exists()


def _try_gpu() -> tuple[bool, str]:
    try:
        done = subprocess.run(
            [sys.executable, "-c", TRY_GPU],
            capture_output=True,
            text=True,
            timeout=180,
        )
    except subprocess.TimeoutExpired:
        return False, "it did not answer within three minutes"
    if done.returncode == 0:
        return True, done.stdout.strip().splitlines()[-1]
    lines = done.stderr.strip().splitlines() or ["no message"]
    return False, f"{lines[-1].strip()[:200]} (nvidia-smi may say more)"


def _cpu_name() -> str:
    return f"CPU, {cores()} cores ({platform.machine()})"
