"""First weights of a small network that can copy: an induction head, put in by hand.

To quote a note is to copy: find where the last word stood before, and say what came
after it. Large models learn this from billions of tokens (Olsson et al. 2022,
"In-context learning and induction heads"); a network of a few million weights that sees
two million tokens does not, and learns instead which phrases are usual. Structured
first weights are known to help copying (Trockman et al. 2024, "Mimetic initialization
helps state space models learn to recall"); here they are made for the Qwen2
architecture, from nothing but its rotary positions, biases and tied embeddings.
Everything stays trainable.
"""

import math

import torch

FAST = 8  # pairs of the rotary embedding that turn fast enough to tell neighbours
SCALE = 0.02  # of the embeddings, as the family begins
PEAK = 7.0  # lead of the previous position over its neighbours, in logits
MATCH = 24.0  # logit of a word that stood before
COPY = 6.0  # weight of the copied word beside the word itself
OTHERS = 0.2  # what every other part may add to the stream at first


@torch.no_grad()
def teach_to_copy(model):
    """Give a fresh network an induction head; it is changed in place and given back.

    Head 0 of the first layer looks one position back and writes what it sees into the
    last coordinates of the stream, which the embeddings leave empty. Head 0 of the last
    layer asks there for the word at hand, and adds the word at the place it finds.

    Parameters
    ----------
    model : Qwen2ForCausalLM
        With random weights and at least two layers.

    Examples
    --------
    >>> from deepicd.training.models.sizes import Size, make_model
    >>> from deepicd.training.models.tokenizer import train_tokenizer
    >>> tokenizer = train_tokenizer(["chest pain and fever"] * 9, 300)
    >>> net = teach_to_copy(make_model(tokenizer, Size(128, 2, 2, 2, 64), seed=0))
    >>> ids = torch.arange(40, 70).repeat(2)[None]
    >>> said = net(ids).logits[0, 30:-1].argmax(-1)
    >>> float((said == ids[0, 31:]).float().mean()) > 0.9
    True
    """
    config, body = model.config, model.model
    width, size = config.hidden_size, config.hidden_size // config.num_attention_heads
    words = width - size  # coordinates of the word itself
    table = body.embed_tokens.weight
    table.mul_(SCALE / table.std())
    table[:, words:] = 0
    for layer in body.layers:
        layer.self_attn.o_proj.weight.mul_(OTHERS)
        layer.mlp.down_proj.weight.mul_(OTHERS)
    turns = body.rotary_emb.inv_freq[:FAST].float().cpu()
    _look_back(body.layers[0].self_attn, size, turns)
    _hand_on(body.layers[0].self_attn, size, words, SCALE)
    _look_up(body.layers[-1].self_attn, size, words, width)
    _hand_on(body.layers[-1].self_attn, size, 0, COPY * SCALE)
    return model


def _look_back(attention, size: int, turns: torch.Tensor) -> None:
    """Attend to the position before, whatever stands there.

    Query and key are constant (biases); the query is turned one step back, so that
    the two meet where the key stands one position earlier.
    """
    _clear(attention, size)
    lead = float((1 - torch.cos(turns)).sum())
    height = math.sqrt(PEAK * math.sqrt(size) / lead)
    n, half = len(turns), size // 2
    attention.k_proj.bias[:n] = height
    attention.q_proj.bias[:n] = height * torch.cos(turns)
    attention.q_proj.bias[half : half + n] = -height * torch.sin(turns)


def _look_up(attention, size: int, words: int, width: int) -> None:
    """Attend to where the word at hand was the word before.

    The match lies in the slow half of the rotary pairs: over some hundred positions
    the fast ones turn it away.
    """
    _clear(attention, size)
    slow = torch.arange(size // 4, size // 2)
    places = torch.cat([slow, slow + size // 2])
    n = len(places)
    height = math.sqrt(MATCH * math.sqrt(size) / (n * width / words))
    attention.q_proj.weight[places, torch.arange(n)] = height
    attention.k_proj.weight[places, words + torch.arange(n)] = height


def _hand_on(attention, size: int, to: int, height: float) -> None:
    """What the head sees of a word is added to the stream from coordinate `to` on."""
    one = torch.eye(size)
    attention.v_proj.weight[:size] = 0
    attention.v_proj.weight[:size, :size] = one
    attention.v_proj.bias[:size] = 0
    attention.o_proj.weight[:, :size] = 0
    attention.o_proj.weight[to : to + size, :size] = height * one


def _clear(attention, size: int) -> None:
    for part in (attention.q_proj, attention.k_proj):
        part.weight[:size] = 0
        part.bias[:size] = 0
