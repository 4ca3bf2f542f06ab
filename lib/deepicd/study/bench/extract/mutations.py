"""Mutated summaries: whatever happens to the headers, nothing later may get through.

Every line of a synthetic summary gets a canary word that names its section. One kind
of mutation is applied to one to three headers (or to the text), and the admission note
is searched for canaries, without and with the guard by content. In `MENDABLE` kinds the
header can still be recognised, so no leak is accepted; in the others (a header is gone)
only the lines tell what they are.
"""

import random
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepicd.data.sections.content_guard import Guard
from deepicd.data.sections.guard_learning import learn_guard
from deepicd.data.sections.names import KEPT
from deepicd.data.sections.splitting import admission_notes, split_sections
from deepicd.study.bench.extract.made_summaries import templates
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
    """Overwrite letters anywhere but in canaries: those must be told afterwards."""
    text = joined(parts)
    spared = {at for m in _CANARY.finditer(text) for at in range(m.start(), m.end())}
    free = [at for at in range(len(text)) if at not in spared]
    letters = list(text)
    for _ in range(20):
        letters[draw.choice(free)] = draw.choice("x \n:_.ß\u200b\u0130")
    return "".join(letters)


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


def run(
    notes: int,
    seed: int = 0,
    texts: list[str] | None = None,
    guard: Guard | None = None,
) -> pd.DataFrame:
    """Mutate summaries and count what leaks and what is lost, by kind of mutation.

    Parameters
    ----------
    notes : int
        Mutated summaries.
    seed : int
    texts : list of str, optional
        Summaries to mutate; default: half of a synthetic corpus.
    guard : Guard, optional
        Default: learned from the other half of that corpus.

    Returns
    -------
    DataFrame
        `kind, mendable, notes, sections` (kept ones that were there), and without
        and with the guard: `leaking` notes, forbidden `canaries` in them, `lost`
        sections, `words` of the notes; in `only_guarded` notes a section leaks that
        the headers alone had cut.
    """
    if texts is None:
        others, texts = _halves(min(1_200, max(200, notes // 5)), seed, "full")
        guard = guard or learn_guard(others)
    draw, kinds = random.Random(seed), {**MENDABLE, **BROKEN}
    counts = {kind: dict.fromkeys(_COUNTED, 0) for kind in kinds}
    for start in range(0, notes, BATCH):
        chosen = [draw.choice(list(kinds)) for _ in range(min(BATCH, notes - start))]
        mutated = [kinds[k](pieces(draw.choice(texts)), draw) for k in chosen]
        plain, guarded = (admission_notes(mutated, guard=g) for g in (None, guard))
        for kind, text, one, two in zip(chosen, mutated, plain, guarded, strict=True):
            _count(counts[kind], text.lower(), one[0].lower(), two[0].lower())
    frame = pd.DataFrame(counts).T.rename_axis("kind").reset_index()
    return frame.assign(mendable=frame["kind"].isin(MENDABLE))


def unseen(notes: int) -> pd.DataFrame:
    """Mutate summaries of a seed and a style that the guard has not seen.

    It is learned from brief summaries, and guards full ones of another seed.
    """
    learned, _ = _halves(1_200, 0, "brief")
    _, texts = _halves(1_200, 7, "full")
    return run(notes, 7, texts, learn_guard(learned))


def _halves(size: int, seed: int, length: str) -> tuple[list[str], list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        texts = templates(Path(folder), size, seed, length)
    return texts[::2], texts[1::2]


_CANARY = re.compile(r"qx([a-z]+)qx")
_KEPT = {name.replace("_", "") for name in KEPT}
_FACTS = ("leaking", "canaries", "lost", "words")
_GUARDED = tuple(f"{fact}_guarded" for fact in _FACTS)
_COUNTED = ("notes", "sections", *_FACTS, *_GUARDED, "only_guarded")


def leaked(note: str) -> set[str]:
    """Give the sections whose canaries are in a note and should not be."""
    return set(_CANARY.findall(note.lower())) - _KEPT


def _count(counts: dict[str, int], text: str, plain: str, guarded: str) -> None:
    there = set(_CANARY.findall(text)) & _KEPT
    counts["notes"] += 1
    counts["sections"] += len(there)
    counts["only_guarded"] += bool(leaked(guarded) - leaked(plain))
    for end, note in (("", plain), ("_guarded", guarded)):
        counts["leaking" + end] += bool(leaked(note))
        counts["canaries" + end] += len(leaked(note))
        counts["lost" + end] += len(there - set(_CANARY.findall(note)))
        counts["words" + end] += len(note.split())


def results(frame: pd.DataFrame, title: str = "") -> list[Result]:
    """Lay the counts out as results, without and with the guard.

    Kinds that leave a header legible may leak nothing; for the others the guard has a
    goal. In intact summaries it may cut half a word of a hundred.
    """
    out = [Result(f"{title}mutated summaries", frame["notes"].sum(), "")]
    for row in frame.itertuples():
        said = f"{title}{row.kind}"
        goal = 0.0 if row.mendable else GOALS.get(row.kind, 3.0)
        leaking = 100 * row.leaking_guarded / max(row.notes, 1)
        plain = 100 * row.leaking / max(row.notes, 1)
        out.append(Result(f"{said}: notes that leak without guard", plain, "%"))
        out.append(Result(f"{said}: notes that leak", leaking, "%", goal=goal))
        for end, guard in (("", " without guard"), ("_guarded", "")):
            share = 100 * getattr(row, "lost" + end) / max(row.sections, 1)
            out.append(Result(f"{said}: kept sections lost{guard}", share, "%"))
    intact = frame[frame["kind"].isin(INTACT)].sum(numeric_only=True)
    lost = 100 * (1 - intact["words_guarded"] / max(intact["words"], 1))
    out.append(Result(f"{title}words lost to the guard", lost, "%", goal=0.5))
    for mendable, rows in frame.groupby("mendable"):
        only = 100 * rows["only_guarded"].sum() / max(rows["notes"].sum(), 1)
        those = "legible" if mendable else "broken"
        said = f"{title}headers {those}: notes that leak with the guard alone"
        out.append(Result(said, only, "%", goal=0.0 if mendable else None))
    return out


GOALS = {"noise": 5.0}  # per cent of the notes; 3 for the others
INTACT = ("case", "decorated", "blank lines", "repeated header")
