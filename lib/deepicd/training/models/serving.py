"""A vLLM server on this machine: started for a notebook, or one that is there already.

It takes adapters as they are (see `deepicd.training.models.engine`), and all weights of
a model without one from a folder.
"""

import atexit
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import torch

from deepicd.common import processes, progress
from deepicd.common.errors import UserError
from deepicd.training.models.engine import ROWS, Handover, arguments, kind
from deepicd.training.models.troubles import explain
from deepicd.training.trainer import everyone, rank

PORT = 8000
URL = f"http://127.0.0.1:{PORT}"  # prompts hold notes: they stay on this machine
WAIT = 900.0  # seconds until a server has to answer
ANSWER = 3600.0  # seconds for the completions of one step
#: What a server needs besides: to be handed adapters, and all weights.
ALLOWED = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_SERVER_DEV_MODE": "1"}
#: Of the training processes, none of which it is.
THEIRS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
LOG = "server.log"  # beside the checkpoints
LAST = 8  # lines of it that a message ends with
_ERROR = re.compile(r"\b\w+(?:Error|Exception): .*")

_started: list[tuple[subprocess.Popen, tuple]] = []  # one, and what it cannot change


class Server:
    """Draws with the weights of a model through the server at `URL`.

    Raises
    ------
    UserError
        Where none answers, or it lacks what a run needs.
    """

    def __init__(self):
        self.client = httpx.Client(base_url=URL, timeout=ANSWER, trust_env=False)
        served = _served()
        if served is None:
            raise _lost("start one, or train by launch.train, which does")
        self.handover, self.base = Handover(), served["id"]
        self.name = self.base

    def sync(self, model) -> None:
        """Take the weights of a model, or its adapter, as they are now, for all."""
        if rank() == 0:
            name, _, folder = self.handover.keep(model)
            if hasattr(model, "peft_config"):
                self._take(name, str(folder))
            else:
                given = {"weights_path": str(folder)}
                self._post("/collective_rpc", method="reload_weights", kwargs=given)
                self._post("/reset_prefix_cache")
        self.name = everyone([self.name])[0]

    def _take(self, name: str, folder: str) -> None:
        old, self.name = self.name, name
        self._post("/v1/load_lora_adapter", lora_name=name, lora_path=folder)
        if old != self.base:
            self._post("/v1/unload_lora_adapter", lora_name=old)

    def draw(
        self,
        asked: list[list[int]],
        length: int,
        heats: float,
        top_p: float = 1.0,
        end: int | None = None,
        tell: Callable[[int, int, str], None] | None = None,
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Draw one completion for each prompt; see `engine.Engine.draw`."""
        ids, chances, begin = [], [], time.perf_counter()
        at_once = 4 * ROWS if tell else max(len(asked), 1)
        for start in range(0, len(asked), at_once):
            found = self._post(
                "/v1/completions",
                model=self.name,
                prompt=asked[start : start + at_once],
                max_tokens=length,
                temperature=heats,
                top_p=top_p,
                stop_token_ids=None if end is None else [end],
                logprobs=0,
                return_token_ids=True,
            ).json()["choices"]
            found = sorted(found, key=lambda choice: choice["index"])
            ids += [list(choice["token_ids"]) for choice in found]
            chances += [choice["logprobs"]["token_logprobs"] for choice in found]
            if tell:
                speed = sum(map(len, ids)) / (time.perf_counter() - begin)
                tell(len(ids), len(asked), f"{speed:,.0f} tokens/s")
        return ids, chances

    def _post(self, door: str, **given):
        try:
            reply = self.client.post(door, json=given)
        except httpx.TransportError as error:
            again = f"look into {LOG} beside the checkpoints, then run again: it goes "
            raise _lost(again + "on from the last checkpoint") from error
        if reply.is_error:
            raise UserError(
                found=f"a vLLM server that answers {reply.status_code} at {door}",
                expected="one that takes adapters and weights",
                do="start it with --enable-lora --max-lora-rank RANK, "
                f"{' '.join(f'{k}={v}' for k, v in ALLOWED.items())} and "
                "--logprobs-mode processed_logprobs, or stop it "
                f"(port {PORT}): the run starts one",
            )
        return reply


def _lost(do: str) -> UserError:
    found = f"no answer from a vLLM server at port {PORT}"
    return UserError(found, "one that the run started, or that was there", do)


def command(model, memory: float) -> list[str]:
    """Command that serves the base of a model as the rollouts of a run need it.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> net = torch.nn.Linear(2, 2)
    >>> net.name_or_path = "folder"
    >>> net.config = SimpleNamespace(max_position_embeddings=2048)
    >>> given = command(net, 0.3)
    >>> given[4:6], "--enforce-eager" in given, "--enable-lora" in given
    (['serve', 'folder'], True, False)
    """
    given = arguments(model, memory, ROWS)
    given.pop("distributed_executor_backend", None)
    made = [sys.executable, "-m", "deepicd.common.processes"]
    made += ["vllm.entrypoints.cli.main", "serve", given.pop("model")]
    made += ["--host", "127.0.0.1", "--port", str(PORT)]
    for name, value in given.items():
        if value is False:
            continue
        made.append("--" + name.replace("_", "-"))
        if value is not True:
            made.append(json.dumps(value) if isinstance(value, dict) else str(value))
    return made


def at_hand(model, memory: float, folder, trained: int = 1) -> None:
    """See to it that a server with the base of a model answers at `URL`.

    One that this process starts ends with it; one that is there is left running.

    Parameters
    ----------
    model : PreTrainedModel
        Loaded from a folder or a name.
    memory : float
        Share of the GPU's memory, where it has no GPU of its own: that is the last one
        where there are more GPUs than processes.
    folder : path-like
        For what it says.
    trained : int
        Processes that train.

    Raises
    ------
    UserError
        When it ends by itself or does not answer, and where one of another model does.
    """
    for process, served in _started:
        if process.poll() is not None or served != kind(model):
            close()
    served = _served()
    if served is None:
        _start(model, memory, Path(folder) / LOG, trained)
    elif not _started and not _same(served.get("root", ""), model.name_or_path):
        raise UserError(
            found=f"a server of another model at port {PORT}",
            expected=f"one of {model.name_or_path}, or none",
            do="stop it, and the run starts one",
        )


def close() -> None:
    """End the server that this process has started."""
    while _started:
        processes.end(_started.pop()[0])


atexit.register(close)


def _start(model, memory: float, log: Path, trained: int) -> None:
    spare = torch.cuda.device_count() - 1
    alone = spare >= trained
    own = {**os.environ, **ALLOWED, "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    own = {name: value for name, value in own.items() if name not in THEIRS}
    if alone:
        own["CUDA_VISIBLE_DEVICES"] = _device(spare)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        asked = command(model, 0.9 if alone else memory)
        given = {"stdout": file, "stderr": file, "env": own}
        process = subprocess.Popen(asked, start_new_session=True, **given)
    _started.append((process, kind(model)))
    try:
        _wait(process, log)
    except BaseException:
        close()
        raise


def _device(number: int) -> str:
    """Name of a GPU among those that this process may use."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    return given.split(",")[number] if given else str(number)


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _served() -> dict | None:
    """The base model of the server at `URL`; None where none answers."""
    with contextlib.suppress(httpx.HTTPError, ValueError, KeyError, StopIteration):
        reply = httpx.get(f"{URL}/v1/models", timeout=10.0, trust_env=False)
        found = reply.raise_for_status().json()["data"]
        return next(model for model in found if not model.get("parent"))
    return None


def _wait(process, log: Path) -> None:
    begin = time.monotonic()
    while _served() is None:
        waited = time.monotonic() - begin
        text = f"starting a vLLM server, which takes minutes ({waited:.0f} s)"
        progress.report(0, 1, text)
        if process.poll() is not None or waited > WAIT:
            raise _failed(process.returncode, log)
        time.sleep(1)


def _failed(code: int | None, log: Path) -> UserError:
    """What a server that never answered has said; no note has reached it yet."""
    lines = log.read_text(errors="replace").splitlines()
    causes = [said.group() for line in lines if (said := _ERROR.search(line))]
    cause = causes[0][:200] if causes else "no error named"
    known = explain(RuntimeError(cause))
    do = known.do if known else "set rollouts=vllm or rollouts=transformers"
    state = f"is silent after {WAIT:.0f} s" if code is None else f"ended with {code}"
    return UserError(
        found=f"a vLLM server that {state} ({cause})",
        expected=f"one that answers at port {PORT}",
        do=f"{do}. The last it said ({LOG} beside the checkpoints has all):\n"
        + "\n".join(line[:300] for line in lines[-LAST:]),
    )
