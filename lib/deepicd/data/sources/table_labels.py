"""Labels of a user's own table, handed on in the tables that each task reads.

So a task has one reader, whoever brings the labels.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.tasks.known import DEFAULT, get_task
from deepicd.tasks.length_of_stay import Stays
from deepicd.tasks.task import Task

_ID, _LABEL, _TITLE, _GRADE = "hadm_id", "label", "title", "grade"
#: What stands in each column of the tables that tasks read: a column of ours, or a
#: value of every row.
_TABLES = {
    "drgcodes": {
        "drg_type": "=HCFA",
        "drg_code": _LABEL,
        "description": _TITLE,
        "drg_severity": _GRADE,
    },
    "procedures_icd": {"seq_num": "=1", "icd_code": _LABEL, "icd_version": "=10"},
    "d_icd_procedures": {
        "icd_code": _LABEL,
        "icd_version": "=10",
        "long_title": _TITLE,
    },
    "patient": {
        "patientunitstayid": _ID,
        "unittype": _LABEL,
        "unitstaytype": "=",
        "hospitaldischargestatus": _LABEL,
    },
    "services": {"transfertime": "=", "curr_service": _LABEL},
}
_UNTITLED = ("d_icd_procedures",)  # not there without titles


def asked_of_table(options: dict) -> tuple[Task, bool]:
    """The task asked of a table, and whether a column of its own holds the labels.

    Raises
    ------
    UserError
        Where the diagnosis is asked and such a column given, or another task and none.

    Examples
    --------
    >>> asked_of_table({"task": "mortality", "label_column": "died"})[1]
    True
    """
    task = get_task(options.get("task") or DEFAULT.name)
    column = options.get("label_column") or ""
    if task.tabular and column:
        raise UserError(
            f"label_column {column!r} and the task {task.name}",
            "code_column, which holds its codes; label_column is for other tasks",
            "--set code_column=NAME, or --task length_of_stay --set label_column=NAME",
        )
    if not task.tabular and not column:
        raise UserError(
            f"the task {task.name} and a table of your own without a column for it",
            f"a column with {task.about}",
            f"--task {task.name} --set label_column=NAME",
        )
    return task, bool(column)


def no_days(labels: pd.Series, task: Task) -> pd.Series:
    """Which labels are no number of days, where that is what is asked for."""
    if task.kind is not Stays:
        return pd.Series(False, index=labels.index)
    return labels.notna() & pd.to_numeric(labels, errors="coerce").isna()


def stays_of(rows: pd.DataFrame, task: Task) -> pd.DataFrame | None:
    """Lengths of stay of a table that holds them, as `RawTables.stays`."""
    if task.kind is not Stays:
        return None
    days = pd.to_numeric(rows[_LABEL], errors="coerce")
    return pd.DataFrame({_ID: rows[_ID], "admitted": True, "days": days})


def opened(
    rows: pd.DataFrame, task: Task
) -> Callable[[str, Sequence[str]], pd.DataFrame | None]:
    """Give the tables that tasks read, filled from a user's rows.

    Parameters
    ----------
    rows : DataFrame
        Columns hadm_id, label and, where there are any, title.
    task : Task
        APR-DRGs are written with their severity of illness, such as 194-3.

    Examples
    --------
    >>> rows = pd.DataFrame({"hadm_id": ["a"], "label": ["291"], "title": ["HF W MCC"]})
    >>> table = opened(rows, get_task("drg"))
    >>> table("drgcodes", ["hadm_id", "drg_code", "description"]).values.tolist()
    [['a', '291', 'HF W MCC']]
    >>> table("transfers", ["hadm_id"]) is None
    True
    """
    titled = _TITLE in rows
    rows = rows.assign(**{_GRADE: "", _TITLE: rows[_TITLE] if titled else ""})
    apr = task.name == "drg-apr"
    if apr:
        parts = rows[_LABEL].fillna("").str.partition("-")
        rows = rows.assign(**{_LABEL: parts[0].str.strip(), _GRADE: parts[2]})

    def table(name: str, columns: Sequence[str]) -> pd.DataFrame | None:
        if name not in _TABLES or (name in _UNTITLED and not titled):
            return None
        places = _TABLES[name] | ({"drg_type": "=APR"} if apr else {})
        found = {}
        for column in columns:
            place = places.get(column, column)
            held = place.removeprefix("=") if place.startswith("=") else rows[place]
            found[column] = held
        return pd.DataFrame(found, index=rows.index)

    return table
