"""What SFT and GRPO share: checkpoints that survive a kill, curves, arguments."""

import contextlib
import dataclasses
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch.distributed.fsdp import FSDPModule
from transformers import PrinterCallback, ProgressCallback, TrainerCallback

from deepicd.common.errors import UserError
from deepicd.common.parameters import nearest
from deepicd.training.models.loading import mixes

COMPLETE = "COMPLETE"
#: Set where `deepicd.training.launch` shares the model out over its processes.
SHARDED = "DEEPICD_SHARDED"


def processes() -> int:
    """Processes that train together; torch's launchers say so in WORLD_SIZE.

    Examples
    --------
    >>> processes()
    1
    """
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process among `processes`; 0 writes what is kept."""
    return int(os.environ.get("RANK", "0"))


def sharded() -> bool:
    """Whether each of the processes holds a part of the model only (FSDP).

    Examples
    --------
    >>> sharded()
    False
    """
    return SHARDED in os.environ


@contextlib.contextmanager
def whole(model):
    """Hold all weights of a shared-out model while it answers, in every process.

    Its calls then wait for no other process, so each may make as many as it needs.
    """
    parts = [m for m in model.modules() if isinstance(m, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.set_reshard_after_forward(True, recurse=False)
            part.reshard()


def everyone(mine: list) -> list:
    """Items of all processes together, the same list in each of them.

    Examples
    --------
    >>> everyone([1, 2])
    [1, 2]
    """
    if processes() == 1:
        return mine
    from accelerate import PartialState

    PartialState(cpu=not torch.cuda.is_available())  # joins them, once
    found: list[list] = [[]] * processes()
    torch.distributed.all_gather_object(found, mine)
    return [item for part in found for item in part]


def make_config(config_class: type, arguments: dict):
    """Build a TRL config; an argument that it does not know is an error.

    Unsloth drops unknown arguments with a warning; here they stop the run.

    Parameters
    ----------
    config_class : type
        A dataclass such as ``trl.SFTConfig``.
    arguments : dict
        Every hyper-parameter.

    Raises
    ------
    UserError
        Naming the unknown argument and the closest known one.
    """
    known = {field.name for field in dataclasses.fields(config_class)}
    for name in arguments:
        if name not in known:
            close = nearest(name, known)
            raise UserError(
                found=f"trainer argument {name!r}",
                expected=f"a field of {config_class.__name__}"
                + (f", such as {close!r}" if close else ""),
                do="correct its name, or pin the TRL version that has it",
            )
    return config_class(**arguments)


def shared_arguments(settings, folder: str | Path, headless: bool) -> dict:
    """Give the arguments that SFT, GRPO and DPO have in common, all explicit.

    Parameters
    ----------
    settings : SftSettings or GrpoSettings
    folder : path-like
        Checkpoints.
    headless : bool
        No progress bar.
    """
    gpu = torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "max_steps": settings.steps,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "optim": "adamw_torch",
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "bf16": mixes(),
        "fp16": False,
        "use_cpu": not gpu,  # nothing but a CPU or an NVIDIA GPU is tested
        "seed": settings.seed,
        "data_seed": settings.seed,
        "logging_steps": settings.log_every,
        "logging_first_step": True,
        "save_strategy": "steps",
        "save_total_limit": 2,
        "report_to": "none",
        "push_to_hub": False,
        "disable_tqdm": headless,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": gpu,
        "shuffle_dataset": False,  # the order of the whole run is made before
        "ddp_find_unused_parameters": False,
        "fsdp": sharded() or None,
        "fsdp_config": {"version": 2} if sharded() else None,
    }


def save_every(settings, times: int = 1) -> int:
    """Steps between checkpoints: whole stretches of the log, whose means are kept.

    Parameters
    ----------
    settings : SftSettings or GrpoSettings
    times : int
        Steps that must not be parted either.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> save_every(SimpleNamespace(save_every=37, log_every=5))
    40
    """
    wanted = settings.save_every
    whole = math.lcm(times, settings.log_every if wanted >= settings.log_every else 1)
    return -(-wanted // whole) * whole


def resolved(config) -> dict:
    """Give the arguments as the trainer holds them, without paths and tokens."""
    hidden = ("output_dir", "logging_dir", "run_name", "hub_token", "hub_model_id")
    return {k: v for k, v in config.to_dict().items() if k not in hidden}


def last_checkpoint(folder: str | Path) -> str | None:
    """Find the newest complete checkpoint and remove torn ones.

    A checkpoint is complete when `CheckpointMarker` has marked it, which is the
    last thing written: a kill in the middle of saving leaves no mark.

    Parameters
    ----------
    folder : path-like
        Where ``checkpoint-<step>`` folders are; need not exist.

    Returns
    -------
    str or None

    Examples
    --------
    >>> last_checkpoint("/no/such/folder") is None
    True
    """
    found = {}
    for path in Path(folder).glob("checkpoint-*"):
        if (path / COMPLETE).exists():
            found[int(path.name.rpartition("-")[2])] = path
        elif rank() == 0:
            shutil.rmtree(path)
    return str(found[max(found)]) if found else None


class CheckpointMarker(TrainerCallback):
    """Marks a checkpoint once every file of it is on disk."""

    def on_save(self, args, state, control, **kwargs):
        """Write the mark into the checkpoint of this step, once all have written."""
        everyone([])
        if rank() > 0:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / COMPLETE).write_text("")


class ProgressReporter(TrainerCallback):
    """Reports the step to the runner or to the notebook."""

    def __init__(self, report: Callable[[int, int, str], None], label: str):
        self.report, self.label = report, label

    def on_train_begin(self, args, state, control, **kwargs):
        """Say what begins: the first step may compile for a minute."""
        text = f"{self.label}, before its next step"
        self.report(state.global_step, state.max_steps, text)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Pass on step, number of steps and the newest loss or reward."""
        logs = logs or {}
        shown = [f"{k} {logs[k]:.3g}" for k in ("loss", "reward") if k in logs]
        if "drawn_a_second" in logs:
            shown.append(f"{logs['drawn_a_second']:,.0f} tokens/s")
        text = ", ".join([self.label, *shown])
        self.report(state.global_step, state.max_steps, text)


