"""What `bench encoders` and `bench candidates` found, for the reference's page."""

from pathlib import Path

import pandas as pd

from deepicd.study.bench.measure import read_results
from deepicd.views.in_words import per_cent, points, table_row

ENCODERS, CANDIDATES = "encoders.json", "candidates.json"
PARTS = {  # of names; what is neither row nor column is the title of a table
    ENCODERS: ["system", "row", "of", "column"],
    CANDIDATES: ["row", "of", "column"],
}
TOPS = {
    ENCODERS: """## Encoders that know the tree

`python -m deepicd.study.bench encoders --json` writes [{file}]({file}): losses and \
label vectors of `--only 02 --set losses=… --set code_embeddings=…` on the default \
corpus of each seed, means over seeds in per cent with 95 % intervals over seeds, \
differences paired and in points. *Unseen*: a fifth of the codes, whose category keeps \
another, lost their training notes; their scores stand apart (zero-shot).""",
    CANDIDATES: """## Candidates by retrieval

`python -m deepicd.study.bench candidates --json` writes [{file}]({file}): how often \
the right code is among the k that the first stage of `--only 04 --set candidates=k` \
proposes; means over seeds (here five corpora, and five splits of the eICU demo, \
`--eicu DIR`) in per cent with 95 % intervals over seeds. Recall at 1 is the accuracy \
of the first candidate. For zero-shot codes every code of the known \
categories may be proposed.""",
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
    columns = list(dict.fromkeys(found["column"]))
    lines = [table_row(title, *columns), table_row(*["---"] * (len(columns) + 1))]
    for name, own in found.groupby("row", sort=False):
        known = {row.column: row for row in own.itertuples()}
        tell = points if " minus " in name else per_cent
        cells = [tell(known[c]) if c in known else "" for c in columns]
        lines.append(table_row(name, *cells))
    return "\n".join(lines)
