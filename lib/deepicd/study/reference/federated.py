"""What `bench federated` found, for the page beside the reference."""

from pathlib import Path

import pandas as pd

from deepicd.common.markdown import markdown_table
from deepicd.study.bench.measure import read_results
from deepicd.views.in_words import per_cent, points

FILE = "federated.json"
PARTS = ["sites", "seed", "what", "of"]
LEVELS = ("chapter", "category", "full")
WAYS = {
    "pooled": "pooled",
    "federated": "federated",
    "alone, mean": "a site alone (mean over sites)",
    "alone, own notes": "a site alone, its own patients",
}
TOP = f"""## Hospitals that share no note

`python -m deepicd.study.bench federated --json` writes [{FILE}]({FILE}): an MLP on \
frozen embeddings that are fitted on nobody's notes (hashed words and word pairs, \
randomly projected), trained on all notes together, by federated averaging (only \
weights leave a site) and by each site alone. Rounds are chosen on validation notes; \
test accuracy in per cent with 95 % intervals (bootstrap over patients), differences \
paired and in points. Random sites differ in size alone, sites of a speciality in \
their mix of chapters, too. A site alone answers all test notes; beside it \
every note is answered by the model of its own site. Of forty rounds the last is \
mostly the one chosen for averaging: it had not yet come to its end. A patient's notes \
from two hospitals of eICU stay where they were written."""
WHY = """Averaging is our own (`evaluation/baselines/federated.py`), not flower's. \
flwr 1.42 cannot be installed beside the pinned packages: it wants older rich, \
protobuf, packaging and typer and a newer certifi, and brings 23 more packages of \
294 MB (Ray 186 MB). It would replace the loop over sites and the mean, a dozen lines, \
and ask for a client, a server and a strategy of about 25; importing it takes 4.4 s of \
processor time, its simulation starts a Ray cluster, which did not come up within its \
time limit on a busy core, and the function that runs it from a program is \
deprecated. Seconds a round of it are therefore not known."""


def federated_tables(folder: Path) -> list[str]:
    """Paragraphs and a table in Markdown; none where the file is not there."""
    if not (folder / FILE).exists():
        return []
    return [TOP, _table(read_results(folder / FILE, PARTS)), WHY]


def _table(found: pd.DataFrame) -> str:
    heads = ["sites, seed", "notes a site", "accuracy at", *WAYS.values()]
    heads.append("federated minus pooled")
    lines = []
    for (sites, seed), rows in found.groupby(["sites", "seed"], sort=False):
        known = {(row.what, row.of): row for row in rows.itertuples()}
        for level in LEVELS:
            scores = [known[f"accuracy, {level}", way] for way in WAYS]
            gap = known[f"accuracy minus pooled, {level}", "federated"]
            cells = [f"{sites}, {seed}", _sizes(known), level]
            lines.append([*cells, *map(per_cent, scores), points(gap)])
    return markdown_table(heads, lines)


def _sizes(known: dict) -> str:
    few, middle, most = (
        f"{known['training notes', of].value:,.0f}"
        for of in ("smallest", "median", "largest")
    )
    return f"{known['sites', 'all'].value:.0f} sites: {few} to {most}, median {middle}"
