"""Parts of a section that belong to another time: the discharge exam, a second list."""

import re

from deepicd.data.sections.reader import Mark

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
    r"(?:med|rx|presc|drug|list)",
    re.I,
)
_HINT = re.compile(
    r"(?:dis?charg|\bd/c|\bdc\b|\bdispo|transfer|call-?out|post-?op)", re.I
)
# Without one of these no pattern of a hint matches.
_HINTS = ("charg", "d/c", "dc", "dispo", "transfer", "callo", "call-", "posto", "post-")
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
    names = {name for _, _, name, _ in marks}
    if "physical_exam" not in names:
        marks = _with_exam(text, marks)
    listed = "discharge_medications" in names
    added: list[Mark] = []
    end = len(text)
    for start, body, name, _ in reversed(marks):
        if name == "physical_exam":
            added += _cut_exam(text[body:end], body)
        elif name == "medications_on_admission":
            added += _cut_list(text[body:end], body, listed)
        end = start
    return sorted([*marks, *added]) if added else marks


def _with_exam(text: str, marks: list[Mark]) -> list[Mark]:
    """Find an exam without a header at the end of the social or family history."""
    out = []
    ends = [*(start for start, *_ in marks[1:]), len(text)]
    for mark, end in zip(marks, ends, strict=True):
        _, begin, name, _ = mark
        out.append(mark)
        if name in ("social_history", "family_history"):
            found = list(_SYSTEM.finditer("\n" + text[begin:end].lower()))
            if len({line[1] for line in found}) >= 3:
                at = begin + found[0].start()
                out.append((at, at, "physical_exam", "exam_without_header"))
    return out


def _cut_exam(body: str, start: int) -> list[Mark]:
    lowered = _lowered(body)
    places = (_discharge_at(body, lowered), _again_at(body, lowered))
    found = [(at, "discharge_exam") for at in places if at >= 0]
    timed = "AM" in body or "PM" in body
    lab = _LAB_LINE.search(body) if timed else None
    if lab:
        found.append((lab.start(), "pertinent_results"))
    return [
        (start + at, start + at, name, "cut_without_header")
        for at, name in sorted(found)[:1]
    ]


def _discharge_at(body: str, lowered: str) -> int:
    """Find where an exam turns to another day; -1 if it does not."""
    for start, line in _hinted(body, lowered):
        if _other_time(line, _LETTER.search(body, 0, start) is not None):
            return start
        inside = _INSIDE.search(line)
        if inside and not _FINDING.search(line[: inside.end()]):
            return start + inside.start()
    return -1


def _again_at(body: str, lowered: str) -> int:
    """Find where an exam without a header of its own starts again; -1 if none does.

    It starts again where it comes back to vital signs, appearance or head after at
    least two other systems.
    """
    lowered = "\n" + lowered
    begun = "".join(_BEGINS.findall(lowered)).replace("t", "v")
    if len(set(begun)) == len(begun):
        return -1
    seen: set[str] = set()
    others, free = set(), 0
    for line in _SYSTEM.finditer(lowered):
        head = "vs" if line[1][0] in "vt" else line[1]
        if head not in _OPENING:
            others.add(head)
        elif head in seen and len(others) >= 2:
            return _block_start(body, free, line.start())
        else:
            seen.add(head)
        free = line.end()
    return -1


# Each needs one of these twice: vital signs or temperature, appearance, head.
_BEGINS = re.compile(r"\n(v(?=s|ital)|t(?=[ :]|emp)|g(?=en)|h(?=eent))")
_OPENING = ("vs", "gen", "heent")
_SYSTEM = re.compile(
    r"\n[ \t*#-]*(vs|vital|temp|t(?=:? ?\d)|gen|heent|neck|cv|card|heart|lung|pulm|"
    r"resp|chest|abd|ext|neuro|skin|back|gu|msk|psych|rectal)"
    r"(?:[a-z ]{0,14}[:-]|(?<=vs) |(?<=t) | (?=\d))"
)


def _block_start(body: str, low: int, line: int) -> int:
    """Go back to a blank line after the last system, or over a line of numbers."""
    blank = max(body.rfind("\n\n", low, line), body.rfind("\n \n", low, line))
    if blank >= 0:
        return blank + len(body[blank:line]) - len(body[blank:line].lstrip())
    before = body.rfind("\n", 0, max(line - 1, 0)) + 1
    return line if _LETTER.search(body, before, line) and line else before


def _lowered(body: str) -> str:
    lowered = body.lower()  # a few letters change length with their case
    return lowered if len(lowered) == len(body) else body


def _hinted(body: str, lowered: str) -> list[tuple[int, str]]:
    """Give the lines, and where they start, that may name another day."""
    starts = set()
    for hint in _HINTS:
        at = lowered.find(hint)
        while at >= 0:
            starts.add(lowered.rfind("\n", 0, at) + 1)
            end = lowered.find("\n", at)
            at = lowered.find(hint, end) if end >= 0 else -1
    lines = ((start, _line(body, start)) for start in sorted(starts))
    return [(start, line) for start, line in lines if _HINT.search(line)]


def _line(body: str, start: int) -> str:
    end = body.find("\n", start)
    return body[start:end] if end >= 0 else body[start:]


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


def _cut_list(body: str, at: int, listed: bool) -> list[Mark]:
    """End the admission's medications where a discharge list starts."""
    for start, line in _hinted(body, _lowered(body)):
        head, colon, _ = line.partition(":")
        short = len(head) <= 60 and bool(colon or len(line) <= 40)
        if short and (_LIST_HEAD.match(head) or colon and _OTHER_TIME.search(head)):
            place = at + start
            return [(place, place, "discharge_medications", "cut_without_header")]
    items = [] if listed else list(_FIRST_ITEM.finditer(body))
    if len(items) > 1:
        place = at + items[1].start()
        return [(place, place, "discharge_medications", "second_list_left_out")]
    return []
