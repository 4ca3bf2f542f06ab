"""Each prompt once: sampling and scoring a group over a shared prompt.

GRPO draws many completions for one prompt, and the stock trainer runs the prompt
again for each of them, in sampling and in training. Here the prompt runs once,
its key-value cache is handed to every completion, and gradients flow back through
it. The numbers are the same up to float rounding.
"""

import functools

import torch


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


def _prefill(model, ids, mask, inverse):
    """Run distinct prompts; give last logits and cache, one row a completion."""
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=_positions(mask),
        use_cache=True,
        logits_to_keep=1,
    )
    cache = out.past_key_values
    cache.batch_select_indices(inverse.to(ids.device))
    return out.logits[:, -1][inverse], cache


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
        With gradients where the model has them.
    """
    start = ids.shape[1] - width
    first, inverse = unique_prompts(ids[:, :start])
    prompt, prompt_mask = ids[first, :start], mask[first, :start]
    last, cache = _prefill(model, prompt, prompt_mask, inverse)
    if width == 1:
        return last[:, None]
    out = model(
        input_ids=ids[:, start:-1],
        attention_mask=mask[:, :-1],
        position_ids=_positions(mask)[:, start:-1],
        past_key_values=cache,
        use_cache=True,
    )
    return torch.cat([last[:, None], out.logits], dim=1)


@torch.no_grad()
def sample(
    model,
    prompts: list[list[int]],
    tokenizer,
    length: int,
    temperature: float,
    top_p: float = 1.0,
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
    temperature : float
        0 takes the likeliest token.
    top_p : float
        Nucleus; 1.0 keeps every token.

    Returns
    -------
    list of list of int
        Completion ids up to and with the end token. Draws come from torch's
        global generator.
    """
    padded = tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
    ids = padded["input_ids"].to(model.device)
    mask = padded["attention_mask"].to(model.device)
    first, inverse = unique_prompts(ids)
    logits, cache = _prefill(model, ids[first], mask[first], inverse)
    return _decode(model, tokenizer, logits, cache, mask, length, temperature, top_p)


def _decode(model, tokenizer, logits, cache, mask, length, temperature, top_p):
    said: list[list[int]] = [[] for _ in range(len(mask))]
    alive = torch.arange(len(mask))
    position = mask.sum(1)
    for done in range(1, length + 1):
        token = _choose(logits, temperature, top_p)
        for row, value in zip(alive.tolist(), token.tolist(), strict=True):
            said[row].append(value)
        going = token != tokenizer.eos_token_id
        if done == length or not going.any():
            return said
        if not going.all():
            keep = going.nonzero()[:, 0]
            cache.batch_select_indices(keep)
            token, mask, position = token[keep], mask[keep], position[keep]
            alive = alive[keep.cpu()]
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


def _choose(logits, temperature: float, top_p: float) -> torch.Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    chances = torch.softmax(logits.float() / temperature, dim=-1)
    if top_p < 1.0:
        ordered, order = chances.sort(dim=-1, descending=True)
        ordered[ordered.cumsum(-1) - ordered >= top_p] = 0.0
        chances = torch.zeros_like(chances).scatter(-1, order, ordered)
    # One uniform number a row against the running sum; torch.multinomial draws one
    # for every token of the vocabulary.
    reached = chances.cumsum(-1)
    draw = torch.rand(len(chances), 1, device=chances.device) * reached[:, -1:]
    return torch.searchsorted(reached, draw, right=True)[:, 0].clamp(
        max=chances.shape[-1] - 1
    )


@functools.cache
def trainer_class():
    """TRL's GRPOTrainer with shared prompts, for full-width passes on one device.

    Made on first use, because Unsloth has to be imported before trl. Differs
    from its parent in two steps only: how completions are drawn and how their
    log-probabilities are computed.
    """
    from trl import GRPOTrainer
    from trl.trainer.utils import (
        selective_log_softmax,
        selective_log_softmax_and_entropy,
    )

    class SharedPromptTrainer(GRPOTrainer):
        """GRPOTrainer that runs each prompt of a group once."""

        def _generate_single_turn(self, prompt_ids, *args, **kwargs):
            self.model.eval()
            drawn = sample(
                self.model,
                prompt_ids,
                self.processing_class,
                self.max_completion_length,
                self.temperature,
                self.args.top_p,
            )
            self.model.train()
            return drawn, None

        def _full_logits_logps(
            self,
            model,
            input_ids,
            attention_mask,
            logits_to_keep,
            compute_entropy=False,
            **unused,
        ):
            logits = completion_logits(model, input_ids, attention_mask, logits_to_keep)
            said = input_ids[:, -logits_to_keep:]
            mask = attention_mask[:, -logits_to_keep:]
            given = {"temperature": self.temperature, "row_mask": mask}
            if not compute_entropy:
                return selective_log_softmax(logits, said, **given), None, None
            chosen, entropies = selective_log_softmax_and_entropy(
                logits, said, entropy_requires_grad=False, **given
            )
            return chosen, entropies, None

    return SharedPromptTrainer
