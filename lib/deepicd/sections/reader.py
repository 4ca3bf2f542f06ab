"""What has been read of a summary so far, and the section headers found in it."""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from deepicd.sections.names import RANK

_new = tuple.__new__  # half the time of a call of the class
_LETTER = re.compile(r"[^\W_]")
RESULTS = RANK["pertinent_results"]
COURSE = RANK["brief_hospital_course"]
EXAM = RANK["physical_exam"]
EXAMS = ("physical_exam", "discharge_exam")
MEDS = "medications_on_admission"
_ATTENDING = RANK["attending"]


class Mark(NamedTuple):
    """Where a section starts, where its body starts, its name and a doubt."""

    start: int
    body: int
    name: str
    doubt: str = ""


@dataclass(slots=True)
class Reader:
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

    def accept(self, start: int, body: int, header, first: bool, name: str, rank: int):
        """Open the section `name`, of `rank`, at a header that may start its line."""
        if rank < EXAM:
            self.exam_done = False
        elif self.current == "physical_exam" and not self.exam_done:
            self.exam_done = self.said_something(start)
        plain = first and header.name == name
        late = rank < RESULTS <= self.reached
        if plain and header.kind not in _DOUBTFUL and not late:
            doubt = ""
        else:
            doubt = _doubt(header, name, rank, first, late)
        self.marks.append(_new(Mark, (start, body, name, doubt)))
        self.current = name
        self.seen.add(name)
        if rank > self.reached and name != MEDS:
            self.reached = rank


_DOUBTFUL = ("gap", "misspelt")


def _doubt(header, name: str, rank: int, first: bool, late: bool) -> str:
    if header.kind == "gap":
        return "ambiguous_header" if len(header.names) > 1 else "gap_in_header"
    if header.kind == "misspelt":
        return "misspelt_header"
    if name == "discharge_exam" and header.name == "physical_exam":
        return "second_exam_left_out"
    if not first and rank > _ATTENDING:
        return "header_inside_line"
    return "out_of_order" if late else ""
