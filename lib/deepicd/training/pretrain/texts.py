"""What the base model reads: other synthetic hospitals, the catalogue, questions.

Patients and seeds are disjoint from every study corpus: studies count their seeds
from 0, hospitals from `FIRST_SEED`.
"""

import random
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd

from deepicd.data.sections.splitting import admission_note, split_sections
from deepicd.data.synthetic.corpus import CODES, write_corpus
from deepicd.data.synthetic.knowledge import core, load_knowledge
from deepicd.training import catalogue
from deepicd.training.pretrain.reading import questions

FIRST_SEED = 1_000_000
HOSPITAL = 2000  # summaries of one hospital
WHOLE = 0.1  # share of the summaries that are read as they are
REST = 0.6  # share of the others whose rest is to be written
_INSTRUCTION = "Read the note, then answer."
_REST = "Complete the discharge summary."
_TITLES = {
    "brief_hospital_course": "HOSPITAL COURSE",
    "discharge_diagnosis": "DISCHARGE DIAGNOSIS",
}
# Turns of one document: (role, text); "text" is read whole, of a chat the answers.
Turns = list[tuple[str, str]]


def documents(notes: int, tree, seed: int = 0, questions_each: int = 7):
    """Yield what is read, hospital by hospital.

    Parameters
    ----------
    notes : int
        Discharge summaries; each is read once, whole or as a chat: its admission
        note, questions that the note answers, and often the request to write the
        rest of the summary.
    tree : deepicd.icd.IcdTree
    seed : int
        The same seed gives the same documents.
    questions_each : int
        Questions about one note.

    Yields
    ------
    (str, list of (str, str))
        Kind (summary, note or catalogue) and turns.
    """
    for number, size in enumerate(hospitals(notes)):
        yield from of_hospital(number, size, tree, seed, questions_each)


def hospitals(notes: int) -> list[int]:
    """Sizes of the hospitals that write so many summaries.

    Examples
    --------
    >>> hospitals(4100)
    [2000, 2000, 100]
    """
    whole, rest = divmod(notes, HOSPITAL)
    return [HOSPITAL] * whole + [rest] * bool(rest)


def of_hospital(number: int, size: int, tree, seed: int, questions_each: int = 7):
    """Documents of one hospital; see `documents`."""
    rng = random.Random(f"{seed}|{number}")
    entries = iter(_catalogue(tree, rng.randrange(2**31)))
    texts = hospital(FIRST_SEED + 1000 * seed + number, size, number)
    for text, other in zip(texts, texts[1:] + texts[:1], strict=True):
        yield from _ways(text, other, rng, questions_each)
        if rng.random() < 0.2:
            yield "catalogue", _next(entries)


def hospital(seed: int, size: int, number: int) -> list[str]:
    """Summaries of one hospital; case mixes differ from one to the next."""
    tail = (0.0, 0.5, 1.0)[number % 3]
    codes = None if number % 2 else CODES
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "hospital"
        write_corpus(where, size, seed, difficulty=0.1, tail=tail, codes=codes, level=0)
        table = pd.read_csv(next((where / "note").glob("discharge.csv*")))
    return [text for text in table["text"].dropna() if len(text) > 600]


def _ways(text: str, other: str, rng, questions_each: int) -> Iterator:
    if rng.random() < WHOLE:
        yield "summary", [("text", text)]
        return
    note = admission_note(text).text
    asked = questions(note, admission_note(other).text, rng, questions_each)
    rest = _rest(text) if rng.random() < REST else ""
    if rest:
        asked.append(("rest", _REST, rest))
    if asked:
        yield "note", note_turns(note, asked)


def note_turns(note: str, asked: list) -> Turns:
    """A chat: the note with the first question, then the others."""
    first, *others = asked
    turns = [("user", f"{_INSTRUCTION}\n\n{note}\n\n{first[1]}")]
    turns.append(("assistant", first[2]))
    for _, question, answer in others:
        turns += [("user", question), ("assistant", answer)]
    return turns


def _rest(text: str) -> str:
    """What a summary says of course and diagnosis, under plain headers."""
    found: dict[str, str] = {}
    for part in split_sections(text):
        if part.name in _TITLES:
            body = text[part.body_start : part.end].strip()
            found[part.name] = f"{_TITLES[part.name]}: {body}"
    return "\n\n".join(found[name] for name in _TITLES if name in found)


def _catalogue(tree, seed: int) -> list[tuple[str, str]]:
    codes = [entry.code for entry in core(load_knowledge(), None).entries]
    asked = catalogue.neighbourhood(codes, tree)
    table = catalogue.build_questions(tree, asked, seed)
    return list(zip(table["prompt"], table["completion"], strict=True))


def _next(entries: Iterator, most: int = 8) -> Turns:
    """Some questions about the catalogue; a hospital does not reach its end."""
    turns: Turns = []
    for question, answer in islice(entries, most):
        turns += [("user", question), ("assistant", answer)]
    return turns
