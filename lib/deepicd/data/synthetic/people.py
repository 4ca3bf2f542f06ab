"""Who is admitted when: patients and stays, drawn for a whole chunk at once."""

import numpy as np

from deepicd.data.synthetic.groups import grade_of, members
from deepicd.data.synthetic.knowledge import Entry, Knowledge
from deepicd.data.synthetic.model import SEXES
from deepicd.data.synthetic.outcomes import (
    death_share,
    draw_minutes,
    draw_unit,
    median_days,
)
from deepicd.data.synthetic.tables import Admission, Patient

IDS = 1000  # identifiers reserved per chunk
NEWBORN = Entry(
    "Z38.00",
    "Single liveborn infant, delivered vaginally",
    "Z38",
    "Z30-Z39",
    "21",
    1.0,
    0.5,
    (0, 0, 0),
    "NB",
    "ELECTIVE",
    ("795", "NORMAL NEWBORN"),
    {},
)
_RACES = (
    ("WHITE",) * 13
    + ("BLACK/AFRICAN AMERICAN",) * 3
    + (
        "HISPANIC/LATINO - PUERTO RICAN",
        "ASIAN - CHINESE",
        "OTHER",
        "UNKNOWN",
    )
)
_ERAS = ("2014 - 2016", "2017 - 2019", "2017 - 2019", "2020 - 2022")
_MARITAL = ("MARRIED", "MARRIED", "SINGLE", "WIDOWED", "DIVORCED", "")
_YOUNG = ("SINGLE", "SINGLE", "SINGLE", "MARRIED", "MARRIED", "")
_HOMES = {
    False: ("Home", "Home", "Home", "Home With Service"),
    True: ("Home", "Home With Service", "Extended Care", "Extended Care"),
}


def make_stays(model, number, kinds, patient, code, sex, age, rng) -> list[Admission]:
    """Draw patients and admissions of one chunk, one admission per entry of `kinds`.

    How a stay ends is left to `end_stays`.

    Parameters
    ----------
    model : Model
        For the entries.
    number : int
        The chunk's number: decides the identifiers.
    kinds : list of str
        "usable", or why a study excludes the admission.
    patient, code, sex, age : array of int
        Per admission.
    rng : numpy Generator
        The chunk's random stream.

    Returns
    -------
    list of Admission
    """
    known = model.knowledge
    count = len(kinds)
    newborn = [kind == "newborn" for kind in kinds]
    entries = [
        NEWBORN if new else known.entries[c]
        for new, c in zip(newborn, code.tolist(), strict=True)
    ]
    years = [0 if new else a for new, a in zip(newborn, age.tolist(), strict=True)]
    first = np.flatnonzero(np.diff(patient, prepend=-1))
    people = _people(rng, number, [years[i] for i in first], sex[first])
    start, delay = _times(rng, patient, first, people)
    came, arrived = _texts(start - 300), _texts(start)
    homes = _homes(rng, patient, entries, years)
    stays = []
    for i, entry in enumerate(entries):
        person = people[patient[i]]
        old = known.icd9.get(entry.category) if kinds[i] == "icd9" else None
        if old:
            person.era = "2008 - 2010"
        elif entry.code == "U07.1":
            person.era = "2020 - 2022"
        stays.append(
            Admission(
                person,
                20_000_000 + number * IDS + i,
                entry,
                int(start[i]),
                came[i],
                arrived[i],
                int(delay[i]),
                homes[i],
                kinds[i],
                str(old[0]) if old else "",
            )
        )
    assert len(stays) == count < IDS
    return stays


