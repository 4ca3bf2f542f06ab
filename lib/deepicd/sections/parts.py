"""Parts of a section that belong to another time: the discharge exam, a second list."""

import re

from deepicd.sections.order import Mark

# A "discharge" that is a finding: no discharge, purulent discharge, eye discharge.
_FINDING = re.compile(
    r"\b(?:no|not|without|or|nor|nasal|purulent|vaginal|bloody|serous|sero\w+|yellow|"
    r"green|clear|white|brown|wound|ears?|eyes?|nose|penile|nipple|urethral|foul|mild|"
    r"scant|copious|minimal|moderate|any|erythema|drainage|odor|conjunctival|rectal|"
    r"mucoid|watery|thick|swelling|lesions?)[\s,/]+(?:\w+[\s,/]+){0,2}?"
    r"discharge",
    re.I,
)
_OTHER_TIME = re.compile(r"\b(?:dis?charg\w*|d/c|dc|dispo\w*)\b", re.I)
_LATER = re.compile(r"\b(?:transfer\w*|call-?out|post-?op\w*)\b", re.I)
_EXAM_WORD = re.compile(r"\b(?:exam\w*|physical|pe|vitals?|vs)\b", re.I)
_ALONE = re.compile(
    r"\W*(?:(?:exam\w*|physical|pe|vitals?|vs|day|time|prior|to|before)\s+)*"
    r"(?:(?:on|at|upon|of|the|day)\s+)*(?:discharge|d/c|dc)"
    r"(?:\s+(?:day|physical|exam\w*|pe|vitals?|vs|signs|weight|labs|\W|_+))*\W*",
    re.I,
)
_INSIDE = re.compile(
    r"\b(?:on|at|upon|prior to|before|time of|day of)\s+(?:the\s+)?(?:day of\s+|time of"
    r"\s+)?(?:discharge|d/c)\b(?! from| instru| medi)"
    r"|\b(?:discharge|d/c|dc)\s+(?:physical\b|exam|pe\b|vitals?\b|vs\b|weight|wt\b)",
    re.I,
)
_LAB_LINE = re.compile(
    r"^[^\w\n]*_{2,}[ \t]+\d\d?:\d\d\s?[AP]M\s+(?:BLOOD|URINE|PLT|OTHER)", re.M
)
_LIST_HEAD = re.compile(
    r"\W*(?:(?:new|your|updated|final)\s+)?(?:discharge|d/c|dc)\s+"
    r"(?:med|rx|presc|drug|list)", re.I,
)  # fmt: skip
_HINT = re.compile(
    r"(?:dis?charg|\bd/c|\bdc\b|\bdispo|transfer|call-?out|post-?op)", re.I
)
_LETTER = re.compile(r"[^\W_]")
_FIRST_ITEM = re.compile(r"^[ \t]*1[.)]\s", re.M)


def cut_marks(text: str, marks: list[Mark]) -> list[Mark]:
    """Split exams and medication lists where they turn to the discharge.

    Parameters
    ----------
    text : str
        The summary.
    marks : list of Mark
        Its headers.

    Returns
    -------
    list of Mark
        With `discharge_exam`, `pertinent_results` and `discharge_medications` added
        where they have no header of their own.
    """
    out: list[Mark] = []
    ends = [*(mark.start for mark in marks[1:]), len(text)]
    listed = any(mark.name == "discharge_medications" for mark in marks)
    for mark, end in zip(marks, ends, strict=True):
        out.append(mark)
        if mark.name == "physical_exam":
            out += _cut_exam(text, mark.body, end)
        elif mark.name == "medications_on_admission":
            out += _cut_list(text, mark.body, end, listed)
    return out


def _cut_exam(text: str, start: int, end: int) -> list[Mark]:
    body = text[start:end]
    found = [(at, "discharge_exam") for at in [_discharge_at(body)] if at >= 0]
    lab = _LAB_LINE.search(body) if "M " in body else None
    if lab:
        found.append((lab.start(), "pertinent_results"))
    return [
        Mark(start + at, start + at, name, "cut_without_header")
        for at, name in sorted(found)[:1]
    ]


def _discharge_at(body: str) -> int:
    """Find where an exam turns to another day; -1 if it does not."""
    stop = -1
    for hit in _HINT.finditer(body):
        if hit.start() < stop:
            continue
        start = body.rfind("\n", 0, hit.start()) + 1
        stop = body.find("\n", hit.start())
        stop = stop if stop >= 0 else len(body)
        line = body[start:stop]
        if _other_time(line, _LETTER.search(body, 0, start) is not None):
            return start
        inside = _INSIDE.search(line)
        if inside and not _FINDING.search(line[: inside.end()]):
            return start + inside.start()
    return -1


def _other_time(line: str, after_text: bool) -> bool:
    """Whether a line opens the exam of another day."""
    head, colon, _ = line.partition(":")
    if len(head) > 60:
        return False
    if colon:
        if _OTHER_TIME.search(head):
            return not _FINDING.search(head)
        later = _LATER.search(head) and _EXAM_WORD.search(head)
        return bool(later and after_text)
    first = line.lstrip(" \t#*=-_")[:1]
    return not first.islower() and bool(_ALONE.fullmatch(line.strip()))


def _cut_list(text: str, start: int, end: int, listed: bool) -> list[Mark]:
    """End the admission's medications where a discharge list starts."""
    at = start
    hint = _HINT.search(text, start, end)
    for line in text[start:end].split("\n") if hint else ():
        head, colon, _ = line.partition(":")
        short = len(head) <= 60 and bool(colon or len(line) <= 40)
        if short and (_LIST_HEAD.match(head) or colon and _OTHER_TIME.search(head)):
            return [Mark(at, at, "discharge_medications", "cut_without_header")]
        at += len(line) + 1
    items = [] if listed else list(_FIRST_ITEM.finditer(text, start, end))
    if len(items) > 1:
        again = items[1].start()
        return [Mark(again, again, "discharge_medications", "second_list_left_out")]
    return []
