"""Sections of a discharge summary, and the part of it that was known at admission.

`split_sections` returns spans of the original text; nothing is rewritten.
`admission_note` keeps the sections a physician could have read at admission.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from deepicd.data.sections import cop
from deepicd.data.sections.content_guard import Guard
from deepicd.data.sections.lines import find_all, fold
from deepicd.data.sections.names import KEPT
from deepicd.data.sections.order import resolve
from deepicd.data.sections.other_times import cut_marks
from deepicd.data.sections.reader import Mark

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


def split_sections(text: str, guard: Guard | None = None) -> list[Section]:
    """Split a discharge summary into its sections.

    Parameters
    ----------
    text : str
        The summary.
    guard : Guard, optional
        What cuts by content where headers fail.

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
    folded = fold(text)
    return _sections(text, _marks(folded, find_all([folded])[0], guard))


def _marks(folded: str, candidates: list[tuple], guard=None) -> list[Mark]:
    marks = resolve(folded, candidates)
    if not marks or marks[0][0] > 0:
        marks.insert(0, (0, 0, "preamble", ""))
    marks = cut_marks(folded, marks)
    return guard.marks(folded, marks) if guard else marks


def _sections(text: str, marks: list[Mark]) -> list[Section]:
    ends = [*(start for start, *_ in marks[1:]), len(text)]
    return [
        Section(name, start, end, text[start:end], body, doubt)
        for (start, body, name, doubt), end in zip(marks, ends, strict=True)
    ]


def admission_note(
    text: str, mode: str = "robust", guard: Guard | None = None
) -> AdmissionNote:
    """Keep what a physician could have read at admission.

    Parameters
    ----------
    text : str
        A discharge summary.
    mode : {"robust", "cop"}
        `robust` is this repository's splitter. `cop` is the published MIMIC-IV rule
        (Clinical Outcome Prediction), for comparison: it keeps the discharge exam
        where no blank line precedes it and cuts the present illness short.
    guard : Guard, optional
        What cuts by content where headers fail; mode `cop` stays as published.

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
    _check(mode)
    if mode == "cop":
        sections = [Section(*span) for span in cop.spans(text)]
        note, flags = _cop_note(text)
    else:
        folded = fold(text)
        marks = _marks(folded, find_all([folded])[0], guard)
        sections = _sections(text, marks)
        note, flags, _ = _note(text, marks)
    return AdmissionNote(note, [s for s in sections if s.kept], flags)


def admission_notes(
    texts: Iterable[str], mode: str = "robust", guard: Guard | None = None
) -> list[tuple]:
    """Keep what was known at admission of many summaries: much faster than one by one.

    Parameters
    ----------
    texts : iterable of str
        Discharge summaries.
    mode : {"robust", "cop"}
        See `admission_note`.
    guard : Guard, optional
        What cuts by content where headers fail; mode `cop` stays as published.

    Returns
    -------
    list of tuple
        The `text` and the `flags` of each summary's admission note, and the
        discharge diagnosis of the summary, for a last look.

    Raises
    ------
    ValueError
        For an unknown mode.

    Examples
    --------
    >>> [note[0] for note in admission_notes(["HPI: cough", "PMH: asthma"])]
    ['PRESENT ILLNESS: cough', 'MEDICAL HISTORY: asthma']
    """
    _check(mode)
    if mode == "cop":
        return [(*_cop_note(text), "") for text in texts]
    notes, texts = [], iter(texts)
    while some := list(islice(texts, AT_ONCE)):
        folded = [fold(text) for text in some]
        found = zip(some, folded, find_all(folded), strict=True)
        for text, folded_text, headers in found:
            notes.append(_note(text, _marks(folded_text, headers, guard)))
    return notes


AT_ONCE = 64  # notes whose lines are searched together: they fit into the cache


def _check(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"found mode {mode!r}; expected one of {', '.join(MODES)}")


def _note(text: str, marks: list[Mark]) -> tuple[str, list[str], str]:
    """Cut out the kept bodies and the first discharge diagnosis; nothing else."""
    bodies: dict[str, list[str]] = {}
    doubts = dict.fromkeys([doubt for _, _, _, doubt in marks if doubt])
    diagnosis, end = "", len(text)
    for start, body, name, _ in reversed(marks):
        if name in TITLES:
            said = text[body:end].strip()
            if said.strip(_NOTHING):
                bodies.setdefault(name, []).append(said)
        elif name == "discharge_diagnosis":
            diagnosis = text[body:end].strip()
        end = start
    return *_assemble(bodies, {name for _, _, name, _ in marks}, doubts), diagnosis


def _cop_note(text: str) -> tuple[str, list[str]]:
    spans = cop.spans(text)
    bodies = {
        name: [body]
        for name, _, end, _, start in spans
        if (body := text[start:end].strip()).strip(_NOTHING)
    }
    return _assemble(bodies, {name for name, *_ in spans}, ())


_MISSING = [(name, f"missing_{name}") for name in KEPT]


def _assemble(bodies: dict[str, list[str]], names: set[str], doubts):
    """Join the bodies, which come last first, under the published titles; flag."""
    counts = any(name in bodies for name in _DECIDING)
    flags = [flag for name, flag in _MISSING if name not in bodies]
    if "brief_hospital_course" not in names:
        flags.append("no_hospital_course_header")
    if "discharge_exam" in names:
        only = "" if "physical_exam" in bodies else "_only"
        flags.append(f"discharge_exam{only}_left_out")
    flags += doubts
    if not counts:
        return "", [*flags, "empty"]
    parts = [f"{TITLES[n]}: " + "\n".join(bodies[n][::-1]) for n in KEPT if n in bodies]
    return "\n\n".join(parts), flags
