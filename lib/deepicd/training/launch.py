"""Train on several devices: one process a device, the batch of a step unchanged.

A job is a folder with the model, the data and the settings. `launch` starts one
process a device through ``accelerate launch`` with a configuration of this package
and reads the result; each process runs this module.
"""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

from deepicd import rewards
from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_json, write_parquet
from deepicd.common.parameters import choice
from deepicd.training import grpo, models, sft, trainer

DATA_FILES = ("accelerate/*.json",)
CONFIGURATIONS = Path(__file__).parent / "accelerate"
_ERROR = re.compile(r"^(?:\[rank\d+\]: *)?([\w.]+(?:Error|Exception)):", re.MULTILINE)
KINDS = {"sft": sft.SftSettings, "grpo": grpo.GrpoSettings}


def effective_batch(kind: str, settings) -> str:
    """Say what one optimiser step sees, and how the processes share it.

    Examples
    --------
    >>> effective_batch("sft", sft.SftSettings(batch_size=8, accumulation=2))
    'effective batch 16 examples a step: 1 process x 8 a pass x 2 passes'
    """
    if kind == "sft":
        rows, passes, what = (
            sft.rows_a_pass(settings),
            settings.accumulation,
            "examples",
        )
    else:
        rows, passes = grpo.rows_a_pass(settings), settings.micro_batches
        what = "completions"
    n = trainer.processes()
    return (
        f"effective batch {n * rows * passes} {what} a step: {n} process"
        f"{'es' if n > 1 else ''} x {rows} a pass x {passes} pass"
        f"{'es' if passes > 1 else ''}"
    )


def write_job(folder, kind: str, model, tokenizer, data, settings, spec=None) -> None:
    """Write all that a training needs into a folder.

    Parameters
    ----------
    folder : path-like
    kind : {"sft", "grpo"}
    model, tokenizer
        The starting point, without adapters.
    data : datasets.Dataset
        From `encoding.encode` or `grpo.prompt_set`. It holds note text: keep the
        folder as private as the notes.
    settings : SftSettings or GrpoSettings
    spec : RewardSpec, optional
        For GRPO.
    """
    choice("kind", kind, tuple(KINDS))
    folder = Path(folder)
    models.save(model, tokenizer, folder / "start")
    data.save_to_disk(str(folder / "data"))
    job = {"kind": kind, "settings": dataclasses.asdict(settings)}
    job["spec"] = None if spec is None else spec.to_dict()
    write_json(job, folder / "job.json")


def launch(folder, devices: int, kind: str, cpu: bool = False):
    """Run a job in `devices` processes; an interrupted one goes on.

    Parameters
    ----------
    folder : path-like
        From `write_job`.
    devices : int
        GPUs, or CPU processes.
    kind : {"sft", "grpo"}
    cpu : bool
        Without a GPU: for tests, and slower than one process.

    Returns
    -------
    (str, DataFrame, DataFrame or None, str)
        Folder of the trained model, curves, rollouts (GRPO) and what the first
        process printed.

    Raises
    ------
    UserError
        When a process fails.
    """
    command = [sys.executable, "-m", *_launcher(devices, kind, cpu)]
    command += ["-m", "deepicd.training.launch", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        # The text of an error may quote data: only its kind is told.
        kinds = _ERROR.findall(done.stderr) or ["no error named"]
        raise UserError(
            found=f"a training process that ended with {done.returncode} ({kinds[0]})",
            expected=f"{devices} processes that finish",
            do="run it in a terminal: python -m deepicd.training.launch "
            + Path(folder).name,
        )
    out = Path(folder) / "out"
    log = out / "rollouts.parquet"
    rollouts = pd.read_parquet(log) if log.exists() else None
    curves = pd.read_parquet(out / "curves.parquet")
    return str(out / "model"), curves, rollouts, done.stdout


def _launcher(devices: int, kind: str, cpu: bool) -> list[str]:
    if cpu:  # accelerate would want MPI; torch's own launcher takes gloo
        shared = ["--standalone", "--nproc_per_node", str(devices)]
        return ["torch.distributed.run", *shared]
    file = CONFIGURATIONS / f"{kind}_gpus.json"
    shared = ["--config_file", str(file), "--num_processes", str(devices)]
    return ["accelerate.commands.launch", *shared, "--main_process_port", "0"]


def run_job(folder) -> None:
    """Train in this process, as one of all; the first one writes the result."""
    from datasets import load_from_disk

    folder = Path(folder)
    job = read_json(folder / "job.json")
    settings = KINDS[job["kind"]](**job["settings"])
    net, tokenizer = models.load(str(folder / "start"))
    data, checkpoints = load_from_disk(str(folder / "data")), folder / "checkpoints"
    if trainer.rank() == 0:
        print(effective_batch(job["kind"], settings), flush=True)
    log = None
    if job["kind"] == "sft":
        net, curves, resolved = sft.train(
            net, tokenizer, data, None, settings, checkpoints, report=_quiet
        )
    else:
        spec = rewards.spec_of(job["spec"])
        net, curves, log, resolved = grpo.train(
            net, tokenizer, data, spec, settings, checkpoints, report=_quiet
        )
    if trainer.rank() == 0:
        out = folder / "out"
        models.save(net, tokenizer, out / "model")
        write_parquet(curves, out / "curves.parquet")
        write_json(resolved, out / "arguments.json")
        if log is not None:
            write_parquet(log, out / "rollouts.parquet")


def _quiet(step: int, steps: int, text: str) -> None:
    """Progress bars of several processes would overwrite each other."""


if __name__ == "__main__":
    run_job(sys.argv[1])
