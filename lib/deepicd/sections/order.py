"""Which of the possible headers are real, and what an ambiguous one stands for.

A summary has a usual order. A header counts where that order allows it, so that
pathology text (`___ DIAGNOSIS:`) opens no section, a second exam is the discharge's,
and `___ History:` after the past history is the social one.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from deepicd.sections.lines import Candidate
from deepicd.sections.names import RANK

_new = tuple.__new__  # half the time of a call of the class
_LETTER = re.compile(r"[^\W_]")
_RESULTS = RANK["pertinent_results"]
_COURSE = RANK["brief_hospital_course"]
_EXAM = RANK["physical_exam"]
_EXAMS = ("physical_exam", "discharge_exam")
_MEDS = "medications_on_admission"
_ATTENDING = RANK["attending"]


class Mark(NamedTuple):
    """Where a section starts, where its body starts, its name and a doubt."""

    start: int
    body: int
    name: str
    doubt: str = ""


@dataclass(slots=True)
class _Reader:
    """What has been read so far."""

    text: str
    full: set[str]
    early: set[str]
    next_sure: list[int]
    last_list: int
    at: int = 0
    current: str = "preamble"
    reached: int = 0
    seen: set[str] = field(default_factory=set)
    exam_done: bool = False
    marks: list[Mark] = field(default_factory=list)

    def said_something(self, stop: int) -> bool:
        """Whether the current section has any text before `stop`."""
        if not self.marks:
            return False
        return _LETTER.search(self.text, self.marks[-1].body, stop) is not None

    def accept(self, candidate: Candidate, name: str) -> int:
        """Open a section; give where its body starts."""
        start, body, header, _, line_start = candidate
        rank = RANK[name]
        if rank < _EXAM:
            self.exam_done = False
        elif self.current == "physical_exam" and not self.exam_done:
            self.exam_done = self.said_something(start)
        plain = header.kind != "gap" and line_start and header.name == name
        if plain and header.kind != "misspelt" and not rank < _RESULTS <= self.reached:
            doubt = ""
        else:
            doubt = _doubt(self, candidate, name, rank)
        self.marks.append(_new(Mark, (start, body, name, doubt)))
        self.current = name
        self.seen.add(name)
        if rank > self.reached and name != _MEDS:
            self.reached = rank
        return body


def resolve(text: str, candidates: list[Candidate]) -> list[Mark]:
    """Walk through the candidates in order and keep the real headers.

    Parameters
    ----------
    text : str
        The summary.
    candidates : list of Candidate
        From `find_headers`.

    Returns
    -------
    list of Mark
        By position.
    """
    reader = _Reader(text, *_ahead(candidates))
    body = 0
    for number, candidate in enumerate(candidates):
        if candidate.start < body:
            continue
        header = candidate.header
        if header.plain and (header.rank > _EXAM or reader.reached < _RESULTS):
            name = header.name
        else:
            reader.at = number
            name = _JUDGES[header.kind](reader, candidate)
        if name:
            body = reader.accept(candidate, name)
    return reader.marks


def _ahead(candidates: list[Candidate]):
    """Look ahead once.

    Gives the sections that have a sure header, those that have one before the
    results, the rank of the next sure header after each candidate, and the last
    medication list.
    """
    full, early, ranks, rank, last = set(), set(), [], len(RANK), -1
    for number in range(len(candidates) - 1, -1, -1):
        header = candidates[number].header
        ranks.append(rank)
        if header.late:
            early.clear()
        if header.sure:
            rank = header.rank
            full.add(header.name)
            if not header.late:
                early.add(header.name)
        if last < 0 and header.list and candidates[number].line_start:
            last = number
    ranks.reverse()
    return full, early, ranks, last


def _doubt(reader: _Reader, candidate: Candidate, name: str, rank: int) -> str:
    header = candidate.header
    if header.kind == "gap":
        return "ambiguous_header" if len(header.names) > 1 else "gap_in_header"
    if header.kind == "misspelt":
        return "misspelt_header"
    if name == "discharge_exam" and header.name == "physical_exam":
        return "second_exam_left_out"
    if not candidate.line_start and rank > _ATTENDING:
        return "header_inside_line"
    return "out_of_order" if rank < _RESULTS <= reader.reached else ""


def _of_full(reader: _Reader, candidate: Candidate) -> str | None:
    """Judge a header written in full."""
    name, rank = candidate.header.name, candidate.header.rank
    if name == "physical_exam":
        return _exam(reader, candidate)
    if name == _MEDS:
        return _medications(reader, candidate)
    if name == "discharge_exam":
        return name if reader.reached < _COURSE else None
    return name if rank > _EXAM or reader.reached < _RESULTS else None


def _exam(reader: _Reader, candidate: Candidate) -> str | None:
    """Tell the admission's exam from the discharge's."""
    if reader.reached >= _COURSE:
        return None
    if candidate.header.admission:
        elsewhere = reader.exam_done and reader.current not in _EXAMS
        return None if elsewhere and reader.reached >= _RESULTS else "physical_exam"
    if reader.current == "discharge_exam":
        return None
    said = reader.current == "physical_exam" and reader.said_something(candidate.start)
    return "discharge_exam" if said or reader.exam_done else "physical_exam"


def _medications(reader: _Reader, candidate: Candidate) -> str | None:
    """Take Medications on Admission wherever it stands, once."""
    if "discharge_medications" in reader.seen and _MEDS in reader.seen:
        return None
    if not candidate.line_start and reader.reached >= _COURSE:
        return _MEDS if _MEDS not in reader.seen else None
    return _MEDS


def _of_weak(reader: _Reader, candidate: Candidate) -> str | None:
    """Judge an abbreviation or an everyday word."""
    name = candidate.header.name
    if not candidate.colon:
        return None
    if name == _MEDS:
        return _everyday_medications(reader, candidate)
    if reader.reached >= _RESULTS:
        return None
    if name in reader.early and not _alone(reader, candidate):
        return None
    return _exam(reader, candidate) if name == "physical_exam" else name


def _everyday_medications(reader: _Reader, candidate: Candidate) -> str | None:
    """Judge `Home Medications:` and `Medications:`.

    Before the results they are the home list. After them only a home list alone on
    its line counts, and only if nothing better follows: in the hospital course the
    same words open a remark.
    """
    if reader.reached < _RESULTS:
        return _MEDS
    said = _said(reader, candidate)
    plain = "home" not in said and "admission" not in said
    if plain:
        return "discharge_medications" if _MEDS in reader.seen else None
    later = reader.last_list > reader.at
    read = {_MEDS, "discharge_medications"} & reader.seen
    return _MEDS if _alone(reader, candidate) and not later and not read else None


def _alone(reader: _Reader, candidate: Candidate) -> bool:
    """Whether nothing follows the header on its line."""
    end = reader.text.find("\n", candidate.body)
    return end >= 0 and not reader.text[candidate.body : end].strip()


def _said(reader: _Reader, candidate: Candidate) -> str:
    return reader.text[candidate.start : candidate.body].lower()


def _of_late(reader: _Reader, candidate: Candidate) -> str | None:
    """Judge the everyday names of results and of what follows."""
    name = candidate.header.name
    if name == "discharge_medications":
        return name
    if not candidate.colon:
        return None
    if reader.current in _EXAMS:
        return name
    if reader.reached >= _COURSE and RANK[name] > _COURSE:
        return name
    if reader.reached >= _EXAM and name == "brief_hospital_course":
        return name if reader.current == "pertinent_results" else None
    return None


def _of_gap(reader: _Reader, candidate: Candidate) -> str | None:
    """Decide by the order of sections what a header with a gap stands for."""
    names = candidate.header.names
    if _MEDS in names or "discharge_medications" in names:
        return _gapped_medications(reader, candidate)
    if set(names) & set(_EXAMS):
        return _gapped_exam(reader, candidate, names)
    if RANK[names[0]] < _EXAM:
        return _gapped_early(reader, names)
    if RANK[names[0]] <= _COURSE:
        believable = reader.reached >= RANK["past_medical_history"]
        return names[0] if believable or names[0] != "pertinent_results" else None
    if reader.reached < _COURSE and _MEDS not in reader.seen:
        return None
    later = [n for n in names if n not in reader.seen and RANK[n] >= reader.reached]
    return (later or [n for n in names if RANK[n] > _COURSE])[0]


def _gapped_early(reader: _Reader, names) -> str | None:
    """Choose the next unread section between the last header and the next sure one."""
    if reader.reached >= _RESULTS:
        return None
    after = reader.next_sure[reader.at]
    unread = [n for n in names if n not in reader.seen and n not in reader.full]
    fits = [n for n in unread if RANK[n] > RANK[reader.current] and RANK[n] <= after]
    return (fits or unread or list(names))[0]


def _gapped_exam(reader: _Reader, candidate: Candidate, names) -> str | None:
    """`___ Exam:` is the admission's first and the discharge's second."""
    if reader.reached >= _RESULTS:
        return _gapped_late_discharge(reader, names)
    said = _said(reader, candidate)
    if "discharge" in said:  # whatever it is, it was not known at admission
        inside = reader.current in _EXAMS or candidate.line_start
        return "discharge_exam" if inside else None
    if "admission" in said and _MEDS in names:
        return _MEDS
    return _exam(reader, candidate)


def _gapped_late_discharge(reader: _Reader, names) -> str | None:
    later = [n for n in names if RANK[n] > _COURSE and n not in reader.seen]
    ahead = [n for n in later if RANK[n] >= reader.reached]
    return (ahead or later)[0] if later and reader.reached >= _COURSE else None


def _gapped_medications(reader: _Reader, candidate: Candidate) -> str | None:
    """Tell the two medication lists apart, and `DISCHARGE ___:` from either."""
    said = _said(reader, candidate)
    if "discharge" in said:
        return _gapped_exam(reader, candidate, candidate.header.names)
    if "admission" in said and "medication" not in said:
        return _something_on_admission(reader, candidate)
    if reader.current == _MEDS and not reader.said_something(candidate.start):
        return _MEDS  # the same header twice, back to back
    if "admission" in said or said.lstrip(" #*").startswith("medication"):
        read = {_MEDS, "discharge_medications"} & reader.seen
        return "discharge_medications" if read else _MEDS
    early = reader.reached < _RESULTS and "discharge_medications" in reader.full
    return _MEDS if early else "discharge_medications"


def _something_on_admission(reader: _Reader, candidate: Candidate) -> str | None:
    """`___ on Admission:` is an exam, laboratory values or the medications."""
    if reader.reached >= _COURSE:
        return _MEDS if _MEDS not in reader.seen else None
    if reader.reached >= _RESULTS:
        missing = not {"brief_hospital_course", _MEDS} & reader.full
        follows = reader.next_sure[reader.at] == RANK["discharge_medications"]
        return _MEDS if missing and follows else None
    if reader.current in _EXAMS or "physical_exam" not in reader.full:
        return "physical_exam"
    return _MEDS


def _of_day(reader: _Reader, candidate: Candidate) -> str | None:
    """Judge `On admission:`, which is a header only inside an exam."""
    inside = reader.current in _EXAMS and candidate.colon
    return "physical_exam" if inside else None


_JUDGES = {
    "full": _of_full, "misspelt": _of_full, "gap": _of_gap, "weak": _of_weak,
    "from_exam": _of_late, "in_exam": _of_day,
}  # fmt: skip
