"""Checks of one trace against its note, its gold code and the tree.

Each check is a function of a `Case` that gives None where the trace passes, or a few
words on what is wrong; never text of the note. `CHECKS` lists them by name.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from deepicd.tasks import quotes
from deepicd.tasks.prompts import read_code, readable
from deepicd.tasks.task import Task, above
from deepicd.traces.case import Case
from deepicd.traces.claims import claims
from deepicd.traces.coding_rules import check_principal, conflicts

_ENDS = re.compile(r"[.!?][)\]\"'\u201d]*$")
_THING = r"(icd(-10)?(-cm)? )?(code|answer|label|diagnosis|solution|target)"
_KNOWN = r"(given|provided|supplied|stated|correct|reference|expected|gold|true|target)"
_GIVEN = re.compile(
    rf"\bthe {_KNOWN} {_THING}\b"
    rf"|\b(code|answer|label|diagnosis) (that )?(was|is|has been|i was|we were)"
    r" (already )?(given|provided|supplied|told|known to (me|us))\b"
    r"|\bas (given|provided|instructed|specified|told)\b"
    rf"|\b(given|provided) (with )?the {_THING}\b"
    r"|\b(i|we) (was|were|am|are|have been) (given|told|provided|asked|instructed)\b"
    r"|\bground[- ]truth\b|\bgold (code|label|answer|diagnosis)\b"
    r"|\bknowing (that )?the (answer|code|final diagnosis)\b"
    r"|\b(per|according to|in) the (prompt|instructions?|question|task)\b",
    re.I,
)
_LATER = re.compile(
    r"\b(hospital course|(at|on|upon|prior to|before) discharge"
    r"|discharged? (home|to|on|with|diagnos[ei]s|medications?|condition|summary"
    r"|instructions)|was discharged|post-?operative(ly)? day|pod ?#?\d|hospital day"
    r"|(later|subsequently) (found|diagnosed|underwent|developed|died|expired)"
    r"|during (the|this) (admission|stay|hospitali[sz]ation)"
    r"|follow-?up (visit|appointment|instructions))\b",
    re.I,
)


def check_format(case: Case) -> str | None:
    """One think and one answer, reasoning that is whole and without tags."""
    text = case.trace.strip()
    if case.problem:
        return case.problem
    if not readable(text):
        return "no reasoning"
    if _tags(case.tree.tag).search(text):
        return "a tag inside the reasoning"
    if text.count('"') % 2:
        return "a quote that is not closed"
    whole = _ENDS.search(text) or text.endswith(case.gold)
    return None if whole else "ends in the middle of a sentence"


@lru_cache
def _tags(tag: str) -> re.Pattern:
    return re.compile(rf"(<|&lt;)\s*/?\s*(think|{tag})", re.I)


def check_answer(case: Case) -> str | None:
    """The answer is the gold code."""
    code = read_code(case.answer, case.tree)
    if code is None:
        return "no code"
    return None if code == case.gold else "another code"


def check_conclusion(case: Case) -> str | None:
    """The last code of the reasoning is the gold code, or a code above it."""
    if not case.codes:
        return None
    last = case.codes[-1].text
    return None if last in case.tree.path(case.gold) else "reasons for another code"


def check_given(case: Case) -> str | None:
    """No word of an answer that was known beforehand."""
    return "speaks of a given answer" if _GIVEN.search(case.own_words) else None


def mentions_of_given(trace: str) -> list[tuple[int, int]]:
    """Where a trace speaks of a given answer, as character spans.

    Examples
    --------
    >>> mentions_of_given("As given, it is I10.")
    [(0, 8)]
    """
    return [match.span() for match in _GIVEN.finditer(trace)]


def check_code_last(case: Case) -> str | None:
    """The code, and its full title, come only at the end."""
    named = [span for span in case.codes if span.text == case.gold]
    if named and _is_early(case, named):
        return "names the code early"
    if case.tree.at(case.gold, above(case.tree)) == case.gold:
        return None
    title = " ".join(quotes.words(case.tree.title(case.gold)))
    head = " ".join(case.words[: max(3, len(case.words) // 3)])
    if (
        title.count(" ") >= 2
        and title in head
        and title not in quotes.padded(case.note)
    ):
        return "names the title early"
    return None


def _is_early(case: Case, named: list[quotes.Span]) -> bool:
    """Whether much, or the same code again in a new sentence, follows the code."""
    first, last = named[0], named[-1]
    tail = len(quotes.words(case.trace[first.end :]))
    if tail > case.limits.tail or not case.trace[: first.start].strip():
        return True
    end = quotes.sentences(case.trace)[-1].start
    return first.start < end <= last.start


def check_quotes(case: Case) -> str | None:
    """What is quoted stands in the note, white space and case aside."""
    missing = case.standing.count(False)
    return f"{missing} quotes not in the note" if missing else None


def check_evidence(case: Case) -> str | None:
    """There is evidence, and there is more than evidence."""
    low, high = case.limits.evidence
    if sum(case.standing) < case.limits.quotes:
        return "too few quotes"
    if not low <= case.evidence_share <= high:
        return "too little or too much of it is quoted"
    return "copies the note" if case.copied_share > case.limits.copied else None


def check_invented(case: Case) -> str | None:
    """No finding of the patient is claimed, outside quotes, that the note lacks."""
    return "claims a finding that is not in the note" if invented(case) else None


def invented(case: Case) -> list[str]:
    """Pieces of the trace, outside quotes, with a finding that the note lacks."""
    if case.lexicon is None:
        return []
    found = []
    for claim in claims(case.own_words):
        told = quotes.words(claim)
        fresh = {w for w in told if w in case.lexicon or w[0].isdigit()}
        if fresh - case.known_words:
            found.append(claim)
    return found


def check_admission(case: Case) -> str | None:
    """Nothing from after admission."""
    if _LATER.search(case.own_words):
        return "speaks of what came after admission"
    if case.later is None:
        return None
    for quote, stands in zip(case.quotes, case.standing, strict=True):
        if not stands and quotes.stands_in(quote.text, case.later):
            return "quotes what came after admission"
    return None


def check_length(case: Case) -> str | None:
    """Neither empty talk nor an essay."""
    low, high = case.limits.words
    return None if low <= len(case.words) <= high else "too short or too long"


def check_repetition(case: Case) -> str | None:
    """No loops."""
    grams = [tuple(case.words[i : i + 4]) for i in range(len(case.words) - 3)]
    share = 1 - len(set(grams)) / len(grams) if grams else 0.0
    return "repeats itself" if share > case.limits.repeated else None


def check_sequencing(case: Case) -> str | None:
    """The code may be listed first."""
    return check_principal(case.gold, case.tree)


def check_conflicts(case: Case) -> str | None:
    """No Excludes1 pair, no symptom code beside an accepted disease."""
    return conflicts(case.trace, case.codes, case.gold, case.tree)


#: Every check by name; those that do not fit a task are named by it (`Task.unfit`).
CHECKS: dict[str, Callable[[Case], str | None]] = {
    "format": check_format,
    "answer": check_answer,
    "conclusion": check_conclusion,
    "given_answer": check_given,
    "code_last": check_code_last,
    "quotes": check_quotes,
    "evidence": check_evidence,
    "invented": check_invented,
    "after_admission": check_admission,
    "sequencing": check_sequencing,
    "conflicts": check_conflicts,
    "length": check_length,
    "repetition": check_repetition,
}


def fitting(task: Task) -> dict[str, Callable[[Case], str | None]]:
    """The checks that say something of the labels of a task, by name.

    Examples
    --------
    >>> from deepicd.tasks import get_task
    >>> set(CHECKS) - set(fitting(get_task("length_of_stay"))) >= {"sequencing"}
    True
    """
    return {name: one for name, one in CHECKS.items() if name not in task.unfit}


def run_checks(case: Case, checks: dict | None = None) -> dict[str, str]:
    """Run every check; gives name and reason of those that fail.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> tree = load_tree()
    >>> note = "Crushing chest pain with ST elevation in II, III, aVF."
    >>> trace = 'The "crushing chest pain" and "fever" are circulatory. So I21.11.'
    >>> run_checks(Case(note, "I21.11", trace, "I21.19", None, tree))
    {'answer': 'another code', 'quotes': '1 quotes not in the note'}
    """
    found = {}
    for name, check in (checks or CHECKS).items():
        reason = check(case)
        if reason:
            found[name] = reason
    return found


def scores(case: Case) -> dict[str, float]:
    """Numbers worth a histogram: words, quotes, share that is evidence or copied."""
    return {
        "words": len(case.words),
        "quotes": len(case.quotes),
        "evidence_share": round(case.evidence_share, 4),
        "copied_share": round(case.copied_share, 4),
    }
