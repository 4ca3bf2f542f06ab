"""Names, dates, numbers and places that may tell who a patient is, found by rules.

Looked for is what the Safe Harbor list of HIPAA names and free text holds. Rules read
what stands around a word (a title, a relation, a street number), never a list of
names, so that no name is missed for being rare. What they cannot see is a single name
that nothing introduces. A word is no name where it is a word of the ICD-10-CM titles,
or is written in small letters somewhere in the same texts.
"""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.files import write_csv
from deepicd.common.parameters import choice
from deepicd.icd.load import load_tree

GAP = "___"
WAYS = ("stop", "mask", "pass")
LIST = "identifiers.csv"
KINDS = ("name", "date", "number", "place", "age")

_NAME = r"[A-Z][a-zà-ÿ'’]+(?:-?[A-Z][a-zà-ÿ'’]+)*"
_FULL = (
    rf"{_NAME}(?:,?\s(?:[A-Z]\.?\s)?(?:(?:van|von|de|da|di|del|al|el|bin)\s)*{_NAME})"
    r"{0,2}"
)
_DEGREE = r"(?:M\.?D|D\.?O|R\.?N|N\.?P|PA-C|Ph\.?D|LICSW|MBBS)"
_LABEL = (
    r"name|patient|attending|provider|physician|surgeon|author|contact|next of kin|"
    r"hcp|proxy|pcp|dictated by|signed by|cc"
)
_DONE_BY = (
    r"(?:signed|seen|dictated|referred|accompanied|called|examined|operated on) by|"
    r"(?:spoke|discussed|reviewed) with|named|called"
)
_RELATION = (
    r"wife|husband|spouse|son|daughter|mother|father|brother|sister|partner|friend|"
    r"niece|nephew|aunt|uncle|neighbou?r|girlfriend|boyfriend|guardian|nurse"
)
_LIVING = (
    r"lives in|living in|moved from|born in|resident of|native of|works? (?:at|for)|"
    r"immigrated from|travell?ed to|visiting"
)
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|"
    r"Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_DAY_NUMBER = r"(?:[12]\d|3[01]|0?[1-9])"
_DAY = rf"{_DAY_NUMBER}(?:st|nd|rd|th)?"
_FACILITY = (
    r"(?:Hospital|Medical Cent(?:er|re)|Clinic|Infirmary|Hospice|Manor|University|"
    r"Rehab(?:ilitation)?|Nursing (?:Home|Facility)|Health (?:System|Cent(?:er|re)))"
)
_STREET = (
    r"(?:Street|St|Avenue|Ave|Road|Rd|Drive|Dr|Lane|Ln|Boulevard|Blvd|Court|Ct|Place|"
    r"Way|Terrace|Square|Parkway|Highway)"
)
_STATE = (
    r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|"
    r"PA|RI|S[CD]|T[NX]|UT|V[AT]|W[AIVY])"
)

