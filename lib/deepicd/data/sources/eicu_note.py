"""Words for eICU's structured fields: one readable phrase for each charted finding.

Every function takes the rows of one table and gives `{stay: sentence}`.
"""

import re

import pandas as pd

from deepicd.data.sources.eicu_numbers import STAY, VITALS, vital_signs

CHRONIC = {
    "aids": "AIDS",
    "hepaticfailure": "hepatic failure",
    "lymphoma": "lymphoma",
    "metastaticcancer": "metastatic cancer",
    "leukemia": "leukemia",
    "immunosuppression": "immunosuppression",
    "cirrhosis": "cirrhosis",
    "diabetes": "diabetes",
}
_HISTORY = "notes/Progress Notes/Past History/Organ Systems/"
_EXAM = "notes/Progress Notes/Physical Exam/Physical Exam/"
_FALSE_FRIENDS = {
    "multiple": "multiple",
    "clinical diagnosis": "clinical diagnosis",
    "medication dependent": "on medication",
    "non-medication dependent": "diet only",
}


def join(lead: str, parts: list[str]) -> str:
    """Join the sentences; empty where nothing but demographics is known.

    Examples
    --------
    >>> join("61-year-old man.", ["", "Allergies: penicillin."])
    '61-year-old man.\\nAllergies: penicillin.'
    >>> join("61-year-old man.", ["", ""])
    ''
    """
    filled = [p for p in parts if p]
    return "\n".join([lead, *filled]) if filled else ""


def _grouped(stays, phrases, heading: str, limit: int = 40) -> dict[str, str]:
    """Join the different phrases of each stay under a heading."""
    lists: dict[str, dict[str, None]] = {}
    for stay, phrase in zip(stays, phrases, strict=True):
        if phrase:
            lists.setdefault(stay, {})[phrase] = None
    return {s: f"{heading}: {', '.join(list(p)[:limit])}." for s, p in lists.items()}


def demographics(patient: pd.DataFrame) -> dict[str, str]:
    """Write who came, from where, to which unit."""
    columns = [
        "years",
        "gender",
        "ethnicity",
        "admissionweight",
        "admissionheight",
        "unittype",
        "unitadmitsource",
    ]
    rows = zip(patient[STAY], *[patient[c] for c in columns], strict=True)
    return {row[0]: _who(*row[1:]) for row in rows}


def _who(years, gender, race, weight, height, unit, origin) -> str:
    """Write one patient's first sentence.

    Examples
    --------
    >>> _who(90, "Male", "Caucasian", 70.2, None, "MICU", "Emergency Department")
    'Male, 90 years or older, Caucasian, 70 kg. Admitted to MICU from emergency \
department.'
    """
    age = "" if pd.isna(years) else f"{years:g} years"
    parts = [gender or "Patient", f"{age} or older" if age == "90 years" else age, race]
    parts.append(f"{weight:.0f} kg" if _plausible(weight, 25, 350) else "")
    parts.append(f"{height:.0f} cm" if _plausible(height, 100, 230) else "")
    came = f" from {_lower(origin)}" if origin else ""
    to = f" to {unit}" if unit else ""
    where = f" Admitted{to}{came}." if to or came else ""
    return ", ".join(p for p in parts if p) + "." + where


def _plausible(value, low: float, high: float) -> bool:
    return value is not None and not pd.isna(value) and low <= value <= high


def _lower(words: str) -> str:
    """Lower-case words, not abbreviations.

    Examples
    --------
    >>> _lower("Other ICU"), _lower("Emergency Department")
    ('other ICU', 'emergency department')
    """

    def keep(word: str) -> bool:
        upper = sum(map(str.isupper, word))
        return upper > 1 and 2 * upper > sum(map(str.isalpha, word))

    return " ".join(w if keep(w) else w.lower() for w in words.split())


def history(rows: pd.DataFrame) -> dict[str, str]:
    """Write the past history, in the order it was charted."""
    phrases = rows["pasthistorypath"].map(_condition)
    return _grouped(rows[STAY], phrases, "Past history")


