"""The student as its own teacher: it samples answers, the right ones are kept.

Rejection sampling (STaR; Zelikman et al. 2022): the code is not given, so a trace is
kept only where the student's own reasoning led to gold. The first attempt is greedy,
each later one is drawn.
"""

import hashlib
from collections.abc import Iterator

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.traces.teachers.records import Answer, Request, read_completion


class StudentTeacher:
    """Write traces with a model of notebook 04 or 05, in this process.

    Parameters
    ----------
    tree : deepicd.icd.IcdTree
    model : str
        Local folder of the model.
    instruction : {"brief", "full"}
        The prompt that it was trained with.
    temperature : float
        Of the attempts after the first.
    max_new_tokens : int
    batch : int
        Notes answered at once; a kill loses at most these.
    task : Task
        What is asked; `tree` is its space.
    """

    name = "student"

    def __init__(
        self,
        tree,
        model: str,
        instruction: str = "brief",
        temperature: float = 1.0,
        max_new_tokens: int = 96,
        batch: int = 64,
        task: Task = PRINCIPAL_DIAGNOSIS,
    ):
        if not model:
            raise UserError(
                found="no model for teacher student",
                expected="the model folder of an earlier run",
                do="set teacher_model to …/04_train_sft/model of that run",
            )
        self.tree, self.model, self.instruction = tree, model, instruction
        self.temperature, self.max_new_tokens = temperature, max_new_tokens
        self.batch, self.task = batch, task
        self._loaded = None

    def answer(self, requests: list[Request], seed: int = 0) -> Iterator[Answer]:
        """Answer in batches of one attempt each."""
        by_attempt: dict[int, list[Request]] = {}
        for request in requests:
            by_attempt.setdefault(request.attempt, []).append(request)
        for attempt, group in by_attempt.items():
            for start in range(0, len(group), self.batch):
                part = group[start : start + self.batch]
                texts = self._complete(part, attempt, seed)
                for request, text in zip(part, texts, strict=True):
                    yield read_completion(request, text, tag=self.task.tag)

    def _complete(self, requests: list[Request], attempt: int, seed: int) -> list[str]:
        from deepicd.training import models
        from deepicd.training.models import generate

        if self._loaded is None:
            self._loaded = models.load(self.model)
        model, tokenizer = self._loaded
        notes = pd.DataFrame(
            {"note": [r.note for r in requests], "note_id": range(len(requests))}
        )
        # Sample 0 of `predict` is greedy, sample 1 is drawn.
        found = generate.predict(
            model,
            notes,
            samples=2 if attempt else 1,
            tokenizer=tokenizer,
            seed=_seed(seed, attempt, requests),
            instruction=self.instruction,
            max_new_tokens=self.max_new_tokens,
            temperature=self.temperature,
            batch_size=self.batch,
            tree=self.tree,
            task=self.task,
        )
        wanted = found[found["sample"] == int(attempt > 0)]
        return wanted.sort_values("note_id")["completion"].tolist()


def _seed(seed: int, attempt: int, requests: list[Request]) -> int:
    """A seed that differs between batches and is the same when a run is repeated."""
    text = "|".join([str(seed), str(attempt), *(r.note_id for r in requests)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
