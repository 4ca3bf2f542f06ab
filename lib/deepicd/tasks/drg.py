"""The diagnosis-related group (DRG) that the stay is paid by.

Titles come from the data (`drgcodes.description`). Of the structure public rules of
Medicare's grouper (MS-DRG) say two things, which are taken from the number: the major
diagnostic category (MDC), and whether a group is medical or surgical. The base DRG
(DRG-Sapphire's principal part) and the severity are read from the title. Of APR-DRGs
only the base and the severity of illness (1 to 4) are given: nothing public says the
rest.
"""

import re
from collections.abc import Mapping
from functools import cache

import numpy as np
import pandas as pd

from deepicd.common.errors import UserError
from deepicd.tasks.task import Labels, LabelSpace, Task, outcome_words, sort_out

KINDS = ("HCFA", "APR")
#: Severities that titles of MS-DRGs tell apart; complications or comorbidities (CC)
#: and major ones (MCC). Some groups are divided in two only.
SEVERITIES = ("none", "CC", "MCC", "CC or none", "CC or MCC", "undivided")
_SEVERITY = {
    ("W", "MCC"): "MCC",
    ("W", "CC"): "CC",
    ("W", "CC/MCC"): "CC or MCC",
    ("W/O", "CC/MCC"): "none",
    ("W/O", "MCC/CC"): "none",
    ("W/O", "CC"): "none",
    ("W/O", "MCC"): "CC or none",
}
# The last words of a title, or before a further reason to be in the same group.
_TAIL = re.compile(r"[\s,]+(W|W/O|WITH|WITHOUT) (CC/MCC|MCC/CC|MCC|CC)(?: OR .*)?$")
_MDC = {
    "PRE": "before any MDC: transplants, tracheostomy, heart assist",
    "01": "nervous system",
    "02": "eye",
    "03": "ear, nose, mouth and throat",
    "04": "respiratory system",
    "05": "circulatory system",
    "06": "digestive system",
    "07": "hepatobiliary system and pancreas",
    "08": "musculoskeletal system and connective tissue",
    "09": "skin, subcutaneous tissue and breast",
    "10": "endocrine, nutritional and metabolic",
    "11": "kidney and urinary tract",
    "12": "male reproductive system",
    "13": "female reproductive system",
    "14": "pregnancy, childbirth and the puerperium",
    "15": "newborns",
    "16": "blood, blood-forming organs and immunity",
    "17": "myeloproliferative diseases, poorly differentiated neoplasms",
    "18": "infectious and parasitic diseases",
    "19": "mental diseases",
    "20": "alcohol and drug use",
    "21": "injury, poisoning and toxic effects of drugs",
    "22": "burns",
    "23": "factors influencing health status",
    "24": "multiple significant trauma",
    "25": "HIV",
    "ANY": "any MDC: procedures unrelated to the principal diagnosis",
}
# Numbers of each MDC, surgical / medical.
_NUMBERS = """
PRE 1-19 /
01 20-42 / 52-103
02 113-117 / 121-125
03 129-145 / 146-159
04 163-168 / 175-208
05 215-274 319-320 / 280-316
06 326-358 / 368-395
07 405-425 / 432-446
08 453-522 / 533-566
09 570-585 / 592-607
10 614-630 / 637-645
11 650-675 / 682-700
12 707-718 / 722-730
13 734-750 / 754-761
14 765-770 783-788 796-798 817-819 / 774-782 805-807 831-833
15 / 789-795
16 799-804 / 808-816
17 820-830 / 834-849
18 853-858 / 862-872
19 876 / 880-887
20 / 894-897
21 901-909 / 913-923
22 927-929 / 933-935
23 939-941 / 945-951
24 955-959 / 963-965
25 969-970 / 974-977
ANY 981-989 /
"""
_UNGROUPED = ("998", "999")


@cache
def _places() -> dict[str, tuple[str, str]]:
    """MDC and type of each MS-DRG number."""
    found = {}
    for line in _NUMBERS.strip().splitlines():
        mdc, rest = line.split(" ", 1)
        for kind, ranges in zip(("surgical", "medical"), rest.split("/"), strict=True):
            for part in ranges.split():
                first, last = (part.split("-") * 2)[:2]
                for number in range(int(first), int(last) + 1):
                    found[f"{number:03d}"] = mdc, kind
    return found


