"""Show a trace with its note: what is quoted rightly, what is wrong and where."""

from html import escape

import pandas as pd

from deepicd.tasks import quotes
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.traces.case import Case
from deepicd.traces.checks import fitting, invented, mentions_of_given, run_checks
from deepicd.traces.claims import lexicon
from deepicd.traces.teachers.records import Answer
from deepicd.views.marked import marked, marks_in_note, marks_in_trace


def case_of(answer: Answer, note: str, gold: str, tree) -> Case:
    """Put one answer beside its note, to show it; clinical words are the catalogue's.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> case_of(Answer("n1", 0, "So I10.", "I10"), "BP.", "I10", load_tree()).answer
    'I10'
    """
    return Case(
        note,
        gold,
        answer.trace,
        answer.answer,
        answer.problem,
        tree,
        lexicon=lexicon([], tree),
    )


def highlight(case: Case) -> str:
    """HTML of a trace: quotes that stand in the note green, faults red.

    Parameters
    ----------
    case : Case

    Returns
    -------
    str
        One HTML block; all text is escaped.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> case = Case("Chest pain.", "I21.11", 'The "chest pain", so I21.11.',
    ...             "I21.11", None, load_tree())
    >>> '#cfe8d5;color:#111">chest pain<' in highlight(case)
    True
    """
    marks = marks_in_trace(case.trace, case.note)
    marks += [(s.start, s.end, _kind_of_code(case, s)) for s in case.codes]
    marks += [(*span, "wrong") for span in mentions_of_given(case.trace)]
    for claim in invented(case):
        at = case.trace.find(claim.strip())
        marks += [(at, at + len(claim.strip()), "wrong")] if at >= 0 else []
    return f'<p style="max-width:46em">{marked(case.trace, marks)}</p>'


def _kind_of_code(case: Case, span: quotes.Span) -> str:
    wrong = span.text not in case.tree.path(case.gold)
    tail = len(quotes.words(case.trace[span.end :]))
    early = span.text == case.gold and tail > case.limits.tail
    return "wrong" if wrong or early else "code"


def highlight_note(case: Case) -> str:
    """HTML of the note with the passages that the trace quotes marked.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> case = Case("Chest pain.", "I21.11", 'The "chest pain", so I21.11.',
    ...             "I21.11", None, load_tree())
    >>> '>Chest pain<' in highlight_note(case)
    True
    """
    quoted = [quote.text for quote in case.quotes]
    body = marked(case.note, marks_in_note(quoted, case.note))
    return f'<pre style="white-space:pre-wrap;max-width:60em">{body}</pre>'


def verdict(case: Case, task: Task = PRINCIPAL_DIAGNOSIS) -> str:
    """HTML of the checks that a trace fails, with the reason.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> verdict(Case("Chest pain.", "I21.11", "", "I21.11", None, load_tree()))[:25]
    '<p><b>format</b>: no reas'
    """
    failed = run_checks(case, fitting(task))
    if not failed:
        return "<p>passes every check of a single trace</p>"
    items = (f"<b>{escape(k)}</b>: {escape(v)}" for k, v in failed.items())
    return f"<p>{'; '.join(items)}</p>"


def steps_shown(labelled: pd.DataFrame) -> pd.DataFrame:
    """Steps of completions as a table to read: one row a step.

    Parameters
    ----------
    labelled : DataFrame
        Of `deepicd.traces.planted`.

    Examples
    --------
    >>> row = {"fault": "none", "completion": "So I10.", "starts": [0], "ends": [7],
    ...        "kinds": ["code"], "right": [True]}
    >>> steps_shown(pd.DataFrame([row])).values.tolist()
    [['none', 'code', True, 'So I10.']]
    """
    rows = [
        (row.fault, kind, right, row.completion[start:end])
        for row in labelled.itertuples()
        for kind, right, start, end in zip(
            row.kinds, row.right, row.starts, row.ends, strict=True
        )
    ]
    return pd.DataFrame(rows, columns=["fault", "step", "right", "text"])
