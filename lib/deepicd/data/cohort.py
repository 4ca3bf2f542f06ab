"""The cohort: which admissions of the raw tables are asked, and their labels.

Every exclusion is counted in the flow, so that the numbers of a paper's first figure
come out of the run itself.
"""

from collections.abc import Iterable

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.data.sources.raw_tables import RawTables
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task

METADATA = [
    "sex",
    "age",
    "race",
    "insurance",
    "language",
    "admission_type",
    "era",
]


class Flow:
    """The cohort flow: what was left out, why, and how much remained."""

    def __init__(self, rows: Iterable[dict] = ()):
        self.rows = list(rows)

    def add(self, step, excluded, remaining, reason="", unit="admissions") -> None:
        """Add a step."""
        self.rows.append(
            {
                "step": step,
                "excluded": int(excluded),
                "remaining": int(remaining),
                "reason": reason,
                "unit": unit,
            }
        )

    def keep(self, frame: pd.DataFrame, mask, step: str, reason: str) -> pd.DataFrame:
        """Keep the rows of a mask and count the others."""
        kept = frame[mask]
        self.add(step, len(frame) - len(kept), len(kept), reason)
        return kept

    def someone_left(self, frame: pd.DataFrame) -> None:
        """Stop where nobody is left.

        Raises
        ------
        UserError
            Naming the step that took the last one.
        """
        if len(frame):
            return
        last = next(row for row in self.rows if row["remaining"] == 0)
        raise UserError(
            found=f"no admission left after the step {last['step']!r} "
            f"({last['excluded']:,} left out: {last['reason']})",
            expected="admissions with a label and a note",
            do="check that the tables belong together and hold what is asked for",
        )

    def frame(self) -> pd.DataFrame:
        """Give the steps as a frame `step, excluded, remaining, reason, unit`."""
        return pd.DataFrame(self.rows)


