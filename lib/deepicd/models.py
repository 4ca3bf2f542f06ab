"""The language model: the small one made here, or any one the user names."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from deepicd.errors import UserError
from deepicd.files import atomic_path, write_text
from deepicd.tokenizer import CHAT_TEMPLATE

CARD = """# Model of the DeepICD-R1 notebooks

Reads a hospital admission note, reasons, and answers one ICD-10-CM code.

**Research only: never for diagnosis, decision support, triage or unsupervised
coding.** A model trained on private notes may repeat them: keep it as private as
the notes.

{table}
"""


@dataclass(frozen=True)
class Size:
    """Shape of a Qwen2 network; `parameters` counts them for a vocabulary.

    Examples
    --------
    >>> round(SIZES["2m"].parameters(2048) / 1e6, 1)
    2.0
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int

    def parameters(self, vocab: int) -> int:
        """Number of weights with tied input and output embeddings."""
        head = self.hidden // self.heads
        attention = self.hidden * head * 2 * (self.heads + self.kv_heads)
        biases = head * (self.heads + 2 * self.kv_heads)
        layer = attention + biases + 3 * self.hidden * self.intermediate
        return self.layers * (layer + 2 * self.hidden) + self.hidden * (vocab + 1)


SIZES = {
    "tiny": Size(64, 2, 2, 1, 176),
    "1m": Size(128, 4, 4, 2, 344),
    "2m": Size(256, 2, 4, 1, 768),
    "50m": Size(512, 12, 8, 4, 1536),
    "120m": Size(768, 14, 12, 4, 2304),
}


def make_model(tokenizer, size: str | Size, seed: int) -> Qwen2ForCausalLM:
    """Make a randomly initialised Qwen2 network for a tokenizer.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        Gives the vocabulary and the special ids.
    size : str or Size
        A name of `SIZES` or the shape itself.
    seed : int
        Of the initial weights.

    Raises
    ------
    UserError
        When `size` is not a known name.
    """
    shape = _size(size)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        intermediate_size=shape.intermediate,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen2ForCausalLM(config)


def _size(size: str | Size) -> Size:
    if isinstance(size, Size):
        return size
    if size not in SIZES:
        raise UserError(
            found=f"model_size {size!r}",
            expected="one of " + ", ".join(SIZES),
            do="choose one of these, or add a Size in deepicd.models.SIZES",
        )
    return SIZES[size]


def load(source: str, backend: str = "trl", max_length: int = 4096):
    """Load a model and its tokenizer from a folder or a hub name.

    Parameters
    ----------
    source : str
        Local folder (one made by this repository too) or Hugging Face name.
    backend : str
        ``trl`` (transformers, CPU or GPU) or ``unsloth`` (one NVIDIA GPU).
    max_length : int
        Longest prompt and completion together, tokens; Unsloth needs it.

    Returns
    -------
    (PreTrainedModel, PreTrainedTokenizerBase)
        In float32 on a CPU, in bfloat16 on a GPU that has it.

    Raises
    ------
    UserError
        When there is no such folder and no hub answers.
    """
    try:
        if backend == "unsloth":
            return _load_unsloth(source, max_length)
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left")
        model = AutoModelForCausalLM.from_pretrained(source, dtype=_dtype())
    except OSError as error:
        raise UserError(
            found=f"no model at {source!r}",
            expected="a folder with config.json and weights, or a Hugging Face name "
            "that can be downloaded from here",
            do="check the spelling, download the model first, or leave model=scratch",
        ) from error
    _finish_tokenizer(tokenizer)
    return model.to(device()), tokenizer


def _load_unsloth(source: str, max_length: int):
    from unsloth import FastLanguageModel  # must precede trl and peft

    model, tokenizer = FastLanguageModel.from_pretrained(
        model_name=source,
        max_seq_length=max_length,
        dtype=None,
        load_in_4bit=False,
        fast_inference=False,
    )
    _finish_tokenizer(tokenizer)
    return model, tokenizer


def _finish_tokenizer(tokenizer) -> None:
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE


def device() -> str:
    """``cuda`` where a GPU is usable, else ``cpu``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _dtype() -> torch.dtype:
    good = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if good else torch.float32


@dataclass(frozen=True)
class Lora:
    """Low-rank adapter settings; rank 0 trains all weights.

    Source: Hu et al. 2021, "LoRA".
    """

    rank: int = 0
    alpha: int = 32
    dropout: float = 0.0
    targets: tuple[str, ...] = (
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    )


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
        model,
        r=lora.rank,
        target_modules=list(lora.targets),
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        bias="none",
        use_gradient_checkpointing=True,
        random_state=seed,
    )


def adapter_size(model) -> float:
    """Largest absolute weight among the adapters' B matrices.

    They start at zero, so 0.0 after training means that nothing was learned.
    Gives nan for a model without adapters.
    """
    largest = [
        p.abs().max().item() for n, p in model.named_parameters() if "lora_B" in n
    ]
    return max(largest, default=float("nan"))


def save(model, tokenizer, folder: str | Path) -> None:
    """Write a plain model folder, atomically, adapters merged into the weights.

    transformers, vLLM and Unsloth all load it.
    """
    merged = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    with atomic_path(folder) as temporary:
        merged.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)


def write_card(folder: str | Path, arguments: dict, counts: dict, admissions) -> None:
    """Write a model card: what it was trained on and how, and what it is not for.

    Parameters
    ----------
    folder : path-like
        Of the model.
    arguments : dict
        Resolved arguments of the trainer.
    counts : dict
        Of the training data.
    admissions : DataFrame
        Hashed, so that a reader can tell whether two models saw the same data.
    """
    seen = pd.util.hash_pandas_object(admissions[["note_id", "icd_code", "split"]])
    names = ("max_steps", "learning_rate", "per_device_train_batch_size", "seed")
    facts = {name: arguments[name] for name in names} | counts
    facts["admissions"] = hashlib.sha256(seen.to_numpy().tobytes()).hexdigest()[:16]
    lines = [f"| {name} | {value} |" for name, value in facts.items()]
    table = "\n".join(["| fact | value |", "|---|---|", *lines])
    write_text(CARD.format(table=table), Path(folder) / "README.md")


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


def size_table(vocab: int = 2048) -> list[dict]:
    """Shapes and parameter counts of the sizes that can be made here."""
    return [
        {"size": name, **asdict(size), "parameters": size.parameters(vocab)}
        for name, size in SIZES.items()
    ]
