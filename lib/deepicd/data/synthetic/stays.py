"""One chunk of the corpus: patients, stays, notes and the oracle's answers.

A chunk depends only on the seed and its own number, so chunks may be made in any
order, by any number of workers, with the same result.
"""

from dataclasses import dataclass, field

import numpy as np

from deepicd.data.synthetic import model as models
from deepicd.data.synthetic.knowledge import Entry
from deepicd.data.synthetic.other_tasks import Question, state_shares
from deepicd.data.synthetic.people import NEWBORN, end_stays, make_stays
from deepicd.data.synthetic.posterior_file import HISTORY, answers_of
from deepicd.data.synthetic.sentences import admission_sections
from deepicd.data.synthetic.summary import Stay, summary
from deepicd.data.synthetic.tables import (
    COLUMNS,
    Admission,
    add_stay,
    note_row,
    patient_row,
)
from deepicd.data.synthetic.trajectory import READMITTED, follow, informed_prior
from deepicd.data.synthetic.words import Draw, Said, lexicon, speak
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS

# Names of the random streams of how stays end and of what follows from the stay before.
_ENDS, _PAST = 26, 29
# Excluded admissions, per usable one; at least one of each in a chunk. Those coded in
# ICD-9 have usable notes, and only the diagnosis and the procedure cannot be asked.
EXCLUDED = {"icd9": 0.04, "newborn": 0.02, "empty": 0.01, "broken": 0.01, "none": 0.01}


