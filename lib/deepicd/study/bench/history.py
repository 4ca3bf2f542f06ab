"""Earlier admissions: what they tell the best reader, and what a counter of words.

On the synthetic corpus with a past that bears on the present, the same notes with and
without what was coded before; on a folder of MIMIC-IV, how often an earlier stay was
coded with the present code. Names of results have three parts: data, what, of which
notes.
"""

import tempfile
from collections.abc import Iterator

import pandas as pd
from sklearn.linear_model import LogisticRegression

from deepicd.data import history
from deepicd.data.admissions import build_admissions
from deepicd.data.cohort import build_cohort
from deepicd.data.sources.opening import open_source
from deepicd.data.synthetic.posterior_file import oracle_path
from deepicd.evaluation.baselines.material import word_features
from deepicd.evaluation.intervals import paired_bootstrap
from deepicd.evaluation.metrics import evaluate
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import BETWEEN, Result
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS

TITLE = "Earlier admissions: oracle and TF-IDF with and without; earlier codes in MIMIC"
READMITTED, BEARING = 0.4, 0.8
SEED = 29
LEVELS = ("category", "full")
N_BOOT = 1000


def run(notes: int = 8_000, mimic: str = "") -> list[Result]:
    """Score readers of notes with and without history.

    Parameters
    ----------
    notes : int
        Of the corpus; its test split is what is scored.
    mimic : str
        Folder of MIMIC-IV; notes are not needed. Empty: left out.

    Returns
    -------
    list of Result
    """
    found = list(_synthetic(notes))
    return found + (list(_repeated(mimic)) if mimic else [])


def _synthetic(notes: int) -> Iterator[Result]:
    options = {
        "notes": notes,
        "readmitted": READMITTED,
        "bearing": BEARING,
        "history": history.CODES,
        "task": PRINCIPAL_DIAGNOSIS.name,
    }
    with tempfile.TemporaryDirectory() as folder:
        raw = open_source("synthetic", work_dir=folder, seed=SEED, options=options)
        frame, _ = build_admissions(raw, seed=SEED, workers=1)
        past = history.read_past(raw, frame["hadm_id"])
        best = {
            f"oracle, {name}": _best(raw.oracle, knows, frame["note_id"])
            for name, knows in (("notes alone", False), ("with earlier codes", True))
        }
    # The best reader learns from no note, so all can be asked of it.
    yield from _by_turn(frame, past, best)
    test = frame[frame["split"] == "test"]
    learned = {
        f"TF-IDF + LR, {form}": _learned(history.with_history(frame, past, form))
        for form in history.FORMS
    }
    yield from _by_turn(test, past, learned)


def _best(oracle, knows: bool, notes: pd.Series) -> list[str]:
    path = oracle_path(oracle, PRINCIPAL_DIAGNOSIS.name, knows)
    return pd.read_parquet(path).set_index("note_id")["full"].reindex(notes).tolist()


def _learned(frame: pd.DataFrame) -> list[str]:
    """Answers to the test notes of a regression on words of the training notes."""
    parts = [frame[frame["split"] == name] for name in ("train", "val", "test")]
    words = word_features(*(part["note"] for part in parts))
    learner = LogisticRegression(C=100.0, max_iter=60, tol=1e-3)
    return learner.fit(words[0], parts[0]["label"]).predict(words[2]).tolist()


def _by_turn(notes: pd.DataFrame, past: history.Past, answers: dict):
    """Score all notes, those of patients who were here before, and the others."""
    later = notes["hadm_id"].isin(set(past.visits)).to_numpy()
    for name, those in (("all", later | True), ("later", later), ("first", ~later)):
        own = {
            reader: [a for a, here in zip(said, those, strict=True) if here]
            for reader, said in answers.items()
        }
        yield from _scores(notes[those], own, f"{name} ({those.sum():,})")


def _scores(notes: pd.DataFrame, own: dict, of: str) -> Iterator[Result]:
    """Accuracy of every reader, and what the others have over the first."""
    gold, who, tree = notes["label"].tolist(), notes["subject_id"].tolist(), load_tree()
    for name, said in own.items():
        table = evaluate(
            gold, said, LEVELS, tree, who, None, N_BOOT, SEED, metrics=("accuracy",)
        )
        for row in table[table["level"].isin(LEVELS)].itertuples():
            what = f"{name}, {row.level}"
            yield _result(what, of, row.value, row.low, row.high)
    b, *others = own
    for a in others:
        gap = paired_bootstrap(
            gold, own[a], own[b], who, LEVELS, N_BOOT, SEED, "accuracy", tree
        )
        for level, one in gap.items():
            what = f"{a} minus {b.split(', ')[1]}, {level}"
            yield _result(what, of, one.value, one.low, one.high)


def _result(what: str, of: str, value, low, high) -> Result:
    name = BETWEEN.join(("synthetic", what, of))
    return Result(name, 100 * value, "%", low=100 * low, high=100 * high)


def _repeated(folder: str) -> Iterator[Result]:
    """How often an earlier stay was coded with the label, or with its category."""
    raw, tree = open_source("mimic", folder), load_tree()
    cohort, _ = build_cohort(raw)
    past = history.read_past(raw, cohort["hadm_id"], limit=10_000)
    known = cohort[cohort["hadm_id"].isin(set(past.visits))]
    yield Result(_name("admissions"), len(cohort), "")
    yield Result(_name("of them with an earlier stay"), len(known), "")
    for level in LEVELS:
        hits = [
            tree.at(row.label, level) in _coded(past, row.hadm_id, level, tree)
            for row in known.itertuples()
        ]
        what = f"{level} of the label coded before, of those"
        yield Result(_name(what), 100 * sum(hits) / max(len(hits), 1), "%")


def _coded(past: history.Past, hadm_id: str, level: str, tree) -> set:
    codes = (code for _, own in past.visits[hadm_id] for code in own)
    return {tree.at(code, level) for code in codes if code in tree}


def _name(what: str) -> str:
    return BETWEEN.join(("MIMIC-IV", what, "all"))
