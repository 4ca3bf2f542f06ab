"""From what a note says to the text of its admission sections.

Every choice of words is drawn independently of the code, given what is said, so
that the wording carries no information beyond the model of `synthetic_model`.
"""

from deepicd.data.synthetic.words import ORGANS, VITALS, Said, capital, joined

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
_SYMPTOMS = (
    "{he} reports {list}.",
    "Also with {list}.",
    "{he} endorses {list}.",
    "Associated with {list}.",
    "{he} notes {list}.",
)
_DENIALS = (
    "Denies {list}.",
    "{he} denies {list}.",
    "No {list}.",
    "{he} has had no {list}.",
)
_WORKUP = (
    "In the ED: {list}.",
    "ED workup: {list}.",
    "Workup showed {list}.",
    "In the ED, found to have {list}.",
)


_PLANNED_WORKUP = ("Workup before admission: {list}.", "Workup showed {list}.")


def _opening(said: Said, full: bool) -> str:
    draw = said.draw
    who = draw.pick(_WORDS[said.sex][:2])
    pmh = said.yes("pmh")[:3]
    forms = _OPENERS_PMH if full and pmh else _OPENERS
    forms = _EVENT_OPENERS if said.event else forms
    form = draw.pick(_PLANNED_OPENERS if said.planned else forms)
    onset = said.one("onset")
    return form.format(
        who=who,
        short=_WORDS[said.sex][2],
        what=said.one("complaint"),
        onset=onset,
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
    if symptoms := said.yes("hpi"):
        parts.append(draw.pick(_SYMPTOMS).format(he=he, list=joined(symptoms)))
    parts += [f"{line}." for line in said.yes("story")]
    if absent := said.no("hpi"):
        parts.append(draw.pick(_DENIALS).format(he=he, list=joined(absent, "or")))
    found = said.yes("ed") + said.no("ed")
    paragraphs = [" ".join(parts)]
    if found:
        forms = _PLANNED_WORKUP if said.planned else _WORKUP
        paragraphs.append(draw.pick(forms).format(list=", ".join(found)))
    if full:
        paragraphs += _full_history(said, he)
    return paragraphs


_FULL_STORY = (
    "Family at the bedside helps with the history.",
    "Outside records were requested from ___ and the home medication list was "
    "checked with the pharmacy at ___.",
    "History was obtained from the patient and from the records sent by ___.",
    "The health care proxy was called from the emergency department.",
    "The emergency contact at ___ was told about the admission by phone.",
    "An interpreter was offered and records of earlier visits at ___ were reviewed.",
)
_FULL_SLOW = (
    "{he} was seen by {his} PCP at ___ before coming in and was told to return if "
    "symptoms worsened.",
    "{he} called the office of Dr. ___ and was referred to the emergency department.",
    "{he} was seen at an urgent care clinic in ___ and sent home with advice to come "
    "back if not better.",
)
_FULL_LABS = (
    "Other labs: chloride {a}, phosphate 3.{b}, RDW 13.{b}, MPV 9.{c}, monocytes {d} %,"
    " basophils 0.{c} %. Further samples were sent.",
    "Remaining results: RDW 13.{c}, MPV 10.{b}, PTT {e}, eosinophils {d} %, chloride "
    "{a}. Further samples were sent.",
)
_FULL_END = (
    "On arrival to the floor the history above was reviewed and home medications were "
    "reconciled. Remaining review of systems as per the history above, otherwise not "
    "contributory.",
    "On the floor, vital signs were rechecked and the history was confirmed with the "
    "admitting team. Review of systems as per the history above, otherwise not "
    "contributory.",
)


def _full_history(said: Said, he: str) -> list[str]:
    draw = said.draw
    first = draw.below(len(_FULL_STORY))
    story = [*_FULL_STORY[first:], *_FULL_STORY[:first]][: 5 + draw.below(2)]
    if not (said.sudden or said.planned):
        story.insert(0, draw.pick(_FULL_SLOW))
    numbers = {
        "a": 99 + draw.below(7),
        "b": draw.below(8),
        "c": draw.below(8),
        "d": 3 + draw.below(5),
        "e": 27 + draw.below(6),
    }
    signs = ", ".join([f"{name} {said.one(f'vitals.{name}')}" for name in VITALS])
    return [
        " ".join(story).format(he=he, his="her" if he == "She" else "his"),
        f"Initial vital signs were {signs}.",
        draw.pick(_FULL_LABS).format(**numbers),
        draw.pick(_FULL_END),
    ]


_FOLLOWED = (
    ", followed at ___",
    ", diagnosed ___ years ago",
    ", stable per patient",
    ", seen by Dr. ___ last year",
    ", managed by the PCP",
)


def past_history(said: Said, full: bool = False) -> str:
    """Write the past medical history as a list or in one line."""
    items = said.yes("pmh")
    if full:
        items = [item + said.draw.pick(_FOLLOWED) for item in items]
    if not items:
        return said.draw.pick(("___", "As per the chart", "See prior notes"))
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
    items = said.yes("social")
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
    items = said.yes("family")
    if items:
        text = capital(", ".join(items)) + "."
    else:
        text = said.draw.pick(("Non-contributory.", "___", "Noncontributory."))
    return f"{text} {_FULL_FAMILY}" if full else text


# Drugs of which a patient takes only one at a time.
_CLASSES = {
    name: kind
    for kind, names in {
        "anticoagulant": "apixaban warfarin rivaroxaban enoxaparin heparin",
        "statin": "atorvastatin simvastatin rosuvastatin",
        "renin": "lisinopril losartan sacubitril-valsartan",
        "nsaid": "ibuprofen naproxen ketorolac",
        "ssri": "sertraline citalopram escitalopram",
        "acid": "omeprazole pantoprazole famotidine",
        "steroid": "prednisone methylprednisolone dexamethasone hydrocortisone",
        "loop": "furosemide torsemide",
        "beta": "metoprolol carvedilol propranolol",
        "opioid": "oxycodone morphine hydromorphone",
    }.items()
    for name in names.split()
}


def drug_class(drug: str) -> str:
    """Name what must not be taken twice: the class of a drug, or the drug.

    Examples
    --------
    >>> drug_class("Warfarin 5 mg daily"), drug_class("metformin 1000 mg BID")
    ('anticoagulant', 'metformin')
    """
    name = drug.partition(" ")[0].lower()
    return _CLASSES.get(name, name)


def medications(said: Said) -> list[str]:
    """List the medications on admission; empty where none is mentioned.

    Drugs that are findings all stay; that of a comorbidity, if new of its class.
    """
    drugs = said.yes("meds")
    taken = {drug_class(drug) for drug in drugs}
    for drug in said.drugs:
        if (kind := drug_class(drug)) not in taken:
            drugs.append(drug)
            taken.add(kind)
    return drugs


def vitals(said: Said) -> str:
    """Write the line of vital signs, with or without their names."""
    values = [said.one(f"vitals.{name}") for name in VITALS]
    if said.draw.chance(60):
        return "VS: " + " ".join(values)
    return ", ".join(f"{n} {v}" for n, v in zip(VITALS, values, strict=True))


# Sentences that hold whatever the examination finds.
_PLAIN = {
    "Gen": ("appears stated age", "in hospital bed"),
    "HEENT": ("head and face inspected", "oropharynx examined"),
    "Neck": ("trachea midline", "neck veins inspected"),
    "CV": ("S1 and S2 heard", "radial pulses palpable"),
    "Lungs": ("chest wall inspected", "anterior and posterior fields auscultated"),
    "Abd": ("inspected and percussed", "all four quadrants examined"),
    "Ext": ("nails and joints inspected", "both arms and legs examined"),
    "Skin": ("inspected from head to toe", "pressure points checked"),
    "Neuro": ("cooperates as able", "remainder of the examination as tolerated"),
}


def examination(said: Said, full: bool = False) -> str:
    """Write the admission examination, one line per organ that is mentioned."""
    lines = [vitals(said)]
    for organ in ORGANS:
        section = f"exam.{organ}"
        items = said.yes(section) + said.no(section)
        if full and organ in _PLAIN:
            items = [*items, *_PLAIN[organ]]
        if items:
            lines.append(f"{organ}: {', '.join(items)}")
    return "\n".join(lines)


_ALLERGIES = (
    "No Known Allergies / Adverse Drug Reactions",
    "No Known Allergies / Adverse Drug Reactions",
    "No Known Allergies / Adverse Drug Reactions",
    "Penicillins",
    "Sulfa (Sulfonamide Antibiotics)",
    "Codeine",
    "latex",
    "shellfish",
)


def allergies(said: Said) -> str:
    """Write the allergies; they carry no information."""
    return said.draw.pick(_ALLERGIES)


_NO_LIST = ("___", "List not available on admission", "Unable to verify the list")


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
        "meds": "\n".join(numbered) or said.draw.pick(_NO_LIST),
    }
