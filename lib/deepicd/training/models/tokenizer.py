"""A byte-level BPE tokenizer of the Qwen2 family, trained on the training split."""

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


def train_tokenizer(
    texts: Iterable[str], vocab_size: int, tag: str = TAG
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
    core, marks = Tokenizer(BPE()), tags(tag)
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(marks) - 3,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    texts = list(texts)
    core.train_from_iterator(counted(texts, "tokenizer: reading texts"), trainer)
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
