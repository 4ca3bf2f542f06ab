"""Make the background of evidence that comes with the package.

``python -m deepicd.data.synthetic.background`` learns from 20,000 synthetic notes of
all codes (seed 1000, which no study corpus uses) and writes `tasks/background.json`.
"""

import json
from pathlib import Path

from deepicd.common.files import write_text
from deepicd.data.examples import synthetic_admissions
from deepicd.icd.load import load_tree
from deepicd.tasks import evidence

NOTES, SEED = 20_000, 1000


def learn(notes: int = NOTES, seed: int = SEED) -> evidence.Background:
    """Background of a synthetic corpus.

    Parameters
    ----------
    notes, seed : int
        Of the corpus.

    Returns
    -------
    Background
    """
    tree = load_tree()
    rows = synthetic_admissions(notes, seed)
    return evidence.Background.of(rows["note"], rows["label"], tree)


def rows():
    """Nodes with the worth of their words, in order: a line of the file each."""
    return (
        (node, dict(sorted(told.items())))
        for node, told in sorted(learn().worth.items())
    )


if __name__ == "__main__":
    place = Path(evidence.__file__).with_name("background.json")
    lines = [f"{json.dumps(node)}: {json.dumps(told)}" for node, told in rows()]
    write_text("{\n" + ",\n".join(lines) + "\n}\n", place)
    print(f"{place}: {place.stat().st_size:,} bytes")
