"""Ways of adapting a model compared on the same notes: prompts, LoRA, all weights.

The model is asked as it is and with worked examples in its prompt; it is trained on
the same traces with a low-rank adapter, in all of its weights, and with an adapter
after layers were taken out. Of some learning rates each way has the one that answers
most validation notes right with the first seed. Every training and every answering
has a process of its own. Names of results have three parts: way, scores or costs, what
is measured.
"""

import tempfile
from collections.abc import Iterator, Sequence

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.data.examples import synthetic_admissions
from deepicd.evaluation.systems import (
    Cases,
    differences_table,
    gather,
    metrics_table,
)
from deepicd.icd.load import load_tree
from deepicd.study import adapting_job as job
from deepicd.study.adapting_job import Plan, Way, alone
from deepicd.study.bench.measure import BETWEEN, Result
from deepicd.traces.distil import build_traces
from deepicd.traces.teachers.rule import RuleTeacher
from deepicd.training import encoding
from deepicd.training.models.merging import kept

TITLE = "Ways of adapting a model: prompts, LoRA, all weights, LoRA after pruning"
SCORES, COSTS = "scores", "costs"
ZERO, FEW, LORA, WHOLE = "zero-shot prompt", "few-shot prompt", "LoRA", "all weights"
SHOTS, RANK = 3, 16
LORA_RATES, WHOLE_RATES = (2e-3, 8e-3), (5e-4, 2e-3)
VALIDATION = 200  # notes
MEASURED = ("accuracy", "macro_f1")
COSTS_OF = (  # column, key, unit, one of it
    ("trainable", "trainable", "parameters", 1),
    ("learning rate", "rate", "a step", 1),
    ("training", "tokens", "tokens/s", 1),
    ("peak memory, training", "training_peak", "MB", 1e6),
    ("above libraries, training", "training_above", "MB", 1e6),
    ("answering", "notes", "notes/s", 1),
    ("peak memory, answering", "peak", "MB", 1e6),
    ("above libraries, answering", "above", "MB", 1e6),
    ("network", "layers", "layers", 1),
    ("prompt", "shots", "examples", 1),
)


def run(
    model: str = "base",
    traces: int = 280,
    steps: int = 150,
    seeds: int = 2,
    prune: int = 1,
    notes: int = 4000,
    instruction: str = "brief",
    rates: str = "",
) -> list[Result]:
    """Adapt a model in each way and answer the test notes of the default corpus.

    Parameters
    ----------
    model : str
        ``base``, a folder or a hub name.
    traces, steps : int
        Examples to learn from, and optimiser steps of 16 of them.
    seeds : int
        Of training, adapters and worked examples; the corpus and its split stay.
    prune : int
        Layers taken out in the last way.
    notes : int
        Of the corpus.
    instruction : str
        brief or full prompt.
    rates : str
        Learning rates to choose from, such as ``1e-5,1e-4``, for every way that
        trains; by default two of its own each, for a small model.

    Returns
    -------
    list of Result
        Scores with 95 % intervals (bootstrap over patients and seeds), paired
        differences with theirs, and costs, means over seeds.

    Raises
    ------
    UserError
        For numbers that leave nothing to train, to prune or to compare, and for a
        model that is not there.
    """
    for name, value, least in (
        ("traces", traces, job.BATCH),
        ("steps", steps, 2),
        ("seeds", seeds, 1),
        ("prune", prune, 1),
    ):
        if value < least:
            raise UserError(
                f"--{name} {value}", f"{least} or more", f"--{name} {least}"
            )
    ways = _ways(prune, _rates(rates))
    tree = load_tree()
    admissions = synthetic_admissions(notes)
    examples = _examples(admissions, tree, traces)
    of = {split: admissions[admissions["split"] == split] for split in ("val", "test")}
    val = of["val"].head(VALIDATION)
    plan = Plan(model, instruction, steps, examples, val, of["test"])
    answers, costs = [], []
    with tempfile.TemporaryDirectory() as folder:
        fewer = alone(job.prune, plan, prune, f"{folder}/pruned")
        for way in ways:
            source = fewer if way.layers else model
            for found, facts in _adapted(plan, way, source, seeds):
                answers.append(found)
                costs.append(facts)
    cases = gather(pd.concat(answers, ignore_index=True), admissions)
    return [*_scores(cases, tree, ways), *_costs(pd.DataFrame(costs), ways)]


