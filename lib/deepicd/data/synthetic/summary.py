"""The whole discharge summary around the admission sections.

Headers vary, de-identification eats words, spacing is untidy, and the sections of
the stay and of the discharge give the answer away, as they do in MIMIC-IV.
"""

from dataclasses import dataclass

from deepicd.data.synthetic.knowledge import Entry
from deepicd.data.synthetic.sentences import drug_class
from deepicd.data.synthetic.words import Draw, capital

# The first variant of each header is the usual one.
HEADERS = {
    "complaint": (
        "Chief Complaint:",
        "___ Complaint:",
        "CHIEF COMPLAINT:",
        "CC:",
        "Chief ___:",
    ),
    "procedure": (
        "Major Surgical or Invasive Procedure:",
        "___ Surgical or Invasive Procedure:",
    ),
    "hpi": (
        "History of Present Illness:",
        "HPI:",
        "___ of Present Illness:",
        "History ___ Present Illness:",
        "History of Present ___:",
        "HISTORY OF PRESENT ILLNESS:",
        "HISTORY OF THE PRESENTING ILLNESS:",
    ),
    "pmh": (
        "Past Medical History:",
        "PMH:",
        "___ Medical History:",
        "Past ___ History:",
        "PAST MEDICAL HISTORY:",
        "PMH/PSH:",
    ),
    "social": ("Social History:", "Social History:", "___ History:", "SH:"),
    "family": ("Family History:", "Family History:", "___ History:", "FH:"),
    "exam": (
        "Physical Exam:",
        "Physical ___:",
        "___ Exam:",
        "PHYSICAL EXAM:",
        "ADMISSION PHYSICAL EXAM:",
        "PHYSICAL EXAM ON ADMISSION:",
        "Physical Examination:",
        "PE:",
    ),
    "exam_after": (
        "DISCHARGE PHYSICAL EXAM:",
        "DISCHARGE EXAM (___):",
        "PHYSICAL EXAM ON DISCHARGE:",
        "On discharge:",
        "Discharge exam:",
    ),
    "results": (
        "Pertinent Results:",
        "___ Results:",
        "Pertinent ___:",
        "PERTINENT RESULTS:",
    ),
    "course": (
        "Brief Hospital Course:",
        "___ Hospital Course:",
        "Brief ___ Course:",
        "Brief Hospital ___:",
        "BRIEF HOSPITAL COURSE:",
        "___RIEF HOSPITAL COURSE",
        "Hospital Course by Problem:",
    ),
    "meds": (
        "Medications on Admission:",
        "Medications ___ Admission:",
        "Medications on ___:",
        "___ on Admission:",
        "MEDICATIONS ON ADMISSION:",
    ),
    "meds_after": (
        "Discharge Medications:",
        "___ Medications:",
        "DISCHARGE MEDICATIONS:",
    ),
    "disposition": ("Discharge Disposition:", "___ischarge Disposition:"),
    "diagnosis": (
        "Discharge Diagnosis:",
        "___ Diagnosis:",
        "ischarge Diagnosis:",
        "Discharge Diagnoses:",
        "DISCHARGE DIAGNOSIS:",
    ),
    "condition": ("Discharge Condition:", "Discharge ___:"),
    "instructions": (
        "Discharge Instructions:",
        "___ Instructions:",
        "DISCHARGE INSTRUCTIONS:",
    ),
    "followup": ("Followup Instructions:", "Follow-up Instructions:"),
}
SERVICES = {
    "MED": "MEDICINE",
    "CMED": "CARDIOLOGY",
    "NMED": "NEUROLOGY",
    "SURG": "SURGERY",
    "OMED": "MEDICINE",
    "PSYCH": "PSYCHIATRY",
    "OBS": "OBSTETRICS/GYNECOLOGY",
    "ORTHO": "ORTHOPAEDICS",
    "TRAUM": "SURGERY",
    "NSURG": "NEUROSURGERY",
    "GYN": "OBSTETRICS/GYNECOLOGY",
    "GU": "UROLOGY",
    "ENT": "OTOLARYNGOLOGY",
    "EYE": "OPHTHALMOLOGY",
    "NB": "NEONATOLOGY",
    "TSURG": "SURGERY",
    "VSURG": "SURGERY",
}


@dataclass(frozen=True)
class Stay:
    """What happened after admission: all of it gives the answer away."""

    entry: Entry
    sex: str
    secondary: tuple[str, ...]
    home: str

    @property
    def died(self) -> bool:
        return self.home == "Expired"


