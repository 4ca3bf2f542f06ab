"""The known defects of the published reward, each with both rewards' values."""

import pandas as pd

from deepicd.icd.tree import IcdTree
from deepicd.rewards.published import published_reward
from deepicd.rewards.scoring import score
from deepicd.rewards.spec import RewardSpec

_WRITTEN = "<think>tall ST segments in II, III</think>\n<diagnosis>{}</diagnosis>"
_TEN = "I21.11 I10 I50.9 E11.9 J18.9 N17.9 A41.9 K35.80 G40.909 F32.A".split()

#: Number in METHOD_FACTS, what it shows, gold code, completion.
CASES: tuple[tuple[int, str, str, str], ...] = (
    (0, "exact code, for scale", "I21.11", _WRITTEN.format("I21.11")),
    (1, "same letter, other block: I10", "I21.11", _WRITTEN.format("I10")),
    (1, "same letter, other chapter: D50 for D49", "D49.0", _WRITTEN.format("D50.0")),
    (1, "same letter, other chapter: H60 for H59", "H59.02", _WRITTEN.format("H60.0")),
    (2, "longer code that does not exist", "I21.11", _WRITTEN.format("I21.119")),
    (2, "longer code that exists", "I48.1", _WRITTEN.format("I48.11")),
    (3, "letter in third place: C4A.0 exact", "C4A.0", _WRITTEN.format("C4A.0")),
    (3, "letter in third place: M1A.0 exact", "M1A.0", _WRITTEN.format("M1A.0")),
    (4, "lower case, exact", "I21.11", _WRITTEN.format("i21.11")),
    (
        11,
        "exact, both tags on one line",
        "I21.11",
        _WRITTEN.format("I21.11").replace("\n", ""),
    ),
    (12, "right code with an X behind", "I21.11", _WRITTEN.format("I21.11X")),
    (
        12,
        "ten diagnoses on one line, right one first",
        "I21.11",
        "<think>chest pain</think>\n"
        + "".join(f"<diagnosis>{code}</diagnosis>" for code in _TEN),
    ),
    (
        12,
        "a diagnosis only inside the think",
        "I21.11",
        "<think>so\n<diagnosis>I21.11</diagnosis>\nthat is it</think>",
    ),
    (12, "near miss on seven characters", "S52.501A", _WRITTEN.format("S52.501B")),
    (12, "exact on three characters", "I10", _WRITTEN.format("I10")),
)


def defects_table(
    spec: str | RewardSpec = "tree", tree: IcdTree | None = None
) -> pd.DataFrame:
    """Score the defects of the published reward with it and with a spec of ours.

    Parameters
    ----------
    spec : str or RewardSpec
    tree : IcdTree, optional

    Returns
    -------
    pandas.DataFrame
        `defect` (number in the list of known defects; 0 for scale), `case`,
        `gold`, `published`, `published_share` (of the exact code's reward),
        `ours`, `ours_share`, `problem`.

    Examples
    --------
    >>> table = defects_table()
    >>> table.loc[table.case.str.startswith("longer code that d"), "published"].item()
    61.0
    """
    rows = [_row(case, spec, tree) for case in CASES]
    return pd.DataFrame(rows)


def _row(case: tuple[int, str, str, str], spec, tree) -> dict:
    number, title, gold, text = case
    right = _WRITTEN.format(gold)
    ours, best = score([text, right], gold, spec, tree)
    published, most = published_reward(text, gold), _published_most(gold)
    return {
        "defect": number,
        "case": title,
        "gold": gold,
        "published": round(published, 2),
        "published_share": round(published / most, 3),
        "ours": round(ours.total, 3),
        "ours_share": round(ours.total / best.total, 3),
        "problem": ours.problem,
    }


def _published_most(gold: str) -> float:
    return 15.0 * len(gold.replace(".", "")) + 1.0


def switch_table() -> pd.DataFrame:
    """Defect 5: what "False" does to a switch, there and here.

    Returns
    -------
    pandas.DataFrame
        `reader`, `given`, `result`.

    Examples
    --------
    >>> switch_table().result.tolist()[:2]
    ['on', 'off']
    """
    from deepicd.common.errors import UserError
    from deepicd.rewards.spec import get_spec

    rows = [("published: bool(text)", "'False'", "on" if bool("False") else "off")]
    off = "evidence" not in get_spec("tree", weight_evidence=0).parts
    rows.append(("RewardSpec", "0", "off" if off else "on"))
    try:
        get_spec("tree", weight_evidence="False")
    except UserError as error:
        rows.append(("RewardSpec", "'False'", f"refused: {error.do}"))
    return pd.DataFrame(rows, columns=["reader", "given", "result"])


def gold_type_table(tree: IcdTree | None = None) -> pd.DataFrame:
    """Defect 14: a gold code given as plain text instead of a list.

    The published 15.01 and 14.98 are documented values (the formula then runs
    over the text's characters); ours are computed here, for both forms.

    Examples
    --------
    >>> gold_type_table().ours_text.tolist()
    [1.0, 0.5]
    """
    texts = [_WRITTEN.format(code) for code in ("I21.11", "I21.19")]
    as_text = score(texts, "I21.11", tree=tree)
    as_list = score(texts, ["I21.11", "I21.11"], tree=tree)
    return pd.DataFrame(
        {
            "answer": ["I21.11 (right)", "I21.19 (sibling)"],
            "published_text": [15.01, 14.98],
            "ours_text": [row.total for row in as_text],
            "ours_list": [row.total for row in as_list],
        }
    )


def newline_table(lines: tuple[int, ...] = (1_000, 4_000, 100_000)) -> pd.DataFrame:
    """Defect 13: milliseconds for a completion that is a run of newlines.

    The published times are documented measurements (cubic growth); ours are
    taken here.

    Examples
    --------
    >>> bool((newline_table((1_000,)).ours_ms < 1_000).all())
    True
    """
    from time import perf_counter

    known = {1_000: 900.0, 4_000: 52_000.0}
    rows = []
    for count in lines:
        text = "<think>" + "\n" * count
        begin = perf_counter()
        score([text], "I21.11")
        took = (perf_counter() - begin) * 1e3
        rows.append((count, known.get(count), round(took, 3)))
    return pd.DataFrame(rows, columns=["newlines", "published_ms", "ours_ms"])
