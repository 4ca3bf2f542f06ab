"""Where a header may stand: at the start of a line, alone on it, or glued into it.

Most lines of a summary hold no header. Whole batches of notes are therefore searched
at once for the few lines that begin, or have a colon or an end, as a header does;
only those are looked at one by one. Every position counts in the original text.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepicd.data.sections.vocabulary import (
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


_LINE_ENDS = "\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_ODD = np.ones(0x110000, bool)
_ODD[:128] = [chr(letter) in _LINE_ENDS for letter in range(128)]


@lru_cache(maxsize=1 << 12)
def _plain(letter: str) -> str:
    """Accents off, odd spaces and dashes plain, one kind of line end."""
    if letter in _LINE_ENDS:
        return "\n"
    plain = unicodedata.normalize("NFKD", letter)[0]
    kind = unicodedata.category(letter)[0]
    return plain if plain < "\x80" else {"P": "-", "Z": " ", "C": " "}.get(kind, letter)


def clean(text: str) -> str:
    """Give a note with one character a line end and without NUL, as models read it.

    Examples
    --------
    >>> clean("Cough.\\r\\nFe\\0ver.\\rPain")
    'Cough.\\nFever.\\nPain'
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def fold(text: str) -> str:
    """Write a text so that headers can be compared; every letter keeps its place.

    Examples
    --------
    >>> fold("Allergies\\u00a0\\uff1a\\r\\nnone")
    'Allergies :\\n\\nnone'
    """
    if text.isascii() and "\r" not in text and "\f" not in text and "\v" not in text:
        return text
    # A note has few kinds of odd letters: replacing each is faster than translating.
    letters = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    for letter in set(map(chr, letters[_ODD[letters]].tolist())):
        text = text.replace(letter, _plain(letter))
    return text


def find_headers(text: str) -> list[Candidate]:
    """Find everything that is written like a header, in order.

    Examples
    --------
    >>> text = "Sex: F   Service: MEDICINE\\nSocial History: ___ Family History: none"
    >>> [c.header.name for c in find_headers(text)]
    ['service', 'social_history', 'family_history']
    """
    return [Candidate(*fields) for fields in find_all([fold(text)])[0]]


def find_all(texts: list[str]) -> list[list[tuple]]:
    """Find the possible headers of many folded texts.

    A plain tuple with the fields of a `Candidate` stands for each: most of them are
    only looked at once, and making the class would take as long as finding them.

    Examples
    --------
    >>> [len(found) for found in find_all(["HPI: x\\nPMH: y", "", "cough"])]
    [2, 0, 0]
    """
    found: list[list[tuple]] = [[] for _ in texts]
    joined = "\n".join(["", *texts, "    "])
    headed, alone, later = _places(joined, texts)
    raws = (joined[a:b] for a, b in zip(headed[0], headed[1], strict=True))
    for known, colon, note in zip(map(_at_start, raws), *headed[2:], strict=True):
        if known:
            header, before, first = known
            found[note].append((colon - before, colon + 1, header, True, first))
    mixed = set()
    for begin, stop, end, note in zip(*alone, strict=True):
        if _alone(joined[begin:stop], end, found[note]):
            mixed.add(note)
    for begin, stop, colon, note in zip(*later, strict=True):
        before = joined.rfind(":", begin, stop)
        piece = joined[max(before + 1, begin, stop - 50) : stop]
        known = _at_the_end(piece, before < 0)
        if known:
            start = colon - len(piece) + known[0]
            found[note].append((start, colon + 1, known[1], True, False))
            mixed.add(note)
    for note in mixed:
        found[note].sort()
    return found


_DECORATION = np.zeros(256, bool)
_DECORATION[list(b" \t#*-=_>.([)]0123456789")] = True
_SMALL = np.zeros(256, bool)
_SMALL[97:123] = True


def _number(fours: np.ndarray) -> np.ndarray:
    """Number four letters, which come as one word, by five bits of each.

    These are the same for small and capital letters, so a table of a million bits
    says at once whether four letters may begin or end a header.
    """
    pairs = (fours & 0x1F001F) << 5 | fours >> 8 & 0x1F001F
    return (pairs << 10 | pairs >> 16) & 0xFFFFF


def _table(keys: set[str], before: bool) -> np.ndarray:
    """Mark the numbers of all keys; short ones are filled up with anything."""
    table = np.zeros(1 << 20, bool)
    any_letter = [chr(number) for number in range(32)]
    for key in keys:
        fours = [key]
        while len(fours[0]) < 4:
            fours = [c + f if before else f + c for f in fours for c in any_letter]
        table[_number(np.frombuffer("".join(fours).encode(), "<u4"))] = True
    return table


_HEADS, _TAILS = _table(HEADS, False), _table(TAILS, True)


