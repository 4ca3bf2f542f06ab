"""From what a note says to the text of its admission sections.

Every choice of words is drawn independently of the code, given what is said, so
that the wording carries no information beyond the model of `synthetic_model`.
"""

from deepicd.sources.synthetic_words import Draw, Said, capital, joined

ORGANS = ("Gen", "HEENT", "Neck", "CV", "Lungs", "Abd", "GU", "Ext", "Skin", "Neuro",
          "Psych")
VITALS = ("T", "HR", "BP", "RR", "SpO2")

_WORDS = {
    "F": ("woman", "female", "F", "woman", "lady", "She", "her"),
    "M": ("man", "male", "M", "man", "gentleman", "He", "his"),
}
_OPENERS = (
    "___ year old {who} presenting with {what} for {onset}.",
    "___ year old {who} who presents with {onset} of {what}.",
    "___ y/o {short} with {what} for {onset}.",
    "This is a ___ year old {who} with {onset} of {what}.",
    "___ {short} presents with {what}, ongoing for {onset}.",
)
_EVENT_OPENERS = (
    "___ year old {who} presenting after {what} {onset} ago.",
    "___ y/o {short} brought in after {what} {onset} ago.",
    "This is a ___ year old {who} who presents after {what} {onset} ago.",
)
_PLANNED_OPENERS = (
    "___ year old {who} admitted {onset} for {what}.",
    "___ y/o {short} who comes in {onset} for {what}.",
    "This is a ___ year old {who} admitted {onset} for {what}.",
)
_OPENERS_PMH = (
    "___ year old {who} with {pmh} presenting with {what} for {onset}.",
    "___ y/o {short} with history of {pmh} who presents with {onset} of {what}.",
    "This is a ___ year old {who} with a history of {pmh} with {what} for {onset}.",
)
_SYMPTOMS = ("{he} reports {list}.", "Also with {list}.", "{he} endorses {list}.",
             "Associated with {list}.", "{he} notes {list}.")
_DENIALS = ("Denies {list}.", "{he} denies {list}.", "No {list}.",
            "{he} has had no {list}.")
_WORKUP = ("In the ED: {list}.", "ED workup: {list}.", "Workup showed {list}.",
           "In the ED, found to have {list}.")


_PLANNED_WORKUP = ("Workup before admission: {list}.", "Workup showed {list}.")


def _opening(said: Said, full: bool) -> str:
    draw = said.draw
    who = draw.pick(_WORDS[said.sex][:2])
    pmh = said.yes.get("pmh", [])[:3]
    forms = _OPENERS_PMH if full and pmh else _OPENERS
    forms = _EVENT_OPENERS if said.event else forms
    form = draw.pick(_PLANNED_OPENERS if said.planned else forms)
    onset = said.one("onset")
    return form.format(
        who=who, short=_WORDS[said.sex][2], what=said.one("complaint"), onset=onset,
        pmh=joined(pmh),
    )


def history(said: Said, full: bool = False) -> list[str]:
    """Write the history of present illness.

    Returns
    -------
    list of str
        Paragraphs: the illness, and what the emergency department found.
    """
    draw, he = said.draw, _WORDS[said.sex][5]
    parts = [_opening(said, full)]
    if symptoms := said.yes.get("hpi"):
        parts.append(draw.pick(_SYMPTOMS).format(he=he, list=joined(symptoms)))
    parts += [f"{line}." for line in said.yes.get("story", ())]
    if absent := said.no.get("hpi"):
        parts.append(draw.pick(_DENIALS).format(he=he, list=joined(absent, "or")))
    found = said.yes.get("ed", []) + said.no.get("ed", [])
    paragraphs = [" ".join(parts)]
    if found:
        forms = _PLANNED_WORKUP if said.planned else _WORKUP
        paragraphs.append(draw.pick(forms).format(list=", ".join(found)))
    if full:
        paragraphs += _full_history(draw, he)
    return paragraphs


_FULL_STORY = (
    "{he} was seen by {his} PCP at ___ before coming in and was told to return if "
    "symptoms worsened.",
    "Symptoms were discussed with family at the bedside, who help with the history.",
    "{he} has not had similar symptoms evaluated at ___ in the past year.",
    "Outside records were requested from ___ and the home medication list was "
    "checked with the pharmacy at ___.",
    "History was obtained from the patient and from the records sent by ___.",
    "{he} called ___ office and was referred to the emergency department.",
)
_FULL_LABS = (
    "Other labs: Na {a}, K {b}, Cl {c}, HCO3 {d}, platelets {e}, glucose ___. "
    "Urine and blood were sent. ",
    "Remaining chemistry: Cl {c}, HCO3 {d}, K {b}, Mg {f}. Platelets {e}. ",
)
_FULL_END = (
    "Upon arrival to the floor, the patient is seen with family at the bedside and "
    "repeats the story above. Remaining ten point review of systems is otherwise "
    "as above.",
    "On the floor, vital signs were rechecked and the history was confirmed. Review "
    "of systems as per the history above, otherwise not contributory.",
)


