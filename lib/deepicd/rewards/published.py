"""DeepICD-R1's outcome and format reward as it was run, defects included.

Only for comparison: it reproduces the documented behaviour (DATEXIS/DeepICD-R1)
so that each defect can be shown beside our value. For training under the
published outcome use the spec `prefix`, which keeps the formula and none of the
gaps of the reader.
"""

import re

from deepicd.rewards.outcome import prefix_value
from deepicd.rewards.spec import get_spec

_FORMULA = get_spec("prefix")
_CODE = re.compile(r"[A-Z][0-9]{2}[A-Z0-9]{0,4}")
_DIAGNOSIS = re.compile(r"<diagnosis>((?:[^<]|<(?!/?diagnosis>))*+)</diagnosis>")


def published_reward(completion: str, gold: str) -> float:
    """Reward of a completion under the published rules.

    The first diagnosis at the start of a line counts, wherever it stands and with a
    think before it or without: the formula of `prefix` for what looks like an
    upper-case code with two digits, -1 for anything else; +1 for a non-empty think;
    -1 for each further pair; -5 for an empty text. Longer codes that begin with
    the right one are paid as if they were nearly right.

    Parameters
    ----------
    completion : str
    gold : str
        Gold code, dotted or not.

    Examples
    --------
    >>> right = "<think>STEMI</think>\\n<diagnosis>I21.11</diagnosis>"
    >>> published_reward(right, "I21.11"), published_reward("", "I21.11")
    (76.0, -5.0)
    """
    pairs = published_pairs(completion)
    if not pairs:
        return -1.0 if completion else -5.0
    think, diagnosis = pairs[0]
    said, gold = diagnosis.strip().replace(".", ""), gold.replace(".", "")
    if _CODE.fullmatch(said):
        value = prefix_value(said, gold, _FORMULA)
    else:
        value = -1.0
    return value + (1.0 if think.strip() else 0.0) - (len(pairs) - 1)


def published_pairs(completion: str) -> list[tuple[str, str]]:
    """Think and diagnosis texts that the published reader finds.

    Examples
    --------
    >>> published_pairs("<diagnosis>I10</diagnosis> <diagnosis>I11</diagnosis>")
    [('', 'I10')]
    """
    found, seen = [], 0
    for match in _DIAGNOSIS.finditer(completion):
        before = completion[seen : match.start()]
        if not before.rpartition("\n")[2].strip() and (seen == 0 or "\n" in before):
            found.append((_think_at_end(before), match[1]))
        seen = match.end()
    return found


def _think_at_end(before: str) -> str:
    """Text of the think that ends just there; "" where there is none."""
    before = before.rstrip()
    if not before.endswith("</think>"):
        return ""
    start = before.rfind("<think>")
    return before[start + len("<think>") : -len("</think>")] if start >= 0 else ""
