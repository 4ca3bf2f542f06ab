"""The HTML report of a run: results, an example, figures, executed notebooks."""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepicd.common.files import read_json, write_text
from deepicd.common.progress import clock
from deepicd.study.runner.display import about
from deepicd.study.runner.fast_imports import skip_slow_imports
from deepicd.study.runner.graph import EVALUATE, GRPO, SFT
from deepicd.study.runner.manifest import MANIFEST

INDEX = "index.html"
DATA_FILES = ("page.html.j2", "report.html.j2", "all_tasks.html.j2")
SAMPLE_CHARACTERS = 4000
#: nbconvert breaks printed lines in the middle of words; here they break between them.
WORDS = ".jp-OutputArea-output pre { word-break: normal; overflow-wrap: anywhere; }"


@dataclass(frozen=True)
class Picture:
    """A figure and the caption that was written with its numbers, if any."""

    name: str
    image: str
    caption: str
    others: tuple[tuple[str, str], ...]


def write_report(plan, refresh: bool = True) -> Path:
    """Write ``index.html`` and the HTML of every executed notebook.

    Parameters
    ----------
    plan : deepicd.study.runner.plan.Plan
    refresh : bool
        Write even if there is a report already.

    Returns
    -------
    Path
        The report; links in it are relative, so the folder can be moved.
    """
    index = plan.run_dir / INDEX
    if index.exists() and not refresh:
        return index
    manifest = read_json(plan.run_dir / MANIFEST)
    page = rendered(
        "report.html.j2",
        run=plan.run_dir.name,
        manifest=manifest,
        notebooks=[_notebook(plan, stage, manifest) for stage in _written(plan)],
        results=_results(plan.run_dir),
        before_after=None if plan.private else _before_after(plan.run_dir),
        private=plan.private,
        clock=clock,
    )
    write_text(page, index)
    return index


def rendered(template: str, **values) -> str:
    """A page of the templates beside this file.

    Examples
    --------
    >>> "Research only" in rendered("page.html.j2", run="a run", private=False)
    True
    """
    from jinja2 import Environment, FileSystemLoader

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _written(plan) -> list:
    return [s for s in plan.sources.stages if plan.sources.notebook(s).exists()]


def _notebook(plan, stage, manifest: dict) -> dict:
    """What the report says of one stage."""
    executed = plan.run_dir / "notebooks" / f"{stage.name}.ipynb"
    state = manifest["stages"].get(stage.name, {})
    notebook = about(plan.sources.notebook(stage))
    return {
        "name": stage.name,
        "number": stage.number,
        "title": notebook.title,
        "purpose": notebook.purpose,
        "seconds": state.get("seconds"),
        "status": state.get("status", "not run"),
        "html": _to_html(executed, plan.private) if executed.exists() else None,
        "figures": _pictures(plan.run_dir, stage.name),
        "parameters": _parameters(plan, stage),
    }


def _parameters(plan, stage) -> dict:
    """Parameters a stage was last run with; the plan may not have selected it."""
    manifest = plan.run_dir / stage.name / MANIFEST
    if manifest.exists():
        return read_json(manifest)["parameters"]
    return plan.parameters[stage.name]


def _to_html(executed: Path, private: bool) -> str:
    """Convert an executed notebook unless that was done; its relative link."""
    page = executed.with_suffix(".html")
    if not page.exists() or page.stat().st_mtime < executed.stat().st_mtime:
        skip_slow_imports()
        from nbconvert import HTMLExporter

        exporter = HTMLExporter(template_name="lab")
        exporter.require_js_url = exporter.jquery_url = ""
        if private:  # a private page asks nothing of other machines
            exporter.mathjax_url = exporter.mermaid_js_url = ""
        body, _ = exporter.from_filename(str(executed))
        write_text(body.replace("</head>", f"<style>{WORDS}</style></head>", 1), page)
    return f"notebooks/{page.name}"


def _pictures(run_dir: Path, stage: str) -> list[Picture]:
    folder = run_dir / stage / "figures"
    pictures = []
    for image in sorted(folder.glob("*.png")):
        others = [image.with_suffix(suffix) for suffix in (".pdf", ".csv")]
        links = [
            (f.suffix[1:].upper(), _link(f, run_dir)) for f in others if f.exists()
        ]
        link, said = _link(image, run_dir), _caption(image)
        pictures.append(Picture(image.stem, link, said, tuple(links)))
    return pictures


def _caption(image: Path) -> str:
    """Read the caption that `figures.save` stored in the file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(image) as opened:
            return opened.info.get("Description", "")
    except UnidentifiedImageError:  # a broken figure is shown as such, by the browser
        return ""


def _link(path: Path, run_dir: Path) -> str:
    return path.relative_to(run_dir).as_posix()


def _results(run_dir: Path) -> str:
    """Scores of every system, with intervals, as a table in HTML; empty if none yet."""
    file = run_dir / EVALUATE / "metrics.parquet"
    if not file.exists():
        return ""
    from deepicd.views.in_words import wide_table  # brings matplotlib

    table = wide_table(pd.read_parquet(file)).rename_axis(None)
    text = table.to_html(classes="results", border=0)
    return re.sub(r"\[[^]<]*\]", r"<span>\g<0></span>", text)  # an interval, whole


def _readable(completion: str, note: str) -> str:
    """A completion as HTML, each quote marked by whether it stands in the note."""
    from deepicd.views.marked import marked, marks_in_trace

    text = completion.strip()[:SAMPLE_CHARACTERS]
    return marked(text, marks_in_trace(text, note)) or "(nothing but white space)"


def _before_after(run_dir: Path) -> dict | None:
    """One note with the completions of every system, from 04's and 05's samples."""
    files = [run_dir / stage / "samples.parquet" for stage in (SFT, GRPO)]
    frames = [pd.read_parquet(file) for file in files if file.exists()]
    if not frames:
        return None
    from deepicd.views.figures.palette import look
    from deepicd.views.training import most_telling

    samples = pd.concat(frames, ignore_index=True)
    systems = samples.groupby("note_id")["system"].nunique()
    samples = samples[samples["note_id"].isin(systems[systems == systems.max()].index)]
    samples = samples.drop_duplicates(["note_id", "system"])
    rows = samples[samples["note_id"] == most_telling(samples)]
    answers = [
        {
            "system": look(row.system).name,
            "completion": _readable(str(row.completion), str(row.note)),
            "code": row.code if pd.notna(row.code) else "no answer",
            "right": row.code == row.gold,
        }
        for row in rows.itertuples()
    ]
    first = rows.iloc[0]
    return {
        "note": str(first["note"])[:SAMPLE_CHARACTERS],
        "gold": first["gold"],
        "answers": answers,
    }
