"""Each prompt once: sampling and scoring a group over a shared prompt.

GRPO draws many completions for one prompt, and the stock trainer runs the prompt
again for each of them, in sampling and in training. Here the prompt runs once,
its key-value cache is handed to every completion, and gradients flow back through
it. The numbers are the same up to float rounding.
"""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from transformers import StaticCache
from transformers.cache_utils import DynamicLayer

_SPARE = 32  # tokens of room that a layer keeps ahead


def unique_prompts(ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Find equal rows.

    Parameters
    ----------
    ids : Tensor, shape (B, P)
        Left-padded prompts.

    Returns
    -------
    (Tensor (U,), Tensor (B,))
        Row of the first occurrence of each distinct prompt, and for each row
        the index of its prompt among them.

    Examples
    --------
    >>> first, inverse = unique_prompts(torch.tensor([[5, 6], [7, 8], [5, 6]]))
    >>> first.tolist(), inverse.tolist()
    ([0, 1], [0, 1, 0])
    """
    seen: dict[tuple, int] = {}
    first, inverse = [], []
    for row, values in enumerate(map(tuple, ids.tolist())):
        if values not in seen:
            seen[values] = len(first)
            first.append(row)
        inverse.append(seen[values])
    return torch.tensor(first), torch.tensor(inverse)


def _positions(mask: torch.Tensor) -> torch.Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)


def _prompts_once(model, ids, mask):
    """Run distinct prompts; give their last logits and their cache."""
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=_positions(mask),
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[:, -1], out.past_key_values


def buckets(lengths: list[int], most: int = 3) -> list[list[int]]:
    """Part rows into groups of like length, so that little is padding.

    Parameters
    ----------
    lengths : list of int
        Tokens of each completion.
    most : int
        Groups; more save padding and cost calls.

    Returns
    -------
    list of list of int
        Rows of each group, the shortest first; few rows stay together.

    Examples
    --------
    >>> buckets([9, 50, 8] * 6, most=2)[1]
    [1, 4, 7, 10, 13, 16]
    """
    order = sorted(range(len(lengths)), key=lambda i: lengths[i])
    if len(order) < 16 or most < 2:
        return [order]
    ends = np.array([lengths[i] for i in order])
    n, cuts = len(order), range(1, len(order), max(len(order) // 64, 1))
    pairs = [(c, d) for c in cuts for d in cuts if c == d or (c < d and most > 2)]
    area = [
        c * ends[c - 1] + (d - c) * ends[d - 1] + (n - d) * ends[-1] for c, d in pairs
    ]
    first, second = pairs[int(np.argmin(area))]
    parts = [order[:first], order[first:second], order[second:]]
    return [part for part in parts if part]


def completion_logits(model, ids, mask, width: int) -> torch.Tensor:
    """Give the logits that predict each completion token.

    Parameters
    ----------
    model : PreTrainedModel
    ids, mask : Tensor, shape (B, P + C)
        Left-padded prompts followed by right-padded completions.
    width : int
        C, tokens of completion.

    Returns
    -------
    Tensor, shape (B, C, vocabulary)
        With gradients where the model has them; zero beyond the end.
    """
    rows = torch.arange(len(ids))
    parts = list(logits_by_length(model, ids, mask, width, rows, most=1))
    found = parts[0][1].new_zeros(len(ids), width, parts[0][1].shape[-1])
    for part, logits in parts:
        found[part, : logits.shape[1]] = logits
    return found


def logits_by_length(model, ids, mask, width: int, rows, most: int = 3):
    """Yield logits of completions of like length, each as wide as its longest.

    Parameters
    ----------
    model, ids, mask, width
        See `completion_logits`.
    rows : Tensor of int
        Rows to run; their prompts run once each.
    most : int
        See `buckets`.

    Yields
    ------
    (Tensor of int, Tensor of shape (rows, tokens, vocabulary))
    """
    start = ids.shape[1] - width
    first, inverse = unique_prompts(ids[rows, :start])
    asked = rows[first]
    shown = mask[asked, :start].any(0).nonzero()[0, 0]  # trim shared left padding
    last, cache = _prompts_once(
        model, ids[asked, shown:start], mask[asked, shown:start]
    )
    lengths = mask[rows, start:].sum(1).clamp(min=1).tolist()
    for part in buckets(lengths, most):
        chosen, longest = rows[part], max(lengths[i] for i in part)
        owner = inverse[part].to(ids.device)
        opening = last.index_select(0, owner)[:, None]
        if longest == 1:
            yield chosen, opening
            continue
        end = start + longest
        seen = mask[chosen, shown:end]
        out = model(
            input_ids=ids[chosen, start : end - 1],
            attention_mask=seen[:, :-1],
            position_ids=_positions(seen)[:, start - shown : -1],
            past_key_values=_rows_of(cache, owner),
            use_cache=True,
        )
        yield chosen, torch.cat([opening, out.logits], dim=1)


def states_behind(backbone, prompts, completions, owner) -> torch.Tensor:
    """Hidden states of completions whose prompts run once each.

    Parameters
    ----------
    backbone : PreTrainedModel
        Without a head.
    prompts, completions : (Tensor, Tensor)
        Ids and mask; prompts left-padded, completions right-padded.
    owner : Tensor of int, shape (completions,)
        Row of the prompt of each completion.

    Returns
    -------
    Tensor, shape (completions, tokens, hidden)
        With gradients where the model has them.
    """
    (asked, shown), (said, kept) = prompts, completions
    cache = backbone(
        input_ids=asked,
        attention_mask=shown,
        position_ids=_positions(shown),
        use_cache=True,
    ).past_key_values
    seen = torch.cat([shown.index_select(0, owner), kept], dim=1)
    return backbone(
        input_ids=said,
        attention_mask=seen,
        position_ids=_positions(seen)[:, asked.shape[1] :],
        past_key_values=_rows_of(cache, owner),
        use_cache=True,
    ).last_hidden_state


def _rows_of(cache, rows: torch.Tensor):
    """Copy rows of a cache; gradients flow back into it.

    The gradient of `keys[rows]` is summed in no fixed order where torch has several
    threads; that of `index_select` is, so a run on a CPU repeats itself to the bit.
    """
    part = copy.copy(cache)
    part.layers = [copy.copy(layer) for layer in cache.layers]
    for layer in part.layers:
        layer.keys = layer.keys.index_select(0, rows)
        layer.values = layer.values.index_select(0, rows)
    return part


@torch.no_grad()
def sample(
    model,
    prompts: list[list[int]],
    tokenizer,
    length: int,
    temperature: float | list[float],
    top_p: float = 1.0,
    draws: torch.Tensor | None = None,
    room: bool | None = None,
) -> list[list[int]]:
    """Draw one completion for each prompt; equal prompts share their prefill.

    Parameters
    ----------
    model : PreTrainedModel
        In evaluation mode.
    prompts : list of list of int
        Token ids; repeat a prompt for a group.
    length : int
        Most tokens of a completion.
    temperature : float or list of float
        Of all prompts or of each; 0 takes the likeliest token.
    top_p : float
        Nucleus; 1.0 keeps every token.
    draws : Tensor of shape (prompts, length), optional
        Uniform numbers that decide each token, so that a completion depends on
        nothing but its own row; from torch's global generator by default.
    room : bool, optional
        Keep room for all tokens from the start, so that a token copies nothing; by
        default on a GPU.

    Returns
    -------
    list of list of int
        Completion ids up to and with the end token.
    """
    padded = tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
    ids = padded["input_ids"].to(model.device)
    mask = padded["attention_mask"].to(model.device)
    first, inverse = unique_prompts(ids)
    last, cache = _prompts_once(model, ids[first], mask[first])
    inverse = inverse.to(model.device)
    cache.batch_select_indices(inverse)
    if room is None:
        room = model.device.type == "cuda"
    if room:
        cache = _Room.around(cache, model.config, ids.shape[1] + length)
    else:
        cache.layers = [_Roomy.of(layer) for layer in cache.layers]
    heat = torch.as_tensor(temperature, dtype=torch.float32).expand(len(ids))
    if draws is None and heat.any():
        draws = torch.rand(len(ids), length)
    choose = _Chooser(heat, top_p, draws, model.device)
    end = tokenizer.eos_token_id
    return _decode(model, end, last[inverse], cache, mask, length, choose)


def _decode(model, end, logits, cache, mask, length, choose):
    said: list[list[int]] = [[] for _ in range(len(mask))]
    alive = torch.arange(len(mask), device=mask.device)
    going = torch.ones_like(alive, dtype=torch.bool)
    position = mask.sum(1)
    for done in range(1, length + 1):
        token = choose(logits, alive, done - 1)
        for row, value in zip(
            alive[going].tolist(), token[going].tolist(), strict=True
        ):
            said[row].append(value)
        going = going & (token != end)
        left = int(going.sum())
        if done == length or not left:
            return said
        if left < len(going) * (0.5 if isinstance(cache, _Room) else 1):
            keep = going.nonzero()[:, 0]
            cache.batch_select_indices(keep)
            token, mask, position = token[keep], mask[keep], position[keep]
            alive, going = alive[keep], going[keep]
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        out = model(
            input_ids=token[:, None],
            attention_mask=mask,
            position_ids=position[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        logits, position = out.logits[:, -1], position + 1
    return said


class _Room(StaticCache):
    """A cache with room for tokens to come. Rows that ended leave it by the half."""

    @classmethod
    def around(cls, cache, config, room: int):
        """A cache of `room` tokens that begins with those of another one."""
        made = cls(config=config, max_cache_len=room)
        for number, layer in enumerate(cache.layers):
            made.update(layer.keys, layer.values, number)
        return made

    def batch_select_indices(self, rows: torch.Tensor) -> None:
        """Keep these rows."""
        for layer in self.layers:
            layer.keys = layer.keys.index_select(0, rows)
            layer.values = layer.values.index_select(0, rows)


class _Roomy(DynamicLayer):
    """A layer that moves what it holds once in `_SPARE` tokens, not at every token.

    `keys` and `values` are the filled part of wider tensors.
    """

    @classmethod
    def of(cls, layer: DynamicLayer) -> "_Roomy":
        """A layer that begins with what another one holds."""
        made = cls()
        made.lazy_initialization(layer.keys, layer.values)
        made._fill((layer.keys, layer.values), layer.keys.shape[-2])
        return made

    def _fill(self, wide: tuple, end: int) -> None:
        self._wide = wide
        self.keys, self.values = (tensor[..., :end, :] for tensor in wide)

    def update(self, key_states, value_states, *args, **kwargs):
        start, new = self.keys.shape[-2], (key_states, value_states)
        end, wide = start + key_states.shape[-2], self._wide
        if end > wide[0].shape[-2]:
            held = (self.keys, self.values)
            wide = tuple(
                F.pad(tensor, (0, 0, 0, end - start + _SPARE)) for tensor in held
            )
        for tensor, states in zip(wide, new, strict=True):
            tensor[..., start:end, :] = states
        self._fill(wide, end)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        end = self.keys.shape[-2]
        self._fill(tuple(t.index_select(0, indices) for t in self._wide), end)


class _Chooser:
    """Chooses the next token of each row by the row's own uniform number."""

    def __init__(self, heat: torch.Tensor, top_p: float, draws, device):
        cold = heat == 0
        self.mixed, self.top_p = bool(cold.any()), top_p
        self.cold = cold.to(device)
        self.heat = heat.masked_fill(cold, 1.0)[:, None].to(device)
        self.draws = None if cold.all() else draws.to(device)

    def __call__(self, logits, rows, place: int) -> torch.Tensor:
        if self.draws is None:
            return logits.argmax(-1)
        chances = torch.softmax(logits.float() / self.heat[rows], dim=-1)
        if self.top_p < 1.0:
            ordered, order = chances.sort(dim=-1, descending=True)
            ordered[ordered.cumsum(-1) - ordered >= self.top_p] = 0.0
            chances = torch.zeros_like(chances).scatter(-1, order, ordered)
        # One uniform number a row against the running sum; torch.multinomial draws
        # one for every token of the vocabulary.
        reached = chances.cumsum(-1)
        draw = self.draws[rows, place, None] * reached[:, -1:]
        drawn = torch.searchsorted(reached, draw, right=True)
        drawn = drawn[:, 0].clamp(max=chances.shape[-1] - 1)
        if not self.mixed:
            return drawn
        return torch.where(self.cold[rows], logits.argmax(-1), drawn)
