"""Shapes of the models made here, from random weights."""

from dataclasses import dataclass

import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from deepicd.common.parameters import unknown


@dataclass(frozen=True)
class Size:
    """Shape of a Qwen2 network, and tokens of the tokenizer made for it.

    Examples
    --------
    >>> round(SIZES["2m"].parameters() / 1e6, 1)
    2.6
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int = 4096

    def parameters(self, vocab: int | None = None) -> int:
        """Number of weights with tied input and output embeddings."""
        vocab = vocab or self.vocab
        head = self.hidden // self.heads
        attention = self.hidden * head * 2 * (self.heads + self.kv_heads)
        biases = head * (self.heads + 2 * self.kv_heads)
        layer = attention + biases + 3 * self.hidden * self.intermediate
        return self.layers * (layer + 2 * self.hidden) + self.hidden * (vocab + 1)


SIZES = {
    "tiny": Size(64, 2, 2, 1, 176, 1500),
    "1m": Size(128, 4, 4, 2, 344),
    "2m": Size(256, 2, 4, 1, 768),
    "3m": Size(256, 2, 4, 4, 704),
    "50m": Size(512, 12, 8, 4, 1536, 8192),
    "120m": Size(768, 14, 12, 4, 2304, 8192),
}


def make_model(
    tokenizer, size: str | Size, seed: int, vocab: int | None = None
) -> Qwen2ForCausalLM:
    """Make a randomly initialised Qwen2 network for a tokenizer.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        Gives the vocabulary and the special ids.
    size : str or Size
        A name of `SIZES` or the shape itself.
    seed : int
        Of the initial weights.
    vocab : int, optional
        Tokens of the network, where they are more than the tokenizer has.

    Raises
    ------
    UserError
        When `size` is not a known name.
    """
    shape = get_size(size)
    config = Qwen2Config(
        vocab_size=vocab or len(tokenizer),
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


def get_size(size: str | Size) -> Size:
    """Give a shape by its name.

    Raises
    ------
    UserError
        When it is not a known name.
    """
    if isinstance(size, Size):
        return size
    if size not in SIZES:
        raise unknown("model_size", size, SIZES)
    return SIZES[size]
