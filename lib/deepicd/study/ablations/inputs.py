"""What all runs of a study share: notes, traces, the model of notebook 04."""

import hashlib
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import read_json
from deepicd.data import history
from deepicd.study.runner.fingerprint import digest
from deepicd.study.runner.graph import ABLATIONS, DISTILL, EXTRACT, SFT
from deepicd.study.runner.run_folder import open_run
from deepicd.tasks import quotes
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.training import encoding
from deepicd.training.candidates import with_candidates

RUNS = "runs"


@dataclass(frozen=True)
class Material:
    """Files of a run folder, read once.

    Attributes
    ----------
    folder : Path
        Where runs are kept.
    model : str
        Folder of the model of notebook 04; its tokenizer is that of every run.
    taught : dict
        ``arguments.json`` of notebook 04.
    past : DataFrame or None
        Of `data.history.save_forms`; None where the notes have no history.
    """

    folder: Path
    admissions: pd.DataFrame
    traces: pd.DataFrame
    model: str
    taught: dict
    tree: object
    answers: pd.DataFrame
    hashes: dict = field(default_factory=dict)
    task: Task = PRINCIPAL_DIAGNOSIS
    past: pd.DataFrame | None = None

    def told(self, form: str) -> "Material":
        """The same with another form of history in the notes; empty: as they are.

        Traces that quote the history are left out, whatever the form: all forms are
        learned from the same ones. Only for a run with history (`past`).
        """
        if not form:
            return self
        bare = self.admissions.set_index("note_id")["note"].map(history.without)
        rows = zip(self.traces["trace"].fillna(""), self.traces["note_id"], strict=True)
        kept = [
            all(quotes.stands_in(q.text, bare[note]) for q in quotes.quotes(trace))
            for trace, note in rows
        ]
        told = history.with_form(self.admissions, self.past, form)
        return replace(self, admissions=told, traces=self.traces[kept])

    def examples(self, share: float = 1.0) -> pd.DataFrame:
        """The first traces of notebook 04, this share of them.

        More than 1 adds those of the notes that follow, as far as there are any.
        """
        train = (self.admissions["split"] == "train").sum()
        used = min(max(share, 1.0) * self.taught["sft_ranks"] / train, 1.0)
        found, _ = encoding.training_examples(self.admissions, self.traces, used)
        return found.head(max(round(min(share, 1.0) * len(found)), 2))

    def new_notes(self, share: float = 1.0) -> pd.DataFrame:
        """Notes for reinforcement learning: those that this share of traces leaves.

        The same for every share up to 1.
        """
        from deepicd.training.grpo.grpo import training_notes

        ranks = self.taught["sft_ranks"]
        if share > 1:
            ranks = encoding.ranks_below(self.examples(share), self.admissions)
        return training_notes(self.admissions, "new", ranks)

    def test(self, notes: int = 0) -> pd.DataFrame:
        """The first test notes, or all."""
        found = self.admissions[self.admissions["split"] == "test"]
        return found.head(notes) if notes else found


@lru_cache(maxsize=2)
def load_material(run_dir: str) -> Material:
    """Read what runs need from the folder of a run.

    Raises
    ------
    UserError
        Where an earlier notebook has not run.
    """
    run = open_run(run_dir, ABLATIONS)
    admissions = pd.read_parquet(run.path(EXTRACT, "admissions.parquet"))
    traces = pd.read_parquet(run.path(DISTILL, "traces.parquet"))
    model, taught = run.path(SFT, "model"), read_json(run.path(SFT, "arguments.json"))
    missing = {"max_length", "max_new_tokens", "sft_ranks"} - set(taught)
    if missing:
        raise UserError(
            f"arguments.json of {SFT} without {', '.join(sorted(missing))}",
            "a model trained by this version",
            "./run_all.sh --from 04",
        )
    if taught.get("candidates"):
        admissions = with_candidates(admissions, run.tree(), taught["candidates"])
    answers = pd.read_parquet(run.path(SFT, "predictions.parquet"))
    file = run.root / EXTRACT / history.FILE
    past = pd.read_parquet(file) if run.history and file.exists() else None
    hashes = {
        "admissions": _frame_hash(admissions),
        "traces": _frame_hash(traces[["note_id", "trace", "accepted"]]),
        "model": _folder_hash(model, "*.safetensors"),
        "tokenizer": _folder_hash(model, "tokenizer.json"),
    }
    return Material(
        run.dir / RUNS,
        admissions,
        traces,
        str(model),
        taught,
        run.tree(),
        answers[answers["system"] == "sft"],
        hashes if past is None else hashes | {"history": _frame_hash(past)},
        run.task,
        past,
    )


def _frame_hash(frame: pd.DataFrame) -> str:
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()
    return hashlib.sha256(rows).hexdigest()


def _folder_hash(folder: Path, pattern: str) -> str:
    found = []
    for file in sorted(folder.glob(pattern)):
        with open(file, "rb") as stream:
            found.append(hashlib.file_digest(stream, "sha256").hexdigest())
    return digest(found)
