"""Show a trace with its note: what is quoted rightly, what is wrong and where."""

from html import escape

from deepicd.tasks import quotes
from deepicd.traces.case import Case
from deepicd.traces.checks import invented, mentions_of_given, run_checks
from deepicd.traces.claims import lexicon
from deepicd.traces.teachers.records import Answer

_STYLES = {
    "good": "background:#cfe8d5",
    "bad": "background:#f6c9c0;text-decoration:underline wavy #b03020",
    "code": "font-weight:bold",
}


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
    >>> 'background:#cfe8d5">chest pain<' in highlight(case)
    True
    """
    marks = [
        (q.start, q.end, "good" if stands else "bad")
        for q, stands in zip(case.quotes, case.standing, strict=True)
    ]
    marks += [(s.start, s.end, _kind_of_code(case, s)) for s in case.codes]
    marks += [(*span, "bad") for span in mentions_of_given(case.trace)]
    for claim in invented(case):
        at = case.trace.find(claim.strip())
        marks += [(at, at + len(claim.strip()), "bad")] if at >= 0 else []
    return f'<p style="max-width:46em">{_marked(case.trace, marks)}</p>'


def _kind_of_code(case: Case, span: quotes.Span) -> str:
    wrong = span.text not in case.tree.path(case.gold)
    tail = len(quotes.words(case.trace[span.end :]))
    early = span.text == case.gold and tail > case.limits.tail
    return "bad" if wrong or early else "code"


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
    lowered, marks = case.note.lower(), []
    for quote in case.quotes:
        at = lowered.find(quote.text.lower())
        if at >= 0:
            marks.append((at, at + len(quote.text), "good"))
    body = _marked(case.note, marks)
    return f'<pre style="white-space:pre-wrap;max-width:60em">{body}</pre>'


def verdict(case: Case) -> str:
    """HTML of the checks that a trace fails, with the reason.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> verdict(Case("Chest pain.", "I21.11", "", "I21.11", None, load_tree()))[:25]
    '<p><b>format</b>: no reas'
    """
    failed = run_checks(case)
    if not failed:
        return "<p>passes every check of a single trace</p>"
    items = (f"<b>{escape(k)}</b>: {escape(v)}" for k, v in failed.items())
    return f"<p>{'; '.join(items)}</p>"


def _marked(text: str, marks: list[tuple[int, int, str]]) -> str:
    parts, at = [], 0
    for start, end, kind in sorted(marks):
        if start < at:
            continue
        parts.append(escape(text[at:start], quote=False))
        piece = escape(text[start:end], quote=False)
        parts.append(f'<span style="{_STYLES[kind]}">{piece}</span>')
        at = end
    return "".join([*parts, escape(text[at:], quote=False)])
