"""Every way in which the headers of a discharge summary are written.

A header is compared after `words`: lower case, runs of anything else as one space, a
de-identified gap (`___`) as `*`. Three tables come out of the names: exact
spellings, spellings with a gap, and spellings with one slip of the pen.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from deepicd.data.sections.names import FROM_EXAM_ON, FULL, GAPPED, IN_EXAM, RANK, WEAK

_SMALL = {"of", "the", "on", "or", "and", "to", "by", "at", "for", "upon", "prior"}
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?|_{2,}[a-z]+|[a-z]+_{2,}|_{2,}")


@dataclass(slots=True, eq=False)
class Header:
    """What a header may stand for; all but the first three follow from these.

    names : sections, one unless ambiguous
    kind : full, misspelt, gap, weak, from_exam or in_exam
    admission : whether it says that it is the admission's
    name, rank : of the first section
    sure : whether it is written out
    late : whether it surely belongs to the results or to what follows
    list : whether it may be Medications on Admission
    plain : whether its place in the order alone decides
    undoubted : whether it has neither a gap nor a slip
    """

    names: tuple[str, ...]
    kind: str
    admission: bool = False
    name: str = field(init=False)
    rank: int = field(init=False)
    sure: bool = field(init=False)
    late: bool = field(init=False)
    list: bool = field(init=False)
    plain: bool = field(init=False)
    undoubted: bool = field(init=False)

    def __post_init__(self):
        ranks = [RANK[name] for name in self.names]
        self.name, self.rank = self.names[0], ranks[0]
        self.sure = self.kind in ("full", "misspelt")
        said = self.sure or self.kind == "gap" or self.admission
        self.late = said and min(ranks) >= RANK["pertinent_results"]
        self.list = "medications_on_admission" in self.names
        self.plain = self.sure and self.name not in _JUDGED
        self.undoubted = self.kind not in ("gap", "misspelt")


_JUDGED = ("physical_exam", "discharge_exam", "medications_on_admission")


def words(raw: str) -> str:
    """Reduce a header as written to words and gaps.

    Examples
    --------
    >>> words("  Follow-up Instructions"), words("___ of Present  ILLNESS")
    ('follow up instructions', '* of present illness')
    >>> words("___RIEF HOSPITAL COURSE"), words("DISCHARGE EXAM (___)")
    ('___rief hospital course', 'discharge exam *')
    """
    found = _WORD.findall(raw.lower())
    tokens = ["*" if set(word) == {"_"} else word for word in found]
    kept = [t for i, t in enumerate(tokens) if t != "*" or tokens[i - 1 : i] != ["*"]]
    return " ".join(kept)


def _exact() -> dict[str, Header]:
    table: dict[str, Header] = {}
    for kind, names in (
        ("in_exam", IN_EXAM),
        ("from_exam", FROM_EXAM_ON),
        ("weak", WEAK),
        ("full", FULL),
    ):
        for name, spellings in names.items():
            for spelling in spellings:
                said = "admission" in spelling or "admit" in spelling
                table[spelling] = Header((name,), kind, said)
    return table


def _gaps() -> dict[str, tuple[str, ...]]:
    """Replace every run of words of every name by a gap; collect what it may be."""
    table: dict[str, set[str]] = {}
    for name, spellings in FULL.items():
        for spelling in set(spellings) & GAPPED:
            tokens = spelling.split()
            for start in range(len(tokens)):
                for stop in range(start + 1, len(tokens) + 1):
                    rest = tokens[:start] + tokens[stop:]
                    if set(rest) - _SMALL:
                        key = " ".join([*tokens[:start], "*", *tokens[stop:]])
                        table.setdefault(key, set()).add(name)
    return {k: tuple(sorted(v, key=RANK.get)) for k, v in table.items()}


def _without_one(word: str) -> set[str]:
    return {word[:i] + word[i + 1 :] for i in range(len(word))} | {word}


def _slips() -> dict[str, str]:
    """Every long name with one letter missing; compared without spaces."""
    table: dict[str, str] = {}
    for spellings in FULL.values():
        for spelling in spellings:
            flat = spelling.replace(" ", "")
            if len(flat) >= 9:
                for slip in _without_one(flat):
                    table.setdefault(slip, spelling)
    return table


def _gap_slips() -> dict[str, str]:
    """Every long name with a gap, one letter missing; compared without spaces."""
    table: dict[str, str] = {}
    for key in GAPS:
        flat = key.replace(" ", "")
        if len(flat) >= 8:
            for slip in _without_one(flat):
                if "*" in slip:
                    table.setdefault(slip, key)
    return table


EXACT, GAPS, SLIPS = _exact(), _gaps(), _slips()
GAP_SLIPS = _gap_slips()
_WRITTEN = [key.replace(" ", between) for key in EXACT for between in " /&"]
HEADS = {key[:4] for key in _WRITTEN}
TAILS = {key[-4:] for key in _WRITTEN}
_DECORATION = " \t#*-=_.>()[]0123456789"


def plausible(raw: str) -> bool:
    """Whether it is worth to look closer; one slip cannot change both ends.

    Examples
    --------
    >>> plausible("Breif Hospital Course"), plausible("WBC"), plausible("___ Exam")
    (True, False, True)
    """
    key = raw.strip(_DECORATION).lower()
    if key[:4] in HEADS or key[-4:].lstrip(_DECORATION) in TAILS:
        return True
    return "__" in raw and key.isalpha()


@lru_cache(maxsize=1 << 16)
def classify(raw: str) -> Header | None:
    """Say what a header as written stands for, or None.

    Examples
    --------
    >>> classify("Past Medical History").names, classify("hpi").kind
    (('past_medical_history',), 'weak')
    >>> classify("___ History").names
    ('past_medical_history', 'social_history', 'family_history')
    >>> classify("Breif Hospital Course").kind, classify("ischarge Diagnosis").names
    ('misspelt', ('discharge_diagnosis',))
    >>> classify("GENERAL") is None
    True
    """
    key = words(raw)
    if not key or len(key) > 60:
        return None
    exact = EXACT.get(key)
    if exact:
        return exact
    if "*" in key or "__" in key:
        return _with_gap(key)
    return _dated(key) or _misspelt(key)


def _dated(key: str) -> Header | None:
    """Read `exam on hd 3`: from the second day on it is not the admission's.

    Examples
    --------
    >>> _dated("exam on hd 3").name, _dated("physical exam hospital day 1").name
    ('discharge_exam', 'physical_exam')
    >>> _dated("exam 3 14").kind, _dated("labs 3 14") is None
    ('weak', True)
    """
    day = _DAY.search(key)
    header = EXACT.get(key[: day.start()]) if day else None
    if not header or header.name != "physical_exam":
        return None
    later = day[1] and int(day[2]) > 1
    return Header(("discharge_exam",), "full") if later else header


_DAY = re.compile(
    r"(?: on| at)?(?: (hd|pod|day|hospital day|postoperative day))? ?(\d{1,3})[\d ]*$"
)


def _with_gap(key: str) -> Header | None:
    bare = key.strip("* ")
    if not key.startswith("*"):
        trimmed = EXACT.get(bare)
        if trimmed and trimmed.kind == "full":
            return trimmed
    whole = key.replace("_", "")
    if "*" not in key:
        slip = EXACT.get(whole) or _misspelt(whole)
        if slip:
            return slip
    tokens = ["*" if "__" in token else token for token in key.split()]
    joined = " ".join(tokens)
    found = joined if joined in GAPS else _gap_slip(joined)
    if found is None:
        return None if key.startswith("*") else _misspelt(bare)
    return Header(GAPS[found], "gap", "admission" in found.split())


def _gap_slip(key: str) -> str | None:
    flat = key.replace(" ", "")
    if not 8 <= len(flat) <= 40:
        return None
    slips = (flat, *(slip for slip in _without_one(flat) if "*" in slip))
    return next((GAP_SLIPS[slip] for slip in slips if slip in GAP_SLIPS), None)


def _misspelt(key: str) -> Header | None:
    flat = key.replace(" ", "")
    if not 8 <= len(flat) <= 45 or not flat.isalpha():
        return None
    for slip in (flat, *_without_one(flat)):
        spelling = SLIPS.get(slip)
        if spelling:
            header = EXACT[spelling]
            return Header(header.names, "misspelt", header.admission)
    return None
