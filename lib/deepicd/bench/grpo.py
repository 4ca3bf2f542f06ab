"""One GRPO step of the default run: shared prompts against the stock trainer."""

import tempfile
from time import perf_counter

from deepicd import grpo, models, rewards
from deepicd.bench.measure import Result
from deepicd.bench.taught import taught_model
from deepicd.icd import load_tree
from deepicd.sources.synthetic import example_admissions

TITLE = "GRPO: one step, shared prompts against stock TRL"
STEPS = 6


def run() -> list[Result]:
    """Time steps of both trainers on the same notes, in one process.

    Returns
    -------
    list of Result
    """
    notes = example_admissions(200).assign(trace="The note points to this code.")
    with tempfile.TemporaryDirectory() as folder:
        source, tokenizer = taught_model(notes, folder)
        shared, paid = _seconds_a_step(source, tokenizer, notes, share=True)
        stock, _ = _seconds_a_step(source, tokenizer, notes, share=False)
    return [
        Result("step, shared prompts", shared, "s"),
        Result("step, stock TRL", stock, "s"),
        Result("stock / shared", stock / shared, "x", goal=1.5, at_least=True),
        Result("share of a step in rewards", 100 * paid, "%", goal=1.0),
    ]


def _seconds_a_step(source, tokenizer, notes, share: bool) -> tuple[float, float]:
    tree, clock = load_tree(), _Clock()
    net, _ = models.load(source)
    data, _ = grpo.prompt_set(notes, tokenizer, "reasoning", "brief", 400)
    settings = grpo.GrpoSettings(
        steps=STEPS, share_prompts=share, validate_every=0, save_every=1000, log_every=1
    )
    with tempfile.TemporaryDirectory() as checkpoints, clock.watching():
        grpo.train(
            net, tokenizer, data, "tree", settings, checkpoints, tree, report=clock.tick
        )
    # The first step warms up.
    seconds = (clock.ticks[-1] - clock.ticks[0]) / (len(clock.ticks) - 1)
    return seconds, clock.paid / STEPS / seconds


class _Clock:
    """Times of the steps, and seconds spent in rewards."""

    def __init__(self):
        self.ticks: list[float] = []
        self.paid = 0.0

    def tick(self, step: int, steps: int, text: str) -> None:
        if step > len(self.ticks):
            self.ticks.append(perf_counter())

    def watching(self):
        return _Watch(self)


class _Watch:
    """Replaces the reward functions by timed ones while it is open."""

    def __init__(self, clock: _Clock):
        self.clock, self.original = clock, rewards.trl_reward_functions

    def __enter__(self):
        rewards.trl_reward_functions = self._timed

    def __exit__(self, *error):
        rewards.trl_reward_functions = self.original

    def _timed(self, *arguments, **options):
        functions, names, weights = self.original(*arguments, **options)
        return [self._wrap(f) for f in functions], names, weights

    def _wrap(self, function):
        def timed(*arguments, **columns):
            start = perf_counter()
            values = function(*arguments, **columns)
            self.clock.paid += perf_counter() - start
            return values

        return timed
