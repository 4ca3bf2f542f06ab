"""A vLLM server on this machine: started for a run, or one that is there already.

It takes adapters as they are (see `deepicd.training.models.engine`); all weights of a
model without one are handed over by TRL, from GPU to GPU.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import torch

from deepicd.common import progress
from deepicd.common.errors import UserError
from deepicd.training.models.engine import ROWS, Adapters, arguments
from deepicd.training.trainer import everyone, processes, rank

PORT = 8000
URL = f"http://127.0.0.1:{PORT}"  # prompts hold notes: they stay on this machine
WAIT = 900.0  # seconds until a server has to answer
ANSWER = 3600.0  # seconds for the completions of one step
#: What a server needs besides: to be handed adapters, and all weights.
ALLOWED = {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "VLLM_SERVER_DEV_MODE": "1"}
WEIGHTS = {"weight_transfer_config": {"backend": "nccl"}, "max_logprobs": -1}


class Server:
    """Draws with the adapter of a model through the server at `URL`.

    Parameters
    ----------
    url : str
    """

    def __init__(self, url: str = URL):
        self.client = httpx.Client(base_url=url, timeout=ANSWER, trust_env=False)
        self.adapters, self.name = Adapters(), ""

    def sync(self, model) -> None:
        """Take the adapter of a model as it is now, for all processes.

        Raises
        ------
        UserError
            Where the server takes no adapters.
        """
        if rank() == 0:
            old = self.name
            self.name, _, folder = self.adapters.keep(model)
            self._post("load_lora_adapter", lora_name=self.name, lora_path=str(folder))
            if old:
                self._post("unload_lora_adapter", lora_name=old)
        self.name = everyone([self.name])[0]

    def draw(self, asked, length, heats: float, top_p=1.0, end=None):
        """Draw one completion for each prompt; see `engine.Engine.draw`."""
        found = self._post(
            "completions",
            model=self.name,
            prompt=asked,
            max_tokens=length,
            temperature=heats,
            top_p=top_p,
            stop_token_ids=None if end is None else [end],
            logprobs=0,
            return_token_ids=True,
        ).json()["choices"]
        found = sorted(found, key=lambda choice: choice["index"])
        ids = [list(choice["token_ids"]) for choice in found]
        return ids, [choice["logprobs"]["token_logprobs"] for choice in found]

    def _post(self, door: str, **given):
        reply = self.client.post(f"/v1/{door}", json=given)
        if reply.is_error:
            raise UserError(
                found=f"a vLLM server that answers {reply.status_code} at {door}",
                expected="one that takes adapters",
                do="start it with --enable-lora --max-lora-rank RANK, "
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --logprobs-mode "
                f"processed_logprobs, or stop it (port {PORT}): the run starts one",
            )
        return reply


def command(model, memory: float) -> list[str]:
    """Command that serves the base of a model as the rollouts of a run need it.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> net = torch.nn.Linear(2, 2)
    >>> net.name_or_path = "folder"
    >>> net.config = SimpleNamespace(max_position_embeddings=2048)
    >>> given = command(net, 0.3)
    >>> given[3:5], "--enforce-eager" in given, "--enable-lora" in given
    (['serve', 'folder'], True, False)
    """
    given = arguments(model, memory, ROWS)
    given.pop("distributed_executor_backend", None)
    if not hasattr(model, "peft_config"):
        given |= WEIGHTS
    made = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve"]
    made += [given.pop("model"), "--host", "127.0.0.1", "--port", str(PORT)]
    for name, value in given.items():
        if value is False:
            continue
        made.append("--" + name.replace("_", "-"))
        if value is not True:
            made.append(json.dumps(value) if isinstance(value, dict) else str(value))
    return made


@contextlib.contextmanager
def running(model, memory: float) -> Iterator[None]:
    """Have a server at `URL` while a run draws; one that is there is left running.

    Parameters
    ----------
    model : PreTrainedModel
        Loaded from a folder or a name.
    memory : float
        Share of the GPU's memory, where it has no GPU of its own: that is the last one
        where there are more GPUs than processes.

    Raises
    ------
    UserError
        When it ends by itself, or does not answer.
    """
    if rank() > 0 or _answers():
        everyone([])
        yield
        return
    spare = torch.cuda.device_count() - 1
    alone = spare >= processes()
    own = {**os.environ, **ALLOWED, "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        own.pop(name, None)  # it is none of the training processes
    if alone:
        own["CUDA_VISIBLE_DEVICES"] = str(spare)
    with tempfile.TemporaryDirectory(prefix="deepicd-server-") as folder:
        log = Path(folder) / "log.txt"
        with log.open("w") as file:
            asked = command(model, 0.9 if alone else memory)
            process = subprocess.Popen(asked, stdout=file, stderr=file, env=own)
        try:
            _wait(process, log)
            everyone([])
            yield
        finally:
            process.terminate()
            process.wait()


def _answers() -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{URL}/health", timeout=2.0, trust_env=False).is_success
    return False


def _wait(process, log: Path) -> None:
    end = time.monotonic() + WAIT
    while not _answers():
        progress.report(0, 1, "starting a vLLM server, which takes minutes")
        if process.poll() is not None or time.monotonic() > end:
            lines = log.read_text(errors="replace").splitlines()
            said = next((x for x in reversed(lines) if "Error" in x), "no error named")
            raise UserError(
                found=f"a vLLM server that does not answer ({said.strip()[:200]})",
                expected="the packages of requirements-gpu.txt and free GPU memory",
                do="set rollouts=vllm or rollouts=transformers, or start a server",
            )
        time.sleep(1)
