"""Calls of the runner on the real notebooks in their smallest size."""

import os
import subprocess
import sys
from pathlib import Path

from deepicd.common.files import read_json


class Study:
    """Calls the runner on the real notebooks, with its outputs in a test folder."""

    def __init__(self, root: Path):
        self.root = root
        self.outputs = root / "outputs"
        self.home = root / "home"
        self.home.mkdir()

    def call(self, *arguments: str) -> subprocess.CompletedProcess:
        command = [
            sys.executable,
            "-m",
            "deepicd.study.runner",
            "run",
            "--profile",
            "smoke",
        ]
        places = {"HOME": str(self.home), "TMPDIR": str(self.home)}
        return subprocess.run(
            [*command, "--outputs", str(self.outputs), *arguments],
            cwd=self.root,
            env=os.environ | places | {"CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            timeout=1200,
        )

    def run(self, *arguments: str) -> str:
        done = self.call(*arguments)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    @property
    def run_dir(self) -> Path:
        return self.outputs / "smoke-synthetic-seed0"

    def status(self) -> dict[str, str]:
        stages = read_json(self.run_dir / "manifest.json")["stages"]
        return {name[:2]: state["status"] for name, state in stages.items()}
