"""Which outcome can be told from an admission note? Runs of several tasks compared.

`python -m deepicd.study.reference tasks RUN… --to outputs/reference/cpu` keeps it.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deepicd.common.files import read_json, write_csv
from deepicd.common.markdown import markdown_table
from deepicd.evaluation.skill import MAJORITY, skill_table
from deepicd.evaluation.systems import OVERALL, gather
from deepicd.study.runner.graph import EVALUATE, EXTRACT, GRPO
from deepicd.study.runner.run_folder import Run
from deepicd.views.figures.palette import METRIC_NAMES
from deepicd.views.in_words import tasks_table

#: Compared beside the last model of each run: a constant, two readers, the optimum.
BESIDE = (MAJORITY, "tfidf_lr", "encoder")
ORACLE = "oracle"
SFT = "sft"
COARSEST, BETWEEN, FINEST = "coarsest", "between", "finest"
SCORES = {"accuracy": "Accuracy:", "macro_f1": "Macro F1:"}
FILE = "tasks.csv"
TOP = f"""## Other tasks on the default corpus

`./run_all.sh --task NAME` on the corpus of seed 0, kept by `python -m \
deepicd.study.reference tasks RUN… --to outputs/reference/cpu` in [{FILE}]({FILE}). \
Per cent with 95 % intervals over patients, at the levels of each task; the file has \
the skill at the coarsest and the finest, too (0 for the most frequent answer, 1 for \
the oracle)."""


def keep(runs: Sequence[str | Path], folder: str | Path) -> Path:
    """Write the comparison of finished runs into a reference."""
    file = Path(folder) / FILE
    write_csv(compare([Path(run) for run in runs], beside=(*BESIDE, SFT)), file)
    return file


def task_tables(folder: Path) -> list[str]:
    """Paragraph and table in Markdown of what a reference keeps; none without it."""
    if not (folder / FILE).exists():
        return []
    frame, parts = pd.read_csv(folder / FILE), [TOP]
    for metric, head in SCORES.items():
        table = tasks_table(frame[frame["metric"] == metric]).reset_index()
        names = [name.removesuffix(f", {METRIC_NAMES[metric]}") for name in table]
        parts += [head, markdown_table(names, table.itertuples(index=False))]
    return parts


def compare(
    run_dirs: Sequence[Path], n_boot: int = 1000, beside: Sequence[str] = BESIDE
) -> pd.DataFrame:
    """Scores at the shown levels of each run's task; at both ends also the skill.

    Parameters
    ----------
    run_dirs : sequence of Path
        Folders of runs; those whose stage 06 has not run are left out.
    n_boot : int
        Resamples for the intervals of the skill; the others are those of stage 06.
    beside : sequence of str
        Systems shown besides the last model of each run and the oracle.

    Returns
    -------
    pandas.DataFrame
        Columns task, about, depth (coarsest, between, finest), level, labels (different
        ones of that level among the test notes), system, metric (accuracy, macro_f1,
        skill), value, low, high, n; tasks with more skill first.
    """
    done = [run for run in run_dirs if (run / EVALUATE / "metrics.parquet").exists()]
    tables = [_one_task(Run(run, EVALUATE), n_boot, beside) for run in done]
    if not tables:
        return pd.DataFrame()
    told = [_most_skill(table) for table in tables]
    order = sorted(range(len(tables)), key=lambda i: -told[i])
    return pd.concat([tables[i] for i in order], ignore_index=True)


def _one_task(run: Run, n_boot: int, beside: Sequence[str]) -> pd.DataFrame:
    admissions = pd.read_parquet(run.path(EXTRACT, "admissions.parquet"))
    last = read_json(run.path(GRPO, "arguments.json"))["system"]
    shown = [*beside, last, ORACLE]
    scores = pd.read_parquet(run.path(EVALUATE, "metrics.parquet"))
    scores = scores[(scores["stratum"] == OVERALL) & scores["metric"].isin(SCORES)]
    answers = pd.read_parquet(run.path(EVALUATE, "predictions.parquet"))
    tree, file = run.tree(), run.root / EXTRACT / "oracle.parquet"
    oracle = pd.read_parquet(file) if file.exists() else None
    cases = gather(answers, admissions)
    parts = []
    between = [(BETWEEN, level) for level in tree.shown[1:-1]]
    ends = (COARSEST, tree.levels[0]), (FINEST, tree.levels[-1])
    for depth, level in (ends[0], *between, ends[1]):
        own = [scores[scores["level"] == level]]
        if depth != BETWEEN:
            own.append(skill_table(cases, tree, oracle, level, n_boot))
        nodes = len({tree.at(label, level) for label in cases.gold})
        parts.append(pd.concat(own).assign(depth=depth, labels=nodes))
    table = pd.concat(parts).assign(task=run.task.name, about=run.task.about)
    return table.loc[table["system"].isin(shown), COLUMNS].reset_index(drop=True)


COLUMNS = [
    "task",
    "about",
    "depth",
    "level",
    "labels",
    "system",
    "metric",
    "value",
    "low",
    "high",
    "n",
]


def _most_skill(table: pd.DataFrame) -> float:
    rows = table[(table["metric"] == "skill") & (table["depth"] == FINEST)]
    most = rows["value"].max()
    return -1.0 if pd.isna(most) else float(most)
