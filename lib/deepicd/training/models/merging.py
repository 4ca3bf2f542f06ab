"""What is kept of a model: its adapter, and a merged model, with what that changes."""

import os
import shutil
from pathlib import Path

import torch

from deepicd.common.files import atomic_path, read_json, write_json
from deepicd.common.progress import counted
from deepicd.training.models.loading import load
from deepicd.training.models.sampling import sample

AT_ONCE = 32  # prompts
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
    said, logits = [], []
    parts = [asked[i : i + AT_ONCE] for i in range(0, len(asked), AT_ONCE)]
    for part in counted(parts, "answering notes with adapter and merged model"):
        said += sample(model, part, tokenizer, length, 0.0)
        with torch.no_grad():
            for ids in part:
                found = model(torch.tensor([ids], device=model.device)).logits
                logits.append(found[0, -LAST:].float().cpu())
    return said, logits


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


def in_words(found: dict) -> str:
    """What a merge changed, as a sentence.

    Examples
    --------
    >>> in_words({"notes": 200, "answers_changed": 3, "largest_logit_difference": 0.25})
    'merging the adapter changed 3 of 200 greedy answers (logits by up to 0.25)'
    >>> in_words({})
    'no adapter to merge'
    """
    if not found:
        return "no adapter to merge"
    return (
        f"merging the adapter changed {found['answers_changed']} of {found['notes']} "
        f"greedy answers (logits by up to {found['largest_logit_difference']:.2g})"
    )


def kept(folder: str | Path) -> str:
    """What stands for a saved model: the adapter beside it where there is one."""
    adapter = Path(folder).parent / "adapter"
    return str(adapter if adapter.is_dir() else folder)


def save_adapter(model, tokenizer, folder: str | Path) -> None:
    """Write the adapter of a model whose base was loaded from a folder or a name."""
    folder, base = Path(folder), model.name_or_path
    with atomic_path(folder) as temporary:
        model.save_pretrained(temporary, selected_adapters=["default"])
        tokenizer.save_pretrained(temporary)
        config = read_json(Path(temporary) / "adapter_config.json")
        if Path(base).is_dir():  # found again where both are moved together
            base = os.path.relpath(base, folder)
        config["base_model_name_or_path"] = base
        write_json(config, Path(temporary) / "adapter_config.json")


def save(
    model, tokenizer, folder: str | Path, asked: list | None = None, length: int = 96
) -> dict:
    """Write a plain model folder, atomically, adapters merged into the weights.

    transformers, vLLM and Unsloth all load it. Merged weights are written in
    float32; a GPU with bfloat16 loads them rounded. So the adapter itself is kept in
    ``adapter/`` beside the folder (PEFT's format): that is what `kept` names.

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
    folder = Path(folder)
    measured = bool(asked) and hasattr(model, "merge_and_unload")
    before = probe(model, tokenizer, asked, length) if measured else None
    folder.parent.mkdir(parents=True, exist_ok=True)
    adapter = folder.parent / "adapter"
    shutil.rmtree(adapter, ignore_errors=True)
    if hasattr(model, "peft_config") and model.name_or_path:
        save_adapter(model, tokenizer, adapter)
    with atomic_path(folder) as temporary:
        merge(model).save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    if not measured:
        return {}
    found = compare(before, probe(load(str(folder))[0], tokenizer, asked, length))
    write_json(found, folder / "merging.json")
    return found