def split_title(title: str) -> tuple[str, str]:
    """Principal part and severity of an MS-DRG, read from its title.

    Examples
    --------
    >>> split_title("HEART FAILURE & SHOCK W MCC")
    ('HEART FAILURE & SHOCK', 'MCC')
    >>> split_title("PULMONARY EMBOLISM W/O MCC"), split_title("CHEST PAIN")
    (('PULMONARY EMBOLISM', 'CC or none'), ('CHEST PAIN', 'undivided'))
    >>> split_title("CRANIO W MAJOR DEV IMPL W MCC OR CHEMO IMPLANT")
    ('CRANIO W MAJOR DEV IMPL', 'MCC')
    """
    text = re.sub(r"\s*,\s*", ", ", " ".join(title.upper().split()))
    text = re.sub(r">\s?96 (?=HOURS|HRS)", "96+ ", text)  # spelt both ways
    found = _TAIL.search(text)
    if not found:
        return text, "undivided"
    sign = found[1].replace("WITHOUT", "W/O").replace("WITH", "W")
    return text[: found.start()], _SEVERITY[sign, found[2]]


class Drgs(LabelSpace):
    """MS-DRGs of the data: MDC, medical or surgical, base DRG, DRG.

    Severity is judged beside the levels.

    Parameters
    ----------
    titles : mapping of str to str, optional
        Number (three digits) to title: the catalogue. Default: empty.

    Examples
    --------
    >>> space = Drgs({"291": "HEART FAILURE & SHOCK W MCC", "312": "SYNCOPE"})
    >>> space.path("291")
    ('05', '05 medical', 'HEART FAILURE & SHOCK', '291')
    >>> space.at("291", "severity"), space.normalise("292")
    ('MCC', None)
    """

    tag = "drg"
    levels = ("mdc", "type", "base", "drg")
    shown = ("mdc", "severity", "base", "drg")
    aspects = ("severity",)
    written = re.compile(r"(?<![0-9A-Z.~<>])[0-9]{3}(?![0-9A-Z~?+]|\.[0-9])")

    def __init__(self, titles: Mapping[str, str] | None = None):
        self._titles = dict(titles or {})
        self._parts = {code: split_title(text) for code, text in self._titles.items()}

    def normalise(self, text: str) -> str | None:
        """Three digits of a DRG of the catalogue, zeros before it aside."""
        digits = str(text).strip()
        code = f"{int(digits):03d}" if re.fullmatch("[0-9]{1,4}", digits) else ""
        return code if code in self._titles else None

    def path(self, label: str) -> tuple[str, ...]:
        """MDC, type, base DRG and DRG; a number outside the rules says "not known"."""
        if label not in self._parts:
            return ()
        base = self._parts[label][0]
        mdc, kind = _places().get(label, (f"MDC of {base} not known", ""))
        return mdc, f"{mdc} {kind}".strip(), base, label

    def at(self, label: str, level: str) -> str | None:
        """Node of a label at a level, or its severity."""
        if level == "severity":
            return self._parts[label][1] if label in self._parts else None
        return super().at(label, level)

    def title(self, node: str) -> str:
        """A node in words: the title in the data, or what an MDC is about."""
        mdc, _, kind = node.partition(" ")
        if mdc in _MDC:
            return ", ".join(filter(None, [_MDC[mdc], kind]))
        return self._titles.get(node, node)


class AprDrgs(LabelSpace):
    """APR-DRGs of the data with their severity of illness: base DRG, then both.

    Examples
    --------
    >>> space = AprDrgs({"194": "HEART FAILURE"})
    >>> space.path(space.normalise("194-3")), space.title("194-3")
    (('194', '194-3'), 'HEART FAILURE, severity 3')
    """

    tag = "drg"
    levels = ("base", "drg")
    shown = ("severity", "base", "drg")
    aspects = ("severity",)

    def __init__(self, titles: Mapping[str, str] | None = None):
        self._titles = dict(titles or {})

    def normalise(self, text: str) -> str | None:
        """Number of the base and severity, with a hyphen between them."""
        found = re.fullmatch(r"\s*([0-9]{1,3})\s?-\s?([1-4])\s*", str(text))
        base = f"{int(found[1]):03d}" if found else ""
        return f"{base}-{found[2]}" if base in self._titles else None

    def path(self, label: str) -> tuple[str, ...]:
        """Base DRG, and it with its severity."""
        return (label[:3], label) if self.normalise(label) == label else ()

    def at(self, label: str, level: str) -> str | None:
        """Node of a label at a level, or its severity."""
        if level == "severity":
            return label[4:] if self.path(label) else None
        return super().at(label, level)

    def title(self, node: str) -> str:
        """A node in words: the title of its base, and the severity."""
        title = self._titles.get(node[:3], node)
        return f"{title}, severity {node[4:]}" if node[3:] else title


