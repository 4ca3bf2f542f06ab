"""What `bench tasks` found on open data, for the page beside the reference."""

from pathlib import Path

import pandas as pd

from deepicd.common.markdown import markdown_table
from deepicd.study.bench.measure import read_results
from deepicd.views.in_words import per_cent, points

FILE = "tasks_open_data.json"
ANY = "names a unit or a place to go"
CHARTED = "Worst values of the first day"
PARTS = ["data", "task", "what", "of"]
TOP = f"""## Tasks on open data

`python -m deepicd.study.bench tasks --json` writes [{FILE}]({FILE}) from the demos of \
MIMIC-IV 2.2 (275 admissions, no notes) and eICU 2.0 (structured notes of unit stays); \
how often each coarsest node occurs stands there, too. Real patients, openly licensed; \
aggregates only."""
HEAD = ["data", "task", "used", "different labels", "left out"]
SCORES = """eICU, test notes of one split by patient; per cent with 95 % intervals \
(bootstrap over patients), differences paired and in points; macro F1 and kappa stand \
in the file."""
COLUMNS = {
    ("accuracy", "prior"): "most frequent",
    ("accuracy", "tfidf_lr"): "TF-IDF + LR",
    ("accuracy", "encoder"): "encoder",
    ("accuracy minus prior", "tfidf_lr"): "TF-IDF + LR minus most frequent",
    ("accuracy minus prior", "encoder"): "encoder minus most frequent",
}
LEAKS = """Leak control of `routing`: {charted} of eICU notes name their own unit as \
charted, and TF-IDF + LR then finds it in {told}. Of the notes that the task is given, \
{asked} do. A sentence that names a unit or a place to go, such as the one that the \
patient came from, stands in {any} (flag `tells_the_answer`; {dropped} with \
`drop_named`), and in {made} of the notes of the synthetic corpus. What is charted \
tells the coarsest level nevertheless: worst values of the first day stand in {icu} of \
the notes from intensive care and in {ward} of those from step-down units."""


def open_data_tables(folder: Path) -> list[str]:
    """Paragraphs and tables in Markdown; none where the file is not there."""
    if not (folder / FILE).exists():
        return []
    found = read_results(folder / FILE, PARTS)
    return [TOP, _cohorts(found), SCORES, _scores(found), _leaks(found)]


def _cohorts(found: pd.DataFrame) -> str:
    lines = []
    for (data, task), rows in found.groupby(["data", "task"], sort=False):
        used = rows[(rows["what"] == "used") & (rows["of"] == "all")]
        levels, out = (rows[rows["what"] == what] for what in ("different", "left out"))
        named = ", ".join(f"{r.value:,.0f} {r.of}" for r in levels.itertuples())
        why = [f"{r.value:,.0f} {r.of.split(' (')[0]}" for r in out.itertuples()]
        if len(used):
            count = f"{used['value'].item():,.0f}"
            lines.append([data, task, count, named, "; ".join(why) or "nobody"])
    return markdown_table(HEAD, lines)


def _scores(found: pd.DataFrame) -> str:
    lines = []
    rows = found[found["low"].notna()]
    parts = rows["what"].str.rpartition(", ")
    rows = rows.assign(score=parts[0], level=parts[2])
    for (task, level), own in rows.groupby(["task", "level"], sort=False):
        known = {(row.score, row.of): row for row in own.itertuples()}
        if set(COLUMNS) <= set(known):
            told = [points if "minus" in key[0] else per_cent for key in COLUMNS]
            cells = [tell(known[k]) for tell, k in zip(told, COLUMNS, strict=True)]
            lines.append([f"{task}, {level}", *cells])
    return markdown_table(["task, accuracy at", *COLUMNS.values()], lines)


def _leaks(found: pd.DataFrame) -> str:
    routing = found[found["task"] == "routing"].set_index(["data", "what", "of"])
    told = routing.xs(("accuracy, unit", "tfidf_lr, unit in the note"), level=[1, 2])

    def share(what: str, how: str = "as asked", data: str = "eICU demo") -> str:
        return f"{100 * routing.loc[(data, what, how), 'value']:.1f} %"

    return LEAKS.format(
        charted=share("names its own unit", "as charted"),
        told=per_cent(told.iloc[0], " %"),
        asked=share("names its own unit"),
        any=share(ANY),
        dropped=share(ANY, "as asked, drop_named"),
        made=share(ANY, data="synthetic corpus"),
        icu=share(CHARTED, "intensive care"),
        ward=share(CHARTED, "ward"),
    )