def header(name: str, draw: Draw) -> str:
    """Pick a variant of a section's header, the usual one three times in four."""
    forms = HEADERS[name]
    return forms[0] if draw.chance(75) else draw.pick(forms)


def wrapped(text: str, width: int = 78) -> str:
    """Break lines as the record system does, keeping paragraphs.

    Examples
    --------
    >>> wrapped("one two three", width=8)
    'one two\\nthree'
    """
    return "\n".join(_wrap_line(line, width) for line in text.split("\n"))


def _wrap_line(line: str, width: int) -> str:
    if len(line) <= width:
        return line
    lines, start = [], 0
    while len(line) - start > width:
        cut = line.rfind(" ", start, start + width + 1)
        if cut <= start:
            break  # one long word: left whole
        lines.append(line[start:cut])
        start = cut + 1
    return "\n".join([*lines, line[start:]])


def course(stay: Stay, draw: Draw) -> str:
    """Write the hospital course, which names the diagnosis."""
    title = stay.entry.title
    he = "She" if stay.sex == "F" else "He"
    done = draw.pick(stay.entry.course) if stay.entry.course else "treated as per team"
    end = (
        "Despite treatment the patient died with family present."
        if stay.died
        else (f"{he} improved over the following days.")
    )
    lines = [f"# {title}: {capital(done)}. {end}"]
    lines += [f"# {text}: Home regimen was continued." for text in stay.secondary[:4]]
    if draw.chance(30):
        lines.insert(0, f"___ year old patient admitted with {title.lower()}.")
    return wrapped("\n\n".join(lines))


def discharge_exam(stay: Stay, draw: Draw) -> str:
    """Write the examination at discharge, which names what has resolved."""
    numbers = f"VS: 98.{draw.below(9)} {70 + draw.below(18)} 12{draw.below(9)}/7"
    status = draw.pick(
        (
            "much improved after treatment of",
            "recovering from",
            "comfortable, resolving",
        )
    )
    return wrapped(
        f"{numbers}{draw.below(9)} 16 98% RA\nGen: {status} {stay.entry.title.lower()}"
    )


def instructions(stay: Stay, draw: Draw) -> str:
    """Write the letter to the patient."""
    if stay.died:
        return "The patient died during this admission; the family was informed."
    return wrapped(
        f"Dear ___,\n\nYou were admitted to ___ because of "
        f"{stay.entry.title.lower()}. {draw.pick(_ADVICE)}\n\nYour ___ Team"
    )


_ADVICE = (
    "Please take your medications as listed and keep your appointments.",
    "Please see your PCP within one week and return if you feel worse.",
    "It was a pleasure to care for you. Please follow up as scheduled.",
)
_CONDITION = (
    "Mental Status: Clear and coherent.\nLevel of Consciousness: Alert and "
    "interactive.\nActivity Status: Ambulatory - Independent.",
    "Mental Status: Clear and coherent.\nActivity Status: Ambulatory - requires "
    "assistance or aid (walker or cane).",
)


# The part of a drug's name that an allergy rules out.
_AVOID = {"Penicillins": "cillin", "Sulfa (Sulfonamide Antibiotics)": "sulfameth"}


def _after_sections(stay: Stay, sections: dict, draw: Draw) -> list[tuple[str, str]]:
    """Sections from the results on, in MIMIC's order."""
    after = _drugs_after(stay, sections)
    parts = [
        ("results", _results(stay, draw)),
        ("course", course(stay, draw)),
        ("meds", sections["meds"]),
        ("meds_after", "Expired" if stay.died else "\n".join(after) or "None"),
        ("disposition", stay.home),
        ("diagnosis", _diagnoses(stay)),
        ("condition", "Expired" if stay.died else draw.pick(_CONDITION)),
        ("instructions", instructions(stay, draw)),
        ("followup", "___"),
    ]
    return [part for part in parts if part[0] != "course" or not draw.chance(8)]


# Words of a diagnosis, and the classes of drugs that it ends.
_BLEEDS = "hemorrhag bleeding hematuria epistaxis hemoptysis rupture"
_STOPPED = {
    **dict.fromkeys(_BLEEDS.split(), ("anticoagulant", "nsaid")),
    **dict.fromkeys(("kidney", "renal", "hyperkalemia"), ("nsaid", "renin")),
    **dict.fromkeys(("infarction", "heart failure", "ulcer"), ("nsaid",)),
}


