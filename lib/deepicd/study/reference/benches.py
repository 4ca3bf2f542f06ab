"""What benches of encoders, candidates and ways of adapting found, for the page."""

from pathlib import Path

import numpy as np
import pandas as pd

from deepicd.common.markdown import markdown_table
from deepicd.study.bench.measure import read_results
from deepicd.views.in_words import per_cent, points

ENCODERS, CANDIDATES = "encoders.json", "candidates.json"
ADAPTING = "adapting.json"
PARTS = {  # of names; what is neither row nor column is the title of a table
    ENCODERS: ["system", "row", "of", "column"],
    CANDIDATES: ["row", "of", "column"],
    ADAPTING: ["row", "of", "column"],
}
TOPS = {
    ENCODERS: """## Encoders that know the tree

`python -m deepicd.study.bench encoders --json` (and `--system encoder`) writes \
[{file}]({file}): losses and label vectors of `--only 02 --set losses=… --set \
code_embeddings=…` on the default corpus of each seed, on as many splits of the eICU \
demo (`--eicu DIR`), means over seeds in per cent with 95 % intervals over seeds, \
differences paired and in points. *Unseen*: a fifth of the codes, whose category keeps \
another, lost their training notes; their scores stand apart (zero-shot). No network \
answers such a code where those with notes may be answered too; the last column asks \
for the right one among the some 4,000 codes without notes alone.""",
    CANDIDATES: """## Candidates by retrieval

`python -m deepicd.study.bench candidates --json` writes [{file}]({file}): how often \
the right code is among the k that the first stage of `--only 04 --set candidates=k` \
proposes; means over seeds (here five corpora, and five splits of the eICU demo, \
`--eicu DIR`) in per cent with 95 % intervals over seeds. Recall at 1 is the accuracy \
of the first candidate. For zero-shot codes every code of the known \
categories may be proposed.""",
    ADAPTING: """## Ways of adapting a model

`python -m deepicd.study.bench adapting --json` writes [{file}]({file}): the base \
model asked as it is and with three worked examples, and trained on the same 280 \
traces for 150 steps with an adapter (rank 16), in all of its weights, and with an \
adapter after a layer was taken out; two seeds, all test notes of the default corpus \
of seed 0. Scores in per cent with 95 % intervals (bootstrap over patients and seeds), \
differences paired and in points. Learning rates are chosen on 200 validation notes, \
of two for each way. Every training and every answering (16 notes at once) has a \
process of its own; *above libraries* is how far its peak lies above what Python, \
PyTorch and TRL take before a model is loaded. Others used the two cores too.""",
}


def bench_tables(folder: Path) -> list[str]:
    """Paragraphs and tables in Markdown of the results that a folder keeps."""
    parts = []
    for file, top in TOPS.items():
        if (folder / file).exists():
            found = read_results(folder / file, PARTS[file])
            of = [name for name in PARTS[file] if name not in ("row", "column")]
            groups = found.groupby(of, sort=False)
            tables = [_table(", ".join(title), rows) for title, rows in groups]
            parts += [top.format(file=file), *tables]
    return parts


def _table(title: str, found: pd.DataFrame) -> str:
    """One row a variant and one column a score, in the order of the file."""
    units = dict(zip(found["column"], found["unit"], strict=True))
    columns = list(units)
    heads = [", ".join(filter(None, head)) for head in units.items()]
    lines = []
    for name, own in found.groupby("row", sort=False):
        known = {row.column: row for row in own.itertuples()}
        cells = [_cell(name, known[c]) if c in known else "" for c in columns]
        lines.append([name, *cells])
    return markdown_table([title, *heads], lines)


def _cell(name: str, row) -> str:
    """A number with a unit as it is, a share in per cent, a difference in points."""
    if row.unit:
        return f"{row.value:,.0f}" if row.value >= 100 else f"{row.value:.3g}"
    if " minus " in name:
        return points(row)
    low, high = np.clip([row.low, row.high], 0, 1)  # intervals over seeds may pass them
    return per_cent(row._replace(low=low, high=high))
