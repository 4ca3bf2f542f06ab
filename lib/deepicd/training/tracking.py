"""Curves for TensorBoard while a run trains: numbers with their names, never text."""

from importlib.util import find_spec
from pathlib import Path

from transformers import TrainerCallback

from deepicd.common.errors import UserError
from deepicd.common.parameters import choice
from deepicd.training.trainer import history, rank

TRACKERS = ("none", "tensorboard")


def folder(report_to: str, run_dir: str | Path) -> Path | None:
    """Where the curves of a run are written; None where nobody asked for them.

    Parameters
    ----------
    report_to : {"none", "tensorboard"}
    run_dir : path-like
        Of the stage: private where its notes are.

    Raises
    ------
    UserError
        For another word, and where tensorboard is not installed.

    Examples
    --------
    >>> folder("none", "outputs/run/04_train_sft") is None
    True
    """
    if choice("report_to", report_to, TRACKERS) == "none":
        return None
    if find_spec("tensorboard") is None:
        raise UserError(
            found="report_to tensorboard, which is not installed",
            expected="the pinned requirements",
            do="pip install -r requirements.txt, or set report_to=none",
        )
    return Path(run_dir) / "tensorboard"


class Tracker(TrainerCallback):
    """Writes what `trainer.history` keeps, under the same names, as it comes.

    A run that goes on from a checkpoint writes on from there: TensorBoard hides what
    an earlier process wrote of the steps after it.

    Parameters
    ----------
    folder : path-like
    names : dict
        See `trainer.history`.
    """

    def __init__(self, folder: str | Path, names: dict[str, str]):
        self.folder, self.names, self.told, self.writer = folder, names, 0, None

    def on_train_begin(self, args, state, control, **kwargs):
        """Open the file, in the first of several processes."""
        from torch.utils.tensorboard import SummaryWriter

        if rank() == 0:
            self.told = len(state.log_history)
            start = state.global_step + 1
            self.writer = SummaryWriter(str(self.folder), purge_step=start)

    def on_step_end(self, args, state, control, **kwargs):
        """Write what is new, such as a validation."""
        if self.writer:
            new, self.told = state.log_history[self.told :], len(state.log_history)
            for row in history(new, self.names).itertuples():
                self.writer.add_scalar(row.name, row.value, row.step)

    on_log = on_step_end

    def on_train_end(self, args, state, control, **kwargs):
        """Write the rest and close the file."""
        self.on_step_end(args, state, control)
        if self.writer:
            self.writer.close()
