"""Every completion that GRPO drew, right or wrong, with each part of its reward."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from deepicd.tasks import coherence
from deepicd.tasks.correct import Judge, useless
from deepicd.training.models.chat import Frame
from deepicd.training.trainer import rank


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
    chat : Frame, optional
        Of the tokenizer's template: what it writes belongs to the completions.
    """

    def __init__(self, path, weights: dict, judge=None, group_size: int = 1, chat=None):
        self.path, self.weights = _own_path(Path(path), rank()), weights
        self.judge, self.group_size = judge or Judge(), group_size
        self.chat = chat or Frame()
        self.parts: dict[str, list[float]] = {}
        #: Places, in the step at hand, of answers that were shown and not drawn; None
        #: where nothing is shown.
        self.shown: set[int] | None = None

    def rewind(self, step: int) -> None:
        """Drop lines of `step` and later ones, and a torn last line.

        The first process does it for all, also those that a killed run had more of.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if rank() > 0:
            return
        for path in {self.path, *self._files()}:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            rows = [(line, _parse_line(line)) for line in text.splitlines()]
            kept = [line + "\n" for line, row in rows if row and row["step"] < step]
            path.write_text("".join(kept), encoding="utf-8")

    def _files(self) -> list[Path]:
        first = _first_name(self.path.name)
        found = self.path.parent.glob(f"*{first}")
        return sorted(p for p in found if _first_name(p.name) == first)

    def watch(self, name: str, function: Callable) -> Callable:
        """Wrap one reward function: whole completions go in, values are recorded."""

        def watched(prompts, completions, **columns):
            completions = [self.chat.whole(text) for text in completions]
            values = function(prompts=prompts, completions=completions, **columns)
            self.parts[name] = values
            if len(self.parts) == len(self.weights):
                self._finish(completions, columns)
            return values

        watched.__name__ = name
        return watched

    def _finish(self, completions, columns) -> None:
        """Write the step, and its shares into the curves."""
        golds, parts = columns["label"], self.parts
        self.parts = {}
        right = self.judge.right(completions, golds)
        rows = []
        for i in range(len(completions)):
            own = {f"reward_{name}": parts[name][i] for name in self.weights}
            total = sum(w * parts[n][i] for n, w in self.weights.items())
            rows.append({"reward": total, **own})
            if self.shown is not None:
                rows[-1]["shown"] = i in self.shown
        step = columns["trainer_state"].global_step
        self.write(step, columns["note_id"], golds, completions, right, rows)
        if "log_metric" in columns:
            shares = self._shares(completions, columns, rows, right)
            for name, value in shares.items():
                columns["log_metric"](name, value)

    def _shares(self, completions, columns, rows, right) -> dict[str, float]:
        """What the policy's own answers are like; what it was shown does not count."""
        shown = self.shown or set()
        own = [i for i in range(len(completions)) if i not in shown]
        said = [completions[i] for i in own]
        shares = self.judge.shares(said, [columns["label"][i] for i in own])
        right = [one and i not in shown for i, one in enumerate(right)]
        flags = useless(right, self.group_size)
        shares["useless_groups"] = sum(flags) / len(flags)
        if "note" in columns:
            shares |= self._coherence(said, [columns["note"][i] for i in own])
        if self.shown is not None:
            shares["shown_answers"] = len(shown) / len(completions)
            shares["sampled_reward"] = sum(rows[i]["reward"] for i in own) / len(own)
        return shares

    def _coherence(self, completions, notes) -> dict[str, float]:
        """How the reasoning holds together; nothing where there is none."""
        judge = self.judge
        found = coherence.shares(completions, notes, judge.style, judge.tree)
        return {f"sampled_{name}": value for name, value in found.items()}

    def write(self, step, note_ids, golds, completions, right, rewards=None) -> None:
        """Append completions; without rewards they were drawn but not trained on."""
        with self.path.open("a", encoding="utf-8") as file:
            for i, completion in enumerate(completions):
                row = {
                    "step": step,
                    "note_id": note_ids[i],
                    "label": golds[i],
                    "completion": completion,
                    "right": right[i],
                    "used": rewards is not None,
                }
                row |= rewards[i] if rewards else {"reward": None}
                file.write(json.dumps(row) + "\n")

    def frame(self) -> pd.DataFrame:
        """All lines of all processes as a table, in the order of the steps."""
        rows = []
        for path in self._files():
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
