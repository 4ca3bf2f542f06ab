"""The outcome part: what an answer earns against the gold code."""

from functools import partial

from deepicd.common.errors import UserError
from deepicd.icd.name_table import as_written
from deepicd.rewards.spec import RewardSpec
from deepicd.tasks.prompts import read_code


def ladder_credit(answer: str, gold: str, spec: RewardSpec, tree):
    """Credit by the depth of the lowest common ancestor.

    Parameters
    ----------
    answer : str
        Raw answer of a well-formed completion.
    gold : str
        Gold code as the catalogue writes it.

    Returns
    -------
    tuple of (str or None, float)
        The code that was read, and its credit.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> from deepicd.rewards import get_spec
    >>> ladder_credit("I21.19", "I21.11", get_spec("tree"), load_tree())
    ('I21.19', 0.5)
    """
    code = read_code(answer, tree)
    if code is None:
        return None, spec.weight_invalid
    if code == gold:
        return code, spec.credit["full"]
    ladder = spec.ladder
    return code, ladder[min(tree.lca_depth(code, gold), len(ladder) - 1)]


def prefix_credit(answer: str, gold: str, spec: RewardSpec, tree):
    """DeepICD-R1's outcome reward: shared leading characters of undotted codes.

    With L the length of the gold code and k that of the common prefix: exact
    15 L; else 15 (k/L + k - 2) from k = 3, 15 k/L below, -1 for k = 0. As
    published, an answer only has to look like a code. (DATEXIS/DeepICD-R1.)

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> from deepicd.rewards import get_spec
    >>> prefix_credit("I10", "I21.11", get_spec("prefix"), load_tree())
    ('I10', 3.0)
    """
    code = read_code(answer, tree)
    said = code or as_written(answer)
    if said is None:
        return None, spec.weight_invalid
    return code, prefix_value(said.replace(".", ""), gold.replace(".", ""), spec)


def prefix_value(said: str, gold: str, spec: RewardSpec) -> float:
    """The formula of `prefix_credit` on two undotted codes."""
    if said == gold:
        return spec.prefix_scale * len(gold)
    shared = 0
    for left, right in zip(said, gold, strict=False):
        if left != right:
            break
        shared += 1
    if not shared:
        return spec.credit["none"]
    bonus = shared - 2 if shared >= 3 else 0
    return spec.prefix_scale * (shared / len(gold) + bonus)


def ordered_credit(answer: str, gold: str, spec: RewardSpec, tree, power: int = 1):
    """Credit by how many steps the answer is off in the order of the labels.

    The right label earns `full`, the one that is as far off as can be `none`; between
    them every step costs alike, or with `power` 2 its square.

    Examples
    --------
    >>> from deepicd.rewards import get_spec
    >>> from deepicd.tasks.length_of_stay import Stays
    >>> spec, space = get_spec("ordered"), Stays()
    >>> [round(ordered_credit(said, "up to 3 days", spec, space)[1], 2)
    ...  for said in space.order]
    [1.0, 0.67, 0.33, 0.0]
    """
    code = read_code(answer, tree)
    if code is None:
        return None, spec.weight_invalid
    off = abs(tree.order.index(code) - tree.order.index(gold))
    lost = (off / (len(tree.order) - 1)) ** power
    return code, spec.credit["full"] - lost * (
        spec.credit["full"] - spec.credit["none"]
    )


def severity_credit(answer: str, gold: str, spec: RewardSpec, tree):
    """DRG-Sapphire's dense reward: the principal part and the severity of a DRG apart.

    Exact 2.0; the right base DRG 1.5 (the credit of a `category`); the right severity
    0.5 (that of a `chapter`); neither -0.5. (hanyin88/DRG-Sapphire.)

    Examples
    --------
    >>> from deepicd.rewards import get_spec
    >>> from deepicd.tasks.drg import Drgs
    >>> space = Drgs({"291": "HEART FAILURE W MCC", "292": "HEART FAILURE W CC",
    ...               "377": "G.I. HEMORRHAGE W MCC", "312": "SYNCOPE"})
    >>> [severity_credit(said, "291", get_spec("drg_dense"), space)[1]
    ...  for said in ("291", "292", "377", "312", "999")]
    [2.0, 1.5, 0.5, -0.5, -1.5]
    """
    code = read_code(answer, tree)
    if code is None:
        return None, spec.weight_invalid
    levels = {"full": tree.levels[-1], "category": "base", "chapter": "severity"}
    for name, level in levels.items():
        if tree.at(code, level) == tree.at(gold, level):
            return code, spec.credit[name]
    return code, spec.credit["none"]


#: Reader of each kind of outcome.
CREDITS = {
    "ladder": ladder_credit,
    "prefix": prefix_credit,
    "ordered": ordered_credit,
    "ordered_quadratic": partial(ordered_credit, power=2),
    "severity": severity_credit,
}


def credit_of(spec: RewardSpec, tree):
    """The reader that a spec asks for.

    Raises
    ------
    UserError
        If it needs of the labels what those of this space do not have.
    """
    lacking = None
    if spec.outcome.startswith("ordered") and not tree.order:
        lacking = "an order", "a task whose labels have one, such as length_of_stay"
    elif spec.outcome == "severity" and "severity" not in tree.aspects:
        lacking = "a severity", "the task drg"
    if lacking:
        raise UserError(
            f"the reward {spec.name!r} for labels without {lacking[0]}",
            lacking[1],
            "take the reward tree",
        )
    return CREDITS[spec.outcome]
