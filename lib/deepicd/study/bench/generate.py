"""Sampling a group: one prefill a prompt against transformers' generate, and vLLM."""

import tempfile
import time
from pathlib import Path

import torch
from transformers import GenerationConfig

from deepicd.common.parameters import choice
from deepicd.data.synthetic.corpus import example_admissions
from deepicd.study.bench import paper
from deepicd.study.bench.measure import Result, best_seconds
from deepicd.training import encoding, models
from deepicd.training.models import engine as vllm
from deepicd.training.models.sampling import sample
from deepicd.training.models.tokenizer import train_tokenizer

TITLE = "Sampling: shared prompts and vLLM against transformers.generate"
PROMPTS, GROUP, LENGTH = 8, 8, 50
#: With an engine: tokens of a prompt and of its answer.
ASKED, ANSWER = 512, 256
#: How a vLLM engine runs a network: what differs from its own choice.
ENGINES = {
    "eager": {"enforce_eager": True},
    "graphs": {
        "enforce_eager": False,
        "compilation_config": {
            "mode": 0,
            "cudagraph_mode": "FULL_DECODE_ONLY",
            "cudagraph_capture_sizes": vllm.GRAPHS,
        },
    },
    "compiled": {
        "enforce_eager": False,
        "compilation_config": {"cudagraph_capture_sizes": vllm.GRAPHS},
    },
}


def run(size: str = "", engine: str = "", rows: int = 256) -> list[Result]:
    """Draw the same number of tokens with each, in one process.

    The network has random weights and never ends an answer, so all draw as many.

    Parameters
    ----------
    size : str
        Of the network, one of `paper.SHAPES`; a small one by default.
    engine : {"", "eager", "graphs", "compiled"}
        Time vLLM too, on `rows` different prompts of `ASKED` tokens; needs a GPU
        where vLLM was built for one.
    rows : int

    Returns
    -------
    list of Result
    """
    if engine:
        return _by_vllm(size or "50m", choice("engine", engine, tuple(ENGINES)), rows)
    notes = example_admissions(60)["note"]
    tokenizer = train_tokenizer(notes, 4096)
    net = models.make_model(tokenizer, "2m", 0).eval()
    asked = encoding.prompt_ids(notes[:PROMPTS], tokenizer, "reasoning", "brief")
    asked = [ids for ids in asked for _ in range(GROUP)]
    tokens = len(asked) * LENGTH
    ours = best_seconds(lambda: sample(net, asked, tokenizer, LENGTH, 1.0))
    theirs = best_seconds(_stock(net, tokenizer, asked, LENGTH))
    return [
        Result("shared prompts", tokens / ours, "tokens/s"),
        Result("transformers.generate", tokens / theirs, "tokens/s"),
        Result("ratio", theirs / ours, "x"),
    ]


def _by_vllm(size: str, how: str, rows: int) -> list[Result]:
    tokenizer = paper.small_tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "base"
        paper.write_random(tokenizer, size, models.device(), source)
        net, tokenizer = models.load(str(source))
        net = net.eval()
        asked = encoding.prompt_ids(
            paper.rows(tokenizer, rows, ASKED)["note"], tokenizer, "reasoning", "brief"
        )
        asked = [ids[:ASKED] for ids in asked]
        tokens = rows * ANSWER
        repeats = 2  # the first one warms up
        ours = best_seconds(lambda: sample(net, asked, tokenizer, ANSWER, 1.0), repeats)
        stock = best_seconds(_stock(net, tokenizer, asked, ANSWER), repeats)
        begin = time.perf_counter()
        started = vllm.Engine(net, rows=rows, **ENGINES[how])
        start = time.perf_counter() - begin
        with_it = []

        def draw() -> None:  # other prompts each time: nothing is in its cache
            turn = len(with_it) + 1
            with_it.append(
                started.draw([i[turn:] + i[:turn] for i in asked], ANSWER, 1.0)
            )

        theirs = best_seconds(draw, repeats)
        drawn = sum(map(len, with_it[-1][0]))
    vllm_rate = drawn / theirs
    return [
        Result("weights", sum(p.numel() for p in net.parameters()) / 1e9, "1e9"),
        Result("prompts", rows, ""),
        Result("tokens of a prompt", sum(map(len, asked)) / rows, ""),
        Result("shared prompts", tokens / ours, "tokens/s"),
        Result("transformers.generate", tokens / stock, "tokens/s"),
        Result(f"start of vLLM ({how})", start, "s"),
        Result(f"vLLM ({how})", vllm_rate, "tokens/s"),
        Result("vLLM / transformers", vllm_rate * stock / tokens, "x", 5, True),
    ]


def _stock(net, tokenizer, asked: list[list[int]], length: int):
    """Generate of transformers, ready to be timed."""
    padded = tokenizer.pad({"input_ids": asked}, return_tensors="pt").to(net.device)
    config = GenerationConfig(
        max_new_tokens=length,
        min_new_tokens=length,
        do_sample=True,
        top_k=0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )

    @torch.no_grad()
    def work() -> None:
        net.generate(**padded, generation_config=config)

    return work
