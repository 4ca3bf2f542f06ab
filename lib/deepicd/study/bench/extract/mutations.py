"""Mutated summaries: whatever happens to the headers, nothing later may get through.

Every line of a synthetic summary gets a canary word that names its section. One kind
of mutation is applied to one to three headers (or to the text), and the admission note
is searched for canaries. In `MENDABLE` kinds the header can still be recognised, so no
leak is accepted; in the others (a header is gone) no rule could know every time, and
the count is reported.
"""

import random
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepicd.data.sections.names import KEPT
from deepicd.data.sections.splitting import admission_notes, split_sections
from deepicd.study.bench.extract.corpus import templates
from deepicd.study.bench.measure import Result

BATCH = 1_000
_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass
class Piece:
    """A section: what stands before its header, the header, the lines, its name."""

    gap: str
    header: str
    body: str
    name: str


def canary(name: str) -> str:
    """Give the word that marks a section.

    Examples
    --------
    >>> canary("discharge_exam")
    'qxdischargeexamqx'
    """
    return "qx" + name.replace("_", "") + "qx"


def pieces(text: str) -> list[Piece]:
    """Take a summary apart and put a canary into every line of every section."""
    out = []
    for section in split_sections(text):
        cut = section.body_start - section.start
        if not cut and section.name != "preamble":  # its first line is its header
            cut = section.text.find("\n") + 1
        header, body = section.text[:cut], section.text[cut:]
        kept = body.rstrip()
        mark = " " + canary(section.name)
        lines = [line + mark if line.strip() else line for line in kept.split("\n")]
        marked = "\n".join(lines) if kept else f"\n{mark}"
        out.append(Piece("", header, marked, section.name))
        out[-1].gap = body[len(kept) :] or "\n"
    return out


def joined(parts: list[Piece]) -> str:
    """Write the sections as one text."""
    return "".join(part.header + part.body + part.gap for part in parts)


def _header(change: Callable[[str, random.Random], str]):
    """Make a mutation of one to three headers."""

    def mutate(parts: list[Piece], draw: random.Random) -> str:
        able = [p for p in parts if p.header.strip()]
        for part in draw.sample(able, min(len(able), draw.randint(1, 3))):
            part.header = change(part.header, draw)
        return joined(parts)

    return mutate


def _one_slip(header: str, draw: random.Random) -> str:
    """Drop, double or swap a letter of a long word."""
    words = [m for m in _WORD.finditer(header)]
    if not words or len(header.replace(" ", "")) < 10:
        return header
    word = draw.choice(words)
    at = draw.randrange(word.start() + 1, word.end() - 1)
    a, b = header[at], header[at + 1]
    return header[:at] + draw.choice(("", a + a, b + a[:0])) + header[at + 1 :]


def _case(header: str, draw: random.Random) -> str:
    return draw.choice((str.upper, str.lower, str.title, str.swapcase))(header)


def _decorated(header: str, draw: random.Random) -> str:
    left = draw.choice(("# ", "=== ", "**", "- ", "  ", "\t", ">> ", "1. "))
    return left + header.lstrip()


def _odd_letters(header: str, draw: random.Random) -> str:
    space = draw.choice(("\u00a0", "\u2009", "\t", "  ", "\u3000"))
    header = header.replace(" ", space)
    return header.replace(":", draw.choice((":", "\uff1a", " :", "\u00a0:")))


def _accent(header: str, draw: random.Random) -> str:
    return header.translate({ord("e"): "é", ord("o"): "ö", ord("a"): "å"})


def _repeated(header: str, draw: random.Random) -> str:
    return header.rstrip() + "\n" + header


def _glued(parts: list[Piece], draw: random.Random) -> str:
    for part in draw.sample(parts[:-1], min(3, len(parts) - 1)):
        part.gap = draw.choice((".", "  ", "\t", "; ", ".  "))
    return joined(parts)


def _spaced(parts: list[Piece], draw: random.Random) -> str:
    gap = draw.choice(("\n", "\n\n", "\n \n", "\n\n\n\n", "\n\t\n \n", "\n\f\n"))
    for part in parts:
        part.gap = gap
    return joined(parts)


def _line_ends(parts: list[Piece], draw: random.Random) -> str:
    return joined(parts).replace("\n", draw.choice(("\r\n", "\r", "\u2028", "\x85")))


def _cut_short(parts: list[Piece], draw: random.Random) -> str:
    text = joined(parts)
    return text[: draw.randrange(len(text))]


