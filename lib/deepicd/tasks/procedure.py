"""The first-listed procedure of the stay, in ICD-10-PCS.

A code has seven characters, each of which says one thing, from the section on; a node
is the beginning of a code. Titles come from the data (`d_icd_procedures`), which name
whole codes and their first three characters; sections are named by the public rules.
"""

import re
from collections.abc import Mapping

import pandas as pd

from deepicd.icd.editions import read_versions
from deepicd.tasks.task import Labels, LabelSpace, Task, outcome_words, sort_out

SECTIONS = {
    "0": "Medical and Surgical",
    "1": "Obstetrics",
    "2": "Placement",
    "3": "Administration",
    "4": "Measurement and Monitoring",
    "5": "Extracorporeal or Systemic Assistance and Performance",
    "6": "Extracorporeal or Systemic Therapies",
    "7": "Osteopathic",
    "8": "Other Procedures",
    "9": "Chiropractic",
    "B": "Imaging",
    "C": "Nuclear Medicine",
    "D": "Radiation Therapy",
    "F": "Physical Rehabilitation and Diagnostic Audiology",
    "G": "Mental Health",
    "H": "Substance Abuse Treatment",
    "X": "New Technology",
}
_CODE = re.compile("[0-9A-HJ-NP-Z]{7}")  # neither I nor O


class Procedures(LabelSpace):
    """ICD-10-PCS codes of the data: a level for each character.

    Parameters
    ----------
    titles : mapping of str to str, optional
        Codes, and beginnings of three characters, to titles: the catalogue. Default:
        empty.

    Examples
    --------
    >>> space = Procedures({"0DTJ4ZZ": "Resection of Appendix",
    ...                     "0DT": "Gastrointestinal System, Resection"})
    >>> space.path(space.normalise("0dtj4zz"))[:4]
    ('0', '0D', '0DT', '0DTJ')
    >>> space.title("0"), space.title("0D"), space.title("0DTJ")
    ('Medical and Surgical', 'Gastrointestinal System', \
'Gastrointestinal System, Resection (0DTJ)')
    """

    tag = "procedure"
    levels = (
        "section",
        "system",
        "operation",
        "part",
        "approach",
        "device",
        "procedure",
    )
    shown = ("section", "operation", "procedure")
    written = re.compile(rf"(?<![0-9A-Z.~]){_CODE.pattern}(?![0-9A-Z~?]|\.[0-9A-Z])")

    def __init__(self, titles: Mapping[str, str] | None = None):
        self._titles = dict(titles or {})
        three = {k: t for k, t in self._titles.items() if len(k) == 3}
        systems = {k[:2]: t.rpartition(", ")[0] for k, t in three.items()}
        self._nodes = SECTIONS | {k: t for k, t in systems.items() if t} | three

    def normalise(self, text: str) -> str | None:
        """A code of the catalogue, in any case, with blanks inside it or around it."""
        code = "".join(str(text).split()).upper()
        return code if _CODE.fullmatch(code) and code in self._titles else None

    def path(self, label: str) -> tuple[str, ...]:
        """Its beginnings, from the first character to all seven."""
        known = len(label) == 7 and label in self._titles
        return tuple(label[:end] for end in range(1, 8)) if known else ()

    def title(self, node: str) -> str:
        """A node in words, by the longest beginning that has a title."""
        if node in self._titles or node in self._nodes:
            return self._titles.get(node) or self._nodes[node]
        known = (node[:n] for n in (3, 2, 1) if node[:n] in self._nodes)
        above = next(known, "")
        return f"{self._nodes[above]} ({node})" if above else node


_NONE, _TWO, _OLD, _ODD = (
    "no procedure",
    "two first-listed procedures",
    "first-listed procedure not ICD-10",
    "code outside ICD-10-PCS",
)
_STEPS = {
    _NONE: "no row with seq_num 1: nothing was done that is coded",
    _TWO: "nothing says which of them comes first",
    _OLD: "coded in ICD-9, or a version that cannot be read",
    _ODD: "not in the data's own code table",
}


def _first(raw) -> pd.DataFrame:
    columns = ["hadm_id", "seq_num", "icd_code", "icd_version"]
    rows = raw.table("procedures_icd", columns)
    first = rows[pd.to_numeric(rows["seq_num"], errors="coerce") == 1]
    ten = read_versions(first["icd_version"]).eq(10).fillna(False).astype(bool)
    return first.assign(ten=ten)[["hadm_id", "icd_code", "ten"]].drop_duplicates()


def titles_of(raw) -> dict[str, str]:
    """Titles of ICD-10-PCS in the data's code table; without it, codes of the stays."""
    columns = ["icd_code", "icd_version", "long_title"]
    table = raw.table("d_icd_procedures", columns, needed=False)
    if table is None:
        codes = _first(raw).query("ten")["icd_code"].dropna().str.strip().str.upper()
        return {code: code for code in sorted(set(codes)) if _CODE.fullmatch(code)}
    ten = table[read_versions(table["icd_version"]).eq(10).fillna(False)].dropna()
    codes = ten["icd_code"].str.strip().str.upper()
    return dict(zip(codes, ten["long_title"], strict=True))


def labels(raw, space) -> Labels:
    """Give the first-listed procedure of each stay that has one in ICD-10-PCS.

    Parameters
    ----------
    raw : deepicd.data.sources.RawTables
    space : Procedures

    Raises
    ------
    UserError
        If the source has no procedures.
    """
    first = _first(raw)
    codes = first["icd_code"]
    label = codes.map({c: space.normalise(str(c)) for c in codes.dropna().unique()})
    wrong = {
        _NONE: codes.isna(),
        _TWO: first["hadm_id"].duplicated(keep=False),
        _OLD: ~first["ten"],
        _ODD: label.isna(),
    }
    return sort_out(first["hadm_id"], label, wrong, _STEPS)


PROCEDURE = Task(
    name="procedure",
    about="first-listed procedure, ICD-10-PCS",
    kind=Procedures,
    labels=labels,
    own=titles_of,
    instructions=outcome_words(
        "predict the first-listed procedure of the hospital stay",
        "the ICD-10-PCS code",
        "one ICD-10-PCS code of seven characters",
        Procedures.tag,
    ),
    told_by=("title",),
)
