"""Whether a possible header is real, and what an ambiguous one stands for.

Each judge gives the name of the section that a candidate opens, or None.
"""

from deepicd.data.sections.lines import Candidate
from deepicd.data.sections.names import ADMINISTRATIVE, KEPT, RANK
from deepicd.data.sections.reader import COURSE, EXAM, EXAMS, MEDS, RESULTS, Reader


def _of_full(reader: Reader, candidate: Candidate) -> str | None:
    """Judge a header written in full."""
    name, rank = candidate.header.name, candidate.header.rank
    if name == "physical_exam":
        return _exam(reader, candidate)
    if name == MEDS:
        return _medications(reader, candidate)
    if name == "discharge_exam":
        return name if reader.reached < COURSE else None
    if rank > EXAM or reader.reached < RESULTS:
        return name
    ends = reader.current in KEPT and candidate.line_start and name in ADMINISTRATIVE
    return name if ends else None


def _exam(reader: Reader, candidate: Candidate) -> str | None:
    """Tell the admission's exam from the discharge's."""
    if reader.reached >= COURSE:
        return None
    if candidate.header.admission:
        elsewhere = reader.exam_done and reader.current not in EXAMS
        return None if elsewhere and reader.reached >= RESULTS else "physical_exam"
    if reader.current == "discharge_exam":
        return None
    said = reader.current == "physical_exam" and reader.said_something(candidate.start)
    return "discharge_exam" if said or reader.exam_done else "physical_exam"


def _medications(reader: Reader, candidate: Candidate) -> str | None:
    """Take Medications on Admission wherever it stands, once."""
    if "discharge_medications" in reader.seen and MEDS in reader.seen:
        return None
    if not candidate.line_start and reader.reached >= COURSE:
        return MEDS if MEDS not in reader.seen else None
    return MEDS


def _of_weak(reader: Reader, candidate: Candidate) -> str | None:
    """Judge an abbreviation or an everyday word."""
    name = candidate.header.name
    if not candidate.colon:
        return None
    if name == MEDS:
        return _everyday_medications(reader, candidate)
    if reader.reached >= RESULTS:
        return None
    if name in reader.early and not _alone(reader, candidate):
        return None
    return _exam(reader, candidate) if name == "physical_exam" else name


def _everyday_medications(reader: Reader, candidate: Candidate) -> str | None:
    """Judge `Home Medications:` and `Medications:`.

    Before the results they are the home list. After them only a home list alone on
    its line counts, and only if nothing better follows: in the hospital course the
    same words open a remark.
    """
    if reader.reached < RESULTS:
        return MEDS
    said = _said(reader, candidate)
    plain = "home" not in said and "admission" not in said
    if plain:
        return "discharge_medications" if MEDS in reader.seen else None
    later = reader.last_list > reader.at
    read = {MEDS, "discharge_medications"} & reader.seen
    return MEDS if _alone(reader, candidate) and not later and not read else None


def _alone(reader: Reader, candidate: Candidate) -> bool:
    """Whether nothing follows the header on its line."""
    end = reader.text.find("\n", candidate.body)
    return end >= 0 and not reader.text[candidate.body : end].strip()


def _said(reader: Reader, candidate: Candidate) -> str:
    return reader.text[candidate.start : candidate.body].lower()


def _of_late(reader: Reader, candidate: Candidate) -> str | None:
    """Judge the everyday names of results and of what follows."""
    name = candidate.header.name
    if name == "discharge_medications":
        return name
    if not candidate.colon:
        return None
    if reader.current in EXAMS:
        return name
    if reader.reached >= COURSE and RANK[name] > COURSE:
        return name
    if reader.reached >= EXAM and name == "brief_hospital_course":
        return name if reader.current == "pertinent_results" else None
    return None


def _of_gap(reader: Reader, candidate: Candidate) -> str | None:
    """Decide by the order of sections what a header with a gap stands for."""
    names = candidate.header.names
    if MEDS in names or "discharge_medications" in names:
        return _gapped_medications(reader, candidate)
    if not EXAMS.isdisjoint(names):
        return _gapped_exam(reader, candidate, names)
    if RANK[names[0]] < EXAM:
        return _gapped_early(reader, names)
    if RANK[names[0]] <= COURSE:
        believable = reader.reached >= RANK["past_medical_history"]
        return names[0] if believable or names[0] != "pertinent_results" else None
    if reader.reached < COURSE and MEDS not in reader.seen:
        return None
    later = [n for n in names if n not in reader.seen and RANK[n] >= reader.reached]
    return (later or [n for n in names if RANK[n] > COURSE])[0]


def _gapped_early(reader: Reader, names) -> str | None:
    """Choose the next unread section between the last header and the next sure one."""
    if reader.reached >= RESULTS:
        return None
    after = reader.next_sure()
    unread = [n for n in names if n not in reader.seen and n not in reader.full]
    fits = [n for n in unread if RANK[n] > RANK[reader.current] and RANK[n] <= after]
    return (fits or unread or list(names))[0]


def _gapped_exam(reader: Reader, candidate: Candidate, names) -> str | None:
    """`___ Exam:` is the admission's first and the discharge's second."""
    if reader.reached >= RESULTS:
        return _gapped_late_discharge(reader, names)
    said = _said(reader, candidate)
    if "discharge" in said:  # whatever it is, it was not known at admission
        inside = reader.current in EXAMS or candidate.line_start
        return "discharge_exam" if inside else None
    if "admission" in said and MEDS in names:
        return MEDS
    return _exam(reader, candidate)


def _gapped_late_discharge(reader: Reader, names) -> str | None:
    later = [n for n in names if RANK[n] > COURSE and n not in reader.seen]
    ahead = [n for n in later if RANK[n] >= reader.reached]
    return (ahead or later)[0] if later and reader.reached >= COURSE else None


def _gapped_medications(reader: Reader, candidate: Candidate) -> str | None:
    """Tell the two medication lists apart, and `DISCHARGE ___:` from either."""
    said = _said(reader, candidate)
    if "discharge" in said:
        return _gapped_exam(reader, candidate, candidate.header.names)
    if "admission" in said and "medication" not in said:
        return _something_on_admission(reader, candidate)
    if reader.current == MEDS and not reader.said_something(candidate.start):
        return MEDS  # the same header twice, back to back
    if "admission" in said or said.lstrip(" #*").startswith("medication"):
        read = {MEDS, "discharge_medications"} & reader.seen
        return "discharge_medications" if read else MEDS
    early = reader.reached < RESULTS and "discharge_medications" in reader.full
    return MEDS if early else "discharge_medications"


def _something_on_admission(reader: Reader, candidate: Candidate) -> str | None:
    """`___ on Admission:` is an exam, laboratory values or the medications."""
    if reader.reached >= COURSE:
        return MEDS if MEDS not in reader.seen else None
    if reader.reached >= RESULTS:
        missing = not {"brief_hospital_course", MEDS} & reader.full
        follows = reader.next_sure() == RANK["discharge_medications"]
        return MEDS if missing and follows else None
    if reader.current in EXAMS or "physical_exam" not in reader.full:
        return "physical_exam"
    return MEDS


def _of_day(reader: Reader, candidate: Candidate) -> str | None:
    """Judge `On admission:` and `Repeat exam:`, headers only inside an exam."""
    inside = reader.current in EXAMS and candidate.colon
    return candidate.header.name if inside else None


JUDGES = {
    "full": _of_full,
    "misspelt": _of_full,
    "gap": _of_gap,
    "weak": _of_weak,
    "from_exam": _of_late,
    "in_exam": _of_day,
}
