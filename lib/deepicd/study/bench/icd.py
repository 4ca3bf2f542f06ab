"""The tree: warm load and memory against the package it is made from; lookups."""

import random

from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import Result, best_seconds, fresh_process

TITLE = "ICD-10-CM tree: load time, memory, lookups"
_OURS = "from deepicd.icd import load_tree; tree = load_tree()"
_USED = _OURS + "; tree.title('I21.11'); tree.excludes1('I21.11'); tree.codes()"


def run() -> list[Result]:
    """Measure everything; the package and the tree in fresh processes each.

    Returns
    -------
    list of Result
    """
    tree = load_tree()  # builds the cache where there is none
    ours = fresh_process(_OURS, repeats=5)
    used = fresh_process(_USED)
    package = fresh_process("import simple_icd_10_cm")
    speed, memory = package["seconds"] / ours["seconds"], package["bytes"]
    share, share_used = ours["bytes"] / memory, used["bytes"] / memory
    return [
        Result("warm load, imports included", ours["seconds"] * 1e3, "ms"),
        Result("import simple_icd_10_cm", package["seconds"] * 1e3, "ms"),
        Result("load, times faster", speed, "x", goal=40.0, at_least=True),
        Result("memory after load", ours["bytes"] / 2**20, "MiB"),
        Result("memory with titles, notes, codes", used["bytes"] / 2**20, "MiB"),
        Result("memory of the package", memory / 2**20, "MiB"),
        Result("memory, share", share, "", goal=0.2),
        Result("memory, share, everything used", share_used, "", goal=0.2),
        *_lookups(tree),
    ]


def _lookups(tree) -> list[Result]:
    codes = random.Random(0).sample(tree.codes(), 20_000)
    raw = [code.replace(".", "").lower() for code in codes]
    pairs = list(zip(codes, codes[1:] + codes[:1], strict=True))
    work = {
        "normalise, as written": lambda: [tree.normalise(c) for c in codes],
        "normalise, undotted lower case": lambda: [tree.normalise(c) for c in raw],
        "path": lambda: [tree.path(c) for c in codes],
        "at(category)": lambda: [tree.at(c, "category") for c in codes],
        "lca_level": lambda: [tree.lca_level(a, b) for a, b in pairs],
        "is_billable": lambda: [tree.is_billable(c) for c in codes],
        "title": lambda: [tree.title(c) for c in codes],
    }
    return [
        Result(f"{name}, a second", len(codes) / best_seconds(job), "/s")
        for name, job in work.items()
    ]