def build_cohort(
    raw: RawTables, tree=None, task: Task = PRINCIPAL_DIAGNOSIS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose the admissions and their labels; no note is read.

    Parameters
    ----------
    raw : RawTables
        From `sources.open_source`.
    tree : LabelSpace, optional
        Default: that of the task, joined with the codes that the data bring.
    task : Task
        What is asked of a note: where labels come from.

    Returns
    -------
    cohort : DataFrame
        `subject_id, hadm_id, label` (as the space writes it), metadata, `stratum`
        (the label's node at the task's coarse level), `doubts` about the label, as
        flags.
    flow : DataFrame
        `step, excluded, remaining, reason, unit`.

    Raises
    ------
    UserError
        If no admission remains, naming the step that took the last one.

    Examples
    --------
    >>> import pandas as pd
    >>> admission = dict.fromkeys(METADATA) | {"subject_id": "1", "hadm_id": "7"}
    >>> diagnosis = {"hadm_id": "7", "seq_num": 1, "icd_code": "i2111",
    ...              "icd_version": 10}
    >>> raw = RawTables(pd.DataFrame([admission]), pd.DataFrame([diagnosis]), None,
    ...                 "discharge", private=False)
    >>> build_cohort(raw)[0]["label"].tolist()
    ['I21.11']
    """
    tree = tree or task.open(raw)[0]
    flow = Flow()
    rows = len(raw.admissions) + sum((raw.skipped or {}).values())
    for reason, count in (raw.skipped or {}).items():
        rows -= count
        flow.add("skipped while reading", count, rows, reason, "rows")
    for how, count in (raw.mapped or {}).items():
        flow.add("codes mapped", 0, rows, f"{count:,} rows: {how}", "rows")
    frame = _distinct(raw.admissions, flow)
    found, steps, about = task.labels(raw, tree)
    merged = frame.merge(found, on="hadm_id", how="left")
    merged = flow.keep(
        merged,
        ~_newborn(merged, raw),
        "newborn admissions",
        "admission type NEWBORN, a liveborn code (Z38), or age 0 in a hospital",
    )
    missing = merged["missing"].fillna(next(iter(steps)))
    for step, reason in steps.items():
        here = missing.reindex(merged.index) != step
        merged = flow.keep(merged, here, step, reason)
    flow.someone_left(merged)
    _two_labels(merged["label"], task)
    _count_doubts(merged["doubts"], about, flow)
    strata = {c: tree.at(c, task.coarse) for c in merged["label"].unique()}
    cohort = merged.assign(stratum=merged["label"].map(strata))
    keep = ["subject_id", "hadm_id", "label", "stratum", *METADATA, "doubts"]
    return cohort[keep].reset_index(drop=True), flow.frame()


def _distinct(admissions: pd.DataFrame, flow: Flow) -> pd.DataFrame:
    flow.add("admissions in the source", 0, len(admissions))
    frame = admissions.drop_duplicates()
    twice = frame["hadm_id"].duplicated(keep=False)
    if twice.any():
        raise UserError(
            found=f"{frame.loc[twice, 'hadm_id'].nunique()} hadm_id with two different "
            f"rows (first: {frame.loc[twice, 'hadm_id'].iloc[0]})",
            expected="one row per admission",
            do="remove the duplicates from the admissions table",
        )
    twice = len(admissions) - len(frame)
    if twice:
        flow.add("duplicate rows", twice, len(frame), "the same row twice")
    early = pd.to_numeric(frame["age"], errors="coerce") < 0
    if early.any():
        frame = flow.keep(frame, ~early, "admitted before birth", "age below 0")
    return _own_patients(frame, flow)


def _own_patients(frame: pd.DataFrame, flow: Flow) -> pd.DataFrame:
    """Make each admission without a patient's id a patient of its own, and count them.

    Examples
    --------
    >>> rows = pd.DataFrame({"subject_id": ["1", None, " "], "hadm_id": [7, 8, 9]})
    >>> _own_patients(rows, Flow())["subject_id"].tolist()
    ['1', 'admission-8', 'admission-9']
    """
    ids = frame["subject_id"]
    missing = ids.isna() | ids.astype(str).str.strip().eq("")
    if not missing.any():
        return frame
    reason = f"{missing.sum():,} admissions: each counts as a patient of its own"
    flow.add("no patient's id", 0, len(frame), reason)
    own = "admission-" + frame["hadm_id"].astype(str)
    return frame.assign(subject_id=ids.where(~missing, own))


def _count_doubts(doubts: pd.Series, about: dict[str, str], flow: Flow) -> None:
    for name, why in about.items():
        count = int(doubts.str.contains(name).sum())
        if count:
            step = f"flagged {name}"
            flow.add(step, 0, len(doubts), f"{count:,} admissions kept: {why}")


def _newborn(frame: pd.DataFrame, raw: RawTables) -> pd.Series:
    newborn = frame["admission_type"].fillna("").str.upper().eq("NEWBORN")
    newborn |= frame["hadm_id"].isin(_liveborn(raw.diagnoses))
    if raw.note_kind == "discharge":
        newborn |= pd.to_numeric(frame["age"], errors="coerce").eq(0)
    return newborn


def _liveborn(diagnoses: pd.DataFrame) -> pd.Series:
    """Admissions whose first-listed diagnosis says so, whatever is asked of them."""
    first = pd.to_numeric(diagnoses["seq_num"]) == 1
    code = diagnoses["icd_code"].fillna("").astype(str).str.upper()
    ten = diagnoses["icd_version"].eq(10).fillna(False).astype(bool)
    return diagnoses.loc[first & ten & code.str.startswith("Z38"), "hadm_id"]


def _two_labels(labels: pd.Series, task: Task) -> None:
    """Refuse an outcome that is the same for everybody: there is nothing to tell.

    A diagnosis is told from all codes of the catalogue, whichever the data hold.
    """
    if not task.tabular and labels.nunique() < 2:
        raise UserError(
            f"{len(labels):,} admissions with one label only: {labels.iloc[0]}",
            f"two labels or more of the task {task.name}",
            "take more data, or ask another task",
        )
