"""Which steps of a completion are right: from checks, and from planted faults.

A step is wrong where it quotes what the note does not say, claims a finding that it
lacks, copies it, names a chapter, category or code off the way to the gold code, names
the code before its reasons, speaks of a given answer, or breaks off. Faults that were
planted are known, so a step that they changed is wrong whether a check sees it or not.
"""

import random
from difflib import SequenceMatcher

import pandas as pd

from deepicd.common.progress import counted
from deepicd.tasks import quotes
from deepicd.tasks.answers import read_code
from deepicd.tasks.format import THINK
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.prompts import format_completion, parse_completion
from deepicd.tasks.steps import KINDS, Step, chapters, cut
from deepicd.tasks.task import Task
from deepicd.traces.case import Case
from deepicd.traces.checks import invented, mentions_of_given
from deepicd.traces.claims import lexicon
from deepicd.traces.coding_rules import DISMISSES
from deepicd.traces.faults import FAULTS, plant

STEPS = ["starts", "ends", "kinds", "right"]
COLUMNS = ["note_id", "note", "label", "completion", "fault", *STEPS]
GOOD, OWN = "none", "own answer"
_REASONS = ("evidence", "chapter", "category")


def label_steps(
    completion: str,
    steps: list[Step],
    note: str,
    gold: str,
    space,
    words: frozenset[str] | None = None,
) -> list[bool]:
    """Whether each step of a completion is right, as far as checks can tell.

    Parameters
    ----------
    completion : str
    steps : list of Step
        Of `deepicd.tasks.steps.cut`.
    note, gold : str
    space : LabelSpace
    words : frozenset of str, optional
        Clinical words (`deepicd.traces.claims.lexicon`), by which findings are seen
        that are claimed outside quotes.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> said = ('<think>"Chest pain", "fever": circulatory (9). Infarction, I21; '
    ...         'inferior wall. So I21.19.</think><diagnosis>I21.19</diagnosis>')
    >>> steps = cut(said, load_tree())
    >>> label_steps(said, steps, "Crushing chest pain.", "I21.11", load_tree())
    [False, True, True, True, False]
    """
    wrong = _wrong_passages(completion, note, gold, space, words)
    right = [not any(_overlap(s, *span) for span in wrong) for s in steps]
    other = _of_another(completion, gold, space)
    for i, step in enumerate(steps):
        later = [other.kind for other in steps[i + 1 :]]
        said = completion[step.start : step.end]
        if step.kind == "sibling" and other & set(quotes.words(unquoted(said))):
            right[i] = False
        early = step.kind == "code" and not completion.startswith(f"<{space.tag}>")
        if early and any(kind in _REASONS for kind in later):
            right[i] = False
        if _copies(said, note, gold, space):
            right[i] = False
    if steps and f"</{space.tag}>" not in completion:
        right[-1] = False  # it breaks off
    return right


def _wrong_passages(text, note, gold, space, words) -> list[tuple[int, int]]:
    """Passages that say what is not so, as characters from start to end."""
    path = space.path(gold)
    quoted = quotes.quotes(text)
    found = [(q.start, q.end) for q in quoted if not quotes.stands_in(q.text, note)]
    named = [(s.text, s.start, s.end) for s in quotes.codes(text, space)]
    named += chapters(text, space)
    for name, start, end in named:
        inside = any(q.start <= start < q.end for q in quoted)
        if name not in path and not inside and not _dismissed(text, start):
            found.append((start, end))
    found += mentions_of_given(text)
    for claim in invented(Case(note, gold, text, None, None, space, lexicon=words)):
        at = text.find(claim.strip())
        found += [(at, at + len(claim.strip()))] if at >= 0 else []
    start, end = answer_span(text, space.tag)
    if end and read_code(text[start:end], space) != gold:
        found.append((start, end))
    return found


def answer_span(text: str, tag: str) -> tuple[int, int]:
    """First character and end of the answer; (0, 0) where there is none."""
    start, end = text.find(f"<{tag}>"), text.find(f"</{tag}>")
    return (start + len(tag) + 2, end) if 0 <= start < end else (0, 0)


def _of_another(text: str, gold: str, space) -> set[str]:
    """Words by which the title of the answer differs from that of the gold label."""
    start, end = answer_span(text, space.tag)
    code = read_code(text[start:end], space) if end else None
    if code is None or code == gold:
        return set()
    known = {w for node in space.path(gold) for w in quotes.words(space.title(node))}
    return set(quotes.words(space.title(code))) - known


def unquoted(text: str) -> str:
    """The text without what stands in quotes."""
    for quote in reversed(quotes.quotes(text)):
        text = text[: quote.start] + text[quote.end :]
    return text


def _dismissed(text: str, place: int) -> bool:
    """Whether the clause before a code says that it is not meant."""
    home = [s for s in quotes.sentences(text) if s.start <= place < s.end]
    return bool(home and DISMISSES.search(text[home[0].start : place]))


def _copies(said: str, note: str, gold: str, space) -> bool:
    case = Case(note, gold, said, None, None, space)
    return case.copied_share > case.limits.copied and not case.quotes


def _overlap(step: Step, start: int, end: int) -> bool:
    return step.start < end and start < step.end