def _condition(path: str) -> str:
    """Turn a charting path into a condition.

    Examples
    --------
    >>> _condition(_HISTORY + "Pulmonary/COPD/COPD  - severe")
    'COPD - severe'
    >>> _condition(_HISTORY + "Cardiovascular (R)/Valve disease/s/p AVR")
    'valve disease: s/p AVR'
    >>> _condition(_HISTORY + "Endocrine (R)/Non-Insulin Dependent Diabetes/"
    ...            "medication dependent")
    'non-insulin dependent diabetes: on medication'
    """
    if path.endswith("/No Health Problems"):
        return "no known health problems"
    if not path.startswith(_HISTORY):
        return ""
    text = path[len(_HISTORY) :].split("/", 1)[-1].replace("s/p ", "s\0p ")
    steps = [" ".join(s.split()).replace("\0", "/") for s in text.split("/")]
    if steps[-1].startswith("V paced"):
        steps[-2:] = ["A/V paced"]
    last, parent = steps[-1], _parent(steps)
    shown = _FALSE_FRIENDS.get(last, last)
    stem = parent.lower().rstrip("s")[:6]
    known = stem in last.lower() or parent in _SHORT and _SHORT[parent] in last
    if known or not parent or last in _SELF:
        return shown
    return f"{_lower(parent)}: {shown}"


_SHORT = {
    "Congestive Heart Failure": "CHF",
    "Coronary Artery Bypass": "CABG",
    "Myocardial Infarction": "MI",
    "Venous Thrombosis": "DVT",
    "Strokes": "stroke",
    "Renal Failure": "renal",
    "Chronic Stone Disease": "stone",
    "Arrhythmias": "",
    "Restrictive Disease": "restrictive",
    "HIV (only)": "HIV",
    "Hematologic Malignancy": "",
    "Chemotherapy": "chemo",
}
_SELF = {"AICD"}


def _parent(steps: list[str]) -> str:
    """Give the step that names the condition, skipping repetitions."""
    for step in reversed(steps[:-1]):
        if step.lower() != steps[-1].lower():
            return step.replace("Cancer-Primary Site", "Cancer")
    return ""


def comorbidities(rows: pd.DataFrame) -> dict[str, str]:
    """Write the chronic conditions of the severity score."""
    long = rows.melt(STAY, list(CHRONIC), "name", "value")
    long = long[long["value"] == "1"]
    return _grouped(long[STAY], long["name"].map(CHRONIC), "Chronic conditions")


def drugs(rows: pd.DataFrame) -> dict[str, str]:
    """Write the drugs taken before admission, names only."""
    names = rows["drugname"].fillna("").str.strip().str.lower()
    return _grouped(rows[STAY], names, "Home drugs", limit=20)


def allergies(rows: pd.DataFrame) -> dict[str, str]:
    """Write the allergies."""
    names = rows["allergyname"].fillna("").str.strip().str.lower()
    names = names.where(~names.str.startswith("see "), "")  # see another system
    return _grouped(rows[STAY], names, "Allergies", limit=10)


def admission_diagnosis(patient: pd.DataFrame) -> dict[str, str]:
    """Write the unit's own admission diagnosis; only for runs that ask for it."""
    given = patient["apacheadmissiondx"].fillna("")
    return _grouped(patient[STAY], given, "Admission diagnosis")


def exam(rows: pd.DataFrame) -> tuple[dict[str, str], dict[str, str]]:
    """Write vital signs and findings of the first charted examination.

    Of every body system the earliest charting within the window counts, and of every
    vital sign the earliest value, so that a later examination fills in what the first
    left out and repeats nothing.
    """
    rows = rows[rows["physicalexampath"].str.startswith(_EXAM)].copy()
    rows["path"] = rows["physicalexampath"].str[len(_EXAM) :]
    vital = rows["path"].str.startswith(VITALS)
    signs = rows[vital].drop_duplicates([STAY, "path"])
    other = rows[~vital].copy()
    other["system"] = other["path"].str.split("/").str[0]
    earliest = other.groupby([STAY, "system"])["minute"].transform("min")
    other = other[other["minute"] == earliest].drop_duplicates([STAY, "path"])
    modes = signs[signs["path"].str.contains("/HR Rhythm/|/Resp Mode/|/Resp Desc")]
    first = modes.groupby([STAY, modes["path"].str.split("/").str[2]])["minute"]
    modes = modes[modes["minute"] == first.transform("min")]
    said: dict[str, list[str]] = {}
    for stay, path in zip(modes[STAY], modes["path"], strict=True):
        said.setdefault(stay, []).append(_finding(path, ""))
    return vital_signs(signs, said), _findings(other)


