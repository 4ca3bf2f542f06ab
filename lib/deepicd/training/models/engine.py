"""vLLM: one engine in this process, or a server; each draws with the weights of now.

An adapter is handed over as it is. Merged into weights of bfloat16 its first updates
would be rounded away, and taken out again it would leave the weights changed.
"""

import gc
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch

from deepicd.common import progress
from deepicd.common.errors import UserError
from deepicd.training.models.loading import mixes
from deepicd.training.trainer import processes

#: Seconds until an engine answers, most of them compiling (7B weights on an H100).
START = 75.0
SMALL = 10**9  # weights below which compiling takes longer than it saves
GRAPHS = [1, 2, 4, 8, 16, 32, 64, 128, 256]  # rows that a CUDA graph is made for
MEMORY = 0.3  # of the GPU; the rest is left to training
CONTEXT = 8192  # most tokens of a prompt and its completion
ROWS = 256  # completions written at once

_open: list["Engine"] = []  # vLLM does not give its memory back reliably: one


class Engine:
    """One vLLM engine in this process.

    Parameters
    ----------
    model : PreTrainedModel
        Loaded from a folder or a name; with an adapter or without.
    memory : float
        Share of the GPU's memory.
    rows : int
        Completions written at once.
    **other
        Arguments of ``vllm.LLM`` in place of those of `arguments`.
    """

    def __init__(self, model, memory: float = MEMORY, rows: int = ROWS, **other):
        progress.report(0, 1, "starting vLLM, which takes up to two minutes")
        if processes() == 1:
            # Weights and adapters are handed over within the process.
            os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        given = arguments(model, memory, rows) | other
        self.kind, self.context = kind(model), given["max_model_len"]
        gc.collect()
        torch.cuda.empty_cache()  # vLLM takes only what is free on the card
        begin = time.perf_counter()
        self.llm = _vllm().LLM(**given)
        self.seconds = time.perf_counter() - begin
        self.handover = Handover()
        self.lora = None

    def sync(self, model) -> None:
        """Take the weights of a model, or its adapter, as they are now."""
        if hasattr(model, "peft_config"):
            from vllm.lora.request import LoRARequest

            name, number, folder = self.handover.keep(model)
            self.lora = LoRARequest(name, number, str(folder))
            return
        weights = [(name, p.data) for name, p in model.named_parameters()]
        self.llm.collective_rpc(
            "reload_weights", kwargs={"weights_iterator": iter(weights)}
        )
        self.llm.reset_prefix_cache()

    def draw(
        self,
        asked: list[list[int]],
        length: int,
        heats: float | list[float],
        top_p: float = 1.0,
        end: int | None = None,
        tell: Callable[[int, int, str], None] | None = None,
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Draw one completion for each prompt; equal prompts share their prefill.

        Parameters
        ----------
        asked : list of list of int
            Encoded prompts; repeat one for a group.
        length : int
            Most tokens of a completion.
        heats : float or list of float
            Temperature of all or of each; 0 takes the likeliest token.
        top_p : float
        end : int, optional
            Token that ends a completion.
        tell : callable, optional
            Called with completions done, all of them, tokens a second.

        Returns
        -------
        (list of list of int, list of list of float)
            Token ids up to and with the end, and their log-probabilities.
        """
        heats = heats if isinstance(heats, list) else [heats] * len(asked)
        stop = None if end is None else [end]
        sampling = [
            _vllm().SamplingParams(
                temperature=heat,
                top_p=top_p,
                max_tokens=length,
                stop_token_ids=stop,
                logprobs=0,
                detokenize=False,  # only token ids are used
            )
            for heat in heats
        ]
        outputs = self.llm.generate(
            [{"prompt_token_ids": ids} for ids in asked],
            sampling,
            use_tqdm=_bar(tell) if tell else False,
            lora_request=self.lora,
        )
        said = [output.outputs[0] for output in outputs]
        ids = [list(one.token_ids) for one in said]
        chances = [
            [
                place[token].logprob
                for token, place in zip(row, one.logprobs, strict=True)
            ]
            for row, one in zip(ids, said, strict=True)
        ]
        return ids, chances


def arguments(model, memory: float, rows: int) -> dict:
    """Arguments of ``vllm.LLM`` for a model, all that differ from its defaults.

    Small models are not compiled, and few sizes of CUDA graphs are made.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> net = torch.nn.Linear(2, 2)
    >>> net.name_or_path = "folder"
    >>> net.config = SimpleNamespace(max_position_embeddings=2048)
    >>> given = arguments(net, 0.3, 64)
    >>> given["enforce_eager"], given["max_model_len"], "enable_lora" in given
    (True, 2048, False)
    """
    size = sum(p.numel() for p in model.parameters())
    given = {
        "model": model.name_or_path,
        "dtype": _dtype(),
        "max_model_len": min(model.config.max_position_embeddings, CONTEXT),
        "max_num_seqs": rows,
        "gpu_memory_utilization": memory,
        "enable_prefix_caching": True,
        # Chances of the tokens as they were drawn, for importance sampling.
        "logprobs_mode": "processed_logprobs",
        "enforce_eager": size < SMALL,
        "seed": 0,
    }
    if size >= SMALL:
        given["compilation_config"] = {"cudagraph_capture_sizes": GRAPHS}
    if getattr(model, "is_loaded_in_4bit", False):
        given["quantization"] = "bitsandbytes"
    if hasattr(model, "peft_config"):
        given |= {"enable_lora": True, "max_loras": 1}
        given["max_lora_rank"] = lora_rank(model)
    if processes() > 1:  # each process has its own
        given["distributed_executor_backend"] = "external_launcher"
    return given


def lora_rank(model) -> int:
    """The least rank that vLLM knows and the adapter fits in.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> lora_rank(SimpleNamespace(peft_config={"default": SimpleNamespace(r=20)}))
    32
    """
    rank = model.peft_config["default"].r
    return min(r for r in (8, 16, 32, 64, 128, 256, 320, 512) if r >= rank)


class Handover:
    """Folders that an adapter, or a whole model, is handed over in.

    A name of its own keeps vLLM from answering with what it knows of an older one,
    of another run too.
    """

    def __init__(self):
        self.place = tempfile.TemporaryDirectory(prefix="deepicd-weights-")
        self.number = 0

    def keep(self, model) -> tuple[str, int, Path]:
        """Write the weights as they are now: a name, a number, their folder."""
        folder = Path(self.place.name) / str(self.number)
        shutil.rmtree(folder, ignore_errors=True)
        self.number += 1
        folder = folder.with_name(str(self.number))
        # Parameters, not the state: that of a shared-out model is in parts again.
        given = {"state_dict": {n: p.data for n, p in model.named_parameters()}}
        if hasattr(model, "peft_config"):
            given["selected_adapters"] = ["default"]
        model.save_pretrained(folder, **given)
        return f"{folder.parent.name}-{self.number}", self.number, folder


def engine_of(
    model, context: int, memory: float = MEMORY, rows: int = ROWS
) -> Engine | None:
    """The engine of this process, started where there is none yet.

    Parameters
    ----------
    model, memory, rows
        See `Engine`.
    context : int
        Tokens of the longest prompt and completion.

    Returns
    -------
    Engine or None
        With the weights of `model`; None where the one that runs has another shape,
        another base or a shorter context, and where Unsloth has one of its own.
    """
    if hasattr(model, "vllm_engine"):
        return None
    if not _open:
        _open.append(Engine(model, memory, rows))
    found = _open[0]
    if found.kind != kind(model) or found.context < context:
        return None
    found.sync(model)
    return found


def close() -> None:
    """Let the engine go, before other processes need its GPU."""
    _open.clear()
    gc.collect()


def worth_it(model, seconds: float) -> bool:
    """Whether vLLM would answer sooner, its start included.

    Parameters
    ----------
    model : PreTrainedModel
    seconds : float
        That transformers would take by what was measured so far.
    """
    if not torch.cuda.is_available() or find_spec("vllm") is None:
        return False
    if not getattr(model, "name_or_path", ""):
        return False  # no folder to start from
    if torch.cuda.get_device_capability() < (7, 5):
        return False
    if processes() > 1:
        return False  # all of several processes would have to start theirs
    return seconds > (0.0 if _open else START)


def kind(model) -> tuple:
    """What an engine cannot change: shapes, and under an adapter its base and rank."""
    if hasattr(model, "peft_config"):
        base = str(model.name_or_path)
        base = os.path.realpath(base) if os.path.isdir(base) else base
        return base, model.peft_config["default"].r
    return tuple((name, tuple(p.shape)) for name, p in model.named_parameters())


def _dtype() -> str:
    if not torch.cuda.is_available():
        return "float32"
    return "bfloat16" if mixes() else "float16"


def _bar(tell: Callable[[int, int, str], None]):
    """A tqdm that tells what it counts in place of drawing a bar."""
    from tqdm import tqdm

    class Told(tqdm):
        def display(self, *args, **kwargs):
            rate = (self.postfix or "").rpartition("output: ")[2].split(".")[0]
            tell(self.n, self.total, f"{int(rate or 0):,} tokens/s")

    return Told


def _vllm():
    try:
        import vllm
    except ImportError as error:
        raise UserError(
            found="rollouts by vllm, but no package of that name",
            expected="the packages of requirements-gpu.txt",
            do="install them, or set rollouts=transformers",
        ) from error
    return vllm
