"""Every completion that GRPO drew, with each part of its reward."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd


class RolloutLog:
    """Keeps every completion with each part of its reward, one JSON line each.

    The parts arrive one reward function after another; a step is written when
    the last part is there. A resumed run first drops the lines of steps that it
    is going to repeat.
    """

    def __init__(self, path: str | Path, weights: dict[str, float]):
        self.path, self.weights = Path(path), weights
        self.parts: dict[str, list[float]] = {}

    def rewind(self, step: int) -> None:
        """Drop lines of `step` and later ones, and a torn last line."""
        kept = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                row = _parse_line(line)
                if row and row["step"] < step:
                    kept.append(line + "\n")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text("".join(kept), encoding="utf-8")

    def watch(self, name: str, function: Callable) -> Callable:
        """Wrap one reward function so that its values are recorded."""

        def watched(prompts, completions, **columns):
            values = function(prompts=prompts, completions=completions, **columns)
            self.parts[name] = values
            if len(self.parts) == len(self.weights):
                self._write(completions, columns)
            return values

        watched.__name__ = name
        return watched

    def _write(self, completions, columns) -> None:
        step = columns["trainer_state"].global_step
        with self.path.open("a", encoding="utf-8") as file:
            for i, completion in enumerate(completions):
                row = {
                    "step": step,
                    "note_id": columns["note_id"][i],
                    "icd_code": columns["icd_code"][i],
                    "completion": completion,
                }
                parts = {name: self.parts[name][i] for name in self.weights}
                row["reward"] = sum(w * parts[n] for n, w in self.weights.items())
                row |= {f"reward_{name}": value for name, value in parts.items()}
                file.write(json.dumps(row) + "\n")
        self.parts = {}

    def frame(self) -> pd.DataFrame:
        """All lines as a table."""
        lines = self.path.read_text(encoding="utf-8").splitlines()
        return pd.DataFrame([json.loads(line) for line in lines])


def _parse_line(line: str) -> dict | None:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None