class Validator(TrainerCallback):
    """Calls a measure every few steps and keeps its numbers in the history.

    The first of several processes does; the others wait for it at the next step. Of a
    model that is shared out each has to lend its part: they only lend it.

    They go into ``state.log_history``, which a checkpoint stores, so a resumed
    run has the whole curve.
    """

    def __init__(self, measure: Callable[[object], dict], every: int):
        self.measure, self.every = measure, every

    def on_step_end(self, args, state, control, model=None, **kwargs):
        """Measure at multiples of `every` and at the last step."""
        due = self.every > 0 and state.global_step % self.every == 0
        due = due or state.global_step == state.max_steps
        if not due or (rank() > 0 and not sharded()):
            return
        training = model.training
        with whole(model):
            values = self.measure(model) if rank() == 0 else {}
            if sharded():
                everyone([])
        model.train(training)
        state.log_history.append({"step": state.global_step, **values})


def attach(trainer, callbacks: list) -> None:
    """Add our callbacks and take off those that print into the notebook."""
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    for callback in callbacks:
        trainer.add_callback(callback)


def watchers(label: str, every: int, measure=None, report=None, tracker=None) -> list:
    """Callbacks of every run: checkpoints marked, and where asked for, told of.

    Parameters
    ----------
    label : str
        Of the progress: SFT, GRPO or DPO.
    every : int
        Steps between validations.
    measure : callable, optional
        See `Validator`.
    report : callable, optional
        See `ProgressReporter`.
    tracker : tracking.Tracker, optional
    """
    found = [CheckpointMarker()]
    if measure:
        found.append(Validator(measure, every))
    if report:
        found.append(ProgressReporter(report, label))
    if tracker:  # after the validator, whose numbers it writes
        found.append(tracker)
    return found


def history(log_history: list[dict], names: dict[str, str]) -> pd.DataFrame:
    """Turn a trainer's log into a long table.

    Parameters
    ----------
    log_history : list of dict
        ``trainer.state.log_history``.
    names : dict
        Trainer's name → name in the table; ``rewards/X/mean`` → ``reward/X``
        and names that start with ``val_`` or ``sampled_`` are kept by themselves.

    Returns
    -------
    DataFrame
        Columns step, name, value.

    Examples
    --------
    >>> log = [{"step": 1, "loss": 2.0, "epoch": 0.1}]
    >>> history(log, {"loss": "train_loss"}).values.tolist()
    [[1, 'train_loss', 2.0]]
    """
    rows = []
    for entry in log_history:
        for key, value in entry.items():
            name = names.get(key) or _own_name(key)
            if name and isinstance(value, (int, float)):
                rows.append((entry["step"], name, float(value)))
    table = pd.DataFrame(rows, columns=["step", "name", "value"])
    # A checkpoint stores its entries with sorted keys: sort, so that a resumed run
    # gives the same table.
    return table.sort_values(["step", "name"], kind="stable", ignore_index=True)


def _own_name(key: str) -> str | None:
    if key.startswith(("val_", "sampled_")):
        return key
    if key.startswith("rewards/") and key.endswith("/mean"):
        return "reward/" + key.split("/")[1]
    return None
