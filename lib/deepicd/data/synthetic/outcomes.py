"""What becomes of a stay: how long it lasts, which unit takes it, whether it ends in
death.

Each depends on the code and on the grade of the comorbidities (death on the age), and
on nothing else that a note could tell.
"""

import zlib
from bisect import bisect
from functools import lru_cache
from itertools import accumulate

import numpy as np
from scipy.special import ndtr, ndtri

from deepicd.data.synthetic.knowledge import Entry
from deepicd.tasks.drg import split_title
from deepicd.tasks.length_of_stay import BOUNDS

SHORTEST, LONGEST = 0.25, 25.0  # days; between two stays of a patient lie 26
_SPREAD = 0.45  # of the logarithm of the days
# Median days, and share that goes to intensive care, by how severe a code's DRG is.
_DAYS = {"MCC": 6.0, "CC": 4.2, "CC or none": 3.2, "none": 2.8}
_INTENSIVE = {"MCC": 0.3, "CC": 0.12}
# How comorbidities (none, CC, MCC) and chapters change both: factors.
_DAYS_BY_GRADE = (0.8, 1.0, 1.6)
_INTENSIVE_BY_GRADE = (0.6, 1.0, 2.5)
_LONGER = {"1": 1.25, "2": 1.3, "5": 1.8, "13": 1.1, "15": 0.7, "19": 1.2}
_ICU_MORE = {"1": 1.5, "9": 1.4, "10": 1.4, "5": 0.2, "13": 0.4, "15": 0.2}
_PLANNED = 0.8
_WARDS = {
    "CMED": "Medicine/Cardiology",
    "NMED": "Neurology",
    "SURG": "Med/Surg",
    "OMED": "Hematology/Oncology",
    "PSYCH": "Psychiatry",
    "OBS": "Labor & Delivery",
    "ORTHO": "Med/Surg/Trauma",
    "TRAUM": "Med/Surg/Trauma",
    "NB": "Nursery",
    "NSURG": "Neurology",
    "GYN": "Med/Surg/GYN",
    "VSURG": "Vascular",
    "TSURG": "Thoracic Surgery",
    "PSURG": "Med/Surg",
}
_MIXED = {"Medicine": 0.12, "Med/Surg": 0.08}  # wards that take anybody
_MICU = "Medical Intensive Care Unit (MICU)"
_SICU = "Surgical Intensive Care Unit (SICU)"
_NEURO = "Neuro Surgical Intensive Care Unit (Neuro SICU)"
_TSICU = "Trauma SICU (TSICU)"
_ICUS = {
    "CMED": {"Coronary Care Unit (CCU)": 0.8, _MICU: 0.2},
    "NMED": {_NEURO: 0.7, _MICU: 0.3},
    "NSURG": {_NEURO: 0.9, _SICU: 0.1},
    "ORTHO": {_TSICU: 0.8, _SICU: 0.2},
    "TRAUM": {_TSICU: 0.9, _SICU: 0.1},
}
_SURGICAL = ("SURG", "GYN", "VSURG", "TSURG", "PSURG", "GU", "ENT", "EYE", "OBS")
_OPERATED = {_SICU: 0.9, _MICU: 0.1}
_TREATED = {_MICU: 0.8, "Medical/Surgical Intensive Care Unit (MICU/SICU)": 0.2}
# Share that dies by the end of the DRG's title; who is admitted again does not die.
_DEATHS = {"W MCC": 0.05, "W CC": 0.012}
_NEVER_DIES = ("15", "21")  # chapters


def came_urgently(entry: Entry) -> bool:
    """Whether the patient came through the emergency department."""
    return entry.admission.startswith("EW")


@lru_cache(maxsize=1024)
def severity(entry: Entry) -> str:
    """How severe a code is by itself: what the title of its DRG says."""
    return split_title(entry.drg[1])[1]


@lru_cache(maxsize=4096)
def median_days(entry: Entry, grade: int) -> float:
    """Median length of stay; a factor of the code's own tells siblings apart."""
    own = 0.6 * 2.8 ** (zlib.crc32(entry.code.encode()) / 2**32)
    planned = 1.0 if came_urgently(entry) else _PLANNED
    days = _DAYS.get(severity(entry), 4.0) * _DAYS_BY_GRADE[grade]
    return days * _LONGER.get(entry.chapter, 1.0) * planned * own


def _below(median, days) -> np.ndarray:
    """Share of stays that last at most so many days, before the ends are cut."""
    return ndtr(np.log(np.asarray(days) / np.asarray(median)) / _SPREAD)


def draw_minutes(medians: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """Draw the length of each stay: log-normal, from 6 hours to 25 days."""
    low, high = _below(medians, SHORTEST), _below(medians, LONGEST)
    days = medians * np.exp(_SPREAD * ndtri(low + (high - low) * chance))
    return np.ceil(np.clip(days, SHORTEST, LONGEST) * 1440).astype(int)


@lru_cache(maxsize=4096)
def length_shares(entry: Entry, grade: int, bounds=BOUNDS) -> np.ndarray:
    """Probability of each bin of the length of stay.

    Examples
    --------
    >>> from deepicd.data.synthetic.people import NEWBORN
    >>> length_shares(NEWBORN, 1).round(2).tolist()
    [0.83, 0.17, 0.0, 0.0]
    """
    inner = np.clip(bounds, SHORTEST, LONGEST)
    ends = _below(median_days(entry, grade), [SHORTEST, *inner, LONGEST])
    return np.diff(ends) / (ends[-1] - ends[0])


def unit_shares(entry: Entry, grade: int) -> dict[str, float]:
    """Probability of each unit that may take the patient first."""
    share = _INTENSIVE.get(severity(entry), 0.05) * _INTENSIVE_BY_GRADE[grade]
    share *= _ICU_MORE.get(entry.chapter, 1.0) * (1 if came_urgently(entry) else 0.3)
    share = min(share, 0.9)
    otherwise = _OPERATED if entry.service in _SURGICAL else _TREATED
    icus = _ICUS.get(entry.service, otherwise)
    found = {unit: share * part for unit, part in icus.items()}
    wards = {**_MIXED}
    own = _WARDS.get(entry.service, "Medicine")
    wards[own] = wards.get(own, 0.0) + 1 - sum(_MIXED.values())
    found |= {unit: (1 - share) * part for unit, part in wards.items()}
    return dict(sorted(found.items()))


@lru_cache(maxsize=4096)
def _units(entry: Entry, grade: int) -> tuple[list[str], list[float]]:
    """Units in their order, and the sum of the shares up to each but the last."""
    shares = unit_shares(entry, grade)
    return list(shares), list(accumulate(shares.values()))[:-1]


def draw_unit(entry: Entry, grade: int, chance: float) -> str:
    """Draw the unit that takes a patient first, by a number from 0 to 1."""
    names, ends = _units(entry, grade)
    return names[bisect(ends, chance)]


def death_share(entry: Entry, old: bool) -> float:
    """Share of a code's last admissions that end in death; `old` from 65 years on."""
    if entry.chapter in _NEVER_DIES or entry.admission != "EW EMER.":
        return 0.0
    ends = (v for end, v in _DEATHS.items() if entry.drg[1].endswith(end))
    return next(ends, 0.002) * (1.4 if old else 0.6)
