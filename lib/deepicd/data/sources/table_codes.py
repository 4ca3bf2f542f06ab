"""Which system the codes of a user's table are of: named, or refused where in doubt."""

from collections import Counter

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.icd.code_systems import OWN, SYSTEMS, read_code, written_elsewhere
from deepicd.icd.editions import read_versions
from deepicd.icd.load import load_tree

_ENGLISH = frozenset("the of and with was to for".split())
_OTHER = frozenset(
    "der das und mit ist nicht wurde eine el los las con del una por le les des et "
    "avec pas il della nel per os com uma dos em".split()
)
_LOOK_AT = 500  # notes
_CHOICES = " or ".join(f"--set code_system={name}" for name in SYSTEMS)
_WHY = (
    "the name of the code system, because other systems than ICD-10-CM use the same "
    "letters with another meaning"
)


def read_codes(frame: pd.DataFrame, system: str) -> tuple[pd.DataFrame, pd.Series]:
    """Write the codes of a table as ICD-10-CM has them, and say what was done.

    Parameters
    ----------
    frame : DataFrame
        `text`, `code` and, where the table has it, `version`. Rows of another version
        than 10 stay as they are: the cohort leaves them out and counts them.
    system : str
        Of `code_systems.SYSTEMS`, or empty: then ICD-10-CM, unless codes or notes
        show that they are from elsewhere.

    Returns
    -------
    frame : DataFrame
        `code` in ICD-10-CM where there is one.
    told : Series of str
        Of each row: empty, how its code was changed, or why it is wrong; wrong where
        `frame["code"]` is missing.

    Raises
    ------
    UserError
        Where no system is named and codes or notes are from elsewhere.
    """
    ten = pd.Series(True, index=frame.index)
    if "version" in frame:
        ten = read_versions(frame["version"]).eq(10).fillna(False).astype(bool)
    if not system:
        _refuse_foreign(frame[ten])
    tree = load_tree()
    read = {c: read_code(c, system or OWN, tree) for c in frame["code"][ten].unique()}
    # What needs no change stays as it was found: doubts about editions look at it.
    new = {c: known if what else c for c, (known, what) in read.items()}
    code, told = frame["code"].copy(), pd.Series("", index=frame.index)
    code[ten] = frame["code"][ten].map(new)
    told[ten] = frame["code"][ten].map({c: what for c, (_, what) in read.items()})
    return frame.assign(code=code), told


def _refuse_foreign(frame: pd.DataFrame) -> None:
    tree = load_tree()
    odd = {c: written_elsewhere(c, tree) for c in frame["code"].unique()}
    count = int(frame["code"].map(odd).sum())
    if count:
        raise UserError(
            found=f"{count:,} of {len(frame):,} codes that ICD-10-CM lacks, written as "
            "WHO's ICD-10 or Germany's ICD-10-GM write them",
            expected=_WHY,
            do=_CHOICES,
        )
    if not english(frame["text"]):
        raise UserError(
            found="notes in another language than English and no name of the system "
            "of their codes",
            expected=_WHY,
            do=_CHOICES,
        )


def english(notes: pd.Series) -> bool:
    """Whether notes are English, as far as little words tell; True where none stand.

    Examples
    --------
    >>> english(pd.Series(["fever and cough"])), english(pd.Series(["HTN, DM2"]))
    (True, True)
    >>> english(pd.Series(["Dolor en el pecho con disnea", "Fiebre del lactante"]))
    False
    """
    words = Counter(" ".join(notes.dropna().head(_LOOK_AT)).lower().split())
    return sum(words[w] for w in _OTHER) <= sum(words[w] for w in _ENGLISH)
