"""Who is admitted when: patients and stays, drawn for a whole chunk at once."""

import numpy as np

from deepicd.data.synthetic.knowledge import Entry
from deepicd.data.synthetic.model import SEXES
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
# Days that a stay is longer, and share that dies, by the severity its DRG names.
_LONGER = {"W MCC": 8, "W CC": 4}
_DEATHS = {"W MCC": 0.05, "W CC": 0.012}
_NEVER_DIES = ("15", "21")  # chapters


def make_stays(model, number, kinds, patient, code, sex, age, rng) -> list[Admission]:
    """Draw patients and admissions of one chunk, one admission per entry of `kinds`.

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
    times = _times(rng, patient, first, people, entries)
    homes = _homes(rng, patient, entries, years)
    stays = []
    for i, entry in enumerate(entries):
        person = people[patient[i]]
        old = known.icd9.get(entry.category) if kinds[i] == "icd9" else None
        if old:
            person.era = "2008 - 2010"
        elif entry.code == "U07.1":
            person.era = "2020 - 2022"
        if homes[i] == "Expired":
            person.dod = times[2][i][:10]
        stays.append(
            Admission(
                person,
                20_000_000 + number * IDS + i,
                entry,
                times[0][i],
                times[1][i],
                times[2][i],
                times[3][i],
                homes[i],
                kinds[i],
                str(old[0]) if old else "",
            )
        )
    assert len(stays) == count < IDS
    return stays


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


def _severity(entry: Entry, table: dict, otherwise: float) -> float:
    text = entry.drg[1]
    return next((v for end, v in table.items() if text.endswith(end)), otherwise)


def _times(rng, patient, first, people, entries) -> tuple[list[str], ...]:
    """Draw the stays; those of one patient share a year and do not overlap."""
    count = len(patient)
    of = np.bincount(patient)[patient]
    turn = np.arange(count) - first[patient]
    spread = np.maximum(1, 365 // of - 26)
    day = 365 * turn // of + (rng.random(count) * spread).astype(int)
    year = np.array([people[p].year - 1970 for p in patient.tolist()])
    start = year.astype("datetime64[Y]").astype("datetime64[m]")
    start = start + day * 1440 + (rng.random(count) * 1440).astype(int)
    longer = np.array([_severity(entry, _LONGER, 2) for entry in entries])
    days = 1 + (rng.random((2, count)) * np.stack([np.full(count, 5), longer])).astype(
        int
    ).sum(axis=0)
    end = start + days * 1440 + (rng.random(count) * 720).astype(int)
    charted = end.astype("datetime64[D]").astype("datetime64[m]") + 1800
    return tuple(
        [f"{text[:10]} {text[11:]}:00" for text in np.datetime_as_string(at).tolist()]
        for at in (start - 300, start, end, charted)
    )


def _homes(rng, patient, entries, years) -> list[str]:
    """Draw where the patient goes; who dies is not admitted again."""
    count = len(entries)
    last = np.append(np.diff(patient) > 0, True)
    deaths = np.array(
        [
            0.0
            if entry.chapter in _NEVER_DIES or entry.admission != "EW EMER."
            else _severity(entry, _DEATHS, 0.002) * (1.4 if age >= 65 else 0.6)
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
