"""Count what was tried, what each check rejects and what is left without a trace."""

import pandas as pd

from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.prompts import read_code
from deepicd.tasks.task import Task
from deepicd.traces.checks import fitting
from deepicd.traces.judging import CORPUS_CHECKS, LABEL_ONLY


def check_table(
    traces: pd.DataFrame, with_later: bool = False, task: Task = PRINCIPAL_DIAGNOSIS
) -> pd.DataFrame:
    """How many attempts each check rejects, alone or with others.

    Parameters
    ----------
    traces : pandas.DataFrame
        As `build_traces` gives it.
    with_later : bool
        Whether the text after admission was there to compare with.
    task : Task
        Whose checks were made.

    Returns
    -------
    pandas.DataFrame
        Columns check, n, failed, share, remark; then the rows "accepted" (attempts)
        and "label_only" (notes).
    """
    tried = traces[traces["reasons"] != LABEL_ONLY]
    rows = []
    for name, failed in failures(tried, task).items():
        remark = _REMARKS.get(name, "")
        if name == "after_admission" and with_later:
            remark = ""
        rows.append((name, len(tried), failed, remark))
    notes = traces["note_id"].nunique()
    rows.append(("accepted", len(tried), int(tried["accepted"].sum()), "kept attempts"))
    rows.append((LABEL_ONLY, notes, len(traces) - len(tried), "notes without a trace"))
    table = pd.DataFrame(rows, columns=["check", "n", "failed", "remark"])
    table.insert(3, "share", table["failed"] / table["n"].clip(lower=1))
    return table


def failures(tried: pd.DataFrame, task: Task = PRINCIPAL_DIAGNOSIS) -> dict[str, int]:
    """How many attempts each check rejects, in the order the checks are made.

    Examples
    --------
    >>> failures(pd.DataFrame({"reasons": ["", "format;answer"]}))["answer"]
    1
    """
    reasons = tried["reasons"].str.split(";").explode().value_counts()
    made = (*fitting(task), *CORPUS_CHECKS)
    return {name: int(reasons.get(name, 0)) for name in made}


_REMARKS = {
    "after_admission": "by wording only: the text after admission was not given",
    "near_duplicate": "asked only of traces that pass everything else",
    "recovery": "codes that only one fold holds cannot be recovered and pass",
}


def round_table(traces: pd.DataFrame, tree) -> pd.DataFrame:
    """How far each attempt got: asked, right, accepted, and notes done so far.

    Right counts answers that are the gold code, whatever else is wrong: for a teacher
    that is not told the code this is its accuracy on what was still open.

    Parameters
    ----------
    traces : pandas.DataFrame
        As `deepicd.traces.build_traces` gives it.
    tree : deepicd.icd.IcdTree

    Returns
    -------
    pandas.DataFrame
        Columns attempt, asked, right, accepted, done (share of all notes).

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> rows = pd.DataFrame({"note_id": ["a", "b", "b"], "attempt": [0, 0, 1],
    ...     "label": "I10", "answer": ["I10", "I11.9", "i10"], "reasons": "",
    ...     "accepted": [True, False, True]})
    >>> round_table(rows, load_tree())[["asked", "right", "done"]].values.tolist()
    [[2.0, 1.0, 0.5], [1.0, 1.0, 1.0]]
    """
    tried = traces[traces["reasons"] != LABEL_ONLY]
    said = tried["answer"].map(lambda text: read_code(text, tree), na_action="ignore")
    rows = tried.assign(right=said == tried["label"]).groupby("attempt")
    table = rows.agg(
        asked=("note_id", "size"), right=("right", "sum"), accepted=("accepted", "sum")
    ).reset_index()
    notes = max(1, traces["note_id"].nunique())
    return table.assign(done=table["accepted"].cumsum() / notes)
