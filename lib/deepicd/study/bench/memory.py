"""Memory and time of training by size of model: computed, not measured.

The formulas count what has to be there (weights, gradients, optimiser, activations
that checkpointing keeps, key-value cache) and leave a margin for fragmentation.
"""

from dataclasses import dataclass

import pandas as pd

from deepicd.study.bench.measure import Result
from deepicd.training.models.sizes import SIZES, Size

TITLE = "Memory and hours by model and GPU (computed)"

GIB = 2**30
#: What allocators and kernels take on top.
MARGIN = 1.15
#: GPU memory in GiB and usable bfloat16 FLOP/s: 40 % of the makers' figures.
GPUS = {
    "T4 16 GB": (15, 0.4 * 65e12),
    "RTX 4090 24 GB": (24, 0.4 * 165e12),
    "A100 80 GB": (79, 0.4 * 312e12),
    "H100 80 GB": (79, 0.4 * 990e12),
}
#: Published shapes of the models that the profiles name.
PUBLISHED = {
    "Qwen2.5-0.5B": Size(896, 24, 14, 2, 4864, 151_936),
    "Qwen2.5-1.5B": Size(1536, 28, 12, 2, 8960, 151_936),
    "Qwen2.5-7B": Size(3584, 28, 28, 4, 18_944, 152_064),
}
UNTIED = ("Qwen2.5-7B",)


@dataclass(frozen=True)
class Load:
    """What is trained, and how much text at once.

    Attributes
    ----------
    lora_rank : int
        0 trains all weights.
    four_bit : bool
        Frozen weights in 4 bits.
    rows, tokens : int
        Rows of one forward pass and their length.
    rollouts : int
        Completions drawn at once; 0 for SFT.
    """

    lora_rank: int = 0
    four_bit: bool = False
    rows: int = 8
    tokens: int = 1024
    rollouts: int = 0


def run() -> list[Result]:
    """Give every row of the table; a model that does not fit has no hours.

    Returns
    -------
    list of Result

    Examples
    --------
    >>> run()[0].unit
    'GiB'
    """
    found = []
    for row in memory_table().itertuples():
        name = f"{row.model}, {row.trained}, {row.task}, {row.gpu}, computed"
        found.append(Result(name, row.GiB, "GiB"))
        if row.fits:
            found.append(Result(f"{name}, 1,000 steps", row.hours, "h"))
    return found


def weights(name: str) -> int:
    """Number of weights of a named model.

    Examples
    --------
    >>> round(weights("Qwen2.5-7B") / 1e9, 2), round(weights("Qwen2.5-0.5B") / 1e9, 2)
    (7.62, 0.49)
    """
    shape = shape_of(name)
    head = shape.vocab * shape.hidden if name in UNTIED else 0
    return shape.parameters() + head


def shape_of(name: str) -> Size:
    """Shape of a model made here or published."""
    return (SIZES | PUBLISHED)[name]


def adapter_weights(shape: Size, rank: int) -> int:
    """Weights of adapters on all seven projections of every layer.

    Examples
    --------
    >>> round(adapter_weights(PUBLISHED["Qwen2.5-7B"], 32) / 1e6)
    81
    """
    head = shape.hidden // shape.heads
    kv = head * shape.kv_heads
    pairs = [(shape.hidden, shape.hidden)] * 2 + [(shape.hidden, kv)] * 2
    pairs += [(shape.hidden, shape.intermediate)] * 3
    return shape.layers * sum(rank * (a + b) for a, b in pairs)


def training_memory(name: str, load: Load) -> float:
    """GiB that one GPU needs in bfloat16 with gradient checkpointing.

    Frozen weights take 2 bytes (0.55 in 4 bits), trained ones 16: a bfloat16 copy
    and gradient, and float32 master and two Adam moments. Checkpointing keeps one
    hidden state a layer and recomputes one layer at a time (about 16 hidden states
    and the MLP). The logits of the trained half of the tokens are kept in float32
    in chunks. Completions need their key-value cache.

    Examples
    --------
    >>> round(training_memory("Qwen2.5-7B", Load(lora_rank=32, rows=2, tokens=3072)))
    23
    """
    shape, total = shape_of(name), weights(name)
    tokens = load.rows * load.tokens
    if load.lora_rank:
        frozen = total * (0.55 if load.four_bit else 2)
        state = frozen + 16 * adapter_weights(shape, load.lora_rank)
    else:
        state = 16 * total
    kept = 2 * tokens * shape.hidden * shape.layers
    layer = 2 * tokens * (16 * shape.hidden + 3 * shape.intermediate)
    logits = 3 * 4 * min(tokens / 2, 1024) * shape.vocab
    kv = 4 * shape.layers * shape.hidden * shape.kv_heads / shape.heads
    cache = load.rollouts * load.tokens * kv
    return MARGIN * (state + kept + layer + logits + cache) / GIB


def training_flops(name: str, tokens: int, lora: bool) -> float:
    """Floating-point operations of forward, recomputation and backward.

    6 a weight and token; checkpointing adds 2, frozen weights save 2.

    Examples
    --------
    >>> training_flops("tiny", 1, lora=False) == 8 * weights("tiny")
    True
    """
    return (6 if lora else 8) * weights(name) * tokens


def memory_table(steps: int = 1000) -> pd.DataFrame:
    """Memory and hours of SFT and GRPO by model and GPU; every number computed.

    Parameters
    ----------
    steps : int
        Of SFT with 32 examples of 1,024 tokens; of GRPO with 64 prompts x 8
        completions of 1,024 tokens, of which a third are drawn (decoding at a
        tenth of the training speed).

    Examples
    --------
    >>> table = memory_table()
    >>> set(table["basis"])
    {'computed'}
    >>> bool(table.query("model == 'Qwen2.5-7B' and gpu == 'T4 16 GB'")["fits"].any())
    False
    """
    rows = []
    for name in ("120m", *PUBLISHED):
        rank = 0 if name == "120m" else 32
        for task, completions in (("SFT", 0), ("GRPO", 64)):
            load = Load(lora_rank=rank, rows=4, rollouts=completions)
            need = training_memory(name, load)
            tokens = (512 if completions else 32) * load.tokens
            work = training_flops(name, tokens, rank > 0)
            work += 2 * weights(name) * tokens / 3 * 10 if completions else 0
            for gpu, (size, speed) in GPUS.items():
                rows.append(
                    (
                        name,
                        "LoRA 32" if rank else "all weights",
                        task,
                        gpu,
                        need,
                        need < size,
                        steps * work / speed / 3600,
                        "computed",
                    )
                )
    names = ["model", "trained", "task", "gpu", "GiB", "fits", "hours", "basis"]
    return pd.DataFrame(rows, columns=names).round({"GiB": 1, "hours": 1})
