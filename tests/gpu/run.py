"""Run every check in a process of its own and write one JSON: see run.sh."""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from deepicd.common.processors import cores

HERE = Path(__file__).parent
PACKAGES = ("torch", "transformers", "trl", "peft", "unsloth", "vllm", "bitsandbytes")
BACKENDS, ENGINES = ("trl", "unsloth"), ("transformers", "vllm")
#: Name -> arguments; `taught` comes first, the others start from its model.
CHECKS = {
    "taught": ("taught", "trl", "transformers"),
    **{f"sft-{b}": ("sft", b, "transformers") for b in BACKENDS},
    **{f"grpo-{b}-{e}": ("grpo", b, e) for b in BACKENDS for e in ENGINES},
    "sync-trl-vllm": ("sync", "trl", "vllm"),
    "answers-trl-vllm": ("answers", "trl", "vllm"),
    "server-trl-vllm": ("server", "trl", "vllm"),
    "resume-trl": ("resume", "trl", "transformers"),
}
running: list[subprocess.Popen] = []
stopped = threading.Event()
LIMIT = {"cuda": 60, "cpu": 600}  # seconds of one check
#: For a vLLM that was built for a CPU: GiB of its cache, and no processor of its own.
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}


def obstacle(backend: str, engine: str, device: str) -> str:
    """Why a check cannot run here; empty where it can."""
    if device == "cpu" and backend == "unsloth":
        return "unsloth trains on an NVIDIA GPU only"
    for name, wanted in (("unsloth", backend == "unsloth"), ("vllm", engine == "vllm")):
        if wanted and not version(name):
            return f"{name} is not installed"
    return ""


def version(package: str) -> str:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return ""


def run(name: str, device: str, folder: Path, limit: float) -> dict:
    kind, backend, engine = CHECKS[name]
    told = folder / f"{name}.json"
    command = [sys.executable, str(HERE / "checks.py"), kind, backend, engine]
    command += [device, str(folder), str(told)]
    begin, log = time.perf_counter(), folder / f"{name}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True
        )
        running.append(process)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = "limit"
        finally:  # a vLLM engine is a process below it
            kill(process)
            process.wait()
            running.remove(process)
    found = json.loads(told.read_text()) if told.exists() else {}
    found |= {"passed": code == 0, "seconds": round(time.perf_counter() - begin, 1)}
    if code:
        found["exit"] = code
        found["last_lines"] = log.read_text(errors="replace").splitlines()[-30:]
    return found


def kill(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def stop(*_) -> None:
    """Asked to end: no check is left behind on the GPU."""
    stopped.set()
    for process in running:
        kill(process)


def line(name: str, found: dict) -> str:
    if "skipped" in found:
        return f"{name:24} skipped: {found['skipped']}"
    phases = ", ".join(f"{k} {v:.1f}" for k, v in found.get("phases", {}).items())
    numbers = ", ".join(f"{k} {v:,.4g}" for k, v in found.get("numbers", {}).items())
    word = "passed" if found["passed"] else f"FAILED ({found['exit']})"
    return f"{name:24} {word} in {found['seconds']} s  [{phases}]  {numbers}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/gpu/run.sh", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", default="gpu-checks.json")
    parser.add_argument("--only", action="append", choices=tuple(CHECKS))
    parser.add_argument("--limit", type=float, help="seconds of one check")
    parser.add_argument("--lanes", type=int, default=1, help="checks at a time")
    given = parser.parse_args()
    if given.device == "cpu":
        os.environ |= {**ON_CPU, **os.environ, "CUDA_VISIBLE_DEVICES": ""}
    names = [n for n in CHECKS if not given.only or n in (*given.only, "taught")]
    report = {"device": device_name(given.device), "python": platform.python_version()}
    report["versions"] = {name: version(name) for name in PACKAGES}
    report["checks"] = checks = {}
    begin = time.perf_counter()
    signal.signal(signal.SIGTERM, stop)
    with tempfile.TemporaryDirectory() as folder:

        def one(name: str) -> tuple[str, dict]:
            why = obstacle(*CHECKS[name][1:], given.device)
            if stopped.is_set():
                why = "no time was left"
            limit = given.limit or LIMIT[given.device]
            return name, (
                {"skipped": why}
                if why
                else run(name, given.device, Path(folder), limit)
            )

        def tell(name: str, found: dict) -> None:
            checks[name] = found
            print(line(name, found), flush=True)
            report["seconds"] = round(time.perf_counter() - begin, 1)
            Path(given.out).write_text(json.dumps(report, indent=1) + "\n")

        tell(*one(names[0]))
        with ThreadPoolExecutor(given.lanes) as pool:
            for done in as_completed([pool.submit(one, n) for n in names[1:]]):
                tell(*done.result())
    print(f"{report['seconds']} s in all; {given.out}")
    return int(any(not c.get("passed", True) for c in checks.values()))


def device_name(device: str) -> str:
    if device == "cpu":
        return f"CPU ({platform.machine()}, {cores()} of its cores)"
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
