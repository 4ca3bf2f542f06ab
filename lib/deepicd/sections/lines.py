"""Where a header may stand: at the start of a line, alone on it, or glued into it."""

import re
from typing import NamedTuple

from deepicd.sections.vocabulary import (
    EXACT,
    HEADS,
    TAILS,
    Header,
    classify,
    plausible,
)

_MAX = 70  # letters of the longest header that is looked at


class Candidate(NamedTuple):
    """A possible header: its span, what it may stand for, whether a colon ends it."""

    start: int
    body: int
    header: Header
    colon: bool
    line_start: bool


def find_headers(text: str) -> list[Candidate]:
    """Find everything that is written like a header, in order.

    Examples
    --------
    >>> text = "Sex: F   Service: MEDICINE\\nSocial History: ___ Family History: none"
    >>> [c.header.names[0] for c in find_headers(text)]
    ['service', 'social_history', 'family_history']
    """
    found: list[Candidate] = []
    lowered = text.lower()
    if len(lowered) != len(text):  # a few letters change length with their case
        lowered = text
    start = 0
    for low, line in zip(lowered.split("\n"), text.split("\n"), strict=True):
        if low and _worth_it(low):
            _in_line(line, start, found)
        start += len(line) + 1
    return found


def _worth_it(low: str) -> bool:
    """Whether a line in lower case may hold a header; most lines may not."""
    if low[0] in _DECORATION:
        low = low.lstrip(_DECORATION)
    if low[:4] in HEADS:
        return bool(low)
    colon = low.find(":")
    if colon < 0:
        return low[-4:] in TAILS
    if low[colon - 4 : colon] in TAILS or colon < 4 and low[:colon].strip() in HEADS:
        return True
    return low.find(":", colon + 1) >= 0


_DECORATION = " \t\r#*-=_>.([0123456789"


def _in_line(line: str, start: int, found: list[Candidate]) -> None:
    colon = line.find(":")
    if colon < 0:
        if len(line) <= _MAX:
            _alone(line, start, found)
        return
    head = line[:colon] if colon <= _MAX else ""
    header = classify(head) if plausible(head) else None
    if header:
        begin = start + len(line) - len(line.lstrip())
        found.append(Candidate(begin, start + colon + 1, header, True, True))
    else:
        _glued(line, start, 0, colon, found)
    previous = colon
    while (colon := line.find(":", previous + 1)) >= 0:
        _glued(line, start, previous + 1, colon, found)
        previous = colon


def _alone(line: str, start: int, found: list[Candidate]) -> None:
    """Take a line without a colon that is nothing but the full name of a section."""
    if not plausible(line):
        return
    text = line.strip().rstrip(" .-=*#")
    if len(text) < 8 or text.count(" ") > 7 or text[0].islower():
        return
    header = classify(text)
    if header is None or header.kind not in ("full", "misspelt", "gap"):
        return
    if header.kind == "gap" and (len(header.names) > 1 or text.count(" ") < 2):
        return
    begin = start + len(line) - len(line.lstrip())
    found.append(Candidate(begin, start + len(line), header, False, True))


def _glued(line: str, start: int, low: int, colon: int, found: list[Candidate]) -> None:
    """Take a full name before a later colon of the line, if it is set off.

    Set off means: after two spaces, a tab, a gap or punctuation, or glued to a small
    letter or digit without a space, and written with a capital.
    """
    if line[colon - 4 : colon].lower() not in GLUED_TAILS:
        return
    piece = line[max(low, colon - 50) : colon]
    stop = len(piece)
    for capital in _CAPITAL.finditer(piece):
        begin = capital.start()
        if not _set_off(piece, begin, low == 0):
            continue
        header = classify(piece[begin:])
        if header and header.kind == "full":
            at = start + colon - stop + begin
            found.append(Candidate(at, start + colon + 1, header, True, False))
            return


_CAPITAL = re.compile(r"[A-Z]")
# How the full names end: what else stands before a colon is not looked at.
GLUED_TAILS = {key[-4:] for key, header in EXACT.items() if header.kind == "full"}


def _set_off(piece: str, begin: int, line_start: bool) -> bool:
    if begin == 0:
        return not line_start
    before = piece[begin - 1]
    if before == " ":
        earlier = piece[:begin].rstrip(" ")
        wide = begin - len(earlier) >= 2
        return wide or earlier.endswith(("_", ";", "|")) or (not earlier and wide)
    return before in "\t._;)]|,*#-" or before.islower() or before.isdigit()
