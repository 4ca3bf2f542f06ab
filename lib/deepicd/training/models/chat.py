"""What a chat template puts around a completion, read from the template once.

Some templates open the reasoning themselves (Qwen3 thinking, the DeepSeek-R1
distillates: the prompt ends in ``<think>`` and a line break), some open and close it
empty (Qwen3 without thinking), and most end a turn with a token of their own. What the
prompt already holds of a completion belongs to the completion.
"""

from dataclasses import dataclass
from functools import lru_cache

from deepicd.tasks.format import END_THINK, THINK

#: Tokens that end a turn in the usual families, where they are left in a text.
ENDS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<eos>",
    "</s>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
)


@dataclass(frozen=True)
class Frame:
    """The part of a template that touches completions of one style.

    Attributes
    ----------
    opening : str
        What the prompt already holds of the completion; empty for most templates.
    cut : str
        What the template writes behind the prompt and the style has no room for, such
        as an empty think where reasoning is asked for. It is taken off the prompt.
    ends : tuple of str
        Tokens that end a turn. At the end of a text they are no part of it.
    """

    opening: str = ""
    cut: str = ""
    ends: tuple[str, ...] = ENDS

    def prompt(self, text: str) -> str:
        """A rendered prompt without what the style has no room for."""
        return text.removesuffix(self.cut) if self.cut else text

    def whole(self, said: str) -> str:
        """The completion behind what a model wrote: with its opening, without ends.

        Examples
        --------
        >>> Frame("<think>\\n").whole("STEMI</think><diagnosis>I21.11</diagnosis></s>")
        '<think>\\nSTEMI</think><diagnosis>I21.11</diagnosis>'
        """
        text = self.opening + said
        while (bare := text.rstrip()).endswith(self.ends):
            end = next(end for end in self.ends if bare.endswith(end))
            text = bare.removesuffix(end)
        return text

    def rest(self, completion: str) -> str:
        """What is left to write of a completion behind its opening.

        Examples
        --------
        >>> Frame("<think>\\n").rest("<think>\\nSTEMI\\n</think>")
        'STEMI\\n</think>'
        """
        if not self.opening:
            return completion
        space = self.opening.removeprefix(THINK)
        text = completion.removeprefix(THINK)
        return text.removeprefix(space) if text.startswith(space) else text.lstrip()


def frame_of(tokenizer, style: str = "reasoning") -> Frame:
    """Read the frame of a tokenizer's chat template.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        With a chat template.
    style : {"reasoning", "code_only", "answer_first"}

    Returns
    -------
    Frame
    """
    return _frame(tokenizer, str(tokenizer.chat_template), style)


@lru_cache(maxsize=32)
def _frame(tokenizer, template: str, style: str) -> Frame:
    tail = _behind_prompt(tokenizer)
    start = tail.find(THINK)
    ends = tuple(dict.fromkeys([*filter(None, [tokenizer.eos_token]), *ENDS]))
    if start < 0:
        return Frame(ends=ends)
    inside, closed = tail[start:], END_THINK in tail[start:]
    if style == "reasoning" and not closed:
        return Frame(inside, ends=ends)
    if style == "code_only" and closed:  # the family's way not to think
        return Frame(ends=ends)
    return Frame(cut=inside, ends=ends)


def _behind_prompt(tokenizer) -> str:
    """What `add_generation_prompt` adds to a rendered chat."""
    chat = [{"role": "user", "content": "?"}]
    plain = tokenizer.apply_chat_template(chat, tokenize=False)
    asked = tokenizer.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True
    )
    return asked.removeprefix(plain) if asked.startswith(plain) else ""


def end_of_turn(tokenizer) -> str | None:
    """The one special token that the template ends an assistant's turn with.

    Base models of a family often stop at another token than their own template writes
    (``<|endoftext|>`` against ``<|im_end|>``); trained so, they never stop.

    Returns
    -------
    str or None
        None where the template ends a turn with plain text or with nothing.
    """
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "@@"}]
    behind = tokenizer.apply_chat_template(chat, tokenize=False).rpartition("@@")[2]
    special = [t for t in tokenizer.all_special_tokens if behind.lstrip().startswith(t)]
    return max(special, key=len, default=None)
