"""The published rule the published way: pandas columns and backtracking patterns.

Written here from the description of the rule, for comparison of speed. The whole
sample is held as columns, and each section is one lazily matching pattern.
"""

import re
from pathlib import Path

import pandas as pd

_SECTIONS = (
    "chief complaint",
    "present illness",
    "medical history",
    "medications on admission",
    "allergies",
    "physical exam",
    "family history",
    "social history",
)
_END = r"(?:\n\s*\n[^\[\]()|.\d:]+:|\Z)"


def extract(path: Path, notes: int) -> int:
    """Read so many summaries and write their admission notes beside the file.

    Parameters
    ----------
    path : Path
        `discharge.csv.gz`.
    notes : int
        Rows to read.

    Returns
    -------
    int
        Summaries read.
    """
    frame = pd.read_csv(path, nrows=notes)
    for name in _SECTIONS:
        pattern = re.compile(rf"{name}:(.*?){_END}", re.IGNORECASE | re.DOTALL)
        found = frame["text"].map(pattern.search, na_action="ignore")
        frame[name] = [hit[1].strip() if hit else "" for hit in found]
    counts = frame[list(_SECTIONS[:3])].ne("").any(axis=1)
    kept = frame[counts]
    note = kept.apply(
        lambda row: "\n\n".join(f"{name.upper()}: {row[name]}" for name in _SECTIONS),
        axis=1,
    )
    out = kept[["note_id"]].assign(note=note)
    out.to_csv(path.with_name("published.csv"), index=False)
    return len(frame)
