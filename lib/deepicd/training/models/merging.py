"""Adapters merged into the weights, and what that changes: answers and logits."""

from pathlib import Path

import torch

from deepicd.common.files import atomic_path, write_json
from deepicd.training.models.loading import load
from deepicd.training.models.sampling import sample

LAST = 16  # positions at the end of a prompt whose logits are compared


def merge(model):
    """Add adapters to the weights, in float32; another model is given back.

    bfloat16 has 8 bits: what an adapter adds to a weight is lost where it is below
    a 500th of it. Weights in 4 bits are merged as PEFT does.
    """
    if not hasattr(model, "merge_and_unload"):
        return model
    if not getattr(model, "is_loaded_in_4bit", False):
        model.float()
    return model.merge_and_unload()


def probe(model, tokenizer, asked: list[list[int]], length: int):
    """Greedy answers to encoded prompts, and logits at the end of each prompt.

    Parameters
    ----------
    asked : list of list of int
        From `deepicd.training.encoding.prompt_ids`.
    length : int
        Longest answer, tokens.

    Returns
    -------
    (list of list of int, list of Tensor)
        Token ids; float32 logits (at most 16, vocabulary) on the CPU.
    """
    model.eval()
    said = sample(model, asked, tokenizer, length, [0.0] * len(asked))
    with torch.no_grad():
        logits = [
            model(torch.tensor([ids], device=model.device)).logits[0, -LAST:]
            for ids in asked
        ]
    return said, [found.float().cpu() for found in logits]


def compare(before, after) -> dict:
    """How far two probes of the same prompts are apart.

    Examples
    --------
    >>> one = [[1, 2], [3]], [torch.zeros(1, 2)] * 2
    >>> two = [[1, 2], [4]], [torch.zeros(1, 2), torch.tensor([[0.0, 0.5]])]
    >>> compare(one, two)
    {'notes': 2, 'answers_changed': 1, 'largest_logit_difference': 0.5}
    """
    pairs = zip(before[1], after[1], strict=True)
    return {
        "notes": len(before[0]),
        "answers_changed": sum(
            list(a) != list(b) for a, b in zip(before[0], after[0], strict=True)
        ),
        "largest_logit_difference": max(float((a - b).abs().max()) for a, b in pairs),
    }


def save(
    model, tokenizer, folder: str | Path, asked: list | None = None, length: int = 96
) -> dict:
    """Write a plain model folder, atomically, adapters merged into the weights.

    transformers, vLLM and Unsloth all load it. Merged weights are written in
    float32; a GPU with bfloat16 loads them rounded.

    Parameters
    ----------
    model, tokenizer
        The model is merged in place.
    folder : path-like
    asked : list of list of int, optional
        Encoded prompts that the model answers with its adapter, and the folder when
        loaded again as `deepicd.training.models.load` does.
    length : int
        Longest answer to them, tokens.

    Returns
    -------
    dict
        Of `compare`, also in ``merging.json`` of the folder; empty without an
        adapter or without prompts.
    """
    measured = bool(asked) and hasattr(model, "merge_and_unload")
    before = probe(model, tokenizer, asked, length) if measured else None
    with atomic_path(folder) as temporary:
        merge(model).save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    if not measured:
        return {}
    found = compare(before, probe(load(str(folder))[0], tokenizer, asked, length))
    write_json(found, Path(folder) / "merging.json")
    return found
