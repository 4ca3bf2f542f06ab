"""Identifiers: recall on planted ones, false alarms on synthetic notes.

Sentences with an invented person, date, number or place are put into synthetic
admission notes, which hold none. The names come from many languages and stand in no
rule; a name that nothing introduces is planted, too, since rules cannot see it.
"""

import random
import tempfile
import time
from pathlib import Path
from string import Formatter

import pandas as pd

from deepicd.data import sources
from deepicd.data.admissions import build_admissions
from deepicd.data.identifiers import find, scan, small_words
from deepicd.data.synthetic import corpus
from deepicd.study.bench.measure import Result, best_seconds

TITLE = "Identifiers in notes: recall on planted ones, false alarms, speed"
GIVEN = (
    "Maria Aisha Wei Oluwaseun Björn Priya Dmitri Fatima Jean-Luc Siobhan Hiroshi Ana "
    "Kwame Noor Lars Ximena Tomasz Leilani Yusuf Agnieszka Rohan Delphine Mateo Ingrid"
).split()
SURNAMES = (
    "Okafor Gonzalez Nguyen O'Brien Kowalska Haddad Lindqvist Chaudhry Petrov Tanaka "
    "Mbeki Rossi Abdullahi Schneider Fernandes Kaplan Yilmaz Larsen Dubois Whitfield "
    "Papadakis Szabo Bhattacharya MacLeod"
).split()
PLACES = (
    "Worcester Dorchester Lowell Antigua Cracow Lagos Somerville Kerala Galway Oaxaca "
    "Brockton Aleppo Trieste Saskatoon Nantucket Quincy"
).split()
STREETS = "Elm Washington Tremont Beacon Mulberry Chestnut Harvard Pine".split()

# A sentence; what stands in {} is the identifier, unless its name begins with _.
FORMS = {
    "name with a title": ("Seen by Dr. {full}.", "{_mr} {last} agreed."),
    "name with a degree": ("Discussed with {full}, MD.", "{full} RN at bedside."),
    "name with a label": ("Name: {full}", "Attending: {last}", "PCP: {full}"),
    "name of a relative": (
        "Daughter {first} is her proxy.",
        "His wife ({full}) said so.",
    ),
    "name alone, whole": ("Later {full} called back.",),
    "name alone, one word": ("Visited, then {first} called back.",),
    "date": (
        "Admitted {date}.",
        "Seen on {month} {day}, 20{year}.",
        "Fell on {short} at home.",
        "DOB {iso}.",
    ),
    "telephone": ("Call {phone}.", "Pager {pager}.", "Phone: ({area}) {local}."),
    "number of a record": ("MRN: {mrn}.", "SSN {ssn}.", "Account no. {mrn}."),
    "e-mail or web": ("Mail to {mail}.", "See {web} for results."),
    "address": ("Lives at {street}.", "PO Box {_small}, {town_state}."),
    "town": ("She lives in {town}.", "Moved from {town} in spring."),
    "institution": ("Transferred from {town_hospital}.", "Rehab at {last_manor}."),
    "age above 89": ("A {old} year old cousin died.",),
}


def _facts(draw: random.Random) -> dict[str, str]:
    """One invented person, with dates, numbers and places."""
    first, last, town = (draw.choice(x) for x in (GIVEN, SURNAMES, PLACES))
    day, month, year = draw.randint(1, 28), draw.randint(1, 12), draw.randint(10, 26)
    digits = "".join(draw.choices("123456789", k=12))
    return {
        "first": first,
        "last": last,
        "full": f"{first} {last}",
        "mr": draw.choice(("Mr.", "Ms.", "Mrs.", "Miss")),
        "date": f"{month}/{day}/20{year}",
        "short": f"{month}/{day}",
        "iso": f"19{year + 30}-{month:02}-{day:02}",
        "day": str(day),
        "year": str(year),
        "month": draw.choice(("January", "Feb", "March", "Sept.", "October")),
        "phone": f"{digits[:3]}-{digits[3:6]}-{digits[6:10]}",
        "area": digits[:3],
        "local": f"{digits[3:6]}-{digits[6:10]}",
        "pager": digits[:5],
        "mrn": digits[:7],
        "ssn": f"{digits[:3]}-{digits[3:5]}-{digits[5:9]}",
        "mail": f"{first[:1].lower()}{digits[:3]}@example.org",
        "web": f"https://example.org/{digits[:4]}",
        "street": f"{digits[:3]} {draw.choice(STREETS)} {draw.choice(('St', 'Road'))}",
        "small": digits[:3],
        "town": town,
        "town_state": f"{town}, MA",
        "town_hospital": f"{town} General Hospital",
        "last_manor": f"{last} Manor",
        "old": str(90 + day % 12),
    }


def planted(note: str, form: str, draw: random.Random) -> tuple[str, list[tuple]]:
    """Put a sentence with an identifier between two lines of a note.

    Returns
    -------
    text : str
    spans : list of (start, end)
        Of the identifiers in it.

    Examples
    --------
    >>> text, ((start, end),) = planted("Cough.", "town", random.Random(0))
    >>> text[start:end] in PLACES
    True
    """
    facts, sentence = _facts(draw), draw.choice(FORMS[form])
    lines = note.split("\n")
    place = draw.randint(1, len(lines))
    text, spans = "\n".join([*lines[:place], ""]), []
    for before, name, _, _ in Formatter().parse(sentence):
        text += before
        if name:
            said = facts[name.removeprefix("_")]
            if not name.startswith("_"):
                spans.append((len(text), len(text) + len(said)))
            text += said
    return "\n".join([text, *lines[place:]]), spans


def run(notes: int = 2_000, seed: int = 0) -> list[Result]:
    """Measure recall by form of identifier, false alarms, and time a note.

    Parameters
    ----------
    notes : int
        Synthetic summaries whose admission notes are read.
    seed : int

    Returns
    -------
    list of Result
    """
    table = _notes(notes, seed)
    everyday, draw = small_words(table["note"]), random.Random(seed)
    results = []
    for form in FORMS:
        found = [_seen(*planted(n, form, draw), everyday) for n in table["note"]]
        goal = None if form == "name alone, one word" else 0.95
        share = sum(found) / len(found)
        results.append(Result(f"recall: {form}", share, "share", goal, at_least=True))
    alarms = scan(table)
    for kind, count in alarms["kind"].value_counts().items():
        each = 1_000 * count / len(table)
        results.append(Result(f"false alarms: {kind}", each, "/1000 notes"))
    hit = alarms["note_id"].nunique() / len(table)
    results.append(Result("notes with a false alarm", hit, "share", goal=0.02))
    some = table["note"].head(200)
    seconds = best_seconds(
        lambda: [find(note, everyday) for note in some], 3, time.process_time
    )
    return [*results, Result("time", 1e6 * seconds / len(some), "us/note")]


def _seen(text: str, planted: list[tuple[int, int]], everyday) -> bool:
    """Whether every letter of what was planted is in what is found."""
    found = find(text, everyday)
    return all(any(s <= a and b <= e for _, s, e in found) for a, b in planted)


def _notes(notes: int, seed: int) -> pd.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        made = corpus.write_corpus(Path(folder) / "corpus", notes=notes, seed=seed)
        raw = sources.open_source("mimic", str(made), "", seed, {})
        return build_admissions(raw)[0]
