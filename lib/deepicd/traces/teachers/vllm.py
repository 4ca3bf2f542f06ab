"""The vLLM teacher: a local model in this process, offline batches."""

import hashlib
from collections.abc import Iterator
from functools import partial

from deepicd.common.errors import UserError
from deepicd.common.progress import report
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.traces.teachers.prompt import oracle_messages
from deepicd.traces.teachers.records import Answer, Request, read_completion


class VllmTeacher:
    """Write traces with a local model through `vllm.LLM.chat`.

    The engine is made with the first request and kept: vLLM holds one engine a
    process and does not give its memory back reliably.

    Parameters
    ----------
    tree : deepicd.icd.IcdTree
    model : str
        Local folder or Hugging Face name.
    mode : {"oracle", "plain"}
        See `deepicd.traces.teachers.prompt`.
    instruction : {"full", "brief"}
        Of mode "plain".
    temperature, top_p : float
        Sampling; vLLM is not bit-reproducible even at temperature 0, so answers
        are stored.
    max_tokens : int
        Of the completion.
    context : int
        Tokens of prompt and completion together; a longer prompt is not asked.
    memory : float
        Share of the GPU's memory for the engine.
    dtype : str
    eager : bool
        Leave out the compilation of the model: starts minutes sooner, runs slower.
    batch : int
        Requests handed over at once; a kill loses at most these.
    task : Task
        What is asked; `tree` is its space.
    """

    name = "vllm"

    def __init__(
        self,
        tree,
        model: str,
        mode: str = "oracle",
        instruction: str = "full",
        temperature: float = 0.9,
        top_p: float = 1.0,
        max_tokens: int = 1024,
        context: int = 8192,
        memory: float = 0.85,
        dtype: str = "auto",
        eager: bool = False,
        batch: int = 256,
        task: Task = PRINCIPAL_DIAGNOSIS,
    ):
        if not model:
            raise UserError(
                found="no model for teacher vllm",
                expected="a local folder or a name",
                do="set teacher_model",
            )
        asked = dict(tree=tree, mode=mode, instruction=instruction, task=task)
        self._ask = partial(oracle_messages, **asked)
        self.model = model
        self.temperature, self.top_p = temperature, top_p
        self.max_tokens, self.context = max_tokens, context
        self.memory, self.dtype, self.eager = memory, dtype, eager
        self.batch, self.task = batch, task
        self._engine = None

    def answer(self, requests: list[Request], seed: int = 0) -> Iterator[Answer]:
        """Answer in batches; the k-th request of a seed always has its own seed."""
        for start in range(0, len(requests), self.batch):
            yield from self._answer_batch(requests[start : start + self.batch], seed)

    def _answer_batch(self, requests, seed) -> Iterator[Answer]:
        make_sampling = _import_vllm().SamplingParams
        engine = self._open(seed)
        fitting, messages = [], []
        for request in requests:
            chat = self._ask(request.note, request.label)
            if self._tokens(engine, chat) + self.max_tokens > self.context:
                yield Answer(
                    request.note_id, request.attempt, "", None, "prompt too long"
                )
            else:
                fitting.append(request)
                messages.append(chat)
        if not fitting:
            return
        sampling = [
            make_sampling(
                n=1,
                temperature=self.temperature,
                top_p=self.top_p,
                max_tokens=self.max_tokens,
                seed=_request_seed(seed, request),
            )
            for request in fitting
        ]
        outputs = engine.chat(messages, sampling_params=sampling, use_tqdm=False)
        for request, output in zip(fitting, outputs, strict=True):
            written = output.outputs[0]
            counts = len(output.prompt_token_ids or ()), len(written.token_ids)
            yield read_completion(request, written.text, *counts, tag=self.task.tag)

    def _open(self, seed: int):
        if self._engine is None:
            report(0, 1, "starting vLLM, which takes a minute or more")
            self._engine = _import_vllm().LLM(
                model=self.model,
                seed=seed,
                dtype=self.dtype,
                max_model_len=self.context,
                gpu_memory_utilization=self.memory,
                enable_prefix_caching=True,
                enforce_eager=self.eager,
            )
        return self._engine

    def _tokens(self, engine, chat) -> int:
        tokenizer = engine.get_tokenizer()
        text = tokenizer.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True
        )
        return len(tokenizer.encode(text, add_special_tokens=False))


def _import_vllm():
    try:
        import vllm
    except ImportError as error:
        raise UserError(
            found="no package vllm",
            expected="vllm, which needs a GPU",
            do="install requirements-gpu.txt, or choose teacher rule or openai",
        ) from error
    return vllm


def _on_cpu() -> bool:
    from vllm.platforms import current_platform

    return current_platform.is_cpu()


def _request_seed(seed: int, request: Request) -> int | None:
    """A seed for one request that does not depend on its place in the batch.

    None on a CPU: there vLLM 0.30 stops ("CPU Generator does not use offset") when
    the prompt of a request with a seed of its own is read in two parts.
    """
    if _on_cpu():
        return None
    text = f"{seed}|{request.attempt}|{request.note_id}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") >> 1