_NONE, _TWO, _OUT, _BARE = (
    "no DRG of this type",
    "two different DRGs",
    "ungroupable DRG",
    "no severity of illness",
)
_STEPS = {
    _NONE: "no row of this type in drgcodes",
    _TWO: "nothing says which of them counts",
    _OUT: "998, 999, or no number: the grouper found no group",
    _BARE: "drg_severity is empty",
}
_DOUBTS = {"drg_renamed": "its number had another base or severity in other years"}
_COLUMNS = ["hadm_id", "drg_type", "drg_code", "description", "drg_severity"]


def _rows(raw, kind: str) -> pd.DataFrame:
    """Rows of one type, once each, with the number as three digits."""
    rows = raw.table("drgcodes", _COLUMNS)
    types = rows["drg_type"].fillna("").str.upper().str.strip()
    own = rows[types == kind].drop_duplicates()
    if own.empty:
        listed = ", ".join(sorted(set(types) - {""})) or "none"
        raise UserError(
            f"no {kind} DRG in drgcodes (its types: {listed})",
            f"rows with drg_type {kind}",
            " or ".join(f"--task {name}" for name in (DRG.name, DRG_APR.name)),
        )
    code = own["drg_code"].fillna("").str.strip().str.lstrip("0").str.zfill(3)
    text = own["description"].fillna("").str.strip()
    return own.assign(code=code, text=text.mask(text == "", "DRG " + code))


def titles_of(raw, kind: str = "HCFA") -> dict[str, str]:
    """Number to title of the DRGs of the data; of several titles the most frequent."""
    rows = _rows(raw, kind)
    counts = rows[["code", "text"]].value_counts().reset_index()
    counts = counts.sort_values(["count", "text"], ascending=[False, True])
    first = counts.drop_duplicates("code").sort_values("code")
    known = first[~first["code"].isin(_UNGROUPED) & first["code"].str.isdigit()]
    return dict(zip(known["code"], known["text"], strict=True))


def labels(raw, space, kind: str = "HCFA") -> Labels:
    """Give the DRG of each stay.

    Parameters
    ----------
    raw : deepicd.data.sources.RawTables
    space : Drgs or AprDrgs
    kind : {"HCFA", "APR"}

    Raises
    ------
    UserError
        If the source has no DRGs, or none of this type.
    """
    rows, apr = _rows(raw, kind), kind == "APR"
    grade = rows["drg_severity"].fillna("").str.strip()
    written = rows["code"] + "-" + grade if apr else rows["code"]
    found = rows[["hadm_id"]].assign(label=written.map(space.normalise))
    changed = [
        not apr
        and isinstance(lab, str)
        and split_title(text) != split_title(space.title(lab))
        for lab, text in zip(found["label"], rows["text"], strict=True)
    ]
    wrong = {_TWO: written.groupby(rows["hadm_id"]).transform("nunique") > 1}
    wrong |= {_BARE: grade.eq("")} if apr else {}
    wrong |= {_OUT: found["label"].isna()}
    doubts = np.where(changed, next(iter(_DOUBTS)), "")
    steps = {k: v for k, v in _STEPS.items() if k == _NONE or k in wrong}
    return sort_out(found["hadm_id"], found["label"], wrong, steps, doubts, _DOUBTS)


def _task(name: str, which: str, kind: type, what: str, answer: str) -> Task:
    return Task(
        name=name,
        about=f"{what} of the stay",
        kind=kind,
        labels=lambda raw, space: labels(raw, space, which),
        own=lambda raw: titles_of(raw, which),
        instructions=outcome_words(
            f"predict the {what} that the hospital stay will be paid by",
            "the DRG",
            answer,
            kind.tag,
        ),
        reward="drg_dense",
        told_by=("title",),
    )


DRG = _task("drg", "HCFA", Drgs, "MS-DRG", "one MS-DRG number of three digits")
DRG_APR = _task(
    "drg-apr",
    "APR",
    AprDrgs,
    "APR-DRG",
    "one APR-DRG number with its severity of illness, such as 194-3,",
)
