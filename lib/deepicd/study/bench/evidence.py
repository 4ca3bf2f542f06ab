"""Can the part `evidence` be cheated? 200 ways to quote without reading the case.

A policy sees the note as text and knows how often words stand in training notes; it
does not know what is the matter with the patient, so it answers one code for all (the
commonest), or draws codes as often as they occur. What it earns is compared with the
rule teacher's traces, by the same reward with the same background.
"""

import itertools
import random
import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd

from deepicd.icd.load import load_tree
from deepicd.rewards.scoring import score
from deepicd.rewards.spec import get_spec
from deepicd.study.bench.measure import Result
from deepicd.study.bench.traces import synthetic_notes
from deepicd.tasks.evidence import Background, has_content
from deepicd.tasks.prompts import format_completion
from deepicd.tasks.quotes import words
from deepicd.traces.teachers.rule import RuleTeacher

TITLE = "Evidence: what 200 policies earn that quote without reading"
SHOWN = 10  # best policies that are told
GOAL = 5.0  # per cent of an honest trace
SPEC = get_spec("tree", weight_evidence=1.0)
_SENTENCE = re.compile(r"[.;\n]+")
_CLAUSE = re.compile(r"[.,;:\n]+")
_HEADER = re.compile(r"^[A-Z][A-Z ]+:", re.M)

#: From a note, how often each word occurs, and a source of chance to quotes.
Policy = Callable[[str, Counter, random.Random], list[str]]


def policies() -> dict[str, Policy]:
    """The policies by name: random pieces, greedy pieces, and pieces by place.

    Examples
    --------
    >>> len(policies())
    200
    """
    found: dict[str, Policy] = {}
    for n, k in itertools.product((1, 2, 3, 4, 5, 6, 8), (1, 2, 3, 4, 6, 8, 12)):
        found[f"{k} random runs of {n} words"] = _runs(n, k)
    for n, k in itertools.product((1, 2, 3, 4, 6, 8), (1, 2, 3, 4, 6, 8)):
        found[f"first {k} runs of {n} words"] = _front(n, k)
        found[f"last {k} runs of {n} words"] = _back(n, k)
    for k in (1, 2, 3, 4, 6, 8):
        found[f"{k} rarest words"] = _by_count(k, rare=True)
        found[f"{k} commonest words"] = _by_count(k, rare=False)
        found[f"{k} longest words"] = _long_words(k)
        found[f"{k} random clauses"] = _pieces(_CLAUSE, k)
        found[f"{k} random sentences"] = _pieces(_SENTENCE, k)
        found[f"{k} longest clauses"] = _longest(_CLAUSE, k)
        found[f"{k} shortest clauses"] = _shortest(_CLAUSE, k)
        found[f"first words of {k} sections"] = _sections(k)
    for n in (1, 2, 4, 8):
        found[f"start of the present illness, {n} words"] = _after("PRESENT ILLNESS", n)
        found[f"start of the complaint, {n} words"] = _after("CHIEF COMPLAINT", n)
        found[f"start of the exam, {n} words"] = _after("PHYSICAL EXAM", n)
        found[f"start of the history, {n} words"] = _after("MEDICAL HISTORY", n)
        found[f"start of the drugs, {n} words"] = _after("MEDICATION", n)
    found |= {
        "all headers": lambda note, counts, draw: _HEADER.findall(note),
        "the longest line": lambda note, counts, draw: [max(note.split("\n"), key=len)],
        "the whole note": lambda note, counts, draw: [note],
        "every word": lambda note, counts, draw: note.split(),
        "the mask": lambda note, counts, draw: ["___", "___ year old", "year old"],
        "chest pain": lambda note, counts, draw: ["chest pain", "shortness of breath"],
        "common complaints": lambda note, counts, draw: _COMMON,
        "every line": lambda note, counts, draw: note.split("\n"),
        "drugs": lambda note, counts, draw: re.findall(r"\d\. (\w+)", note),
        "numbers": lambda note, counts, draw: re.findall(r"\d+(?:/\d+)?", note),
        "capital words": lambda note, counts, draw: re.findall(r"\b[A-Z]{2,}\b", note),
    }
    return found


_COMMON = ["pain", "fever", "dyspnea", "cough", "nausea", "weakness", "chest pain"]


def _runs(n: int, k: int) -> Policy:
    def policy(note, counts, draw):
        told = note.split()
        starts = [draw.randrange(max(len(told) - n, 1)) for _ in range(k)]
        return [" ".join(told[i : i + n]) for i in starts]

    return policy


