"""Scores of the reasoning itself: is its evidence in the note, is it any use?"""

import numpy as np
import pandas as pd

from deepicd.common.progress import counted
from deepicd.evaluation.counts import ratios
from deepicd.evaluation.intervals import score_interval
from deepicd.evaluation.resampling import bootstrap, group_numbers
from deepicd.tasks.coherence import Coherence, coherence
from deepicd.tasks.evidence import Background, default_background, judge_quotes, worths
from deepicd.tasks.prompts import read_thought
from deepicd.traces.corpus_checks import recovery_ranks

METRICS = (
    "words",
    "quotes",
    "evidence_found",
    "all_found",
    "telling",
    "quoted_words",
    "codes_on_path",
    "recovered",
)


def describe(
    completions: pd.DataFrame,
    admissions: pd.DataFrame,
    tree,
    background: Background | None = None,
) -> pd.DataFrame:
    """Measure the reasoning of each completion.

    Parameters
    ----------
    completions : pandas.DataFrame
        Columns note_id, completion.
    admissions : pandas.DataFrame
        Columns note_id, note, label, and subject_id where there are patients.
    tree : deepicd.icd.IcdTree
    background : Background, optional
        What is usual in training notes; default: `default_background`.

    Returns
    -------
    pandas.DataFrame
        Same rows; columns note_id, patient, those of
        `deepicd.tasks.coherence.Coherence`, worth (of its distinct quotes for the
        answered code, `deepicd.tasks.evidence.worths`, added up), recovered (1 where
        a reader who sees nothing but the reasoning, conclusion and codes removed, puts
        the ANSWERED code among its first three; nan where the reader cannot know the
        code or there is no answer).

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> notes = pd.DataFrame({"note_id": ["a"], "note": ["Crushing chest pain."],
    ...                       "label": ["I21.9"]})
    >>> said = '<think>"Chest pain" and "fever".</think><diagnosis>I21.9</diagnosis>'
    >>> table = describe(pd.DataFrame({"note_id": ["a"], "completion": [said],
    ...                                "code": ["I21.9"]}), notes, load_tree())
    >>> table[["words", "quotes", "found"]].values.tolist()
    [[4, 2, 1]]
    """
    notes = admissions.set_index("note_id")
    texts = notes["note"].reindex(completions["note_id"]).tolist()
    thoughts = [read_thought(text, tree.tag) for text in completions["completion"]]
    answered = [c if isinstance(c, str) else None for c in completions["code"]]
    read = [
        coherence(thought, note, code, tree)
        for thought, note, code in zip(thoughts, texts, answered, strict=True)
    ]
    patients = (
        notes["subject_id"]
        if "subject_id" in notes
        else pd.Series(notes.index, notes.index)
    )
    return pd.DataFrame(
        {
            "note_id": completions["note_id"].to_numpy(),
            "patient": patients.reindex(completions["note_id"]).to_numpy(),
            **dict(zip(Coherence._fields, zip(*read, strict=True), strict=True)),
            "worth": [
                _worth(*seen, tree, background)
                for seen in zip(thoughts, texts, answered, strict=True)
            ],
            "recovered": _recovered(thoughts, completions["code"], tree),
        }
    )


def _worth(thought: str, note: str, code: str | None, tree, background) -> float:
    if code is None:
        return 0.0
    known = background or default_background()
    return sum(worths(judge_quotes(thought, note), code, tree, known))


def _recovered(thoughts: list[str], codes, tree, first: int = 3) -> np.ndarray:
    """Whether the answer can be told from the reasoning without its conclusion."""
    known = [
        i
        for i, (thought, code) in enumerate(zip(thoughts, codes, strict=True))
        if thought and isinstance(code, str)
    ]
    values = np.full(len(thoughts), np.nan)
    if known:
        ranks = np.array(
            recovery_ranks(
                [thoughts[i] for i in known], [list(codes)[i] for i in known], tree
            )
        )
        values[known] = np.where(np.isnan(ranks), np.nan, ranks <= first)
    return values


def reasoning_table(
    predictions: pd.DataFrame,
    admissions: pd.DataFrame,
    tree,
    n_boot: int = 1000,
    seed: int = 0,
    split: str = "test",
) -> pd.DataFrame:
    """Scores of every system's greedy reasoning, with 95 % intervals over patients.

    words, quotes: mean of each. evidence_found: share of all quotes that stand in
    the note. all_found: share of notes with a quote and none invented. telling: what a
    quote tells for the answered code, from 0 (nothing, or no evidence) to 1, by
    `deepicd.tasks.evidence` and the training notes in `admissions`. quoted_words:
    share of the words that are quotes from the note. codes_on_path: share of the codes
    named that are the answer or stand above it. recovered:
    share of answers that the reasoning alone gives away (of those that can be told).
    Words and quotes have no upper bound: of fewer than ten patients they have no
    interval (nan), which is too few to say.

    Returns
    -------
    pandas.DataFrame
        Columns system, metric, value, low, high, n (notes behind the value: those
        with a quote for evidence_found and telling, those that can be told for
        recovered); systems that write no reasoning are left out.
    """
    rows, background = [], _background(admissions, tree)
    greedy = predictions[(predictions["sample"] == 0) & (predictions["split"] == split)]
    groups = list(greedy.groupby("system", sort=False))
    for system, part in counted(groups, "reading the reasoning of systems"):
        table = describe(part, admissions, tree, background)
        if not table["words"].any():
            continue
        groups = group_numbers(table["patient"], len(table))
        counts = ratios(_parts(table), groups)
        points, draws, shifts = bootstrap([counts], METRICS, n_boot, seed)
        behind = {
            "evidence_found": int((table["quotes"] > 0).sum()),
            "telling": int((table["quotes"] > 0).sum()),
            "quoted_words": int((table["words"] > 0).sum()),
            "codes_on_path": int((table["codes"] > 0).sum()),
            "recovered": int(table["recovered"].notna().sum()),
        }
        for j, metric in enumerate(METRICS):
            one = score_interval(
                points[0, j],
                draws[0, j],
                shifts[0, j],
                len(table),
                counts.weights(metric),
                _most(metric),
            )
            rows.append(
                (
                    system,
                    metric,
                    one.value,
                    one.low,
                    one.high,
                    behind.get(metric, len(table)),
                )
            )
    return pd.DataFrame(rows, columns=["system", "metric", "value", "low", "high", "n"])


def _background(admissions: pd.DataFrame, tree) -> Background | None:
    if "split" not in admissions:
        return None
    train = admissions[admissions["split"] == "train"]
    return Background.of(train["note"], train["label"], tree) if len(train) else None


def _most(metric: str) -> float:
    return np.inf if metric in ("words", "quotes") else 1.0


def _parts(table: pd.DataFrame) -> dict:
    one, known = np.ones(len(table)), table["recovered"].notna()
    whole = (table["quotes"] > 0) & (table["found"] == table["quotes"])
    return {
        "words": (table["words"], one),
        "quotes": (table["quotes"], one),
        "evidence_found": (table["found"], table["quotes"]),
        "all_found": (whole, one),
        "telling": (table["worth"], table["quotes"]),
        "quoted_words": (table["quoted"], table["words"]),
        "codes_on_path": (table["on_path"], table["codes"]),
        "recovered": (table["recovered"].fillna(0), known),
    }
