"""The first task: the first-listed ICD-10-CM diagnosis at the end of the stay."""

from functools import cache

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.icd.editions import external_cause, spells_icd9
from deepicd.icd.load import load_tree
from deepicd.icd.tree import IcdTree
from deepicd.tasks.task import Labels, Task, sort_out

#: Steps of the cohort at which an admission without a label is left out.
_NONE, _UNKNOWN, _OLD, _ODD = (
    "no first-listed diagnosis",
    "ICD version unknown",
    "first-listed diagnosis not ICD-10",
    "code outside ICD-10-CM",
)
_STEPS = {
    _NONE: "no diagnosis row with seq_num 1",
    _UNKNOWN: "a version that is empty or cannot be read; none is assumed",
    _OLD: "coded in ICD-9",
    _ODD: "neither in the catalogue nor in the data's own code table",
}
#: What is flagged about codes that are kept.
_DOUBTS = {
    "code_maybe_icd9": "no version is given, and ICD-9 spells these codes as well",
    "code_external_cause": "V to Y say how it happened, not what the patient has",
}
_FULL = {
    "reasoning": (
        "You are an experienced clinical coder. Read the admission note and predict "
        "the principal diagnosis of the hospital stay. First reason step by step "
        "between <think> and </think>: quote the findings that matter, go from the "
        "ICD-10-CM chapter to the category, and say what separates the code from its "
        "siblings. Then give exactly one ICD-10-CM code between <diagnosis> and "
        "</diagnosis>, and nothing after it."
    ),
    "code_only": (
        "You are an experienced clinical coder. Read the admission note and predict "
        "the principal diagnosis of the hospital stay. Give exactly one ICD-10-CM "
        "code between <diagnosis> and </diagnosis>, and nothing else."
    ),
    "answer_first": (
        "You are an experienced clinical coder. Read the admission note and predict "
        "the principal diagnosis of the hospital stay. First give exactly one "
        "ICD-10-CM code between <diagnosis> and </diagnosis>. Then justify it "
        "between <think> and </think>, quoting the findings that matter."
    ),
}
_BRIEF = {
    "reasoning": "Think, then give the ICD-10-CM code.",
    "code_only": "Give the ICD-10-CM code.",
    "answer_first": "Give the ICD-10-CM code, then explain.",
}


def first_listed(diagnoses: pd.DataFrame) -> pd.DataFrame:
    """Give the first-listed diagnosis of each admission that has one.

    Raises
    ------
    UserError
        Where an admission has two different ones.
    """
    first = diagnoses[pd.to_numeric(diagnoses["seq_num"]) == 1]
    first = first[["hadm_id", "icd_code", "icd_version"]].drop_duplicates()
    twice = first["hadm_id"].duplicated(keep=False)
    if twice.any():
        raise UserError(
            found=f"{first.loc[twice, 'hadm_id'].nunique()} admissions with two "
            "different first-listed diagnoses (one is "
            f"{first.loc[twice, 'hadm_id'].iloc[0]})",
            expected="one row with seq_num 1 per admission",
            do="remove the duplicates from the diagnosis table",
        )
    return first


def labels(raw, tree) -> Labels:
    """Give the first-listed diagnosis of each admission as the tree writes it.

    Parameters
    ----------
    raw : deepicd.data.sources.RawTables
    tree : deepicd.icd.IcdTree
    """
    first = first_listed(raw.diagnoses)
    codes, version = first["icd_code"], first["icd_version"]
    label = codes.map({c: tree.normalise(str(c)) for c in codes.dropna().unique()})
    wrong = {
        _NONE: codes.isna(),
        _UNKNOWN: version.isna(),
        _OLD: ~version.eq(10).fillna(False).astype(bool),
        _ODD: label.isna(),
    }
    doubts = [_doubts(code, raw.version_given) for code in codes]
    found = sort_out(first["hadm_id"], label, wrong, _STEPS, doubts, _DOUBTS)
    met = set(found.frame["missing"])
    steps = {k: v for k, v in _STEPS.items() if k != _UNKNOWN or k in met}
    return found._replace(steps=steps)


def own_codes(raw) -> dict[str, str]:
    """Codes that the data bring and the catalogue does not know, with their titles.

    MIMIC-IV holds codes that were retired since.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> own_codes(SimpleNamespace(catalogue={"I10": "Hypertension", "I10.7": "Old"}))
    {'I10.7': 'Old'}
    """
    known = load_tree().normalise
    return {c: t for c, t in (raw.catalogue or {}).items() if known(c) is None}


@cache
def _doubts(code: str, version_given: bool) -> str:
    """Flag a code that may be ICD-9, and one that is no diagnosis."""
    which = (not version_given and spells_icd9(code), external_cause(code))
    return ";".join(name for name, true in zip(_DOUBTS, which, strict=True) if true)


PRINCIPAL_DIAGNOSIS = Task(
    name="principal_diagnosis",
    about="first-listed diagnosis, ICD-10-CM",
    kind=IcdTree,
    opens=load_tree,
    labels=labels,
    instructions={"full": _FULL, "brief": _BRIEF},
    own=own_codes,
    unfit=(),
    told_by=("diagnosis", "title"),
)
