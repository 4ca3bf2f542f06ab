"""Train in several processes: one a device, the batch of a step unchanged.

`train` calls a training function here, or in as many processes as are asked for: it
writes a job, torch's launcher (through ``srun`` over the nodes of a SLURM job) starts
the processes, each of them runs this module, and accelerate, inside the trainers,
joins them. `deepicd.training.trainer` says who writes and how work is shared.
"""

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
)

from deepicd.common.errors import UserError
from deepicd.common.files import atomic_path, read_json, write_json
from deepicd.training import models, trainer
from deepicd.training.models import serving
from deepicd.training.models.engine import close

_ERROR = re.compile(r"^(?:\[rank\d+\]: *)?([\w.]+(?:Error|Exception)):", re.MULTILINE)
POLL = 0.5  # seconds between looks at the processes
#: Bytes of a trained float32 weight (itself, its gradient, two moments of AdamW), and
#: of a frozen one in bfloat16.
TRAINED, FROZEN = 16, 2
WEIGHT = 4  # bytes of a trained weight alone
ROOM = 0.9  # of a GPU; the rest is for activations


def train(processes: int, function, model, tokenizer, *given, folder, **more):
    """Call a training function, in this process or in several.

    Parameters
    ----------
    processes : int
        1 calls it here. More start a process each, on a GPU of its own, or on CPUs
        where there is none; what they are handed is pickled below `folder`.
    function : callable
        Such as `sft.train`: takes model, tokenizer, `given`, and `folder` and the
        rest by name; gives back the model first.
    folder : path-like
        Checkpoints. A killed run goes on from the last complete one, with another
        number of processes too. Several machines have to share this folder.
    report : callable, optional
        Of `more`; hears what the first process says.

    Returns
    -------
    tuple
        What `function` gives back.

    Raises
    ------
    UserError
        When a process fails; what it says to the user is passed on.
    """
    _serve(model, given, folder, processes)
    if processes == 1:
        return function(model, tokenizer, *given, folder=folder, **more)
    job, report = Path(folder) / "job", more.pop("report", None)
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir(parents=True)
    _keep(model, tokenizer, job / "start")
    start = (str(job / "start"), _lora(model), getattr(model, "name_or_path", ""))
    call = (function, given, {"folder": folder, **more}, report is not None)
    with atomic_path(job / "call.pickle") as temporary:
        temporary.write_bytes(pickle.dumps((start, call, os.getpid())))
    shared = _shared_out(model, processes)
    _run(_launcher(processes), job, report or _quiet, shared)
    net, _ = _load(str(job / "out"), *start[1:])
    rest = pickle.loads((job / "rest.pickle").read_bytes())
    shutil.rmtree(job)  # it holds notes
    return (net, *rest)


def _serve(model, given, folder, processes: int) -> None:
    """Have a vLLM server at hand where settings ask for one; RFT and GRPO share it."""
    asked = [one for one in given if getattr(one, "rollouts", "") == "vllm_server"]
    if not asked:
        return
    if _nodes() > 1:
        raise UserError(
            found=f"rollouts=vllm_server on {_nodes()} nodes",
            expected="one node: notes do not leave a machine for its server",
            do="set rollouts=vllm",
        )
    serving.at_hand(model, asked[0].vllm_memory, folder, processes)


def _quiet(done: int, total: int, text: str = "") -> None:
    """Nobody asked to hear of it."""


def _lora(model) -> models.Lora:
    rank = model.peft_config["default"].r if hasattr(model, "peft_config") else 0
    return models.Lora(rank=rank)


def _keep(model, tokenizer, folder: Path) -> None:
    """An adapter over its base, or the whole model."""
    if hasattr(model, "peft_config"):
        models.save_adapter(model, tokenizer, folder)
    else:
        models.save(model, tokenizer, folder)


def _load(folder: str, lora: models.Lora, name: str):
    net, tokenizer = models.load(folder, lora=lora)
    if not lora.rank:  # the KL penalty finds its reference by the name
        net.name_or_path = net.config.name_or_path = name
    return net, tokenizer


def _shared_out(model, processes: int) -> bool:
    """Whether the model has to be shared out; this process hands its GPU over.

    Raises
    ------
    UserError
        Where it does not fit even so.
    """
    if not torch.cuda.is_available():
        return False
    close()
    model.to("cpu")
    torch.cuda.empty_cache()
    memory = torch.cuda.get_device_properties(0).total_memory
    return has_to_be_shared(model, memory, processes)


