"""The language model: the small one made here, or any one the user names."""

import hashlib
from dataclasses import dataclass

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

__all__ = [
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
        Local folder (one made by this repository too) or Hugging Face name.
    backend : str
        ``trl`` (transformers, CPU or GPU) or ``unsloth`` (one NVIDIA GPU).
    max_length : int
        Longest prompt and completion together, tokens; Unsloth needs it.
    lora : Lora, optional
        Adapter that will be trained; says whether weights are kept in 4 bits.
    rollouts : str
        Engine that will draw: Unsloth shares its weights with vLLM only when it is
        told so here.

    Returns
    -------
    (PreTrainedModel, PreTrainedTokenizerBase)
        In float32 on a CPU, in bfloat16 on a GPU that has it.

    Raises
    ------
    UserError
        When there is no such folder and no hub answers.
    """
    lora = lora or Lora()
    quantization = _quantization(lora)
    try:
        if backend == "unsloth":
            return _load_unsloth(source, max_length, lora, rollouts)
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=_dtype(), quantization_config=quantization
        )
    except OSError as error:
        raise UserError(
            found=f"no model at {source!r}",
            expected="a folder with config.json and weights, or a Hugging Face name "
            "that can be downloaded from here",
            do="check the spelling, download the model first, or leave model=scratch",
        ) from error
    _finish_tokenizer(tokenizer)
    return (model if lora.four_bit else model.to(device())), tokenizer


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
        bnb_4bit_compute_dtype=_dtype(),
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


def _dtype() -> torch.dtype:
    good = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if good else torch.float32


def add_adapter(model, lora: Lora, backend: str, seed: int):
    """Wrap a model with a trainable adapter, or give it back where rank is 0."""
    if lora.rank == 0:
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
        task_type="CAUSAL_LM",
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
        "dtype": str(parameters[0].dtype).removeprefix("torch."),
    }
