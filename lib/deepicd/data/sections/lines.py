"""Where a header may stand: at the start of a line, alone on it, or glued into it.

Most lines of a summary hold no header. Whole batches of notes are therefore searched
at once for the few lines that begin, or have a colon or an end, as a header does;
only those are looked at one by one. Every position counts in the original text.
"""

import re
import unicodedata
from bisect import bisect
from collections.abc import Callable
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

_LONGEST = 70  # letters of a piece that may be a header as a whole
_LONGEST_GLUED = 50  # and of one that ends a longer piece


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


_TAG = re.compile(r"</?(?:br|p|div)\s*/?>", re.I)  # what stands for a line end


def _without_tags(text: str, line_end: Callable[[re.Match], str]) -> str:
    """Look only at each `<`: most stand in results, as in `<10,000`."""
    at = text.find("<")
    while at >= 0 and not _TAG.match(text, at):
        at = text.find("<", at + 1)
    return text if at < 0 else _TAG.sub(line_end, text)


def clean(text: str) -> str:
    """Give a note with one character a line end and without NUL, as models read it.

    Examples
    --------
    >>> clean("Cough.\\r\\nFe\\0ver.\\rPain<br/>No rash")
    'Cough.\\nFever.\\nPain\\nNo rash'
    """
    text = _without_tags(text, lambda tag: "\n")
    if "\r" in text:  # to look for two letters takes ten times as long
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "")


