"""One chunk of the corpus: patients, stays, notes and the oracle's answers.

A chunk depends only on the seed and its own number, so chunks may be made in any
order, by any number of workers, with the same result.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepicd.sources import synthetic_model as models
from deepicd.sources.synthetic_knowledge import Entry
from deepicd.sources.synthetic_summary import Stay, summary
from deepicd.sources.synthetic_tables import (
    HOMES,
    Admission,
    Patient,
    new_patient,
    note_row,
    patient_row,
    stay_rows,
    when,
)
from deepicd.sources.synthetic_text import admission_sections
from deepicd.sources.synthetic_words import Draw, Said

IDS = 1000  # identifiers reserved per chunk
TOP = 5
# Excluded admissions, per usable one; at least one of each in a chunk.
EXCLUDED = {"icd9": 0.04, "newborn": 0.02, "empty": 0.01, "broken": 0.01, "none": 0.01}
NEWBORN = Entry(
    "Z38.00", "Single liveborn infant, delivered vaginally", "Z38", "Z30-Z39", "21",
    1.0, 0.5, (0, 0, 0), "NB", "ELECTIVE", ("795", "NORMAL NEWBORN"), {},
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """What every chunk of a corpus shares."""

    model: models.Model
    seed: int
    length: str


def make_chunk(recipe: Recipe, number: int, size: int):
    """Make the rows of all tables and the oracle's answers of one chunk.

    Parameters
    ----------
    recipe : Recipe
        Model, seed and length.
    number : int
        The chunk's number; with the seed it decides everything.
    size : int
        Usable summaries.

    Returns
    -------
    tuple
        Rows per table, and a frame with one row per usable summary.
    """
    model = recipe.model
    rng = np.random.Generator(
        np.random.PCG64(np.random.SeedSequence([recipe.seed, number]))
    )
    extra = {k: max(1, round(size * share)) for k, share in EXCLUDED.items()}
    kinds = ["usable"] * size + [k for k, times in extra.items() for _ in range(times)]
    patient = _owners(rng, size, len(kinds))
    code, sex, age = models.sample_people(model, rng, patient)
    old = np.array([kind == "icd9" for kind in kinds])
    code[old] = _older_codes(model, rng, sex[old])
    hits = models.sample_hits(model, rng, sex, code, models.band_of(age))
    seeds = rng.integers(0, 2**62, size=len(kinds)).tolist()
    stays = _stays(recipe, number, kinds, patient, code, sex, age, seeds)
    rows, ids = [], []
    for i, stay in enumerate(stays):
        rows += _rows(recipe, stay, hits[i], Draw(seeds[i]))
        if stay.kind == "usable":
            person = stay.patient
            ids.append(f"{person.subject_id}-DS-{person.last_note}")
    people = {id(stay.patient): stay.patient for stay in stays}
    rows += [("hosp/patients", patient_row(person)) for person in people.values()]
    tables: dict[str, list] = {}
    for table, row in rows:
        tables.setdefault(table, []).append(row)
    answers = models.posterior(model, sex[:size], hits[:size])
    return tables, _answers(model, ids, code[:size], answers)


def _owners(rng, size: int, count: int) -> np.ndarray:
    """Number the patients: one in seven usable admissions is a readmission."""
    new = rng.random(count) < 0.86
    new[0] = True
    new[size:] = True
    return np.cumsum(new) - 1


def _older_codes(model, rng, sex) -> np.ndarray:
    """Codes of the categories that have an ICD-9 code here."""
    wanted = [
        i for i, entry in enumerate(model.knowledge.entries)
        if entry.category in model.knowledge.icd9
    ]
    share = model.prior[wanted] / model.prior[wanted].sum()
    which = models.pick_by(np.cumsum(share)[None], rng.random(len(sex)))
    return np.array(wanted)[which]


def _stays(recipe, number, kinds, patient, code, sex, age, seeds) -> list[Admission]:
    entries, counts = recipe.model.knowledge.entries, np.bincount(patient)
    people: dict[int, Patient] = {}
    seen: dict[int, int] = {}
    stays = []
    for i, kind in enumerate(kinds):
        who, draw = int(patient[i]), Draw(seeds[i] ^ 0x5DEECE66D)
        if who not in people:
            years = 0 if kind == "newborn" else int(age[i])
            people[who] = new_patient(
                10_000_000 + number * IDS + who, models.SEXES[sex[i]], years, draw
            )
        person = people[who]
        seen[who] = seen.get(who, -1) + 1
        entry = NEWBORN if kind == "newborn" else entries[code[i]]
        if entry.code == "U07.1":
            person.era = "2020 - 2022"
        start, end = when(person, seen[who], int(counts[who]), draw)
        icd9 = recipe.model.knowledge.icd9
        old = icd9.get(entry.category) if kind == "icd9" else None
        if old:
            person.era = "2008 - 2010"
        stays.append(Admission(
            person, 20_000_000 + number * IDS + i, entry, start, end, [],
            draw.pick(HOMES), str(old[0]) if old else "", kind,
        ))
    return stays


def _rows(recipe: Recipe, stay: Admission, hits: np.ndarray, draw: Draw):
    """Rows of one admission; the text decides the comorbidities that are coded."""
    knowledge, model = recipe.model.knowledge, recipe.model
    columns = np.flatnonzero(hits)
    pairs = zip(
        model.column_variable[columns].tolist(), model.column_option[columns].tolist(),
        strict=True,
    )
    said = Said(knowledge, pairs, draw, stay.patient.sex)
    stay.secondary = _secondary(stay.entry, said, draw)
    rows = list(stay_rows(stay, draw))
    if stay.kind == "none":
        return rows
    if stay.kind == "newborn":
        text = _newborn_note(stay.patient.sex)
    elif stay.kind == "empty":
        text = draw.pick(("", "___", " \n \n"))
    elif stay.kind == "broken":
        text = _BROKEN
    else:
        return rows + _notes(recipe, stay, said, draw)
    return [*rows, ("note/discharge", note_row(stay, text))]


def _notes(recipe: Recipe, stay: Admission, said: Said, draw: Draw):
    """The summary, now and then after a preliminary one or with an addendum."""
    titles = recipe.model.knowledge.titles
    whole = Stay(
        stay.entry, stay.patient.sex, tuple(titles[c] for c in stay.secondary),
        stay.home,
    )
    sections = admission_sections(said, recipe.length == "full")
    text = summary(whole, sections, draw)
    texts = [("DS", text)]
    if draw.chance(2):
        texts.insert(0, ("DS", _preliminary(text)))
    elif draw.chance(2):
        texts.insert(0, ("AD", _addendum(stay.entry, draw)))
    return [("note/discharge", note_row(stay, body, kind)) for kind, body in texts]


def _secondary(entry: Entry, said: Said, draw: Draw) -> list[str]:
    """Coded comorbidities: those in the note, and typical ones found later."""
    likely = [c for c, p in entry.secondary.items() if draw.chance(round(100 * p))]
    own = entry.category
    codes = [c for c in [*said.codes, *likely] if not c.startswith(own)]
    return list(dict.fromkeys(codes))


def _preliminary(text: str) -> str:
    """An earlier, unfinished version of a summary."""
    return text[: len(text) // 2].rsplit("\n", 1)[0] + "\n \n___ PRELIMINARY ___\n"


def _addendum(entry: Entry, draw: Draw) -> str:
    results = ("Final cultures showed no growth.", "Pending results were reviewed.",
               "The outpatient team was informed by phone.")
    return f"ADDENDUM to the summary ({entry.title.lower()}): {draw.pick(results)}\n"


_BROKEN = (
    " \nName:  ___                     Unit No:   ___\n \nDischarge Disposition:\n"
    "Home\n \nDischarge Instructions:\nSee the paper chart.\n"
)


def _newborn_note(sex: str) -> str:
    return (
        f" \nName:  ___                     Unit No:   ___\n \nSex:   {sex}\n \n"
        "Service: NEONATOLOGY\n \nHistory of Present Illness:\nBaby ___ is a term "
        "newborn born by vaginal delivery with Apgars of 8 and 9.\n \n"
        "Physical Exam:\nActive, pink, fontanelle soft and flat.\n \n"
        "Discharge Diagnosis:\nTerm newborn\n"
    )


def _answers(model, ids, code, probability) -> pd.DataFrame:
    """The oracle's answers: best at each level, and the most probable codes."""
    entries = model.knowledge.entries
    codes = np.array(model.codes)
    order = np.argsort(-probability, axis=1, kind="stable")[:, :TOP]
    rounded = np.round(probability, 6)
    frame = {
        "note_id": ids, "icd_code": codes[code],
        "p_gold": rounded[np.arange(len(ids)), code],
    }
    for level in ("chapter", "block", "category"):
        names = np.array([getattr(entry, level) for entry in entries])
        kinds, member = np.unique(names, return_inverse=True)
        share = probability @ (member[:, None] == np.arange(len(kinds)))
        frame[level] = kinds[share.argmax(axis=1)]
        frame[f"p_{level}"] = np.round(share.max(axis=1), 6)
    frame["full"], frame["p_full"] = codes[order[:, 0]], rounded.max(axis=1)
    frame["top_codes"] = codes[order].tolist()
    frame["top_probabilities"] = np.take_along_axis(rounded, order, axis=1).tolist()
    return pd.DataFrame(frame)
