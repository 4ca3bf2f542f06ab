"""Codes of other ICD-10 systems, read so far as ICD-10-CM says the same.

Four systems share the letters of ICD-10 and not the meaning of every place behind them:

* ICD-10-CM, the one of this study.
* CIE-10-ES, Spain's since 2016: a translation of ICD-10-CM, a few releases behind.
* ICD-10-GM, Germany's: S52.51 is an extension fracture there and a fracture of the
  radial styloid process in ICD-10-CM, E11.21 a derailed diabetes and a nephropathy.
* ICD-10, WHO's, which ICD-10-GM extends.

What ICD-10-GM and ICD-10 share with ICD-10-CM is the category, the first three places.
1,849 of the 2,050 categories of WHO's 2019 release stand in ICD-10-CM; by their titles
three of those mean something else there, and so does O09, which is Germany's own.
"""

import re

from deepicd.common.parameters import choice

OWN = "ICD-10-CM"
SPANISH, GERMAN, WHO = "CIE-10-ES", "ICD-10-GM", "ICD-10"
SYSTEMS = (OWN, SPANISH, GERMAN, WHO)
OTHER_MEANING = frozenset(("O04", "O09", "T76", "Y07"))
"""Induced abortion, weeks of pregnancy (GM), effects of external causes and
maltreatment there; complications, supervision of high-risk pregnancy, suspected abuse
and its perpetrator in ICD-10-CM."""
# A category, up to two places more or a dash for them, then the mark of a manifestation
# or cause, and behind it how sure the diagnosis is and on which side.
_WRITTEN = re.compile(
    r"([A-Z]\d\d)(?:\.?(\d{1,2}-?|-))?([+*!\u2020\u2021]?)\s*([AGVZ]?)\s*[LRB]?"
)

AT_CATEGORY = "code taken at its category"
SHORTENED = "code shortened to one that ICD-10-CM still has"
_BESIDE = "a code that only stands beside another (* or !)"
_DOUBT = "a diagnosis that is excluded, suspected or past (A, V or Z behind the code)"
_LACKS = "a category that ICD-10-CM does not have"
_MEANS = "a category that means something else in ICD-10-CM"


def read_code(code: object, system: str, tree) -> tuple[str | None, str]:
    """Give a code of some system as ICD-10-CM has it, and what was done or is wrong.

    Parameters
    ----------
    code : object
    system : str
        Of `SYSTEMS`.
    tree : deepicd.icd.IcdTree

    Returns
    -------
    code : str or None
        None where there is no code of that meaning.
    told : str
        Empty where the code is given back as it is; how it was changed; why it is not
        taken.

    Raises
    ------
    UserError
        For another system.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> for code in ("S52.51", "E10.30+", "i10.90 G", "H36.0*", "I64", "O09.3"):
    ...     print(*read_code(code, "ICD-10-GM", load_tree()), sep=": ")
    S52: code taken at its category
    E10: code taken at its category
    I10: code taken at its category
    None: a code that only stands beside another (* or !)
    None: a category that ICD-10-CM does not have
    None: a category that means something else in ICD-10-CM
    >>> read_code("s52.511a", "CIE-10-ES", load_tree())
    ('S52.511A', '')
    """
    choice("code_system", system, SYSTEMS)
    known = tree.normalise(str(code))
    if system == OWN:
        return known, "" if known else f"a code outside {OWN}"
    if system == SPANISH:
        return (known, "") if known else _shortened(str(code), tree)
    found = _WRITTEN.fullmatch(str(code).strip().upper())
    if not found:
        return None, f"a code that is not written as one of {system}"
    category, _, mark, sure = found.groups()
    if mark in ("*", "!"):
        return None, _BESIDE
    if sure and sure != "G":
        return None, _DOUBT
    if not tree.valid(category):
        return None, _LACKS
    if category in OTHER_MEANING:
        return None, _MEANS
    return category, "" if known == category else AT_CATEGORY


def _shortened(code: str, tree) -> tuple[str | None, str]:
    """The longest beginning of a code that was taken out of ICD-10-CM since."""
    text = code.strip().upper().replace(".", "")
    if re.fullmatch(r"[A-Z]\d[0-9A-Z]{1,5}", text):
        for end in range(len(text) - 1, 2, -1):
            known = tree.normalise(text[:end])
            if known:
                return known, SHORTENED
    return None, f"a code that neither {SPANISH} nor {OWN} has"


def written_elsewhere(code: object, tree) -> bool:
    """Whether ICD-10-CM lacks a code that has the shape of WHO's or Germany's.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> codes = ("E11.90", "G63.2*", "I64", "I10.-", "M17.1GR", "I10", "XX1")
    >>> [written_elsewhere(code, load_tree()) for code in codes]
    [True, True, True, True, True, False, False]
    """
    text = str(code).strip().upper()
    return _WRITTEN.fullmatch(text) is not None and not tree.valid(text)
