"""The published MIMIC-IV rule of Clinical Outcome Prediction, for comparison.

A section starts at the first place, in any case, where its header stands before a
colon, and ends before the first blank line that is followed by a run up to a colon
without bracket, bar, digit or dot. Known leaks: the discharge exam stays where no
blank line stands before it or its header holds a bracket; the present illness ends at
its first blank line if the next paragraph reaches a colon first; a header inside
another section hides the real one. Written here without backtracking: linear time.
"""

import re

_HEADERS = {
    "chief_complaint": "chief complaint:",
    "history_of_present_illness": "present illness:",
    "past_medical_history": "medical history:",
    "medications_on_admission": "medications on admission:",
    "allergies": "allergies:",
    "physical_exam": "physical exam:",
    "family_history": "family history:",
    "social_history": "social history:",
}
_BLANK = re.compile(r"\n[^\S\n]*\n")
_STOP = re.compile(r"[:\[\](|.\d]")


def spans(text: str) -> list[tuple[str, int, int, str, int]]:
    """Give name, start, end, text and body start of the sections the rule keeps.

    Examples
    --------
    >>> text = "HISTORY OF PRESENT ILLNESS: Ill.\\n\\nIn the ED: fever.\\n"
    >>> [(name, body) for name, _, _, body, _ in spans(text)]
    [('history_of_present_illness', 'PRESENT ILLNESS: Ill.')]
    """
    lowered = text.lower()
    ends = _paragraph_ends(text)
    found = []
    for name, header in _HEADERS.items():
        start = lowered.find(header)
        if start < 0:
            continue
        body = start + len(header)
        end = next((e for e in ends if e >= body), len(text))
        found.append((name, start, end, text[start:end], body))
    return sorted(found, key=lambda span: span[1])


def _paragraph_ends(text: str) -> list[int]:
    """Blank lines whose following run reaches a colon before any stop character."""
    ends = []
    stop = None
    for blank in _BLANK.finditer(text):
        if stop is None or stop.start() < blank.end():
            stop = _STOP.search(text, blank.end())
            if stop is None:
                break
        if stop[0] == ":":
            ends.append(blank.start())
    return ends
