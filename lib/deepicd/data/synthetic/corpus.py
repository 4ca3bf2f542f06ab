"""A synthetic MIMIC-IV whose best possible answer is known.

The corpus is generated from the knowledge base beside this file by the
probability model of `synthetic_model`. It comes in the layout of MIMIC-IV and
MIMIC-IV-Note, so the same code reads both. It is artificial: no text, number or
rate is taken from a patient.

    python -m deepicd.data.synthetic.corpus --notes 4000 --out corpus
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import atomic_path, write_json, write_text
from deepicd.common.parameters import choice
from deepicd.common.progress import Count
from deepicd.data.synthetic import model as models
from deepicd.data.synthetic.dataset_card import card
from deepicd.data.synthetic.knowledge import Entry, core, load_knowledge
from deepicd.data.synthetic.other_tasks import ASKED, questions
from deepicd.data.synthetic.people import NEWBORN
from deepicd.data.synthetic.posterior_file import OracleWriter
from deepicd.data.synthetic.sentences import admission_sections
from deepicd.data.synthetic.stays import Recipe, make_chunk
from deepicd.data.synthetic.tables import (
    GZIP_LEVEL,
    catalogue_rows,
    open_tables,
    procedure_rows,
)
from deepicd.data.synthetic.trajectory import MOST, READMITTED
from deepicd.data.synthetic.words import Draw, lexicon, speak

CHUNK = 500
DIFFICULTY = 0.3
CODES = 120
FEWEST = 40  # two codes a chapter
LENGTHS = tuple(models.STYLES)
MARKER = "corpus.json"
_EXAMPLES = ("chapter_09_circulatory.yaml",)
_NOTE_HEADERS = {
    "complaint": "CHIEF COMPLAINT",
    "hpi": "PRESENT ILLNESS",
    "pmh": "MEDICAL HISTORY",
    "meds": "MEDICATION ON ADMISSION",
    "allergies": "ALLERGIES",
    "exam": "PHYSICAL EXAM",
    "family": "FAMILY HISTORY",
    "social": "SOCIAL HISTORY",
}


def write_corpus(
    out_dir,
    notes: int = 4000,
    seed: int = 0,
    length: str = "brief",
    difficulty: float = DIFFICULTY,
    tail: float = models.TAIL_EXPONENT,
    codes: int | None = CODES,
    level: int = GZIP_LEVEL,
    tasks: Sequence[str] = ASKED,
    readmitted: float = READMITTED,
    bearing: float = 0.0,
    history: bool = False,
) -> Path:
    """Write a synthetic corpus in the layout of MIMIC-IV.

    Parameters
    ----------
    out_dir : path-like
        Folder to write; replaced as a whole if it holds an older corpus.
    notes : int
        Usable discharge summaries. Further admissions that a study excludes
        (ICD-9, newborn, no note, broken note) come on top.
    seed : int
        The same seed gives the same tables on every platform.
    length : {"brief", "full"}
        Admission note of about 100 or about 400 words.
    difficulty : float
        Share of the findings that tell siblings apart which the notes leave out.
    tail : float
        Exponent of the Zipf law of the code frequencies.
    codes : int or None
        How many codes, the most common first; None for all.
    level : int
        Compression of the tables, 0 (none) to 9.
    tasks : sequence of str
        Whose best possible answers are written, beside those of the diagnosis.
    readmitted : float
        Share of the usable stays that follow another one of the patient.
    bearing : float
        Share of these whose code hangs on the stay before (see `trajectory`).
    history : bool
        Whether the best answers of who also knows all earlier codes are written, too.

    Returns
    -------
    Path
        `out_dir`, with `hosp/`, `note/`, `oracle.parquet` and `oracle_<task>.parquet`
        of other tasks (`…_history.parquet` with history), `corpus.json` and a dataset
        card.

    Raises
    ------
    UserError
        For a parameter out of range or a folder that holds something else.

    Examples
    --------
    >>> import tempfile
    >>> folder = write_corpus(Path(tempfile.mkdtemp()) / "corpus", notes=20)
    >>> (folder / "note" / "discharge.csv.gz").is_file()
    True
    """
    out_dir = Path(out_dir)
    _check(out_dir, notes, length, difficulty, tail, codes)
    _check_stays(readmitted, bearing)
    knowledge = core(load_knowledge(), codes)
    model = models.build_model(knowledge, length, float(difficulty), float(tail))
    asked = questions(model, tuple(tasks), 1 - readmitted)
    again = float(readmitted), float(bearing), history
    recipe = Recipe(model, int(seed), length, asked, *again)
    with atomic_path(out_dir) as folder:
        folder.mkdir()
        with open_tables(folder, level) as writers, OracleWriter(folder) as oracle:
            catalogue = catalogue_rows(knowledge, NEWBORN)
            writers["hosp/d_icd_diagnoses"].write(catalogue.encode())
            writers["hosp/d_icd_procedures"].write(procedure_rows(knowledge).encode())
            count = Count(notes, "writing synthetic notes")
            for start in range(0, notes, CHUNK):
                size = min(CHUNK, notes - start)
                rows, answers = make_chunk(recipe, start // CHUNK, size)
                for table, text in rows.items():
                    writers[table].write(text.encode())
                oracle.add(answers)
                count.add(size)
        facts = _facts(recipe, notes, difficulty, tail)
        write_json(facts, folder / MARKER)
        write_text(card(facts), folder / "README.md")
    return out_dir


def _facts(recipe: Recipe, notes: int, difficulty: float, tail: float) -> dict:
    entries = recipe.model.knowledge.entries
    return {
        "synthetic": True,
        "notes": notes,
        "seed": recipe.seed,
        "length": recipe.length,
        "difficulty": difficulty,
        "tail": tail,
        "readmitted": recipe.readmitted,
        "bearing": recipe.bearing,
        "codes": len(entries),
        "categories": len({e.category for e in entries}),
        "chapters": len({e.chapter for e in entries}),
    }


def _check(out_dir: Path, notes, length, difficulty, tail, codes) -> None:
    choice("length", length, tuple(LENGTHS))
    if notes < 1 or not 0 <= difficulty < 1:
        raise UserError(
            found=f"{notes} notes at difficulty {difficulty}",
            expected="at least one note and a difficulty from 0 to below 1",
            do="--notes 4000 --difficulty 0.3",
        )
    if tail < 0 or (codes is not None and codes < FEWEST):
        raise UserError(
            found=f"{codes} codes with tail {tail}",
            expected=f"at least {FEWEST} codes (0: all) and a tail of 0 or more",
            do=f"--codes {CODES} --tail {models.TAIL_EXPONENT}",
        )
    if out_dir.is_dir() and any(out_dir.iterdir()) and not (out_dir / MARKER).exists():
        raise UserError(
            found=f"{out_dir}, which holds something else",
            expected="a new or empty folder, or an older corpus",
            do="--out another",
        )


def _check_stays(readmitted: float, bearing: float) -> None:
    if not 0 <= readmitted <= MOST or not 0 <= bearing <= 1:
        raise UserError(
            found=f"readmitted {readmitted} with bearing {bearing}",
            expected=f"shares: readmitted from 0 to {MOST}, bearing from 0 to 1",
            do=f"set readmitted={MOST} and bearing=0.8, or less",
        )


def example_admissions(n: int = 5, seed: int = 0) -> pd.DataFrame:
    """Give a few synthetic admission notes to show in place of private ones.

    Parameters
    ----------
    n : int
        Rows.
    seed : int
        Which examples.

    Returns
    -------
    DataFrame
        Columns of `admissions.parquet`; every note says that it is synthetic.

    Examples
    --------
    >>> frame = example_admissions(2)
    >>> list(frame.note_id)
    ['synthetic-0', 'synthetic-1']
    """
    model = models.build_model(
        load_knowledge(_EXAMPLES), "brief", DIFFICULTY, models.TAIL_EXPONENT
    )
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, n])))
    code, sex, age = models.sample_people(model, rng, np.arange(n))
    hits = models.sample_hits(model, rng, sex, code, models.band_of(age))
    letters, draws = [models.SEXES[s] for s in sex], [Draw(seed + i) for i in range(n)]
    said = speak(lexicon(model.knowledge), hits, rng, letters, draws)
    entries = model.knowledge.entries
    return pd.DataFrame(
        [
            _example(
                i, entries[code[i]], letters[i], int(age[i]), admission_sections(one)
            )
            for i, one in enumerate(said)
        ]
    )


def _example(i: int, entry: Entry, sex: str, age: int, sections: dict) -> dict:
    note = "\n\n".join(f"{h}: {sections[k]}" for k, h in _NOTE_HEADERS.items())
    return {
        "note_id": f"synthetic-{i}",
        "subject_id": f"synthetic-{i}",
        "hadm_id": f"synthetic-{i}",
        "note": f"[synthetic example]\n\n{note}",
        "label": entry.code,
        "split": "train",
        "sft_rank": i,
        "sex": sex,
        "age": age,
        "race": "UNKNOWN",
        "insurance": "Other",
        "language": "ENGLISH",
        "admission_type": entry.admission,
        "era": "2017 - 2019",
        "flags": "",
    }


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m deepicd.data.synthetic.corpus",
        description="Write a synthetic corpus in the layout of MIMIC-IV.",
    )
    parser.add_argument("--notes", type=int, default=4000, help="usable summaries")
    parser.add_argument("--out", required=True, help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--length", choices=LENGTHS, default="brief")
    parser.add_argument("--difficulty", type=float, default=DIFFICULTY)
    parser.add_argument(
        "--tail",
        type=float,
        default=models.TAIL_EXPONENT,
        help="exponent of the Zipf law of the code frequencies",
    )
    parser.add_argument(
        "--codes",
        type=int,
        default=CODES,
        help="how many codes, the most common first; 0 for all",
    )
    parser.add_argument(
        "--readmitted",
        type=float,
        default=READMITTED,
        help="share of the stays that follow another one of the patient",
    )
    parser.add_argument(
        "--bearing",
        type=float,
        default=0.0,
        help="share of these whose code hangs on the stay before",
    )
    parser.add_argument(
        "--history",
        action="store_true",
        help="also write the best answers of who knows all earlier codes",
    )
    given = parser.parse_args(arguments)
    try:
        folder = write_corpus(
            given.out,
            given.notes,
            given.seed,
            given.length,
            given.difficulty,
            given.tail,
            given.codes or None,
            readmitted=given.readmitted,
            bearing=given.bearing,
            history=given.history,
        )
    except UserError as error:
        parser.exit(2, f"{error}\n")
    print(f"{given.notes} synthetic summaries in {folder}")


if __name__ == "__main__":
    main()
