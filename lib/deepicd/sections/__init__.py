"""Sections of a discharge summary, and the part of it that was known at admission.

`split_sections` returns spans of the original text; nothing is rewritten.
`admission_note` keeps the sections a physician could have read at admission.
"""

from dataclasses import dataclass
from typing import NamedTuple

from deepicd.sections import cop
from deepicd.sections.lines import find_headers
from deepicd.sections.names import KEPT
from deepicd.sections.order import Mark, resolve
from deepicd.sections.parts import cut_marks

TITLES = {  # the published ones, so that notes of both modes compare
    "chief_complaint": "CHIEF COMPLAINT",
    "history_of_present_illness": "PRESENT ILLNESS",
    "past_medical_history": "MEDICAL HISTORY",
    "medications_on_admission": "MEDICATION ON ADMISSION",
    "allergies": "ALLERGIES",
    "physical_exam": "PHYSICAL EXAM",
    "family_history": "FAMILY HISTORY",
    "social_history": "SOCIAL HISTORY",
}
MODES = ("robust", "cop")
_DECIDING = KEPT[:3]  # a note counts if one of these says something
_NOTHING = " \t\r\n_.:-*#"


class Section(NamedTuple):
    """A section of a summary: `text` is the summary from `start` to `end`.

    Attributes
    ----------
    name : str
        Canonical name, such as `past_medical_history`.
    start, end : int
        Span in the summary, header included.
    text : str
        The span's text.
    body_start : int
        Where the header ends.
    doubt : str
        Empty, or why the header is doubtful (gap, misspelt, out_of_order, ...).
    """

    name: str
    start: int
    end: int
    text: str
    body_start: int
    doubt: str = ""

    @property
    def body(self) -> str:
        """The text below the header, without surrounding space."""
        return self.text[self.body_start - self.start :].strip()

    @property
    def kept(self) -> bool:
        """Whether a physician could have read it at admission."""
        return self.name in KEPT


@dataclass(frozen=True)
class AdmissionNote:
    """What was known at admission.

    Attributes
    ----------
    text : str
        The kept sections under fixed titles; empty where complaint, illness and
        history are all empty.
    sections : list of Section
        The kept sections as spans of the summary, in its order.
    flags : list of str
        What was missing or doubtful.
    """

    text: str
    sections: list[Section]
    flags: list[str]


def split_sections(text: str) -> list[Section]:
    """Split a discharge summary into its sections.

    Parameters
    ----------
    text : str
        The summary.

    Returns
    -------
    list of Section
        In order of appearance; together they are the whole text. What precedes
        the first header is the section `preamble`; the part of the exam that was
        written at discharge is `discharge_exam`.

    Examples
    --------
    >>> text = "Chief Complaint:\\nCough\\n\\n___ Medical History:\\nAsthma\\n"
    >>> [(s.name, s.body) for s in split_sections(text)]
    [('chief_complaint', 'Cough'), ('past_medical_history', 'Asthma')]
    """
    marks = resolve(text, find_headers(text))
    if not marks or marks[0].start > 0:
        marks.insert(0, Mark(0, 0, "preamble"))
    marks = cut_marks(text, marks)
    ends = [*(mark.start for mark in marks[1:]), len(text)]
    return [
        Section(m.name, m.start, end, text[m.start : end], m.body, m.doubt)
        for m, end in zip(marks, ends, strict=True)
    ]


def admission_note(text: str, mode: str = "robust") -> AdmissionNote:
    """Keep what a physician could have read at admission.

    Parameters
    ----------
    text : str
        A discharge summary.
    mode : {"robust", "cop"}
        `robust` is this repository's splitter. `cop` is the published MIMIC-IV rule
        (Clinical Outcome Prediction), for comparison: it keeps the discharge exam
        where no blank line precedes it and cuts the present illness short.

    Returns
    -------
    AdmissionNote

    Raises
    ------
    ValueError
        For an unknown mode.

    Examples
    --------
    >>> text = ("Chief Complaint: Cough\\n\\nPhysical Exam:\\nLungs clear.\\n"
    ...         "DISCHARGE EXAM:\\nWell.\\n\\nDischarge Diagnosis:\\nPneumonia\\n")
    >>> print(admission_note(text).text)
    CHIEF COMPLAINT: Cough
    <BLANKLINE>
    PHYSICAL EXAM: Lungs clear.
    """
    if mode not in MODES:
        raise ValueError(f"found mode {mode!r}; expected one of {', '.join(MODES)}")
    if mode == "cop":
        sections = [Section(*span) for span in cop.spans(text)]
    else:
        sections = split_sections(text)
    bodies: dict[str, list[str]] = {}
    for section in sections:
        if section.name in KEPT and (body := section.body).strip(_NOTHING):
            bodies.setdefault(section.name, []).append(body)
    counts = any(name in bodies for name in _DECIDING)
    parts = [f"{TITLES[n]}: " + "\n".join(bodies[n]) for n in KEPT if n in bodies]
    return AdmissionNote(
        "\n\n".join(parts) if counts else "",
        [section for section in sections if section.kept],
        _flags(sections, bodies, counts),
    )


def _flags(sections, bodies, counts: bool) -> list[str]:
    flags = {f"missing_{name}": None for name in KEPT if name not in bodies}
    names = {section.name for section in sections}
    if "brief_hospital_course" not in names:
        flags["no_hospital_course_header"] = None
    if "discharge_exam" in names:
        only = "" if "physical_exam" in bodies else "_only"
        flags[f"discharge_exam{only}_left_out"] = None
    for section in sections:
        if section.doubt:
            flags[section.doubt] = None
    if not counts:
        flags["empty"] = None
    return list(flags)
