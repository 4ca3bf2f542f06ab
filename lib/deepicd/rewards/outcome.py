"""The outcome part: what an answer earns against the gold code."""

from deepicd.icd.names import as_written
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


#: Reader of each kind of outcome.
CREDITS = {"ladder": ladder_credit, "prefix": prefix_credit}
