"""Examples to look at: synthetic ones, and summaries that may be shown."""

from tempfile import TemporaryDirectory

import pandas as pd

from deepicd.data.admissions import build_admissions
from deepicd.data.sources.opening import open_source
from deepicd.data.sources.raw_tables import RawTables


def summaries(raw: RawTables, most: int = 500) -> list[str]:
    """Give some discharge summaries of the source; none for admission notes.

    They are for counting; display only what `example_summary` gives.
    """
    if raw.note_kind != "discharge":
        return []
    texts: list[str] = []
    for batch in raw.iter_notes():
        texts += batch["text"].head(most - len(texts)).tolist()
        if len(texts) >= most:
            break
    return texts


def synthetic_admissions(notes: int, seed: int = 0, **options) -> pd.DataFrame:
    """Admissions table of a fresh synthetic corpus, which is not kept.

    Parameters
    ----------
    notes, seed : int
        Of the corpus; the split is drawn by the same seed.
    options
        Others of `open_source`.
    """
    with TemporaryDirectory() as folder:
        own = {"notes": notes, **options}
        raw = open_source("synthetic", "", folder, seed, own)
        return build_admissions(raw, seed=seed)[0]


def example_summary(raw: RawTables, seed: int = 0) -> str:
    """Give a summary that may be displayed: the source's, or a synthetic one."""
    if not raw.private:
        texts = summaries(raw, 1)
        if texts:
            return texts[0]
    with TemporaryDirectory() as folder:
        made = open_source("synthetic", "", folder, seed, {"notes": 20})
        return summaries(made, 1)[0]
