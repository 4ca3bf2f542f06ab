"""Training in two processes against one: the same curves, and what it takes."""

import dataclasses
import tempfile
import time

import torch

from deepicd.common.errors import UserError
from deepicd.common.processors import cores, torch_threads
from deepicd.study.bench.grpo import example_notes, taught_model
from deepicd.study.bench.measure import Result
from deepicd.training import encoding, grpo, launch, models, sft
from deepicd.training.trainer import everyone

TITLE = "Two processes against one: curves, weights, seconds and processor seconds"
MANY = 2
WARM = 2  # steps before those that are timed
RATE = 1e-3
SFT = sft.SftSettings(
    steps=12,
    batch_size=16,
    learning_rate=RATE,
    warmup_steps=0,
    validate_every=0,
    save_every=100,
    log_every=1,
)
GRPO = grpo.GrpoSettings(
    steps=5,
    learning_rate=1e-4,
    warmup_steps=0,
    validate_every=0,
    save_every=100,
    log_every=1,
)


@dataclasses.dataclass(frozen=True)
class Run:
    """What a training gave and took.

    Attributes
    ----------
    net : PreTrainedModel
    curves : DataFrame
        Columns step, name, value.
    log : DataFrame or None
        Completions of GRPO.
    seconds, processor : float
        Of a step: that passed, and that all processes computed.
    """

    net: object
    curves: object
    log: object
    seconds: float
    processor: float


def run() -> list[Result]:
    """Train SFT and GRPO, each in one process and in two, of one thread each.

    The model is that of the default profile. Two processes can only be sooner where
    each has a processor; where they share one, processor seconds say what splitting
    the work costs.

    Returns
    -------
    list of Result

    Raises
    ------
    UserError
        With one GPU: two processes need one each.
    """
    if 0 < torch.cuda.device_count() < MANY:
        raise UserError(
            found="one GPU",
            expected="one for each of two processes, or none",
            do="CUDA_VISIBLE_DEVICES= python -m deepicd.study.bench processes",
        )
    notes = example_notes()
    found = [Result("processors", cores(), "")]
    with tempfile.TemporaryDirectory() as folder, torch_threads(1):
        source, tokenizer = taught_model(notes, folder)
        data, _ = encoding.encode(notes, tokenizer, "reasoning", "brief", 512)
        prompts, _ = grpo.prompt_set(notes, tokenizer, "reasoning", "brief", 400)
        for name, function, given in (
            ("SFT", fine_tune, (data, None, SFT)),
            ("GRPO", reinforce, (prompts, "tree", GRPO)),
        ):
            one, two = (
                trained(n, function, source, tokenizer, given, f"{folder}/{name}{n}")
                for n in (1, MANY)
            )
            found += compared(name, one, two)
    return found


def fine_tune(net, tokenizer, *given, folder):
    """`sft.train`, with the seconds of every process."""
    marks: list = []
    net, curves, _ = sft.train(net, tokenizer, *given, folder, report=marked(marks))
    return net, curves, None, everyone([marks])


def reinforce(net, tokenizer, *given, folder):
    """`grpo.train`, with the seconds of every process."""
    marks: list = []
    net, curves, log, _ = grpo.train(
        net, tokenizer, *given, folder, report=marked(marks)
    )
    return net, curves, log, everyone([marks])


def marked(marks: list):
    """Reporter that notes step, time and processor time of its process."""

    def report(done: int, total: int, text: str) -> None:
        marks.append((done, time.perf_counter(), time.process_time()))

    return report


def trained(n: int, function, source: str, tokenizer, given, folder: str) -> Run:
    """Train in `n` processes from the same weights."""
    net, _ = models.load(source)
    net, curves, log, marks = launch.train(
        n, function, net, tokenizer, *given, folder=folder
    )
    spans = [_span(one) for one in marks]
    seconds = max(passed for passed, _ in spans)
    return Run(net, curves, log, seconds, sum(own for _, own in spans))


def _span(marks: list) -> tuple[float, float]:
    """Seconds and processor seconds of a step, those after `WARM`."""
    ends: dict[int, tuple] = {}
    for step, *at in marks:  # the last step tells more than once
        ends.setdefault(step, at)
    first, last = min(step for step in ends if step >= WARM), max(ends)
    passed, own = (b - a for a, b in zip(ends[first], ends[last], strict=True))
    return passed / (last - first), own / (last - first)


def compared(name: str, one: Run, two: Run) -> list[Result]:
    """Numbers of both, and how far they are from each other."""
    found = []
    for label, trained in (("one process", one), ("two processes", two)):
        found += [
            Result(f"{name}, {label}: a step", trained.seconds, "s"),
            Result(f"{name}, {label}: a step, computing", trained.processor, "s"),
        ]
    enough = 1.3 if cores() >= MANY else None
    found += [
        Result(
            f"{name}: sooner by", one.seconds / two.seconds, "x", enough, at_least=True
        ),
        Result(f"{name}: computing more by", two.processor / one.processor, "x"),
    ]
    return found + apart(name, one, two)


def apart(name: str, one: Run, two: Run) -> list[Result]:
    """Largest differences of curves and weights; completions that differ."""
    loss = "train_loss" if one.log is None else "reward"
    values = [
        r.curves.loc[r.curves["name"] == loss, "value"].to_numpy() for r in (one, two)
    ]
    off = abs(values[0] - values[1]).max()
    weights = two.net.state_dict()
    moved = max(
        float((weight - weights[key]).abs().max())
        for key, weight in one.net.state_dict().items()
    )
    found = [
        Result(f"{name}: {loss}, largest difference", off, "", goal=1e-3),
        Result(f"{name}: weights, largest difference", moved, "", goal=RATE),
    ]
    if one.log is not None:
        names = ["step", "note_id", "completion"]
        said = [set(map(tuple, r.log[names].to_numpy())) for r in (one, two)]
        found.append(Result(f"{name}: completions unlike", len(said[0] ^ said[1]), ""))
    return found
