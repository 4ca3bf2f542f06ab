"""Questions whose answer stands in the note: what teaches a model to copy.

None of them is the study's question: no answer says, in words or as a code, what
the patient has.
"""

import random
import re
from collections.abc import Callable

_HEADER = re.compile(r"(?:^|\n\n)([A-Z][A-Z ]+[A-Z]): ")
_CUTS = re.compile(r"[,.;:\n]+|\b(?:and|or|with|for)\b")
_DENIED = re.compile(r"\b(?:denies|no|has had no) ([^.:]+)\.", re.IGNORECASE)
_LISTED = re.compile(r"^\d+\. (.+)$", re.MULTILINE)
_NUMBERS = {1: "one phrase", 2: "two phrases", 3: "three phrases"}


def sections_of(note: str) -> dict[str, str]:
    """Text under each header of an admission note.

    Examples
    --------
    >>> sections_of("CHIEF COMPLAINT: Cough\\n\\nALLERGIES: latex")
    {'CHIEF COMPLAINT': 'Cough', 'ALLERGIES': 'latex'}
    """
    parts = _HEADER.split(note)
    return dict(zip(parts[1::2], (p.strip() for p in parts[2::2]), strict=True))


def phrases(text: str) -> list[str]:
    """Pieces of one to six words between punctuation and line ends, in order.

    Examples
    --------
    >>> phrases("CV: S3 present, no murmur.\\nExt: leg edema")
    ['S3 present', 'no murmur', 'leg edema']
    """
    found = [piece.strip() for piece in _CUTS.split(text)]
    fit = [p for p in found if p.count(" ") < 6 and sum(map(str.isalpha, p)) > 3]
    return list(dict.fromkeys(fit))


def questions(note: str, other: str, rng: random.Random, count: int = 6):
    """Ask about one note.

    Parameters
    ----------
    note : str
        Admission note with its headers.
    other : str
        Another note, for phrases that do not stand in this one.
    rng : random.Random
    count : int
        Questions wanted; fewer where the note gives no more.

    Returns
    -------
    list of (str, str, str)
        Kind, question, answer.

    Examples
    --------
    >>> note = "CHIEF COMPLAINT: Cough\\n\\nPHYSICAL EXAM: Lungs: crackles at bases"
    >>> asked = questions(note, note, random.Random(0), 99)
    >>> ("complaint", "Quote the chief complaint.", '"Cough"') in asked
    True
    """
    parts = sections_of(note)
    asked = []
    for kind in rng.choices(list(KINDS), _WEIGHTS, k=count):
        found = KINDS[kind](parts, note, other, rng)
        if found and (kind, *found) not in asked:
            asked.append((kind, *found))
    return asked


def _quoted(items) -> str:
    return ", ".join(f'"{item}"' for item in items)


def _some(found: list[str], most: int, rng: random.Random) -> list[str]:
    """A few, in the order of the note."""
    kept = sorted(rng.sample(range(len(found)), min(most, len(found))))
    return [found[i] for i in kept]


def _complaint(parts, note, other, rng):
    said = parts.get("CHIEF COMPLAINT")
    return ("Quote the chief complaint.", f'"{said}"') if said else None


def _from_section(parts, note, other, rng):
    name = rng.choice(list(parts))
    found = _some(phrases(parts[name]), rng.randint(1, 3), rng)
    if not found:
        return None
    return f"Quote {_NUMBERS[len(found)]} under {name}.", _quoted(found)


def _from_note(parts, note, other, rng):
    found = [p for text in parts.values() for p in phrases(text)]
    found = _some(list(dict.fromkeys(found)), rng.randint(1, 3), rng)
    if not found:
        return None
    return f"Quote {_NUMBERS[len(found)]} of the note.", _quoted(found)


def _denied(parts, note, other, rng):
    said = _DENIED.findall(parts.get("PRESENT ILLNESS", ""))
    found = [p for text in said for p in phrases(text)]
    return "Quote what is denied.", _quoted(found) if found else "Nothing is denied."


def _drugs(parts, note, other, rng):
    found = _LISTED.findall(parts.get("MEDICATION ON ADMISSION", ""))
    return "Which drugs are taken?", _quoted(found) if found else "No drug is listed."


def _after(parts, note, other, rng):
    lines = [words for line in note.split("\n") if len(words := line.split()) > 7]
    if not lines:
        return None
    words = rng.choice(lines)
    at = rng.randrange(len(words) - 6)
    begin, rest = words[at : at + 3], words[at + 3 : at + 9]
    return f'What follows "{" ".join(begin)}"?', f'"{" ".join(rest)}"'


def _present(parts, note, other, rng):
    here = rng.random() < 0.5
    found = phrases("\n".join(sections_of(note if here else other).values()))
    if not found:
        return None
    phrase = rng.choice(found)
    said = "Yes." if phrase.lower() in note.lower() else "No."
    return f'Does "{phrase}" stand in the note?', said


def _where(parts, note, other, rng):
    name = rng.choice(list(parts))
    found = phrases(parts[name])
    if not found:
        return None
    phrase = rng.choice(found)
    name = next(n for n, text in parts.items() if phrase in text)
    return f'Under which header stands "{phrase}"?', f"{name}."


def _line(parts, note, other, rng):
    lines = [x for x in note.split("\n") if x.count(" ") > 1]
    if not lines:
        return None
    line = rng.choice(lines)
    word = rng.choice([w for w in line.split(" ") if w] or [line])
    first = next(x for x in lines if word in x)
    return f'Quote the first line with "{word}".', f'"{first}"'


#: Kinds of questions by name: (sections, note, another note, rng) → question, answer.
KINDS: dict[str, Callable] = {
    "complaint": _complaint,
    "section": _from_section,
    "note": _from_note,
    "denied": _denied,
    "drugs": _drugs,
    "after": _after,
    "present": _present,
    "where": _where,
    "line": _line,
}
_WEIGHTS = (1, 4, 4, 1, 1, 2, 2, 1, 1)
