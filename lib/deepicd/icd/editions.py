"""Which edition of ICD a code belongs to: what is written, and what only looks so."""

import re

import pandas as pd

_WRITTEN = re.compile(r"(?:ICD)?[\s_-]*(9|10)(?:\.0*)?(?:[\s_-]*CM)?", re.IGNORECASE)
_ICD9 = re.compile(r"V\d\d(\.?\d{1,2})?|E(0[0-2]\d|030|[89]\d\d)(\.?\d)?")
_EXTERNAL = tuple("VWXY")


def read_version(value: object) -> int | None:
    """Read a version as written; None where it cannot be read, never a guess.

    Examples
    --------
    >>> [read_version(v) for v in ("10", " 9 ", "10.0", "ICD-9-CM", "icd10", 10.0)]
    [10, 9, 10, 9, 10, 10]
    >>> [read_version(v) for v in ("", None, "11", "ten", "ICD-10-GM")]
    [None, None, None, None, None]
    """
    if value is None or pd.isna(value):
        return None
    found = _WRITTEN.fullmatch(str(value).strip())
    return int(found[1]) if found else None


def read_versions(values: pd.Series) -> pd.Series:
    """Read a column of versions as `Int64`; what cannot be read is missing."""
    known = {v: read_version(v) for v in values.unique()}
    return pd.Series([known[v] for v in values], values.index, dtype="Int64")


def spells_icd9(code: object) -> bool:
    """Whether a code, as it is written, could as well be one of ICD-9-CM.

    Of ICD-9 only supplementary codes begin with a letter: V01 to V91, and E000 to
    E030 and E800 to E999, which have their dot one place later than ICD-10.

    Examples
    --------
    >>> [spells_icd9(c) for c in ("V420", "V42.0", "E8810", "e871")]
    [True, True, True, True]
    >>> [spells_icd9(c) for c in ("E87.1", "E119", "I10", "V00.01XA", None)]
    [False, False, False, False, False]
    """
    text = "".join(str(code).split()).upper()
    return _ICD9.fullmatch(text) is not None


def external_cause(code: object) -> bool:
    """Whether an ICD-10-CM code says how it happened (V to Y), not what it is.

    Examples
    --------
    >>> external_cause("w19.XXXA"), external_cause("S72.001A")
    (True, False)
    """
    return str(code).strip().upper().startswith(_EXTERNAL)
