"""What has been read of a summary so far, and the section headers found in it."""

import re
from functools import cached_property

from deepicd.data.sections.names import KEPT, RANK

_LETTER = re.compile(r"[^\W_]")
RESULTS = RANK["pertinent_results"]
COURSE = RANK["brief_hospital_course"]
EXAM = RANK["physical_exam"]
EXAMS = frozenset(("physical_exam", "discharge_exam"))
MEDS = "medications_on_admission"
_ATTENDING = RANK["attending"]

_DECIDING = frozenset(KEPT[:3])
_TOLD = frozenset(KEPT) - {"allergies"}

# Where a section starts, where its body starts, its name, a doubt. A plain tuple:
# making a class for each would take as long as deciding on it.
Mark = tuple[int, int, str, str]


class Reader:
    """What has been read so far, and what is ahead.

    Parameters
    ----------
    text : str
        The folded summary.
    candidates : list of tuple
        The fields of a `Candidate` each, in order.
    """

    def __init__(self, text: str, candidates: list[tuple]):
        self.text, self.candidates = text, candidates
        self.marks: list[Mark] = []
        self.seen: set[str] = set()
        self.at = self.ahead = 0  # the candidate that is looked at; the next sure one
        self.current, self.reached, self.exam_done = "preamble", 0, False

    @cached_property
    def full(self) -> set[str]:
        """The sections that have a sure header anywhere."""
        return {c[2].name for c in self.candidates if c[2].sure}

    @cached_property
    def early(self) -> set[str]:
        """The sections that have a sure header before the results."""
        early = set()
        for _, _, header, _, _ in self.candidates:
            if header.late:
                break
            if header.sure:
                early.add(header.name)
        return early

    def next_sure(self) -> int:
        """Give the rank of the next sure header; the way there is gone once."""
        self.ahead = max(self.ahead, self.at + 1)
        while self.ahead < len(self.candidates):
            header = self.candidates[self.ahead][2]
            if header.sure:
                return header.rank
            self.ahead += 1
        return len(RANK)

    @cached_property
    def last_list(self) -> int:
        """The last candidate that starts a line and may be a medication list."""
        lists = [n for n, c in enumerate(self.candidates) if c[2].list and c[4]]
        return lists[-1] if lists else -1

    def said_something(self, stop: int) -> bool:
        """Whether the current section has any text before `stop`."""
        if not self.marks:
            return False
        return _LETTER.search(self.text, self.marks[-1][1], stop) is not None

    def accept(self, candidate: tuple, name: str, rank: int):
        """Open the section `name`, of `rank`, at a candidate."""
        start, body, header, _, first = candidate
        if rank < EXAM:
            self.exam_done = False
        elif self.current == "physical_exam" and not self.exam_done:
            self.exam_done = self.said_something(start)
        late = rank < RESULTS <= self.reached
        plain = first and header.undoubted and header.name == name and not late
        doubt = "" if plain else _doubt(header, name, rank, first, late)
        self.marks.append((start, body, name, doubt))
        self.current = name
        self.seen.add(name)
        if rank > self.reached and name != MEDS:
            if name != "discharge_diagnosis" or not self._opens():
                self.reached = rank

    def _opens(self) -> bool:
        """Whether a diagnosis precedes the history, which is still to come."""
        if self.seen & _TOLD:
            return False
        ahead = self.candidates[self.at :]
        return any(c[2].name in _DECIDING and c[4] for c in ahead)


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