def _front(n: int, k: int) -> Policy:
    def policy(note, counts, draw):
        told = note.split()
        return [" ".join(told[i * n : (i + 1) * n]) for i in range(k)]

    return policy


def _back(n: int, k: int) -> Policy:
    def policy(note, counts, draw):
        told = note.split()[-n * k :]
        return [" ".join(told[i * n : (i + 1) * n]) for i in range(k)]

    return policy


def _by_count(k: int, rare: bool) -> Policy:
    def policy(note, counts, draw):
        told = {w for w in words(note) if has_content(w) and counts[w] > 2}
        return sorted(told, key=lambda w: (counts[w] if rare else -counts[w], w))[:k]

    return policy


def _long_words(k: int) -> Policy:
    return lambda note, counts, draw: sorted(set(words(note)), key=len)[-k:]


def _pieces(pattern, k: int) -> Policy:
    def policy(note, counts, draw):
        told = [piece.strip() for piece in pattern.split(note) if piece.strip()]
        return draw.sample(told, min(k, len(told)))

    return policy


def _longest(pattern, k: int) -> Policy:
    return lambda note, counts, draw: sorted(pattern.split(note), key=len)[-k:]


def _shortest(pattern, k: int) -> Policy:
    def policy(note, counts, draw):
        return sorted((p for p in pattern.split(note) if p.strip()), key=len)[:k]

    return policy


def _sections(k: int) -> Policy:
    def policy(note, counts, draw):
        return [" ".join(part.split()[:4]) for part in _HEADER.split(note)[1 : k + 1]]

    return policy


def _after(header: str, n: int) -> Policy:
    def policy(note, counts, draw):
        _, _, after = note.partition(f"{header}")
        told = after.partition(":")[2].split("\n\n")[0].split()
        return [" ".join(told[i : i + n]) for i in range(0, min(len(told), 4 * n), n)]

    return policy


def earnings(
    notes: pd.DataFrame, asked: int = 300, seed: int = 0, names=None
) -> pd.DataFrame:
    """What every policy and the rule teacher earn, as a mean over training notes.

    Parameters
    ----------
    notes : pandas.DataFrame
        Columns note_id, note, label, split.
    asked : int
        Training notes that are answered.
    seed : int
        Of random policies and of drawn codes.
    names : iterable of str, optional
        Policies to try; all by default.

    Returns
    -------
    pandas.DataFrame
        Columns policy, answer (commonest, drawn, gold), value; best first, the
        teacher (answer gold) on top.
    """
    tree = load_tree()
    train = notes[notes["split"] == "train"]
    some = train.head(asked)
    usual = Background.of(train["note"], train["label"], tree)
    counts = Counter(w for note in train["note"] for w in set(words(note)))
    draw = random.Random(seed)
    commonest = [train["label"].mode()[0]] * len(some)
    drawn = draw.choices(train["label"].tolist(), k=len(some))
    teacher = RuleTeacher(tree).fit(train)

    def earn(thoughts, answers) -> float:
        said = [
            format_completion(thought or "-", code)
            for thought, code in zip(thoughts, answers, strict=True)
        ]
        rows = score(
            said, some["label"].tolist(), SPEC, tree, list(some["note"]), usual
        )
        return float(np.mean([row.parts["evidence"] for row in rows]))

    rows = [("rule teacher", "gold", earn(teacher.write(some), some["label"]))]
    for name, policy in policies().items():
        if names is not None and name not in names:
            continue
        quoted = [policy(note, counts, draw) for note in some["note"]]
        thoughts = [" ".join(f'"{q.strip()}"' for q in own) for own in quoted]
        rows += [
            (name, kind, earn(thoughts, answers))
            for kind, answers in (("commonest", commonest), ("drawn", drawn))
        ]
    table = pd.DataFrame(rows, columns=["policy", "answer", "value"])
    return table.sort_values("value", ascending=False, ignore_index=True)


def run(notes: int = 2000) -> list[Result]:
    """The teacher and the best policies, in per cent of the teacher.

    Parameters
    ----------
    notes : int
        Of the synthetic corpus.

    Returns
    -------
    list of Result
    """
    table = earnings(synthetic_notes(notes))
    honest = table[table["answer"] == "gold"].iloc[0]["value"]
    rest = table[table["answer"] != "gold"]
    results = [Result("an honest trace earns of 1", honest, "")]
    for row in rest.head(SHOWN).itertuples():
        name = f"{row.policy}, {row.answer} code"
        results.append(Result(name, 100 * row.value / honest, "%", goal=GOAL))
    return results
