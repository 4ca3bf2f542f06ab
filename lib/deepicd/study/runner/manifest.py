"""The manifest: enough to know later how a result came about."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from deepicd.common.files import read_json, write_json

PACKAGES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "numpy",
    "pandas",
    "scikit-learn",
    "simple-icd-10-cm",
    "papermill",
    "unsloth",
    "vllm",
)
MANIFEST = "manifest.json"


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on.

    Examples
    --------
    >>> "python" in versions()
    True
    """
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def git_state(folder: Path) -> dict:
    """Commit of the repository and whether files differ from it."""
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=normal")
    return {"commit": commit, "dirty": None if commit is None else bool(changes)}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def write_stage_manifest(plan, stage, record: dict, peak_bytes: int) -> dict:
    """Write ``manifest.json`` into the folder of a stage that ended well."""
    folder = plan.run_dir / stage.name
    arguments = folder / "arguments.json"
    parameters = plan.parameters[stage.name]
    content = {
        "stage": stage.name,
        "profile": plan.profile.name,
        "data": plan.options.data,
        "git": git_state(plan.sources.notebooks),
        "parameters": parameters,
        "seeds": {k: v for k, v in parameters.items() if "seed" in k},
        "versions": versions(),
        "device": {"kind": plan.device.kind, "name": plan.device.name},
        "threads": plan.threads,
        "hashes_in": {
            key: value for key, value in record["stamp"].items() if key != "parameters"
        },
        "hashes_out": record["outputs"],
        "seconds": record["seconds"],
        "peak_memory_mb": round(peak_bytes / 2**20),
        "arguments": read_json(arguments) if arguments.exists() else None,
    }
    write_json(content, folder / MANIFEST)
    return content


def write_run_manifest(plan, states: dict[str, dict]) -> None:
    """Write ``manifest.json`` of the run: what was asked and how each stage went.

    Stages that this call did not select keep their entry of an earlier call.
    """
    file = plan.run_dir / MANIFEST
    old = read_json(file)["stages"] if file.exists() else {}
    content = {
        "profile": plan.profile.name,
        "data": plan.options.data,
        "task": plan.task.name,
        "private": plan.private,
        "seed": plan.options.seed,
        "set": dict(plan.options.sets),
        "model": plan.model,
        "device": {"kind": plan.device.kind, "name": plan.device.name},
        "threads": plan.threads,
        "git": git_state(plan.sources.notebooks),
        "versions": versions(),
        "stages": old | states,
    }
    write_json(content, file)