@dataclass(frozen=True)
class Recipe:
    """What every chunk of a corpus shares."""

    model: models.Model
    seed: int
    length: str
    questions: dict[str, Question] = field(default_factory=dict)
    readmitted: float = READMITTED
    bearing: float = 0.0
    history: bool = False  # whether answers of who knows earlier codes are wanted


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
        CSV text per table; by task an Arrow table with the best
        answers, one row per summary that has a label. Where asked for, those of who
        also knows the earlier codes, by task and `HISTORY`.
    """
    model = recipe.model
    rng, ends, past = (
        np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))
        for key in ([recipe.seed, number, *own] for own in ((), (_ENDS,), (_PAST,)))
    )
    extra = {k: max(1, round(size * share)) for k, share in EXCLUDED.items()}
    kinds = ["usable"] * size + [k for k, times in extra.items() for _ in range(times)]
    count = len(kinds)
    patient = _owners(rng, size, count, recipe.readmitted)
    code, sex, age = models.sample_people(model, rng, patient)
    if recipe.bearing:
        code = follow(
            model, recipe.bearing, patient, code, sex, age, past.random(count)
        )
    old = np.array([kind == "icd9" for kind in kinds])
    code[old] = _older_codes(model, rng, sex[old])
    hits = models.sample_hits(model, rng, sex, code, models.band_of(age))
    draws = [Draw(seed) for seed in rng.integers(0, 2**62, count).tolist()]
    stays = make_stays(model, number, kinds, patient, code, sex, age, rng)
    letters = [stay.patient.sex for stay in stays]
    said = speak(lexicon(model.knowledge), hits, rng, letters, draws)
    for stay, one in zip(stays, said, strict=True):
        stay.secondary = _secondary(stay.entry, one, one.draw)
    end_stays(model.knowledge, stays, ends)
    tables: dict[str, list[str]] = {name: [] for name in COLUMNS}
    ids = [
        _add(recipe, stay, one, tables) for stay, one in zip(stays, said, strict=True)
    ]
    people = {stay.patient.subject_id: stay.patient for stay in stays}
    tables["hosp/patients"] = [patient_row(person) for person in people.values()]
    text = {name: "".join(rows) for name, rows in tables.items()}
    asked = size + extra["icd9"]
    given = ids[:asked], stays[:asked], size, code, sex[:asked], hits[:asked]
    answers = _answers(recipe, *given)
    if recipe.history:
        told = _answers(recipe, *given, patient[:asked])
        answers |= {name + HISTORY: table for name, table in told.items()}
    return text, answers


def _answers(recipe: Recipe, ids, stays, size, code, sex, hits, patient=None) -> dict:
    """The best answers to each task; the first `size` notes are coded in ICD-10.

    With `patient`, those of who also knows what was coded in earlier stays.
    """
    model = recipe.model
    count = len(ids) if recipe.questions else size
    seen = models.log_likelihood(model, sex[:count], hits[:count])
    prior, older = models.log_prior(model)[sex[:count]], len(ids) / size - 1
    if patient is not None:
        listed = [stay.secondary for stay in stays[:count]]
        past = patient[:count], code[:count], sex[:count], listed
        prior = informed_prior(model, recipe.bearing, *past)
        # Stays coded in ICD-9 are first ones.
        first = np.diff(patient[:count], prepend=-1) > 0
        older = first * older / (1 - recipe.readmitted)
    probability = models.posterior_of(model, prior[:size] + seen[:size])
    best = answers_of(model, ids[:size], code[:size], probability)
    answers = {PRINCIPAL_DIAGNOSIS.name: best}
    if recipe.questions:
        state = state_shares(model, sex, hits, seen, older, prior)
    for name, one in recipe.questions.items():
        answers[name] = one.answers(ids, stays, state)
    return answers


def _owners(rng, size: int, count: int, readmitted: float) -> np.ndarray:
    """Number the patients: by default one in seven usable admissions is a later one."""
    new = rng.random(count) < 1 - readmitted
    new[0] = True
    new[size:] = True
    return np.cumsum(new) - 1


def _older_codes(model, rng, sex) -> np.ndarray:
    """Codes of the categories that have an ICD-9 code here."""
    wanted = [
        i
        for i, entry in enumerate(model.knowledge.entries)
        if entry.category in model.knowledge.icd9
    ]
    share = model.prior[wanted] / model.prior[wanted].sum()
    which = models.pick_by(np.cumsum(share)[None], rng.random(len(sex)))
    return np.array(wanted)[which]


def _add(recipe: Recipe, stay: Admission, said: Said, tables) -> str:
    """Append all rows of one admission; gives the name of its summary."""
    draw = said.draw
    add_stay(stay, draw, tables)
    if stay.kind == "none":
        return ""
    if stay.kind == "newborn":
        texts = [("DS", _newborn_note(stay.patient.sex))]
    elif stay.kind == "empty":
        texts = [("DS", draw.pick(("", "___", " \n \n")))]
    elif stay.kind == "broken":
        texts = [("DS", _BROKEN)]
    else:
        texts = _notes(recipe, stay, said, draw)
    notes = tables["note/discharge"]
    notes += [note_row(stay, body, kind) for kind, body in texts]
    return f"{stay.patient.subject_id}-DS-{stay.patient.last_note}"


def _notes(recipe: Recipe, stay: Admission, said: Said, draw: Draw):
    """The summary, now and then after a preliminary one or with an addendum."""
    titles = recipe.model.knowledge.titles
    whole = Stay(
        stay.entry,
        stay.patient.sex,
        tuple(titles[c] for c in stay.secondary),
        stay.home,
    )
    sections = admission_sections(said, recipe.length == "full")
    text = summary(whole, sections, draw)
    texts = [("DS", text)]
    if draw.chance(2):
        texts.insert(0, ("DS", _preliminary(text)))
    elif draw.chance(2):
        texts.insert(0, ("AD", _addendum(stay.entry, draw)))
    return texts


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
    results = (
        "Final cultures showed no growth.",
        "Pending results were reviewed.",
        "The outpatient team was informed by phone.",
    )
    return f"ADDENDUM to the summary ({entry.title.lower()}): {draw.pick(results)}\n"


_BROKEN = (
    " \nName:  ___                     Unit No:   ___\n \nDischarge Disposition:\n"
    "Home\n \nDischarge Instructions:\nSee the paper chart.\n"
)


def _newborn_note(sex: str) -> str:
    return (
        f" \nName:  ___                     Unit No:   ___\n \nSex:   {sex}\n \n"
        f"Service: NEONATOLOGY\n \nHistory of Present Illness:\nBaby {_BABY[sex]} ___ "
        "is a term newborn born by vaginal delivery with Apgars of 8 and 9.\n \n"
        "Physical Exam:\nActive, pink, fontanelle soft and flat.\n \n"
        f"Discharge Diagnosis:\n{NEWBORN.title}\n"
    )


_BABY = {"F": "girl", "M": "boy"}