def _full_history(draw: Draw, he: str) -> list[str]:
    his = "her" if he == "She" else "his"
    numbers = {
        "a": 136 + draw.below(6), "b": f"4.{draw.below(8)}", "c": 99 + draw.below(7),
        "d": 23 + draw.below(5), "e": 180 + draw.below(120), "f": f"2.{draw.below(4)}",
    }
    first = draw.below(len(_FULL_STORY))
    story = _FULL_STORY[first:] + _FULL_STORY[:first]
    return [
        " ".join(story).format(he=he, his=his),
        draw.pick(_FULL_LABS).format(**numbers).strip(),
        draw.pick(_FULL_END),
    ]


_FOLLOWED = (", followed at ___", ", diagnosed ___ years ago", ", stable per patient",
             ", seen by Dr. ___ last year", ", managed by the PCP")


def past_history(said: Said, full: bool = False) -> str:
    """Write the past medical history as a list or in one line."""
    items = said.yes.get("pmh", [])
    if full:
        items = [item + said.draw.pick(_FOLLOWED) for item in items]
    if not items:
        return said.draw.pick(("None", "none known", "No significant history"))
    style = said.draw.below(4)
    if style == 0:
        return "\n".join(f"{i}. {capital(x)}" for i, x in enumerate(items, 1))
    if style == 1:
        return "\n".join(f"- {x}" for x in items)
    return ", ".join(items)


_FULL_SOCIAL = (
    "Originally from ___. Emergency contact is listed in the chart and was called "
    "from the emergency department. Further details were deferred to the PCP at ___.",
    "Moved to the area from ___ in ___. The health care proxy form is on file, and the "
    "listed contact at ___ was told about the admission by phone.",
)


def social(said: Said, full: bool = False) -> str:
    """Write the social history; often only the gap that de-identification left."""
    items = said.yes.get("social", [])
    if not items:
        return "___" if not full else said.draw.pick(_FULL_SOCIAL)
    text = ". ".join(capital(item) for item in items) + "."
    return f"{text} {said.draw.pick(_FULL_SOCIAL)}" if full else text


_FULL_FAMILY = (
    "Ages of the parents are ___ and ___. No anesthesia problems in close relatives "
    "are known. Further family history was not obtained at this time."
)


def family(said: Said, full: bool = False) -> str:
    """Write the family history."""
    items = said.yes.get("family", [])
    if items:
        text = capital(", ".join(items)) + "."
    else:
        text = said.draw.pick(("Non-contributory.", "___", "Noncontributory."))
    return f"{text} {_FULL_FAMILY}" if full else text


def medications(said: Said) -> list[str]:
    """List the medications on admission; empty when there are none."""
    return said.drugs + [
        drug for drug in said.yes.get("meds", [])
        if not any(drug.split()[0] == other.split()[0] for other in said.drugs)
    ]


def vitals(said: Said) -> str:
    """Write the line of vital signs, with or without their names."""
    values = [said.one(f"vitals.{name}") for name in VITALS]
    if said.draw.chance(60):
        return "VS: " + " ".join(values)
    return ", ".join(f"{n} {v}" for n, v in zip(VITALS, values, strict=True))


_PLAIN = {
    "Gen": ("seen in bed", "hospital gown", "speaks with examiner as able"),
    "HEENT": ("NC/AT", "oropharynx examined", "ears without lesions on inspection"),
    "Neck": ("trachea midline", "skin of the neck intact", "veins examined"),
    "CV": ("S1 and S2 heard", "radial pulses palpable"),
    "Lungs": ("symmetric expansion of the chest", "no chest wall deformity"),
    "Abd": ("bowel sounds heard", "no visible pulsation", "no scars unless noted"),
    "Ext": ("nails examined", "no amputation", "distal pulses checked"),
    "Skin": ("no other lesions noted", "old scars only where noted"),
    "Neuro": ("cooperates as able", "remainder of the examination as tolerated"),
}


def examination(said: Said, full: bool = False) -> str:
    """Write the admission examination, one line per organ that is mentioned."""
    lines = [vitals(said)]
    for organ in ORGANS:
        section = f"exam.{organ}"
        items = said.yes.get(section, []) + said.no.get(section, [])
        if full and organ in _PLAIN:
            items = [*items, *_PLAIN[organ]]
        if items:
            lines.append(f"{organ}: {', '.join(items)}")
    return "\n".join(lines)


_ALLERGIES = (
    "No Known Allergies / Adverse Drug Reactions",
    "No Known Allergies / Adverse Drug Reactions",
    "No Known Allergies / Adverse Drug Reactions",
    "Penicillins", "Sulfa (Sulfonamide Antibiotics)", "Codeine", "latex", "shellfish",
)


def allergies(said: Said) -> str:
    """Write the allergies; they carry no information."""
    return said.draw.pick(_ALLERGIES)


def admission_sections(said: Said, full: bool = False) -> dict[str, str]:
    """Write the sections of the admission note, in the order of the summary."""
    drugs = medications(said)
    numbered = [f"{i}. {capital(drug)}" for i, drug in enumerate(drugs, 1)]
    return {
        "allergies": allergies(said),
        "complaint": capital(said.one("complaint")),
        "hpi": "\n\n".join(history(said, full)),
        "pmh": past_history(said, full),
        "social": social(said, full),
        "family": family(said, full),
        "exam": examination(said, full),
        "meds": "\n".join(numbered) if drugs else "None",
    }
