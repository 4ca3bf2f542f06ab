"""The language model: the small one made here, or any one the user names."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
)

from deepicd.common.errors import UserError
from deepicd.common.parameters import Settings
from deepicd.training.models.chat import end_of_turn
from deepicd.training.models.sizes import SIZES, Size, get_size, make_model
from deepicd.training.models.tokenizer import CHAT_TEMPLATE

#: The model that this repository brings: made by `deepicd.training.pretrain`.
BASE, BASE_FOLDER = "base", Path(__file__).with_name("base")
DATA_FILES = ("base/*.json", "base/*.jinja", "base/*.safetensors")

__all__ = [
    "BASE",
    "BASE_FOLDER",
    "SIZES",
    "Lora",
    "Size",
    "adapter_size",
    "add_adapter",
    "describe",
    "device",
    "get_size",
    "load",
    "make_model",
    "weights_hash",
]


@dataclass(frozen=True)
class Lora(Settings):
    """Low-rank adapter settings; rank 0 trains all weights.

    `four_bit` keeps the frozen weights in 4 bits (QLoRA, Dettmers et al. 2023).
    Source: Hu et al. 2021, "LoRA".
    """

    rank: int = 0
    alpha: int = 32
    dropout: float = 0.0
    four_bit: bool = False
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )


def load(
    source: str,
    backend: str = "trl",
    max_length: int = 4096,
    lora: Lora | None = None,
    rollouts: str = "transformers",
):
    """Load a model and its tokenizer from a folder or a hub name.

    Parameters
    ----------
    source : str
        ``base`` (the small model that comes with this repository), a local folder
        (one made here too) or a Hugging Face name.
    backend : str
        ``trl`` (transformers, CPU or GPU) or ``unsloth`` (one NVIDIA GPU).
    max_length : int
        Longest prompt and completion together, tokens; Unsloth needs it.
    lora : Lora, optional
        How it will be trained: rank 0 all weights, else an adapter over frozen ones.
        Without it the model only answers.
    rollouts : str
        Engine that will draw: Unsloth shares its weights with vLLM only when it is
        told so here.

    Returns
    -------
    (PreTrainedModel, PreTrainedTokenizerBase)
        Weights that will be trained are in float32, for bfloat16 keeps no update
        below a 256th of a weight; frozen ones in bfloat16 on a GPU that has it.

    Raises
    ------
    UserError
        When there is no such folder and no hub answers, and for an adapter over
        another one of another rank.
    """
    source = place_of(source)
    if is_adapter(source):
        return _load_adapter(Path(source), backend, max_length, lora, rollouts)
    own = lora or Lora()
    quantization = _quantization(own)
    try:
        if backend == "unsloth":
            return _load_unsloth(source, max_length, own, rollouts)
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=_dtype(lora), quantization_config=quantization
        )
    except OSError as error:
        raise UserError(
            found=f"no model at {source!r}",
            expected="a folder with config.json and weights, or a Hugging Face name "
            "that can be downloaded from here",
            do="check the spelling, download the model first, or use one that needs no "
            "download: model=base or model=scratch",
        ) from error
    _finish_tokenizer(tokenizer)
    return (model if own.four_bit else model.to(device())), tokenizer


def place_of(source: str) -> str:
    """Where a model lies: the folder of ``base``, else what was given.

    Examples
    --------
    >>> place_of("Qwen/Qwen2.5-0.5B-Instruct")
    'Qwen/Qwen2.5-0.5B-Instruct'
    >>> place_of("base").endswith("base")
    True
    """
    return str(BASE_FOLDER) if source == BASE else source


def is_adapter(source: str | Path) -> bool:
    """Whether a folder holds an adapter and not a whole model."""
    return (Path(source) / "adapter_config.json").is_file()


def _load_adapter(folder: Path, backend, max_length, lora: Lora | None, rollouts):
    """A base with the adapter of a folder: to answer, or to be trained further."""
    from peft import PeftConfig, set_peft_model_state_dict
    from peft.utils import load_peft_weights

    kept = PeftConfig.from_pretrained(str(folder))
    near = folder / kept.base_model_name_or_path
    base = str(near.resolve() if near.is_dir() else kept.base_model_name_or_path)
    own = Lora(
        rank=kept.r,
        alpha=kept.lora_alpha,
        dropout=kept.lora_dropout,
        four_bit=bool(lora and lora.four_bit),
        targets=tuple(sorted(kept.target_modules)),
    )
    if lora and lora.rank not in (0, own.rank):
        raise UserError(
            found=f"lora_rank {lora.rank} over an adapter of rank {own.rank}",
            expected="the rank of the adapter that is trained further",
            do=f"set lora_rank={own.rank}, or 0 to train all weights",
        )
    whole = bool(lora) and lora.rank == 0
    model, tokenizer = load(base, backend, max_length, lora if whole else own, rollouts)
    model = add_adapter(model, own, "trl" if whole else backend, 0)
    place = str(next(model.parameters()).device)
    set_peft_model_state_dict(model, load_peft_weights(str(folder), device=place))
    return (model.merge_and_unload() if whole else model), tokenizer


def _quantization(lora: Lora) -> BitsAndBytesConfig | None:
    if not lora.four_bit:
        return None
    if not torch.cuda.is_available() or lora.rank == 0:
        raise UserError(
            found="four_bit with lora_rank 0 or without an NVIDIA GPU",
            expected="an adapter over frozen weights, on a GPU",
            do="set four_bit=False, or lora_rank=16 where there is a GPU",
        )
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=_dtype(lora),
    )


def unsloth_arguments(source: str, max_length: int, lora: Lora, rollouts: str) -> dict:
    """Arguments of Unsloth's `from_pretrained`, all of them explicit.

    Raises
    ------
    UserError
        For vLLM rollouts of fully trained weights, which Unsloth never hands on.
    """
    fast = rollouts == "vllm"
    if fast and lora.rank == 0:
        raise UserError(
            found="backend unsloth with rollouts vllm and lora_rank 0",
            expected="an adapter: Unsloth hands vLLM nothing else",
            do="set lora_rank=32, or backend=trl",
        )
    return {
        "model_name": source,
        "max_seq_length": max_length,
        "dtype": None,
        "load_in_4bit": lora.four_bit,
        "full_finetuning": lora.rank == 0,
        # Or it would train weights in bfloat16.
        "float32_mixed_precision": True if lora.rank == 0 else None,
        "use_gradient_checkpointing": "unsloth",
        "fast_inference": fast,
        "gpu_memory_utilization": 0.5,
        "max_lora_rank": max(lora.rank, 8),
        "random_state": 0,
    }


def _load_unsloth(source: str, max_length: int, lora: Lora, rollouts: str):
    from unsloth import FastLanguageModel  # must precede trl and peft

    model, tokenizer = FastLanguageModel.from_pretrained(
        **unsloth_arguments(source, max_length, lora, rollouts)
    )
    _finish_tokenizer(tokenizer)
    return model, tokenizer


def _finish_tokenizer(tokenizer) -> None:
    tokenizer.padding_side = "left"
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE
    # Answers end as the template's turns do, or a base model never stops.
    tokenizer.eos_token = end_of_turn(tokenizer) or tokenizer.eos_token
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token


def device() -> str:
    """``cuda`` where a GPU is usable, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def mixes() -> bool:
    """Whether bfloat16 is used at all: on a GPU that computes in it.

    Emulated bfloat16 (before Ampere) is slower than float32.
    """
    if not torch.cuda.is_available():
        return False
    return torch.cuda.is_bf16_supported(including_emulation=False)


