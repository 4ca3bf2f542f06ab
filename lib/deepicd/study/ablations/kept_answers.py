"""The reference run of the ablations: kept small, shown where nothing was run."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_csv, write_json
from deepicd.study.ablations.comparison import law_table
from deepicd.study.ablations.kept_runs import DETAILS, Kept
from deepicd.study.ablations.study import run_table
from deepicd.study.ablations.verdicts import tell
from deepicd.study.reference.scores import MANIFEST, run_facts
from deepicd.views.in_words import wide_table

TABLE = "ablations.csv"
NONE = "No reference run is kept in outputs/reference/{}."
MARK = "REFERENCE RUN, not this one"


def save_reference(questions: Sequence, folder: str | Path) -> Path:
    """Keep finished sections: runs with their answers, tables, figures.

    Parameters
    ----------
    questions : sequence of Question
        Those that were run are kept; other sections of the reference stay.
    folder : path-like
        Such as ``outputs/reference/cpu``, which `deepicd.study.reference` fills too.

    Raises
    ------
    UserError
        For private data, or when no section was run.
    """
    done = [q for q in questions if q.differences is not None]
    if not done or done[0].study.private:
        raise UserError(
            "runs on private data" if done else "no section with finished runs",
            "finished runs on public data for a reference that is handed on",
            "make it from --data synthetic, with --ablation full",
        )
    folder, study = Path(folder), done[0].study
    details = folder / DETAILS
    kept = Kept(details)
    kept.add([job for q in done for job in study.all_jobs(q.givens)])
    table = run_table(kept.runs.values())
    write_csv(_small(table), folder / TABLE)
    for question in done:
        _save_section(question, details)
    before = details / MANIFEST
    sections = read_json(before)["sections"] if before.exists() else {}
    run = Path(study.run_dir)
    said = run_facts(run) if (run / MANIFEST).exists() else {}
    # Sections may be asked of runs of other settings, such as g of one with history.
    asked_of = said.pop("set", None) or {}
    for question in done:
        section = question.section
        sections[section.name] = [section.scope, list(section.seeds), asked_of]
    said |= {
        "runs": len(table),
        "hours": round(table["seconds"].sum() / 3600, 2),
        "sections": sections,
    }
    write_json(said, before)
    return folder


def _small(table: pd.DataFrame) -> pd.DataFrame:
    numbers = table.select_dtypes("number").columns.drop("seed")
    return table.astype(dict.fromkeys(numbers, float)).round(5)


def _save_section(question, details: Path) -> None:
    name = question.section.name
    scores = wide_table(question.metrics)
    write_csv(scores.reset_index(), details / f"{name}_scores.csv")
    write_csv(question.differences.round(5), details / f"{name}_differences.csv")
    if question.section.law:
        write_csv(question.laws.round(5), details / f"{name}_laws.csv")
    shutil.rmtree(details / "figures" / name, ignore_errors=True)
    question.draw(details / "figures" / name)
    for file in (details / "figures" / name).glob("*.pdf"):
        file.unlink()  # PNG and CSV are enough to compare with


def scores(details: Path, name: str) -> pd.DataFrame | None:
    """Scores of a section in the reference run, if it is kept in that folder."""
    file = details / f"{name}_scores.csv"
    if not file.exists():
        return None
    table = pd.read_csv(file, index_col=0)
    table.index.name = f"system ({MARK})"
    return table


def answer(details: Path, section) -> list[str]:
    """Answer of a section in the reference run behind its mark; none if not kept."""
    file = details / f"{section.name}_differences.csv"
    if not file.exists():
        return []
    scope, seeds, *_ = read_json(details / MANIFEST)["sections"][section.name]
    laws = details / f"{section.name}_laws.csv"
    laws = pd.read_csv(laws) if laws.exists() else law_table(None)
    short, *facts = tell(section, pd.read_csv(file), laws)
    return [f"{MARK} ({scope}, seeds {', '.join(map(str, seeds))}). {short}", *facts]


def show_figures(details: Path, name: str) -> None:
    """Show the figures of a section of the reference run."""
    found = sorted((details / "figures" / name).glob("*.png"))
    if not found:
        print(NONE.format(details.parent.name))
        return
    from IPython import get_ipython

    for file in found:
        print(f"{MARK}: {file.name}")
        if get_ipython() is not None:
            from IPython.display import Image, display

            display(Image(filename=str(file), width=770))