def has_to_be_shared(model, memory: int, processes: int) -> bool:
    """Whether weights, gradients and moments fill a GPU of `memory` bytes.

    Then each of the processes keeps its part of them (FSDP), and all weights only
    while it loads the model and while it answers notes.

    Raises
    ------
    UserError
        Where the parts, or all weights alone, fill it too.
    """
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters()) - trained
    need = trained * TRAINED + frozen * FROZEN
    if need <= ROOM * memory:
        return False
    alone = trained * WEIGHT + frozen * FROZEN
    if max(need / processes, alone) > ROOM * memory:
        raise UserError(
            found=f"{need / 2**30:.0f} GiB of weights, gradients and moments for "
            f"{processes} GPUs of {memory / 2**30:.0f} GiB",
            expected="room for a part of them, and for all weights, on each GPU",
            do="set lora_rank=32 to train an adapter, more processes, or a smaller "
            "model",
        )
    return True


def _launcher(processes: int) -> list[str]:
    """Command that starts the processes here, or over the nodes of a SLURM job."""
    command = [sys.executable, "-m", "torch.distributed.run"]
    nodes = _nodes()
    if nodes == 1:
        return [*command, "--standalone", "--nproc_per_node", str(processes)]
    each, rest = divmod(processes, nodes)
    if rest:
        raise UserError(
            found=f"processes={processes} on {nodes} nodes",
            expected="as many on each node",
            do=f"set processes={nodes * max(each, 1)}",
        )
    shared = ["srun", "--nodes", str(nodes), "--ntasks-per-node", "1", *command]
    shared += ["--nnodes", str(nodes), "--nproc_per_node", str(each)]
    shared += ["--rdzv_backend", "c10d", "--rdzv_id", os.environ["SLURM_JOB_ID"]]
    return [*shared, "--rdzv_endpoint", f"{os.environ['SLURMD_NODENAME']}:29500"]


def _nodes() -> int:
    return int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))


def _run(launcher: list[str], job: Path, report, shared: bool = False) -> None:
    """Start the processes, pass on their progress, and say how they failed."""
    own = {**os.environ, **({trainer.SHARDED: "yes"} if shared else {})}
    log, told = job / "log.txt", job / "progress.json"
    command = [*launcher, "-m", "deepicd.training.launch", str(job)]
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=own)
        try:
            while process.poll() is None:
                time.sleep(POLL)
                if told.exists():
                    report(*read_json(told))
        finally:
            process.terminate()  # it ends its processes
            process.wait()
    if process.returncode == 0:
        return
    if (job / "user-error.json").exists():
        raise UserError(**read_json(job / "user-error.json"))
    # The text of an error may quote data: only its kind is told.
    kinds = _ERROR.findall(log.read_text(errors="replace")) or ["no error named"]
    raise UserError(
        found=f"a training process that ended with {process.returncode} ({kinds[0]})",
        expected="processes that finish",
        do=f"look into {job.name}/log.txt beside the checkpoints, then run again: it "
        "goes on from the last checkpoint",
    )


def run_job(folder) -> None:
    """Train in this process, as one of all; the first one writes the result."""
    job = Path(folder)
    start, call, parent = pickle.loads((job / "call.pickle").read_bytes())
    if "SLURM_JOB_NUM_NODES" not in os.environ:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    function, given, more, reported = call
    torch.serialization.register_package(0, lambda _: None, _on_the_cpu)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    net, tokenizer = _load(*start)
    if reported:
        more["report"] = _Reporter(job / "progress.json")
    try:
        net, *rest = function(net, tokenizer, *given, **more)
    except UserError as error:
        if trainer.rank() == 0:
            write_json(vars(error), job / "user-error.json")
        raise
    net = _plain(net, start)
    if trainer.rank() == 0:
        _keep(net, tokenizer, job / "out")
        (job / "rest.pickle").write_bytes(pickle.dumps(rest))


def _on_the_cpu(storage, place: str):
    """Read a checkpoint to ``cpu:0``, which accelerate says and torch does not know."""
    return storage if place.startswith("cpu:") else None


def _plain(net, start: tuple):
    """A model that was shared out, in one piece again; in the first process."""
    if not trainer.sharded():
        return net
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(net, options=options)  # of all processes
    if trainer.rank() > 0:
        return net
    plain, _ = _load(*start)
    plain.load_state_dict(weights)
    return plain


def _end_with(parent: int) -> None:
    """End this process when the one that asked for it has ended, however."""
    while psutil.pid_exists(parent):
        time.sleep(POLL)
    os.kill(os.getpid(), signal.SIGKILL)


class _Reporter:
    """Writes progress of the first process where the parent looks for it."""

    def __init__(self, path: Path):
        self.path, self.last = path, 0.0

    def __call__(self, done: int, total: int, text: str = "") -> None:
        now = time.monotonic()
        if trainer.rank() == 0 and (done >= total or now - self.last >= POLL):
            self.last = now
            write_json([done, total, text], self.path)


if __name__ == "__main__":
    run_job(sys.argv[1])
