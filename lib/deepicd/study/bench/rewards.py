"""Rewards: completions a second, and texts made to be slow to read."""

import random
import string
from time import process_time

from deepicd.icd.load import load_tree
from deepicd.rewards.published import published_reward
from deepicd.rewards.scoring import Scorer
from deepicd.rewards.spec import get_spec
from deepicd.rewards.trl import trl_reward_functions
from deepicd.study.bench.measure import Result, best_seconds
from deepicd.tasks.prompts import parse_completion

TITLE = "Rewards: throughput and worst cases"


def run() -> list[Result]:
    """Measure throughput (CPU seconds), a GRPO batch, and hostile texts.

    Returns
    -------
    list of Result
    """
    tree = load_tree()
    texts, golds, notes = completions(tree, 10_000)
    return [
        *_throughput(tree, texts, golds, notes),
        *_batch(tree, texts[:64], golds[:64], notes[:64]),
        *_hostile(tree),
    ]


def completions(tree, count: int, words: int = 250, seed: int = 0):
    """Make well-formed completions of some words, 40 % of them exact.

    Returns
    -------
    tuple of three lists
        Completions, gold codes, notes.

    Examples
    --------
    >>> texts, golds, notes = completions(load_tree(), 2, words=5)
    >>> len(texts), texts[0].endswith("</diagnosis>")
    (2, True)
    """
    rng = random.Random(seed)
    codes = rng.sample(tree.billable_codes(), 500)
    letters = string.ascii_lowercase
    lexicon = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(800)]
    golds = rng.choices(codes, k=count)
    texts, notes = [], []
    for gold in golds:
        said = gold if rng.random() < 0.4 else rng.choice(codes)
        trace = rng.choices(lexicon, k=words - 3)
        quote = " ".join(trace[:3])
        text = f'<think>\n"{quote}" {" ".join(trace)}\n</think>\n'
        texts.append(f"{text}<diagnosis>{said}</diagnosis>")
        notes.append(" ".join(rng.choices(lexicon, k=300)))
    return texts, golds, notes


def _throughput(tree, texts, golds, notes) -> list[Result]:
    pairs = list(zip(texts, golds, strict=True))
    parsing = _speed(lambda: [parse_completion(text) for text in texts], texts)
    published = _speed(lambda: [published_reward(*pair) for pair in pairs], texts)
    results = []
    for name in ("tree", "flat", "prefix", "sapphire_dense"):
        scorer = Scorer(get_spec(name), tree)
        speed = _speed(lambda scorer=scorer: scorer(texts, golds), texts)
        goal = 200_000.0 if name == "tree" else None
        results.append(Result(f"{name}, completions a second", speed, "/s", goal, True))
    parts = ("format", "validity", "evidence", "length", "repetition")
    spec = get_spec("tree", **{f"weight_{part}": 0.1 for part in parts})
    full = _speed(lambda: Scorer(spec, tree)(texts, golds, notes), texts, repeats=2)
    return [
        *results,
        Result("tree with all text parts", full, "/s"),
        Result("parse_completion alone", parsing, "/s"),
        Result("published rules, read in linear time", published, "/s"),
    ]


def _speed(work, texts, repeats: int = 7) -> float:
    return len(texts) / best_seconds(work, repeats, clock=process_time)


def _batch(tree, texts, golds, notes) -> list[Result]:
    functions, _, _ = trl_reward_functions("tree", tree)
    columns = {"prompts": [""] * len(texts), "label": golds, "note": notes}
    functions[0](completions=texts, **columns)
    took = best_seconds(
        lambda: [f(completions=list(texts), **columns) for f in functions]
    )
    return [Result("64 completions through the TRL functions", took * 1e3, "ms")]


def hostile_texts() -> dict[str, str]:
    """Texts that make careless readers slow; each about a megabyte or less.

    Examples
    --------
    >>> len(hostile_texts()["one megabyte of reasoning"]) > 1_000_000
    True
    """
    answer = "</think><diagnosis>I21.11</diagnosis>"
    return {
        "one megabyte of reasoning": f"<think>{'chest pain ' * 95_000}{answer}",
        "50,000 repeated tags": "<think>" * 50_000 + answer,
        "50,000 diagnoses": "<think>a</think>" + "<diagnosis>I10</diagnosis>" * 50_000,
        "100,000 newlines in the think": "<think>" + "\n" * 100_000 + answer,
        "100,000 newlines, no answer": "\n" * 100_000 + "<think>" + "\n" * 100_000,
        "100,000 newlines between": f"<think>a</think>{chr(10) * 100_000}x{answer}",
        "100,000 less-than signs": "<think>" + "<" * 100_000 + answer,
        "100,000 blanks after <": "<think><" + " " * 100_000 + answer,
        "long answer": f"<think>a</think><diagnosis>{'I21.11 ' * 140_000}</diagnosis>",
    }


def _hostile(tree) -> list[Result]:
    # No length limit here: the reader itself has to be linear.
    specs = [get_spec(name, max_characters=10**8) for name in ("tree", "prefix")]
    scorers = [Scorer(spec, tree) for spec in specs]
    results = []
    for name, text in hostile_texts().items():
        slowest = max(
            best_seconds(lambda s=s, t=text: s([t], ["I21.11"])) for s in scorers
        )
        results.append(Result(name, slowest * 1e3, "ms", goal=50.0))
    return results
