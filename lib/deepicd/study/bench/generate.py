"""Sampling a group: one prefill a prompt against transformers' generate."""

import torch
from transformers import GenerationConfig

from deepicd.data.synthetic.corpus import example_admissions
from deepicd.study.bench.measure import Result, best_seconds
from deepicd.training import encoding, models
from deepicd.training.models.sampling import sample
from deepicd.training.models.tokenizer import train_tokenizer

TITLE = "Sampling: shared prompts against transformers.generate"
PROMPTS, GROUP, LENGTH = 8, 8, 50


def run() -> list[Result]:
    """Draw the same number of tokens with both, in one process.

    The network has random weights and never ends an answer, so both draw
    PROMPTS x GROUP x LENGTH tokens.

    Returns
    -------
    list of Result
    """
    notes = example_admissions(60)["note"]
    tokenizer = train_tokenizer(notes, 4096)
    net = models.make_model(tokenizer, "2m", 0).eval()
    asked = encoding.prompt_ids(notes[:PROMPTS], tokenizer, "reasoning", "brief")
    asked = [ids for ids in asked for _ in range(GROUP)]
    tokens = len(asked) * LENGTH
    ours = best_seconds(lambda: sample(net, asked, tokenizer, LENGTH, 1.0))
    padded = tokenizer.pad({"input_ids": asked}, return_tensors="pt")
    config = GenerationConfig(
        max_new_tokens=LENGTH,
        min_new_tokens=LENGTH,
        do_sample=True,
        top_k=0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.no_grad():
        theirs = best_seconds(lambda: net.generate(**padded, generation_config=config))
    return [
        Result("shared prompts", tokens / ours, "tokens/s"),
        Result("transformers.generate", tokens / theirs, "tokens/s"),
        Result("ratio", theirs / ours, "x"),
    ]
