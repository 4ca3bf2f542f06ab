"""Scores of answers, from which a rule of `best_of` chooses.

By verifiers, by checks of what an answer says of its note and of itself, by evidence.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from deepicd.tasks.evidence import Background, evidence
from deepicd.tasks.prompts import parse_completion
from deepicd.tasks.steps import Step
from deepicd.traces.agreement import agreeing
from deepicd.traces.claims import lexicon
from deepicd.training.verifier.inputs import marked
from deepicd.training.verifier.verifier import probabilities

#: How the scores of the steps of one answer become one score.
COMBINED: dict[str, Callable] = {
    "minimum": min,
    "product": lambda chances: float(np.prod(chances)),
    "mean": lambda chances: float(np.mean(chances)),
    "last": lambda chances: chances[-1],
}
SCORES = (*COMBINED, "checked", "outcome", "evidence")
_CAUGHT = 0.01  # of its score keeps a step that a check finds wrong


def combined(chances: Sequence[float]) -> dict[str, float]:
    """Scores of an answer from those of its steps; an unreadable one has 0.

    Examples
    --------
    >>> {name: round(value, 2) for name, value in combined([0.5, 0.8]).items()}
    {'minimum': 0.5, 'product': 0.4, 'mean': 0.65, 'last': 0.8}
    """
    if not chances:
        return dict.fromkeys(COMBINED, 0.0)
    return {name: float(rule(chances)) for name, rule in COMBINED.items()}


def score_answers(
    answers: pd.DataFrame,
    admissions: pd.DataFrame,
    judges: dict,
    space,
    background: Background | None = None,
    **asked,
) -> pd.DataFrame:
    """Score answers by both verifiers, by checks and by their evidence.

    "checked" is the weakest step as the process verifier sees it, where a step that
    disagrees with the note or with the answer (`deepicd.traces.agreement`) keeps a
    hundredth of its score. Neither needs the right code.

    Parameters
    ----------
    answers : DataFrame
        Columns note_id, completion, code.
    admissions : DataFrame
        Columns note_id, note.
    judges : dict
        "process" and "outcome" to model and tokenizer of `deepicd.training.verifier`.
    space : LabelSpace
    background : Background, optional
        What is usual in the training notes, for the evidence.
    **asked
        style, instruction and task of the answers.

    Returns
    -------
    DataFrame
        The answers with columns starts, ends, kinds and steps (their scores), lists of
        one entry a step, and `SCORES`.
    """
    notes = admissions.set_index("note_id")["note"]
    answers = answers.reset_index(drop=True)
    found = {}
    for kind, (model, tokenizer) in judges.items():
        table = marked(model, answers, notes, space)
        chances = probabilities(model, tokenizer, table, **asked)
        if kind == "process":
            places = {name: table[name] for name in ("starts", "ends", "kinds")}
            answers = answers.assign(**places, steps=chances)
            found |= pd.DataFrame([combined(own) for own in chances]).to_dict("list")
            found["checked"] = _checked(table, chances, space)
        else:
            found[kind] = [own[-1] if own else 0.0 for own in chances]
    style = asked.get("style", "reasoning")
    texts = notes.reindex(answers["note_id"])
    rows = zip(answers["completion"], texts, answers["code"], strict=True)
    found["evidence"] = [_evidence(*row, space, background, style) for row in rows]
    return answers.assign(**found)


def _checked(table: pd.DataFrame, chances: list, space) -> list[float]:
    words, scores = lexicon([], space), []
    rows = table[["kinds", "starts", "ends", "completion", "note"]]
    for (*marks, text, note), own in zip(rows.to_numpy(), chances, strict=True):
        steps = [Step(*mark) for mark in zip(*marks, strict=True)]
        agreed = agreeing(text, steps, note, space, words)
        kept = [p if ok else _CAUGHT * p for p, ok in zip(own, agreed, strict=True)]
        scores.append(min(kept, default=0.0))
    return scores


def _evidence(completion, note, code, space, background, style: str) -> float:
    thought = parse_completion(completion, style, space.tag).think
    if not thought or not isinstance(code, str):
        return 0.0
    return evidence(thought, note, code, space, background)
