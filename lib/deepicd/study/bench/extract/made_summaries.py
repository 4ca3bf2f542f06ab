"""A file of full-length discharge summaries in the layout of MIMIC-IV-Note.

A few thousand synthetic summaries are lengthened with what makes real ones long
(laboratory lines, imaging reports, problems of the stay) and repeated with new
identifiers. Every repetition joins the admission part of one summary to the rest of
another, so that no text comes twice.
"""

import csv
import gzip
import io
import random
import textwrap
from pathlib import Path

import polars as pl

from deepicd.common.files import atomic_path
from deepicd.data.synthetic import corpus as synthetic
from deepicd.icd.load import load_tree

FULL_SIZE = 331_794  # discharge summaries of MIMIC-IV-Note 2.2
TEMPLATES = 2_000
COLUMNS = (
    "note_id",
    "subject_id",
    "hadm_id",
    "note_type",
    "note_seq",
    "charttime",
    "storetime",
    "text",
)
_TURN = ("\nBrief Hospital Course:\n", "\nMedications on Admission:\n")


def write_notes(folder: Path, notes: int = FULL_SIZE, seed: int = 0) -> Path:
    """Write `discharge.csv.gz` with so many summaries of about 10 KB.

    Parameters
    ----------
    folder : Path
        The templates are generated below it, too.
    notes : int
        Rows.
    seed : int
        Another seed gives other summaries.

    Returns
    -------
    Path
        The file.
    """
    heads, tails = halves(templates(folder, min(notes, TEMPLATES), seed), seed)
    path = folder / "discharge.csv.gz"
    with atomic_path(path) as temporary, gzip.open(temporary, "wb", 4) as file:
        file.write((",".join(COLUMNS) + "\n").encode())
        for start in range(0, notes, 1_000):
            numbers = range(start, min(start + 1_000, notes))
            file.write(_rows(numbers, heads, tails).encode())
    return path


def templates(folder: Path, notes: int, seed: int, length: str = "full") -> list[str]:
    """Generate synthetic summaries; broken ones, which the corpus has too, left out."""
    corpus = synthetic.write_corpus(
        folder / "templates", notes=notes, seed=seed, length=length
    )
    texts = pl.read_csv(corpus / "note" / "discharge.csv.gz", columns=["text"])
    return [text for text in texts["text"].drop_nulls() if len(text) > 1_000]


def halves(texts: list[str], seed: int) -> tuple[list[str], list[str]]:
    """Cut every summary before its hospital course and lengthen both halves."""
    draw = random.Random(seed)
    tree = load_tree()
    titles = [tree.title(code) for code in draw.sample(tree.codes(), 4_000)]
    heads, tails = [], []
    for text in texts:
        cuts = [at for turn in _TURN if (at := text.find(turn)) > 0]
        if not cuts:
            continue
        at = cuts[0]
        body = text.find("\n", at + 1)
        heads.append(text[:at] + _results(draw, titles))
        problems = _problems(draw, titles) if text.startswith(_TURN[0], at) else ""
        tails.append(text[at:body] + problems + text[body:])
    return heads, tails


def _rows(numbers, heads: list[str], tails: list[str]) -> str:
    """Write rows as MIMIC-IV-Note does: quoted text, quotes doubled."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    size, day = len(heads), "2150-01-06 00:00:00"
    for i in numbers:
        text = heads[i % size] + tails[(i * 7 + (1 + i // size) * 13) % size]
        person, stay = 10_000_000 + i // 2, 20_000_000 + i
        note = (f"{person}-DS-{i}", person, stay, "DS", i % 90, day, day, text)
        writer.writerow(note)
    return buffer.getvalue()


_TESTS = (
    "WBC",
    "RBC",
    "Hgb",
    "Hct",
    "MCV",
    "MCH",
    "MCHC",
    "RDW",
    "Plt Ct",
    "Glucose",
    "UreaN",
    "Creat",
    "Na",
    "K",
    "Cl",
    "HCO3",
    "AnGap",
    "ALT",
    "AST",
    "AlkPhos",
    "TotBili",
    "Calcium",
    "Phos",
    "Mg",
    "Lactate",
    "cTropnT",
)
_REPORTS = (
    "CHEST (PORTABLE AP) Study Date of ___\nINDICATION: ___ year old, {}.\n"
    "COMPARISON: Chest radiograph ___.\nFINDINGS: Lung volumes are low. {}. {}.\n"
    "No pleural effusion or pneumothorax.\nIMPRESSION: {}.",
    "CT ABDOMEN AND PELVIS WITH CONTRAST\nTECHNIQUE: Axial images after contrast.\n"
    "LIVER: homogeneous, no focal lesion.\nSPLEEN: normal in size.\nKIDNEYS: {}.\n"
    "OTHER: {}.\nIMPRESSION:\n1. {}.\n2. {}.",
    "MICROBIOLOGY\n___ 6:15 am BLOOD CULTURE\nBlood Culture, Routine (Final ___):"
    "    NO GROWTH.\n___ 9:30 am URINE Source: Catheter.\nURINE CULTURE (Final ___):"
    "    <10,000 organisms/ml. {}; {}; {}; {}.",
    "PATHOLOGIC DIAGNOSIS:\n{}:\n- ___ DIAGNOSIS: {}.\nCLINICAL HISTORY: {}.\n"
    "GROSS: received in formalin. {}.",
)


def _results(draw: random.Random, titles: list[str]) -> str:
    """Write laboratory lines and reports, the longest part of most summaries."""
    lines = []
    for _ in range(draw.randint(12, 26)):
        start = draw.randrange(len(_TESTS) - 8)
        tests = _TESTS[start : start + draw.randint(4, 8)]
        values = (
            f"{test}-{draw.randint(10, 1999) / 10:g}{draw.choice(('', '*'))}"
            for test in tests
        )
        time = f"0{draw.randint(1, 9)}:{draw.randint(10, 59)}{draw.choice('AP')}M"
        lines.append(f"___ {time} BLOOD {' '.join(values)}")
    reports = [
        textwrap.fill(text, 78, replace_whitespace=False, drop_whitespace=False)
        for form in draw.sample(_REPORTS, draw.randint(2, 4))
        for text in [form.format(*draw.sample(titles, 4))]
    ]
    return "\n" + "\n".join(lines) + "\n\n" + "\n\n".join(reports) + "\n "


def _problems(draw: random.Random, titles: list[str]) -> str:
    """Write the problems of the stay."""
    problems = []
    for title in draw.sample(titles, draw.randint(4, 9)):
        said = "; ".join(draw.sample(titles, draw.randint(2, 5)))
        text = f"# {title}: on day {draw.randint(1, 30)} {said}. Stable since ___."
        problems.append(textwrap.fill(text, 78))
    return "\n" + "\n\n".join(problems) + "\n"
