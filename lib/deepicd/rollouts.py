"""Every completion that GRPO drew, right or wrong, with each part of its reward."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from deepicd import prompts
from deepicd.answers import read_code
from deepicd.icd import load_tree
from deepicd.showing import SHOWN_LEVELS, same
from deepicd.training import processes, rank


class Judge:
    """Says of completions whether they are right: raw correctness, not the reward.

    Parameters
    ----------
    tree : IcdTree, optional
    style : str
        Of the completions.

    Examples
    --------
    >>> said = ["<diagnosis>I21.11</diagnosis>", "I21.11"]
    >>> Judge(style="code_only").right(said, ["I21.11", "I21.11"])
    [True, False]
    """

    def __init__(self, tree=None, style: str = "reasoning"):
        self.tree, self.style = tree or load_tree(), style

    def codes(self, completions: list[str]) -> list[str | None]:
        """Code of each completion; None where it is malformed or names no code."""
        parsed = [prompts.parse_completion(text, self.style) for text in completions]
        return [
            read_code(p.answer, self.tree) if p.well_formed else None for p in parsed
        ]

    def right(self, completions: list[str], golds: list[str]) -> list[bool]:
        """Whether each completion names its gold code exactly."""
        return self._right(self.codes(completions), golds, "full")

    def _right(self, codes, golds, level: str) -> list[bool]:
        return [same(g, c, level, self.tree) for g, c in zip(golds, codes, strict=True)]

    def shares(self, completions: list[str], golds: list[str]) -> dict[str, float]:
        """Share of well-formed completions and of right ones at each level."""
        parsed = [prompts.parse_completion(text, self.style) for text in completions]
        codes, n = self.codes(completions), len(completions)
        found = {"sampled_well_formed": sum(p.well_formed for p in parsed) / n}
        for level in SHOWN_LEVELS:
            right = self._right(codes, golds, level)
            found[f"sampled_accuracy_{level}"] = sum(right) / n
        return found


def useless(right: list[bool], group_size: int) -> list[bool]:
    """Whether each group is all right or all wrong, which teaches nothing.

    Examples
    --------
    >>> useless([True, True, True, False, False, False], 2)
    [True, False, True]
    """
    groups = [right[i : i + group_size] for i in range(0, len(right), group_size)]
    return [all(group) or not any(group) for group in groups]


class RolloutLog:
    """Keeps every completion with each part of its reward, one JSON line each.

    The parts arrive one reward function after another; a step is written when
    the last part is there. A resumed run first drops the lines of steps that it
    is going to repeat. Each process writes its own file.

    Parameters
    ----------
    path : path-like
        Of the first process.
    weights : dict of str to float
        Weight of every part.
    judge : Judge, optional
    group_size : int
        Completions of one prompt, which stand together.
    """

    def __init__(self, path, weights: dict, judge=None, group_size: int = 1):
        self.path, self.weights = _own_path(Path(path), rank()), weights
        self.judge, self.group_size = judge or Judge(), group_size
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
                self._finish(completions, columns)
            return values

        watched.__name__ = name
        return watched

    def _finish(self, completions, columns) -> None:
        """Write the step, and its shares into the curves."""
        golds, parts = columns["icd_code"], self.parts
        self.parts = {}
        right = self.judge.right(completions, golds)
        rows = []
        for i in range(len(completions)):
            own = {f"reward_{name}": parts[name][i] for name in self.weights}
            total = sum(w * parts[n][i] for n, w in self.weights.items())
            rows.append({"reward": total, **own})
        step = columns["trainer_state"].global_step
        self.write(step, columns["note_id"], golds, completions, right, rows)
        if "log_metric" in columns:
            shares = self.judge.shares(completions, golds)
            flags = useless(right, self.group_size)
            shares["useless_groups"] = sum(flags) / len(flags)
            for name, value in shares.items():
                columns["log_metric"](name, value)

    def write(self, step, note_ids, golds, completions, right, rewards=None) -> None:
        """Append completions; without rewards they were drawn but not trained on."""
        with self.path.open("a", encoding="utf-8") as file:
            for i, completion in enumerate(completions):
                row = {
                    "step": step,
                    "note_id": note_ids[i],
                    "icd_code": golds[i],
                    "completion": completion,
                    "right": right[i],
                    "used": rewards is not None,
                }
                row |= rewards[i] if rewards else {"reward": None}
                file.write(json.dumps(row) + "\n")

    def frame(self) -> pd.DataFrame:
        """All lines of all processes as a table, in the order of the steps."""
        rows = []
        first = self.path.parent / _first_name(self.path.name)
        for number in range(processes()):
            path = _own_path(first, number)
            if path.exists():
                text = path.read_text(encoding="utf-8")
                rows += [json.loads(line) for line in text.splitlines()]
        rows.sort(key=lambda row: row["step"])
        table = pd.DataFrame(rows)
        parts = [f"reward_{name}" for name in self.weights]
        return table.astype({"reward": float} | {p: float for p in parts if p in table})


def _own_path(path: Path, number: int) -> Path:
    return path.with_name(f"{number}.{path.name}") if number else path


def _first_name(name: str) -> str:
    number, _, rest = name.partition(".")
    return rest if number.isdigit() else name


def _parse_line(line: str) -> dict | None:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None
