"""A byte-level BPE tokenizer of the Qwen2 family, trained on the training split."""

import json
import re
from collections import Counter
from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from deepicd.common.progress import counted
from deepicd.tasks.format import TAG, tags

END, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{{ message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Qwen2's own split: words keep their leading space, every digit stands alone,
# so that the characters of a code are separate decisions.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# Like `SPLIT`, but a word stands without what precedes it, and a quotation mark alone.
ALIKE = r"\p{L}+|\p{N}|\"|[^\s\p{L}\p{N}\"]+[\r\n]*|\s*[\r\n]+|\s+"
SPACED = 0.35  # share of the tokens that are another token after a space
_SPACE = "\u0120"  # how byte-level BPE writes a space
_AFTER_SPACE = re.compile(r" ([^\W\d_]+|[^\w\s\"]+)")


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, tag: str = TAG, alike: bool = False
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer of the Qwen2 family.

    The answer tags are ordinary tokens: one id each, yet never dropped by
    ``skip_special_tokens=True``, which TRL uses before it calls a reward.

    Parameters
    ----------
    texts : iterable of str
        Training split only, or the tokenizer knows the test notes.
    vocab_size : int
        Number of tokens, the 256 bytes and 7 added ones included.
    tag : str
        Of the answer: `Task.tag`.
    alike : bool
        A word is the same pieces wherever it stands, but for a space that its first
        piece may carry: what stands in a note and its quote are then the same tokens,
        which is what a small network can learn to copy.

    Returns
    -------
    PreTrainedTokenizerFast
        Left-padding, with the family's chat template.

    Examples
    --------
    >>> tokenizer = train_tokenizer(["chest pain"] * 9, 300)
    >>> ids = tokenizer("<think>chest pain</think>")["input_ids"]
    >>> tokenizer.decode(ids, skip_special_tokens=True)
    '<think>chest pain</think>'
    """
    marks, texts = tags(tag), list(texts)
    learn = _alike if alike else _usual
    core = learn(
        counted(texts, "tokenizer: reading texts"), vocab_size - len(marks) - 3
    )
    core.add_special_tokens([END, TURN_START, TURN_END])
    core.add_tokens(
        [AddedToken(mark, special=False, normalized=False) for mark in marks]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=TURN_END,
        pad_token=END,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _core(model: BPE, split: str = SPLIT) -> Tokenizer:
    core = Tokenizer(model)
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(split), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    return core


def _usual(texts: Iterable[str], size: int, split: str = SPLIT) -> Tokenizer:
    core = _core(BPE(), split)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    core.train_from_iterator(texts, trainer)
    return core


def _alike(texts: Iterable[str], size: int) -> Tokenizer:
    """Merges of words alone come first; then those of a space with a first piece."""
    seen: Counter = Counter()

    def noted():
        for text in texts:
            seen.update(_AFTER_SPACE.findall(text))
            yield text

    words = _usual(noted(), size - int(SPACED * size), ALIKE)
    first: Counter = Counter()
    for word, count in seen.items():
        first[words.encode(word).tokens[0]] += count
    state = json.loads(words.to_str())["model"]
    vocab, merges = state["vocab"], [tuple(pair) for pair in state["merges"]]
    frequent = sorted(first, key=lambda piece: (-first[piece], piece))
    for piece in frequent[: size - len(vocab)]:
        vocab[_SPACE + piece] = len(vocab)
        merges.append((_SPACE, piece))
    return _core(BPE(vocab=vocab, merges=merges))