def changed(before: str, after: str) -> list[tuple[int, int]]:
    """Passages of a text that another text does not have, word by word.

    Where only words are missing it is the word before the gap.

    Examples
    --------
    >>> changed("fever, so I10.", "rash, so I10.")
    [(0, 4)]
    """
    one, two = quotes.word_spans(before), quotes.word_spans(after)
    match = SequenceMatcher(None, [w[0] for w in one], [w[0] for w in two], False)
    found = []
    for kind, _, _, left, right in match.get_opcodes():
        left -= kind == "delete"
        right = max(right, left + 1)
        if kind != "equal" and left >= 0:
            found.append((two[left][1], two[right - 1][2]))
    return found


def kept_apart(
    traces: pd.DataFrame, admissions: pd.DataFrame, held: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Accepted traces in the order of `sft_rank`: to learn from, and to test on.

    The last ones are held out, which a student of fewer traces has not seen; never
    more than a quarter of all.
    """
    good = traces[traces["accepted"]].drop_duplicates("note_id")
    rank = admissions.set_index("note_id")["sft_rank"]
    good = good.assign(rank=rank.reindex(good["note_id"]).to_numpy())
    good = good.sort_values("rank", ignore_index=True).drop(columns="rank")
    cut_at = len(good) - min(held, len(good) // 4)
    return good.iloc[:cut_at], good.iloc[cut_at:]


def planted(
    good: pd.DataFrame,
    notes: dict[str, str],
    space,
    seed: int,
    faults: int = len(FAULTS),
    task: Task = PRINCIPAL_DIAGNOSIS,
    style: str = "reasoning",
) -> pd.DataFrame:
    """Completions of good traces and of their faulty versions, with step labels.

    Parameters
    ----------
    good : DataFrame
        Accepted rows of `build_traces`, one a note, of at least two labels.
    notes : dict of str to str
        Note of each note_id.
    space : LabelSpace
    seed : int
    faults : int
        Faulty versions of each trace, of different kinds.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: fault names the kind, "none" for a good trace; starts, ends
        (characters), kinds and right are lists of one entry a step.
    """
    draw, words = random.Random(seed), lexicon([], space)
    kinds = [draw.sample(FAULTS, min(faults, len(FAULTS))) for _ in range(len(good))]
    whole = {
        row.note_id: format_completion(row.trace, row.label, style, task.tag)
        for row in good.itertuples()
    }
    rows = [
        (row.note_id, row.label, GOOD, whole[row.note_id]) for row in good.itertuples()
    ]
    labels = dict(zip(good["note_id"], good["label"], strict=True))
    for kind in FAULTS:
        part = good[[kind in own for own in kinds]]
        for bad in plant(part, notes, space, kind, seed) if len(part) else ():
            text = _completion(bad, style, task.tag)
            rows.append((bad.note_id, labels[bad.note_id], kind, text))
    table = []
    for note_id, gold, kind, text in counted(rows, "labelling steps"):
        row = _row(note_id, notes[note_id], gold, text, kind, space, words)
        for span in changed(whole[note_id], text):
            spans = zip(row["starts"], row["ends"], strict=True)
            hit = [a < span[1] and span[0] < b for a, b in spans]
            row["right"] = [r and not h for r, h in zip(row["right"], hit, strict=True)]
        table.append(row)
    return pd.DataFrame(table, columns=COLUMNS)


def _completion(answer, style: str, tag: str) -> str:
    """A faulty answer as a completion; without an answer it breaks off."""
    if answer.answer is None:
        return f"{THINK}\n{answer.trace}"
    return format_completion(answer.trace, answer.answer, style, tag)


def of_answers(answers: pd.DataFrame, admissions: pd.DataFrame, space) -> pd.DataFrame:
    """Answers of a model to labelled notes, with step labels from checks.

    Parameters
    ----------
    answers : DataFrame
        Columns note_id, completion.
    admissions : DataFrame
        Columns note_id, note, label.

    Returns
    -------
    DataFrame
        As of `planted`; fault is "own answer".
    """
    words, known = lexicon([], space), admissions.set_index("note_id")
    notes, golds = known["note"].to_dict(), known["label"].to_dict()
    rows = answers[["note_id", "completion"]].itertuples(index=False)
    rows = counted(list(rows), "labelling steps of own answers")
    found = [
        _row(note_id, notes[note_id], golds[note_id], text, OWN, space, words)
        for note_id, text in rows
    ]
    return pd.DataFrame(found, columns=COLUMNS)


def _row(note_id, note, gold, text, fault, space, words) -> dict:
    steps = cut(text, space)
    return {
        "note_id": note_id,
        "note": note,
        "label": gold,
        "completion": text,
        "fault": fault,
        "starts": [s.start for s in steps],
        "ends": [s.end for s in steps],
        "kinds": [s.kind for s in steps],
        "right": label_steps(text, steps, note, gold, space, words),
    }


def answered_right(table: pd.DataFrame, space, style: str = "reasoning") -> list[bool]:
    """Whether each completion is well-formed and its answer the label of its note."""
    read = [parse_completion(t, style, space.tag).answer for t in table["completion"]]
    pairs = zip(read, table["label"], strict=True)
    return [said is not None and read_code(said, space) == gold for said, gold in pairs]


def step_table(labelled: pd.DataFrame) -> pd.DataFrame:
    """How many steps of each kind are wrong, by fault.

    Returns
    -------
    DataFrame
        Index fault, one column a kind of step: share of its steps that are wrong.
    """
    long = labelled[["fault", "kinds", "right"]].explode(["kinds", "right"])
    long = long.assign(wrong=1.0 - long["right"].astype(float))
    wide = long.pivot_table(index="fault", columns="kinds", values="wrong", sort=False)
    return wide.reindex(columns=[k for k in KINDS if k in wide])