def _drugs_after(stay: Stay, sections: dict) -> list[str]:
    """Number the drugs at discharge: the new ones, then what stays of the old ones.

    A new drug replaces an old one of its class; what the diagnosis forbids ends.
    """
    title = stay.entry.title.lower()
    ended = {k for word, kinds in _STOPPED.items() if word in title for k in kinds}
    stem = _AVOID.get(sections["allergies"], "nothing")
    new = [capital(drug) for drug in stay.entry.treatment[:3] if stem not in drug]
    drugs = {drug_class(drug): drug for drug in new}
    if sections["meds"].startswith("1. "):
        for line in sections["meds"].split("\n"):
            drug = line.partition(". ")[2]
            if drug_class(drug) not in ended:
                drugs.setdefault(drug_class(drug), drug)
    return [f"{i}. {drug}" for i, drug in enumerate(drugs.values(), 1)]


def _results(stay: Stay, draw: Draw) -> str:
    return (
        f"___ 0{1 + draw.below(9)}:{10 + draw.below(49)}AM BLOOD WBC-___ Hgb-___ "
        f"Plt ___\nIMPRESSION: Findings consistent with {stay.entry.title.lower()}."
    )


def _diagnoses(stay: Stay) -> str:
    lines = [f"Primary:\n{stay.entry.title}"]
    if stay.secondary:
        lines.append("Secondary:\n" + "\n".join(stay.secondary[:5]))
    return "\n\n".join(lines)


def _top(stay: Stay, sections: dict) -> str:
    service = SERVICES.get(stay.entry.service, "MEDICINE")
    return (
        " \nName:  ___                     Unit No:   ___\n \n"
        "Admission Date:  ___              Discharge Date:   ___\n \n"
        f"Date of Birth:  ___             Sex:   {stay.sex}\n \n"
        f"Service: {service}\n \nAllergies: \n{sections['allergies']}\n \n"
        "Attending: ___."
    )


def summary(stay: Stay, sections: dict[str, str], draw: Draw) -> str:
    """Write the discharge summary.

    Parameters
    ----------
    stay : Stay
        Diagnosis and course; only sections after the admission show them.
    sections : dict
        From `synthetic_text.admission_sections`.
    draw : Draw
        The note's random stream.

    Returns
    -------
    str
        Text in the order of MIMIC-IV's summaries.
    """
    gap = "\n \n" if draw.chance(80) else "\n\n"
    procedure = stay.entry.procedure
    parts = [
        _top(stay, sections),
        f"{header('complaint', draw)}\n{sections['complaint']}",
        f"{header('procedure', draw)}\n{procedure[1] if procedure else 'None'}",
        f"{header('hpi', draw)}\n{_spaced(sections['hpi'], draw)}",
        f"{header('pmh', draw)}\n{wrapped(sections['pmh'])}",
        _social_and_family(sections, draw, gap),
        _exams(stay, sections, draw, gap),
    ]
    parts += [
        f"{header(name, draw)}\n{text}"
        for name, text in _after_sections(stay, sections, draw)
    ]
    return gap.join(parts) + "\n"


def _spaced(text: str, draw: Draw) -> str:
    """Keep the paragraphs apart, by a blank line or only a new line."""
    between = "\n\n" if draw.chance(50) else "\n"
    return _typo(wrapped(text.replace("\n\n", between)), draw)


def _typo(text: str, draw: Draw) -> str:
    """Drop or double a letter in one note of five."""
    if not draw.chance(20) or len(text) < 40:
        return text
    at = 20 + draw.below(len(text) - 30)
    if not (text[at].isalpha() and text[at - 1].isalpha()):
        return text
    return (
        text[:at] + (text[at] if draw.chance(40) else "") + text[at + draw.below(2) :]
    )


def _social_and_family(sections: dict, draw: Draw, gap: str) -> str:
    """Often the two headers stand back to back, without a blank line."""
    first = f"{header('social', draw)}\n{wrapped(sections['social'])}"
    second = f"{header('family', draw)}\n{wrapped(sections['family'])}"
    return first + ("\n" if sections["social"] == "___" else gap) + second


def _exams(stay: Stay, sections: dict, draw: Draw, gap: str) -> str:
    """The discharge examination follows, now and then without a blank line."""
    first = f"{header('exam', draw)}\n{wrapped(sections['exam'])}"
    if stay.died:
        return first
    forms = HEADERS["exam_after"]
    between = "\n" if draw.chance(25) else gap
    return f"{first}{between}{draw.pick(forms)}\n{discharge_exam(stay, draw)}"