# What no everyday word is written like. The first group is the identifier.
_CERTAIN = (
    (
        "name",
        r"\b(?:(?i:drs?|mr|mrs|ms|mx)|Miss|Prof|Doctor|Professor)\b\.? +"
        rf"({_FULL}|[A-Z][A-Z'-]+)",
    ),
    (
        "date",
        rf"\b({_DAY_NUMBER}(?P<same>[/.-]){_DAY_NUMBER}(?P=same)(?:19|20)?\d\d)\b",
    ),
    ("date", r"\b((?:19|20)\d\d[/-]\d{1,2}[/-]\d{1,2})\b"),
    ("date", rf"\b({_MONTH} {_DAY}(?:,? (?:19|20)\d\d)?)\b"),
    ("date", rf"\b({_DAY} (?:of )?{_MONTH}(?:,? (?:19|20)\d\d)?)\b"),
    (
        "date",
        r"\b(?i:on|since|from|until|till|dated|dob:?|born) "
        rf"((?:1[0-2]|0?[1-9])/{_DAY_NUMBER})\b(?! ?[/%\d])",
    ),
    ("number", r"(?<![\d-])(\d{3}-\d\d-\d{4})(?![\d-])"),
    (
        "number",
        r"(?<![\d.-])((?:\+?1[-. ]?)?(?:\(\d{3}\) ?|\d{3}[-. ])\d{3}[-. ]\d{4})"
        r"(?![\d-])",
    ),
    ("number", r"(\+\d{1,3}(?:[ -]?\d){7,12})\b"),
    (
        "number",
        r"(?i:\b(?:pager|beeper|phone|tel|fax|cell|ext|extension)\b\.?)"
        r" ?[:#]? ?#?(\d[\d -]{2,}\d)\b",
    ),
    (
        "number",
        r"(?i:\b(?:mrn|ssn|(?:medical )?record|account|acct|policy|member id|"
        r"licen[cs]e|chart|accession|serial|id)\b)(?: (?:number|no\.?))? ?[:#]* ?#?"
        r"([A-Z]{0,3}-?\d[\dA-Z-]{3,})\b",
    ),
    ("number", r"(?<![\d.,-])(\d{7,})(?![\d.])"),
    ("number", r"([\w.+-]+@[\w-]+(?:\.[\w-]+)+)"),
    ("number", r"(https?://[^\s)>]+|www\.[^\s)>]+)"),
    ("number", r"(?<![\d.])((?:\d{1,3}\.){3}\d{1,3})(?![\d.])"),
    ("place", rf"\b(\d{{1,5}} (?:[NSEW]\.? )?(?:{_NAME} ){{1,3}}{_STREET})\b"),
    ("place", r"\b(P\.? ?O\.? Box \d+)"),
    ("place", rf"\b({_STATE} \d{{5}}(?:-\d{{4}})?)\b"),
    ("age", r"\b((?:9\d|1[01]\d)[- ]?(?:years?|yrs?|y/o|yo|y\.o\.))"),
)
# What everyday words are written like, too: one word of it must be none of those.
_LIKELY = (
    ("name", rf"\b({_FULL}),? +{_DEGREE}\b"),
    ("name", rf"\b(?i:{_LABEL}) ?: *({_FULL})"),
    ("name", rf"\b(?i:{_DONE_BY}) +({_FULL})"),
    ("name", rf"\b(?i:{_RELATION})(?:,| \(| is| named|:)? ?({_FULL})"),
    ("place", rf"\b({_NAME}(?: {_NAME})?, {_STATE}(?: \d{{5}}(?:-\d{{4}})?)?)\b"),
    ("place", rf"\b((?:(?:St\. )?{_NAME} ){{1,4}}(?:of )?{_FACILITY})\b"),
    ("place", rf"\b(?i:{_LIVING}) ({_NAME}(?: {_NAME}){{0,2}})"),
)
# What nothing introduces: two words of it must be no everyday words.
_BARE = (("name", rf"\b({_NAME}(?: (?:[A-Z]\. )?{_NAME}){{1,3}})\b"),)
_RULES = [
    (kind, re.compile(rule), least)
    for least, rules in enumerate((_CERTAIN, _LIKELY, _BARE))
    for kind, rule in rules
]
_TITLES = frozenset("dr drs mr mrs ms mx miss prof doctor professor".split())
_SMALL = re.compile(r"(?<![\w'’.])[a-z][a-z'’]+")
_WORD = re.compile(r"[A-Za-zà-ÿ]+")


class Identifier(NamedTuple):
    """What may tell who a patient is: its kind and its span in the text."""

    kind: str
    start: int
    end: int


@lru_cache(maxsize=1)
def everyday_words() -> frozenset[str]:
    """Words of the ICD-10-CM titles, and titles of persons, in small letters."""
    tree = load_tree()
    titles = (tree.title(code) for code in tree.codes())
    words = (word.lower() for title in titles for word in _WORD.findall(title))
    return frozenset(words) | _TITLES


def small_words(texts: Iterable[str]) -> set[str]:
    """Words that stand in small letters somewhere.

    Examples
    --------
    >>> sorted(small_words(["Seen by Cardiology.", "Asked cardiology."]))
    ['by', 'cardiology']
    """
    return {word for text in texts for word in _SMALL.findall(text)}