def _dtype(lora: Lora | None) -> torch.dtype:
    frozen = lora is None or lora.rank > 0
    return torch.bfloat16 if mixes() and frozen else torch.float32


def add_adapter(model, lora: Lora, backend: str, seed: int, head: str = ""):
    """Wrap a model with a trainable adapter.

    It is given back where rank is 0, and where it has one to be trained further. A
    classifier's `head` of that name is trained whole.
    """
    if lora.rank == 0 or hasattr(model, "peft_config"):
        return model
    torch.manual_seed(seed)  # A is random: seed before it is made
    if backend == "unsloth":
        return _add_unsloth_adapter(model, lora, seed)
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        bias="none",
        task_type="TOKEN_CLS" if head else "CAUSAL_LM",
        modules_to_save=[head] if head else None,
    )
    return get_peft_model(model, config)


def _add_unsloth_adapter(model, lora: Lora, seed: int):
    from unsloth import FastLanguageModel

    return FastLanguageModel.get_peft_model(
        model, **unsloth_adapter_arguments(lora, seed)
    )


def unsloth_adapter_arguments(lora: Lora, seed: int) -> dict:
    """Arguments of Unsloth's `get_peft_model`, all of them explicit."""
    return {
        "r": lora.rank,
        "target_modules": list(lora.targets),
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "bias": "none",
        "use_gradient_checkpointing": "unsloth",
        "random_state": seed,
    }


def adapter_size(model) -> float:
    """Largest absolute weight among the adapters' B matrices.

    They start at zero, so 0.0 after training means that nothing was learned.
    Gives nan for a model without adapters.
    """
    largest = [
        p.abs().max().item() for n, p in model.named_parameters() if "lora_B" in n
    ]
    return max(largest, default=float("nan"))


def weights_hash(model) -> str:
    """SHA-256 over names and values of all weights: equal models, equal hash."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def describe(model) -> dict:
    """Numbers a reader wants: parameters, trainable ones, device, precision."""
    parameters = list(model.parameters())
    return {
        "architecture": type(model).__name__,
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "device": str(parameters[0].device),
        "precision": precision(model, mixes()),
    } | removed(model)


def removed(model) -> dict:
    """Say which layers `pruning` took out of a model; empty where none."""
    told = getattr(model.config, "layers_removed", None)
    return {"layers_removed": told} if told else {}


def precision(model, mixed: bool) -> str:
    """Say in which numbers weights are kept and products are computed.

    Parameters
    ----------
    model : torch.nn.Module
        Adapters are named ``lora_``.
    mixed : bool
        Whether training computes in bfloat16; see `mixes`.

    Examples
    --------
    >>> precision(torch.nn.Linear(2, 2), True)
    'float32 weights, computed in bfloat16 (autocast)'
    """
    kinds: dict[bool, set] = {False: set(), True: set()}
    for name, weight in model.named_parameters():
        kinds["lora_" in name].add(str(weight.dtype).removeprefix("torch."))
    if getattr(model, "is_loaded_in_4bit", False):
        kinds[False] = {"4-bit"}
    said = [" and ".join(sorted(kinds[False])) + " weights"]
    if kinds[True]:
        said = [f"frozen {said[0]}", " and ".join(sorted(kinds[True])) + " adapter"]
    return ", ".join([*said, *(["computed in bfloat16 (autocast)"] * mixed)])
