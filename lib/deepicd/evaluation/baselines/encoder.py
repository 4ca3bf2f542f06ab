"""A transformer encoder with a classifier on top, trained on notes and codes."""

from itertools import product

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.trainers import WordLevelTrainer
from torch import nn
from transformers import (
    AutoModel,
    AutoTokenizer,
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
)

from deepicd.common.errors import UserError
from deepicd.common.parameters import choice
from deepicd.evaluation.baselines.fitting import epochs, loss_of
from deepicd.evaluation.baselines.label_vectors import (
    LabelVectors,
    known_of,
    label_layer,
    with_leads,
)
from deepicd.evaluation.baselines.material import Material, Trials

SCRATCH = "scratch"
HEADS = ("mean", "label_attention")
BATCH = 32
HEADS_INSIDE = 4
"""Attention heads of the encoder made here."""
_WORD = r"[A-Za-z]+|\d+(?:\.\d+)?|[^\sA-Za-z\d]"


def fine_tuned_encoder(material: Material) -> Trials:
    """Every pair of head and loss, judged after every epoch."""
    options = material.options
    for head, loss in product(options["encoder_heads"], options["losses"]):
        for epoch, answer in _train(material, head, loss):
            for lead, led in with_leads(answer, material):
                yield f"{head}, {loss}, epoch={epoch}{lead}", led