def fold(text: str) -> str:
    """Write a text so that headers can be compared; every letter keeps its place.

    Examples
    --------
    >>> fold("Allergies\\u00a0\\uff1a\\r\\nnone"), fold("none<br>PMH:")
    ('Allergies :\\n\\nnone', 'none\\n   PMH:')
    """
    text = _without_tags(text, lambda tag: "\n".ljust(len(tag[0])))
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

    A text is cut into pieces at its line ends and colons. A header is a piece, or
    ends one; `look` says which, and once for pieces that are written the same.
    A plain tuple with the fields of a `Candidate` stands for each: most of them are
    only looked at once, and making the class would take as long as finding them.

    Examples
    --------
    >>> [len(found) for found in find_all(["HPI: x\\nPMH: y", "", "cough"])]
    [2, 0, 0]
    """
    joined = "\n".join([_EDGE, *texts, _EDGE])
    begins, ends = _worth_a_look(joined)
    pieces = [joined[a : b + 1] for a, b in zip(begins, ends, strict=True)]
    looked = [*zip(ends, map(look, pieces), strict=True)]
    found, origin, done = [], len(_EDGE) + 1, 0
    for text in texts:
        headers = []
        begun, done = done, bisect(ends, origin + len(text), done)
        for end, known in looked[begun:done]:
            if known:
                header, before, colon, first = known
                end -= origin
                headers.append((end - before, end + colon, header, colon, first))
        found.append(headers)
        origin += len(text) + 1
    return found


@lru_cache(maxsize=1 << 17)
def look(piece: str) -> tuple[Header, int, bool, bool] | None:
    """Say which header a piece is, or ends with: the one rule of what a header is.

    Parameters
    ----------
    piece : str
        A piece with the line end or colon on either side of it.

    Returns
    -------
    tuple or None
        The header, how many letters before the piece's end it begins, whether a
        colon ends it, and whether it starts the line.

    Examples
    --------
    >>> header, before, colon, first = look("\\n PMH:")
    >>> header.name, before, colon, first
    ('past_medical_history', 3, True, True)
    >>> look(": no edema.Pertinent Results:")[1:], look(": Pertinent Results\\n")
    ((17, True, False), None)
    """
    raw, starts, colon = piece[1:-1], piece[0] == "\n", piece[-1] == ":"
    whole = _whole(raw, colon) if starts and len(raw) <= _LONGEST else None
    if whole:
        return whole, len(raw.lstrip()), colon, True
    return _at_the_end(piece) if colon else None


def _whole(raw: str, colon: bool) -> Header | None:
    """Read a piece that starts a line; without a colon only a full name counts."""
    text = raw if colon else raw.strip().rstrip(" .-=*#")
    if not colon and (len(text) < 8 or text.count(" ") > 7 or text[0].islower()):
        return None
    if not plausible(text):
        return None
    header = classify(text) or _numbered(text)
    if colon or not header:
        return header
    written = header.sure or _one_gap(header) and text.count(" ") >= 2
    return header if written else None


def _numbered(raw: str) -> Header | None:
    """Read `1. Chief Complaint` or `II. HPI`; other short names are items of a list."""
    number = _NUMBER.match(raw)
    header = classify(raw[number.end() :]) if number else None
    if header and header.kind == "weak":
        return header if raw[number.end() :].strip().lower() in _UNMISTAKABLE else None
    return header if header and (header.sure or _one_gap(header)) else None


def _one_gap(header: Header) -> bool:
    return header.kind == "gap" and len(header.names) == 1


_NUMBER = re.compile(r"\s*\(?(?:\d\d?|[IVX]{1,4}|[ivx]{1,4}|[A-Ha-h])[.)]\s+")
_UNMISTAKABLE = {"hpi", "pmh", "pmhx", "psh", "pshx", "pmh/psh"}


def _at_the_end(piece: str) -> tuple[Header, int, bool, bool] | None:
    """Find where a full name begins that is set off and ends a piece.

    Set off means: after two spaces, a tab, a gap or punctuation, or glued to a small
    letter or digit without a space, and written with a capital.
    """
    end = len(piece) - 1
    if piece[:end].rstrip(_TRIMMED)[-4:].lower() not in GLUED_TAILS:
        return None
    for capital in _CAPITAL.finditer(piece, max(1, end - _LONGEST_GLUED), end):
        at = capital.start()
        if not _set_off(piece, at):
            continue
        header = classify(piece[at:end])
        gapped = header and piece[at - 1] != ":" and _one_gap(header)
        if gapped or header and header.kind == "full":
            return header, end - at, True, False
    return None


_TRIMMED = " _()"
_CAPITAL = re.compile(r"[A-Z]|(?<![_\w])___(?= [A-Za-z])")
# How the full names end: what else stands before a colon is not looked at.
GLUED_TAILS = {key[-4:] for key, header in EXACT.items() if header.kind == "full"}


def _set_off(piece: str, begin: int) -> bool:
    before = piece[begin - 1]
    if before == " ":
        earlier = piece[:begin].rstrip(" ")
        return begin - len(earlier) >= 2 or earlier.endswith(("_", ";", "|"))
    return before in ":\t._;)]|,*#-" or before.islower() or before.isdigit()


# Most pieces are no header, and four letters of a header are enough to see that: its
# first four or its last four. NumPy compares those of all pieces of many texts at once.


def _worth_a_look(joined: str) -> tuple[list[int], list[int]]:
    """Give the pieces that may be headers: the places of the marks on either side."""
    written = joined.encode("ascii", "replace")
    letters = np.frombuffer(written, np.uint8)
    fours = np.ndarray(len(letters) - 3, "<u4", written, strides=1)  # from each place
    marks = np.flatnonzero((letters == 10) | (letters == 58))
    begins, ends = marks[:-1], marks[1:]
    sizes, colon = ends - begins - 1, letters[ends] == 58
    starts = (letters[begins] == 10) & (sizes <= _LONGEST)
    able = starts & ~_SMALL[letters[begins + 1]] | colon
    some = np.flatnonzero(able & (sizes > 1))
    tails = _past_decoration(letters, ends[some] - 1, -1, 7) - 3
    worth = _TAILS[_number(fours[tails])]
    rest = np.flatnonzero(starts[some] & ~worth)
    heads = _past_decoration(letters, begins[some[rest]] + 1, 1, 24)
    worth[rest] = _HEADS[_number(fours[heads])]
    some = some[worth]
    begins, ends, starts = begins[some], ends[some], starts[some]
    begins = np.where(starts, begins, np.maximum(begins, ends - _LONGEST_GLUED - 1))
    return begins.tolist(), ends.tolist()


_EDGE = "\n\n\n\n"  # so that every place has four letters before it and behind it
_DECORATION = np.zeros(256, bool)
_DECORATION[list(b" \t#*-=_>.([)]0123456789")] = True
_SMALL = np.zeros(256, bool)
_SMALL[97:123] = True


def _past_decoration(letters, places, step: int, most: int) -> np.ndarray:
    """Move places over marks, digits and gaps that decorate a header."""
    places = places.copy()
    moving = np.arange(len(places))
    for _ in range(most):
        moving = moving[_DECORATION[letters[places[moving]]]]
        if not len(moving):
            break
        places[moving] += step
    return places


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