def find(text: str, everyday: Collection[str] = ()) -> list[Identifier]:
    """Find identifiers in a text.

    Parameters
    ----------
    text : str
    everyday : collection of str
        Words in small letters that are no names, from `small_words`, beside those of
        the ICD-10-CM titles.

    Returns
    -------
    list of Identifier
        In order, without overlap.

    Examples
    --------
    >>> text = "Mr. Okafor (MRN 4711023) came on March 3 from 12 Elm Street."
    >>> [(kind, text[start:end]) for kind, start, end in find(text)]
    [('name', 'Okafor'), ('number', '4711023'), ('date', 'March 3'), \
('place', '12 Elm Street')]
    >>> find("Seen by Cardiology on ___ for Crohn's disease.", {"cardiology"})
    []
    """
    spans = []
    for kind, rule, least in _RULES:
        for match in rule.finditer(text):
            if not least or _unknown(match[1], everyday) >= least:
                spans.append(Identifier(kind, *match.span(1)))
    kept: list[Identifier] = []
    for span in sorted(spans, key=lambda one: (one.start, -one.end)):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
    return kept


def _unknown(said: str, everyday: Collection[str]) -> int:
    """Count the words that are no everyday words."""
    found = (word.lower() for word in _WORD.findall(said) if len(word) > 1)
    return sum(w not in everyday and w not in everyday_words() for w in found)


def scan(notes: pd.DataFrame) -> pd.DataFrame:
    """List the identifiers in many notes.

    Parameters
    ----------
    notes : DataFrame
        Columns note_id, note.

    Returns
    -------
    DataFrame
        Columns note_id, kind, start, end, said.

    Examples
    --------
    >>> notes = pd.DataFrame({"note_id": ["a"], "note": ["Call 617-555-0100."]})
    >>> scan(notes)[["kind", "said"]].values.tolist()
    [['number', '617-555-0100']]
    """
    everyday = small_words(notes["note"])
    rows = [
        (note_id, *found, note[found.start : found.end])
        for note_id, note in zip(notes["note_id"], notes["note"], strict=True)
        for found in find(note, everyday)
    ]
    return pd.DataFrame(rows, columns=["note_id", "kind", "start", "end", "said"])


def masked(text: str, found: Iterable[tuple[int, int]]) -> str:
    """Put a gap in the place of each span.

    Examples
    --------
    >>> masked("Mr. Okafor, 41", [(4, 10)])
    'Mr. ___, 41'
    """
    for start, end in sorted(found, reverse=True):
        text = text[:start] + GAP + text[end:]
    return text


def cleared(notes: pd.DataFrame, way: str, folder: Path) -> pd.DataFrame:
    """Look for identifiers in notes that are about to leave a private folder.

    Parameters
    ----------
    notes : DataFrame
        Columns note_id, note.
    way : {"stop", "mask", "pass"}
        What happens where some are found: an error, a gap in their place, nothing.
    folder : Path
        Private; the list is written there.

    Returns
    -------
    DataFrame
        The notes as they may leave.

    Raises
    ------
    UserError
        For `stop`, with counts by kind and without any text.
    """
    choice("identifiers", way, WAYS)
    found = scan(notes)
    write_csv(found, Path(folder) / LIST)
    if way == "stop" and len(found):
        counts = found["kind"].value_counts()
        told = ", ".join(f"{kind} {n:,}" for kind, n in counts.items())
        raise UserError(
            found=f"what reads like identifiers in {found['note_id'].nunique():,} of "
            f"{len(notes):,} notes: {told}",
            expected="notes without any before text leaves a private folder",
            do=f"read {LIST} in the folder of this stage, then set identifiers=mask "
            "or, where they are none, identifiers=pass",
        )
    if way == "pass" or not len(found):
        return notes
    spans = found.groupby("note_id")[["start", "end"]].apply(
        lambda rows: list(rows.itertuples(index=False, name=None))
    )
    texts = [
        masked(note, spans.get(note_id, ()))
        for note_id, note in zip(notes["note_id"], notes["note"], strict=True)
    ]
    return notes.assign(note=texts)