def end_stays(knowledge: Knowledge, stays: list[Admission], rng) -> None:
    """Draw how long each stay lasts and which unit takes it; give it its DRG.

    Parameters
    ----------
    knowledge : Knowledge
        Grades the comorbidities, which have to be known.
    stays : list of Admission
    rng : numpy Generator
        A stream of its own, so that notes do not depend on it.
    """
    chance = rng.random((2, len(stays)))
    grades = [grade_of(knowledge, stay.secondary) for stay in stays]
    pairs = list(zip(stays, grades, strict=True))
    medians = np.array([median_days(stay.entry, grade) for stay, grade in pairs])
    minutes = draw_minutes(medians, chance[0])
    end = np.array([stay.start for stay in stays]) + minutes
    night = end - end % 1440 + np.array([stay.delay for stay in stays])
    left, charted = _texts(end), _texts(night)
    for i, (stay, grade) in enumerate(pairs):
        stay.minutes, stay.left, stay.charted = int(minutes[i]), left[i], charted[i]
        stay.unit = draw_unit(stay.entry, grade, chance[1, i])
        stay.drg = members(stay.entry)[grade]
        if stay.died:
            stay.patient.dod = stay.left[:10]


def _picked(rng, options, count: int) -> list:
    return np.array(options, dtype=object)[
        (rng.random(count) * len(options)).astype(int)
    ].tolist()


def _people(rng, number: int, ages: list[int], sex) -> list[Patient]:
    """Draw what the diagnosis does not depend on."""
    count = len(ages)
    year = _picked(rng, range(2110, 2200), count)
    era, race = _picked(rng, _ERAS, count), _picked(rng, _RACES, count)
    older, young = _picked(rng, _MARITAL, count), _picked(rng, _YOUNG, count)
    medicare = rng.random(count) < np.where(np.array(ages) >= 65, 0.82, 0.12)
    other = _picked(rng, ("Medicaid", "Other", "Other"), count)
    language = rng.random(count) < 0.9
    return [
        Patient(
            10_000_000 + number * IDS + i,
            SEXES[sex[i]],
            age,
            year[i],
            era[i],
            race[i],
            "Medicare" if medicare[i] and age else other[i],
            "ENGLISH" if language[i] else "?",
            "" if not age else older[i] if age > 30 else young[i],
        )
        for i, age in enumerate(ages)
    ]


def _times(rng, patient, first, people) -> tuple[np.ndarray, np.ndarray]:
    """Draw when stays begin; those of one patient share a year and do not overlap.

    Also drawn are the minutes from the night of the discharge until the summary is
    charted.
    """
    count = len(patient)
    of = np.bincount(patient)[patient]
    turn = np.arange(count) - first[patient]
    spread = np.maximum(1, 365 // of - 26)
    day = 365 * turn // of + (rng.random(count) * spread).astype(int)
    year = np.array([people[p].year - 1970 for p in patient.tolist()])
    start = year.astype("datetime64[Y]").astype("datetime64[m]")
    start = start.astype(int) + day * 1440 + (rng.random(count) * 1440).astype(int)
    nights = 1 + (rng.random((2, count)) * 2).astype(int).sum(axis=0)
    return start, nights * 1440 + (rng.random(count) * 720).astype(int)


def _texts(minutes: np.ndarray) -> list[str]:
    """Times as MIMIC-IV writes them, from minutes since 1970."""
    texts = np.datetime_as_string(minutes.astype("datetime64[m]")).tolist()
    return [f"{text[:10]} {text[11:]}:00" for text in texts]


def _homes(rng, patient, entries, years) -> list[str]:
    """Draw where the patient goes; who dies is not admitted again."""
    count = len(entries)
    last = np.append(np.diff(patient) > 0, True)
    deaths = np.array(
        [
            death_share(entry, age >= 65)
            for entry, age in zip(entries, years, strict=True)
        ]
    )
    died = (rng.random(count) < deaths) & last
    chosen = {old: _picked(rng, _HOMES[old], count) for old in (False, True)}
    return [
        "Home"
        if entry is NEWBORN
        else "Expired"
        if died[i]
        else chosen[years[i] >= 70][i]
        for i, entry in enumerate(entries)
    ]