def _findings(rows: pd.DataFrame) -> dict[str, str]:
    lists: dict[str, dict[str, None]] = {}
    scores: dict[str, dict[str, str]] = {}
    columns = [rows[STAY], rows["path"], rows["physicalexamtext"]]
    for stay, path, value in zip(*columns, strict=True):
        score = re.match(r"Neurologic/GCS/(Eyes|Verbal|Motor) Score/(\d)", path)
        if score:
            scores.setdefault(stay, {})[score[1]] = score[2]
            continue
        phrase = _finding(path, value or "")
        if phrase:
            lists.setdefault(stay, {})[phrase] = None
    out = {}
    for stay in dict.fromkeys([*scores, *lists]):
        said = [_coma(scores.get(stay, {})), *lists.get(stay, {})]
        out[stay] = f"Exam: {', '.join(s for s in said if s)}."
    return {s: t for s, t in out.items() if t != "Exam: ."}


def _coma(score: dict[str, str]) -> str:
    """Write the Glasgow Coma Scale.

    Examples
    --------
    >>> _coma({"Eyes": "4", "Verbal": "5", "Motor": "6"})
    'GCS 15'
    >>> _coma({"Eyes": "1", "Verbal": "1", "Motor": "4"})
    'GCS 6 (E1 V1 M4)'
    """
    if len(score) < 3:
        return ""
    total = sum(map(int, score.values()))
    detail = f" (E{score['Eyes']} V{score['Verbal']} M{score['Motor']})"
    return f"GCS {total}{detail if total < 15 else ''}"


_SKIP = re.compile(r"Weight and I&O|GCS/\d|GCS/Score/scored|Hardware/none")
_BARE = {"normal", "abnormal", "absent", "present", "adequate", "none"}


def _finding(path: str, value: str) -> str:
    """Turn an examination path into a phrase that stands alone.

    Examples
    --------
    >>> _finding("Neurologic/Cranial Nerves/normal", "normal")
    'cranial nerves normal'
    >>> _finding("Pulmonary/Auscultation/Rales/Location/Posterior Lung Field(s)/"
    ...          "Left/lower", "lower")
    'rales left lower'
    >>> _finding("Skin/Print \\"within normal limits\\"/within normal limits", "NA")
    'skin normal'
    >>> _finding("Cardiovascular/Pulses/Dorsalis pedis/L/reduced", "reduced")
    'dorsalis pedis pulse L reduced'
    """
    if _SKIP.search(path):
        return ""
    steps = path.replace("A/V", "AV").split("/")
    if "within normal limits" in path:
        return f"{_lower(steps[0])} normal"
    if "Location" in steps:
        at = steps.index("Location")
        where = [s for s in steps[at + 1 :] if "Lung Field" not in s]
        return f"{_lower(steps[at - 1])} {_lower(' '.join(where))}"
    if steps[1:2] == ["Pulses"] and len(steps) == 5:
        return f"{_lower(steps[2])} pulse {steps[3]} {steps[4]}"
    if "Murmurs" in steps and "One" in steps and steps[-2] != "Type":
        return f"murmur {steps[-2].lower()} {steps[-1]}"
    if "Severity" in steps:
        return f"edema {steps[-1]}"
    return _leaf(path, steps)


def _leaf(path: str, steps: list[str]) -> str:
    for whole in ("calm/appropriate", "cold/dusky", "agitated/combative"):
        if path.endswith(whole):
            return path[path.rindex("/", 0, -len(whole)) + 1 :]
    last = steps[-1].strip()
    previous = [s for s in steps[:-1] if s.lower() != last.lower()]
    names = {
        "dysrhythmia": "rhythm",
        "HR Rhythm": "rhythm",
        "Resp Mode": "breathing",
        "Conjunctivae": "conjunctivae",
        "Airway": "",
        "Bowel Sounds": "bowel sounds",
        "Motor": "motor",
        "(symmetry)": "pupils",
        "(reaction)": "pupils",
        "Nose": "nose",
        "Ears": "ears",
        "Pharynx": "pharynx",
        "PMI": "PMI",
    }
    name = names.get(previous[-1]) if previous else ""
    if name is None and last.lower() in _BARE:
        name = _lower(previous[-1])
    return f"{name} {last}".strip() if name else last