def _ways(prune: int, rates: tuple[float, ...]) -> tuple[Way, ...]:
    fewer = f"LoRA, {prune} layer{'s' * (prune > 1)} taken out"
    adapter = {"rank": RANK, "rates": rates or LORA_RATES}
    return (
        Way(ZERO),
        Way(FEW, shots=SHOTS),
        Way(LORA, **adapter),
        Way(WHOLE, rates=rates or WHOLE_RATES),
        Way(fewer, **adapter, layers=prune),
    )


def _rates(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError:
        found = (0.0,)
    if all(0 < rate < 1 for rate in found):
        return found
    raise UserError(
        f"--rates {text}", "numbers between 0 and 1, with commas", "--rates 1e-5,1e-4"
    )


def _examples(admissions: pd.DataFrame, tree, traces: int) -> pd.DataFrame:
    """Accepted traces of the default teacher, in the order of `sft_rank`."""
    train = admissions[admissions["split"] == "train"]
    teacher = RuleTeacher(tree).fit(train)
    table = build_traces(admissions, tree, teacher, n=traces + traces // 4)
    found = encoding.examples_below(admissions, table, len(train)).head(traces)
    if len(found) == traces:
        return found
    raise UserError(
        f"{len(found)} accepted traces of {len(train)} training notes",
        f"{traces} to learn from",
        f"--traces {len(found)}, or more --notes",
    )


def _adapted(plan: Plan, way: Way, source: str, seeds: int) -> Iterator[tuple]:
    """Answers and costs of a way, for every seed that makes a difference to it."""
    rates = way.rates
    for seed in range(seeds if rates or way.shots else 1):
        with tempfile.TemporaryDirectory() as folder:
            facts, model = {"trainable": 0}, source
            if rates:
                tried = _tried(plan, way, source, rates, seed, folder)
                facts = max(tried, key=lambda one: one["right"])  # of equals the first
                rates, model = (facts["rate"],), facts["model"]
            found, told = alone(job.answer, plan, way, model, seed)
        yield found, {"way": way.name, **facts, **told}


def _tried(plan, way, source, rates, seed, folder) -> Iterator[dict]:
    """Costs and place of a model for each learning rate."""
    for rate in rates:
        place = f"{folder}/{rate}"
        found = alone(job.train, plan, way, source, rate, seed, place)
        yield found | {"rate": rate, "model": kept(f"{place}/model")}


def _scores(cases: Cases, tree, ways: Sequence[Way]) -> Iterator[Result]:
    """Scores of each way, then how far it is from another one."""
    names = [way.name for way in ways]
    pairs = [(FEW, ZERO), (LORA, FEW), (LORA, WHOLE), (names[-1], LORA)]
    table = metrics_table(cases, tree, levels=tree.shown, metrics=MEASURED)
    gaps = differences_table(cases, pairs, tree, tree.shown, MEASURED)
    gaps["system"] = gaps["a"] + " minus " + gaps["b"]
    finest = tree.shown[-1]
    for row in pd.concat([table, gaps]).itertuples():
        if row.metric == "accuracy" or row.level == finest:
            what = f"{row.level} {row.metric}".replace("macro_f1", "macro F1")
            low, high = round(float(row.low), 4), round(float(row.high), 4)
            name = BETWEEN.join([row.system, SCORES, what])
            yield Result(name, round(float(row.value), 4), "", low=low, high=high)


def _costs(table: pd.DataFrame, ways: Sequence[Way]) -> Iterator[Result]:
    """Means over seeds of what each way took."""
    for way in ways:
        means = table[table["way"] == way.name].mean(numeric_only=True)
        for column, key, unit, one in COSTS_OF:
            if key in means and not pd.isna(means[key]):
                name = BETWEEN.join([way.name, COSTS, column])
                yield Result(name, float(means[key]) / one, unit)