def _places(joined: str, texts: list[str]):
    """Find what a header may own: lines with a colon, lines without, later colons.

    Gives four lists for each: begin of the line and the colon or end in the joined
    texts, the latter again counted in its note, and the number of the note.
    """
    padded = b"\n\n\n" + joined.encode("ascii", "replace")
    letters = np.frombuffer(padded, np.uint8, offset=3)
    fours = np.ndarray(len(letters), "<u4", padded, strides=1)  # that end at a place
    marks = np.flatnonzero((letters == 10) | (letters == 58))
    colon = letters[marks] == 58
    ends, colons = marks[~colon], marks[colon]
    begins, ends = ends[:-1] + 1, ends[1:]
    past = np.cumsum(colon)  # colons up to each mark
    firsts = np.append(colons, len(letters))[past[~colon][:-1]]
    tailed = _tails(letters, fours, colons - 1)
    headed = colons[tailed]
    owner = (np.arange(len(marks)) - past)[colon][tailed]  # line ends before each
    near = firsts - begins <= _MAX
    look = np.zeros(len(begins), bool)
    look[owner] = True
    short = (ends - begins <= _MAX) & ~_SMALL[letters[begins]]
    near &= (firsts < ends) | short
    look &= near
    maybe = np.flatnonzero(near & ~look)
    heads = _past_decoration(letters, begins[maybe], 1) + 3
    look[maybe] = _HEADS[_number(fours[heads])]
    none = np.flatnonzero(short & (firsts > ends) & ~look)
    look[none] = _tails(letters, fours, ends[none] - 1)
    colon = firsts < ends
    with_, without = np.flatnonzero(look & colon), np.flatnonzero(look & ~colon)
    later = (firsts[owner] < headed) | (headed - begins[owner] > _MAX)
    origins = np.cumsum([1, *(len(text) + 1 for text in texts)])
    return (
        _columns(origins, begins[with_], firsts[with_]),
        _columns(origins, begins[without], ends[without]),
        _columns(origins, begins[owner[later]], headed[later]),
    )


def _columns(origins, begins, places):
    notes = np.searchsorted(origins, begins, side="right") - 1
    columns = (begins, places, places - origins[notes], notes)
    return [column.tolist() for column in columns]


def _tails(letters, fours, places) -> np.ndarray:
    """Whether a header may end there, or a little before, behind some decoration."""
    return _TAILS[_number(fours[_past_decoration(letters, places, -1, 7)])]


def _past_decoration(letters, places, step: int, most: int = 24) -> np.ndarray:
    """Move places over marks, digits and gaps that decorate a header."""
    places = places.copy()
    moving = np.arange(len(places))
    for _ in range(most):
        moving = moving[_DECORATION[letters[places[moving]]]]
        if not len(moving):
            break
        places[moving] += step
    return places


@lru_cache(maxsize=1 << 16)
def _at_start(raw: str) -> tuple[Header, int, bool] | None:
    """Read what stands between the start of a line and its first colon.

    Gives the header, how many letters before the colon it begins, and whether nothing
    precedes it on the line.
    """
    known = _header(raw)
    if known:
        return known[0], len(raw) - known[1], True
    glued = _at_the_end(raw, True)
    return (glued[1], len(raw) - glued[0], False) if glued else None


@lru_cache(maxsize=1 << 16)
def _header(raw: str) -> tuple[Header, int] | None:
    """Say what a header stands for, and how much space precedes it."""
    if not plausible(raw):
        return None
    header = classify(raw) or _numbered(raw)
    return (header, len(raw) - len(raw.lstrip())) if header else None


def _numbered(raw: str) -> Header | None:
    """Read `1. Chief Complaint`; short and doubtful names are items of a list."""
    number = _NUMBER.match(raw)
    header = classify(raw[number.end() :]) if number else None
    return header if header and (header.sure or _one_gap(header)) else None


def _one_gap(header: Header) -> bool:
    return header.kind == "gap" and len(header.names) == 1


_NUMBER = re.compile(r"\s*\d\d?[.)]\s+")


def _alone(line: str, end: int, found: list[tuple]) -> bool:
    """Take a line without a colon that is nothing but the full name of a section."""
    text = line.strip().rstrip(" .-=*#")
    if len(text) < 8 or text.count(" ") > 7 or text[0].islower():
        return False
    known = _header(text)
    if known is None or known[0].kind not in ("full", "misspelt", "gap"):
        return False
    header = known[0]
    if header.kind == "gap" and (len(header.names) > 1 or text.count(" ") < 2):
        return False
    found.append((end - len(line.lstrip()), end, header, False, True))
    return True


@lru_cache(maxsize=1 << 16)
def _at_the_end(piece: str, line_start: bool) -> tuple[int, Header] | None:
    """Find where a full name begins that is set off and ends a piece.

    Set off means: after two spaces, a tab, a gap or punctuation, or glued to a small
    letter or digit without a space, and written with a capital.
    """
    if piece.rstrip(_TRIMMED)[-4:].lower() not in GLUED_TAILS:
        return None
    for capital in _CAPITAL.finditer(piece, max(0, len(piece) - 50)):
        at = capital.start()
        if not _set_off(piece, at, line_start):
            continue
        header = classify(piece[at:])
        if header and (header.kind == "full" or at and _one_gap(header)):
            return at, header
    return None


_TRIMMED = " _()"
_CAPITAL = re.compile(r"[A-Z]|(?<![_\w])___(?= [A-Za-z])")
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