def _lines(parts: list[Piece], draw: random.Random) -> str:
    """Repeat, remove or empty lines that are no header."""
    for part in draw.sample(parts, min(4, len(parts))):
        lines = part.body.split("\n")
        at = draw.randrange(len(lines)) if len(lines) > 1 else 0
        if at:
            new = draw.choice(([lines[at]] * 2, [], ["___"], [lines[at], ""]))
            lines[at : at + 1] = new
        part.body = "\n".join(lines)
    return joined(parts)


def _section_twice(parts: list[Piece], draw: random.Random) -> str:
    at = draw.randrange(len(parts))
    parts.insert(at, parts[at])
    return joined(parts)


def _shuffled(parts: list[Piece], draw: random.Random) -> str:
    rest = parts[1:]
    draw.shuffle(rest)
    return joined([*parts[:1], *rest])


def _swapped(parts: list[Piece], draw: random.Random) -> str:
    at = draw.randrange(1, len(parts) - 1)
    parts[at], parts[at + 1] = parts[at + 1], parts[at]
    return joined(parts)


def _two_slips(header: str, draw: random.Random) -> str:
    return _one_slip(_one_slip(header, draw), draw)


def _gone(header: str, draw: random.Random) -> str:
    return draw.choice(("", "\n", "___:", "___"))


def _noise(parts: list[Piece], draw: random.Random) -> str:
    text = list(joined(parts))
    for _ in range(20):
        text[draw.randrange(len(text))] = draw.choice("x \n:_.ß\u200b\u0130")
    return "".join(text)


MENDABLE = {
    "case": _header(_case),
    "one slip": _header(_one_slip),
    "decorated": _header(_decorated),
    "odd spaces and colons": _header(_odd_letters),
    "accents": _header(_accent),
    "repeated header": _header(_repeated),
    "blank lines": _spaced,
    "line ends": _line_ends,
    "cut short": _cut_short,
    "lines repeated or lost": _lines,
    "glued": _glued,
}
BROKEN = {
    "section twice": _section_twice,
    "two sections swapped": _swapped,
    "all sections shuffled": _shuffled,
    "two slips": _header(_two_slips),
    "header gone": _header(_gone),
    "noise": _noise,
}


def run(notes: int, seed: int = 0, texts: list[str] | None = None) -> pd.DataFrame:
    """Mutate summaries and count what leaks and what is lost, by kind of mutation.

    Parameters
    ----------
    notes : int
        Mutated summaries.
    seed : int
    texts : list of str, optional
        Summaries to mutate; default: a synthetic corpus.

    Returns
    -------
    DataFrame
        `kind, mendable, notes, leaking, canaries` (leaked forbidden sections),
        `sections` (kept ones that were there) and `lost` of them.
    """
    if texts is None:
        with tempfile.TemporaryDirectory() as folder:
            texts = templates(Path(folder), min(600, max(20, notes // 10)), seed)
    draw, kinds = random.Random(seed), {**MENDABLE, **BROKEN}
    counts = {kind: dict.fromkeys(_COUNTED, 0) for kind in kinds}
    for start in range(0, notes, BATCH):
        chosen = [draw.choice(list(kinds)) for _ in range(min(BATCH, notes - start))]
        mutated = [kinds[k](pieces(draw.choice(texts)), draw) for k in chosen]
        for kind, text, (note, _) in zip(
            chosen, mutated, admission_notes(mutated), strict=True
        ):
            _count(counts[kind], text.lower(), note.lower())
    frame = pd.DataFrame(counts).T.rename_axis("kind").reset_index()
    return frame.assign(mendable=frame["kind"].isin(MENDABLE))


_COUNTED = ("notes", "leaking", "canaries", "sections", "lost")
_CANARY = re.compile(r"qx([a-z]+)qx")
_KEPT = {name.replace("_", "") for name in KEPT}


def _count(counts: dict[str, int], text: str, note: str) -> None:
    there, got = set(_CANARY.findall(text)), set(_CANARY.findall(note))
    leaked = got - _KEPT
    counts["notes"] += 1
    counts["leaking"] += bool(leaked)
    counts["canaries"] += len(leaked)
    counts["sections"] += len(there & _KEPT)
    counts["lost"] += len((there & _KEPT) - got)


def results(frame: pd.DataFrame) -> list[Result]:
    """Lay the counts out as results; only mendable kinds have a goal."""
    out = [Result("mutated summaries, no exception", frame["notes"].sum(), "")]
    for row in frame.itertuples():
        goal = 0.0 if row.mendable else None
        said = f"{row.kind}: notes that leak, of {row.notes:,}"
        out.append(Result(said, float(row.leaking), "", goal=goal))
        share = 100 * row.lost / max(row.sections, 1)
        out.append(Result(f"{row.kind}: kept sections lost", share, "%"))
    return out
