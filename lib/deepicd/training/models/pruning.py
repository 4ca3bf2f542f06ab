"""A copy of a model without the layers that change least what runs through them.

Gromov et al. 2024, "The unreasonable ineffectiveness of the deeper layers": the block
of consecutive layers goes whose input and output lie at the smallest angle, and
fine-tuning heals the cut. The last layer always stays.
"""

import math
from pathlib import Path

import torch

from deepicd.common.errors import UserError
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.training.encoding import prompt_ids
from deepicd.training.models.loading import Lora, load
from deepicd.training.models.merging import merge, save


def prune(
    source: str,
    folder: str | Path,
    layers: int,
    notes,
    lora: Lora | None = None,
    style: str = "reasoning",
    instruction: str = "brief",
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> str:
    """Write a copy of a model without some of its layers.

    The copy is loaded as any other model; an adapter trained over it names it as its
    base. The same notes give the same copy.

    Parameters
    ----------
    source : str
        Folder or hub name.
    folder : path-like
        Of the copy.
    layers : int
        Consecutive ones to take out.
    notes : iterable of str
        Of the training split; a few dozen are enough.
    lora : Lora, optional
        How it will be trained: for an adapter, weights are kept as precise as
        frozen ones are loaded, else in float32.
    style, instruction, task
        How the notes are asked.

    Returns
    -------
    str
        The folder.

    Raises
    ------
    UserError
        Where not one layer would go, or not one stay beside the last.
    """
    whole = lora is None or lora.rank == 0
    net, tokenizer = load(source, lora=Lora() if whole else None)
    net = merge(net)
    asked = prompt_ids(notes, tokenizer, style, instruction, task=task)
    distances = angular_distances(net, asked, layers)
    drop_layers(net, distances.index(min(distances)), layers)
    save(net, tokenizer, folder)
    return str(folder)


@torch.no_grad()
def angular_distances(model, asked: list[list[int]], layers: int) -> list[float]:
    """How far each block of layers turns the last token of prompts.

    Parameters
    ----------
    model : PreTrainedModel
    asked : list of list of int
        Encoded prompts.
    layers : int
        Of a block.

    Returns
    -------
    list of float
        Mean angle between input and output of the block that begins at layer 0, 1, …,
        in half turns (0: the same direction, 1: the opposite one); no block reaches
        into the last layer.

    Raises
    ------
    UserError
        As `prune`.

    Examples
    --------
    >>> from deepicd.training.models.sizes import Size, make_model
    >>> from deepicd.training.models.tokenizer import train_tokenizer
    >>> tokenizer = train_tokenizer(["chest pain and fever"] * 9, 300)
    >>> net = make_model(tokenizer, Size(32, 4, 2, 2, 64), seed=0)
    >>> len(angular_distances(net, [[5, 6, 7]], layers=2))
    2
    """
    total = len(_layers(model))
    if not 0 < layers < total:
        raise UserError(
            found=f"prune_layers {layers} for a model of {total} layers",
            expected="one layer or more to take out, and the last one left",
            do=f"set prune_layers to {total - 1} or less, or to 0 to take none out",
        )
    model.eval()
    turned = torch.zeros(total - layers, dtype=torch.float64)
    for ids in asked:
        given = torch.tensor([ids], device=model.device)
        out = model(given, output_hidden_states=True, logits_to_keep=1)
        # What runs into each layer. Behind the last one a norm follows: left out.
        states = [state[0, -1].double().cpu() for state in out.hidden_states[:total]]
        runs = torch.nn.functional.normalize(torch.stack(states), dim=1)
        likeness = (runs[:-layers] * runs[layers:]).sum(dim=1).clamp(-1, 1)
        turned += likeness.arccos() / math.pi
    return (turned / len(asked)).tolist()


def drop_layers(model, first: int, layers: int) -> None:
    """Take a block of layers out of a network, in place, and note it in its config.

    Parameters
    ----------
    model : PreTrainedModel
    first : int
        Index of the first layer of the block.
    layers : int
    """
    body, config = _layers(model), model.config
    total, gone = len(body), range(first, first + layers)
    numbers = f"{first + 1} to {first + layers}" if layers > 1 else f"{first + 1}"
    before = [getattr(config, "layers_removed", None)]
    told = [*filter(None, before), f"{numbers} of {total}"]
    config.layers_removed = ", then ".join(told)
    del body[first : first + layers]
    for number, layer in enumerate(body):  # its place in the cache
        layer.self_attn.layer_idx = number
    config.num_hidden_layers = len(body)
    if getattr(config, "layer_types", None):
        config.layer_types = [
            kind for i, kind in enumerate(config.layer_types) if i not in gone
        ]


def _layers(model) -> torch.nn.ModuleList:
    body = getattr(model.get_decoder(), "layers", None)
    if body is None:
        raise UserError(
            found=f"prune_layers for a {type(model).__name__}",
            expected="a decoder with a list of layers, such as Qwen2, Llama or Mistral",
            do="set prune_layers to 0, or take such a model",
        )
    return body