def _train(material: Material, head: str, loss: str):
    options = material.options
    name, length = options["encoder"], options["encoder_length"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(material.seed)
        body, tokenizer = (
            make_scratch(material.notes(0), length, *_shape(options))
            if name == SCRATCH
            else load_pretrained(name, length)
        )
        known = known_of(material)
        network = CodeClassifier(body, len(material.labels), head, known)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network.to(device)
    reader = Reader(tokenizer, length, device)
    texts = [reader.ids(material.notes(part)) for part in range(3)]
    gold = torch.as_tensor(material.numbers, device=device)

    def batches(order):
        for rows in by_length(order, [len(t) for t in texts[0]]):
            yield reader.pad([texts[0][i] for i in rows]), gold[rows]

    def answer(part):
        return _logits(network, reader, texts[part])

    steps = -(-len(texts[0]) // BATCH)
    done = epochs(
        network,
        batches,
        loss_of(loss, material),
        len(texts[0]),
        options["encoder_epochs"],
        steps,
        options["encoder_learning_rate"],
        material.seed,
    )
    for epoch in done:
        yield epoch, answer


def _shape(options: dict) -> tuple[int, int]:
    """Width and layers of the encoder made here."""
    shape = tuple(options["encoder_shape"])
    if len(shape) != 2 or min(shape) < 1 or shape[0] % HEADS_INSIDE:
        raise UserError(
            f"encoder_shape {list(shape)}",
            f"a width that {HEADS_INSIDE} divides, and a number of layers",
            "encoder_shape=[96, 1]",
        )
    return shape


def _logits(network, reader, ids) -> np.ndarray:
    network.eval()
    found = np.empty((len(ids), network.out.out_features), dtype=np.float32)
    order = np.argsort([len(one) for one in ids], kind="stable")
    size = 16 if isinstance(network.out, LabelVectors) else 128  # tokens times codes
    with torch.no_grad():
        for start in range(0, len(order), size):
            rows = order[start : start + size]
            logits = network(reader.pad([ids[i] for i in rows]))
            found[rows] = logits.float().cpu().numpy()
    return found


def by_length(order: np.ndarray, lengths: list[int], pool: int = 8) -> list:
    """Batches in random order whose notes are of like length: little padding.

    >>> by_length(np.arange(64), [64 - i for i in range(64)])[0][:3].tolist()
    [63, 62, 61]
    """
    groups = []
    for start in range(0, len(order), BATCH * pool):
        part = order[start : start + BATCH * pool]
        part = part[np.argsort(np.take(lengths, part), kind="stable")]
        groups += [part[i : i + BATCH] for i in range(0, len(part), BATCH)]
    return groups


class CodeClassifier(nn.Module):
    """An encoder and one logit a code.

    Parameters
    ----------
    body : transformers.PreTrainedModel
        Gives `last_hidden_state`.
    classes : int
    head : str
        mean: a linear layer on the mean of the hidden states. label_attention:
        every code reads the note with its own attention (Mullenbach et al. 2018).
    known : torch.Tensor, optional
        What is known of codes, see `label_vectors.LabelVectors`.
    """

    def __init__(self, body: nn.Module, classes: int, head: str, known=None):
        super().__init__()
        choice("head", head, HEADS)
        hidden = body.config.hidden_size
        self.body, self.head = body, head
        self.drop = nn.Dropout(0.2)
        self.out = label_layer(hidden, classes, known)
        if head == "label_attention":
            self.look = label_layer(hidden, classes, known, bias=False)

    def forward(self, inputs) -> torch.Tensor:
        """Logits, shape (notes, classes), of padded token ids and their mask."""
        tokens, mask = inputs
        states = self.drop(
            self.body(input_ids=tokens, attention_mask=mask).last_hidden_state
        )
        if self.head == "mean":
            kept = mask[..., None].to(states.dtype)
            return self.out((states * kept).sum(1) / kept.sum(1))
        gaze = self.look(states).masked_fill(mask[..., None] == 0, -1e4).softmax(1)
        # The value of a token for a code is its logit: no (notes, codes, hidden).
        values = nn.functional.linear(states, self.out.weight)
        return (gaze * values).sum(1) + self.out.bias


class Reader:
    """Texts to token ids, and lists of ids to padded tensors."""

    def __init__(self, tokenizer, length: int, device: str = "cpu"):
        self.tokenizer, self.length, self.device = tokenizer, length, device
        self.padding = tokenizer.pad_token_id or 0

    def ids(self, notes: list[str]) -> list[list[int]]:
        """Token ids of each note, cut at the length limit."""
        return self.tokenizer(notes, truncation=True, max_length=self.length)[
            "input_ids"
        ]

    def pad(self, ids: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and attention mask, shape (notes, longest)."""
        longest = max(map(len, ids))
        tokens = torch.full((len(ids), longest), self.padding)
        mask = torch.zeros((len(ids), longest), dtype=torch.long)
        for row, one in enumerate(ids):
            tokens[row, : len(one)] = torch.as_tensor(one)
            mask[row, : len(one)] = 1
        return tokens.to(self.device), mask.to(self.device)


def make_scratch(
    notes: list[str], length: int = 512, hidden: int = 96, layers: int = 1
):
    """A small BERT with random weights and a word tokenizer of the training notes.

    Parameters
    ----------
    notes : list of str
    length : int
        Most tokens of a note.
    hidden, layers : int
        Width, a multiple of the four attention heads, and depth.

    Returns
    -------
    (BertModel, PreTrainedTokenizerFast)

    Examples
    --------
    >>> body, tokenizer = make_scratch(["Chest pain, BP 90/60"] * 3, hidden=32)
    >>> tokenizer.convert_ids_to_tokens(tokenizer("chest pain")["input_ids"])
    ['chest', 'pain']
    """
    core = Tokenizer(WordLevel(unk_token="[UNK]"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Split(Regex(_WORD), "removed", invert=True)
    core.train_from_iterator(
        notes,
        WordLevelTrainer(
            vocab_size=20_000,
            min_frequency=2,
            show_progress=False,
            special_tokens=["[PAD]", "[UNK]"],
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="[PAD]", unk_token="[UNK]"
    )
    config = BertConfig(  # no dropout inside: the head has its own, and CPUs are slow
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=HEADS_INSIDE,
        intermediate_size=2 * hidden,
        hidden_act="relu",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=0,
        max_position_embeddings=length,
    )
    return BertModel(config, add_pooling_layer=False), tokenizer


def load_pretrained(name: str, length: int = 0):
    """An encoder and its tokenizer from a folder or the hub.

    Raises
    ------
    UserError
        Where there is none, it is not an encoder of text, or it cannot read
        `length` tokens.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        body = AutoModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no encoder at {name!r} ({type(error).__name__})",
            "'scratch', a local folder or a hub name such as a BERT",
            "check the name, or keep encoder='scratch' without a network",
        ) from error
    most = getattr(body.config, "max_position_embeddings", length)
    if length > most:
        raise UserError(
            f"encoder_length {length}",
            f"at most {most}, which {name!r} can read",
            f"encoder_length={most}",
        )
    return body, tokenizer
