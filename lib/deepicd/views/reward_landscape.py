"""The reward of every code near a gold code: what the policy climbs."""

from collections.abc import Sequence

import pandas as pd

from deepicd.icd.load import load_tree
from deepicd.icd.tree import IcdTree
from deepicd.rewards.scoring import score
from deepicd.rewards.spec import RewardSpec, get_spec
from deepicd.tasks.prompts import format_completion

_DEPTHS = ("other chapter", "chapter", "block", "category", "subcategory")


def neighbours(gold: str, tree: IcdTree | None = None, most: int = 40) -> pd.DataFrame:
    """Choose codes from far to near: what a student could answer instead.

    For each level above the gold code, evenly spaced billable codes whose lowest
    common ancestor with it is just there; then the gold code's own ancestors that
    are codes, and the code itself.

    Parameters
    ----------
    gold : str
    tree : IcdTree, optional
    most : int
        Codes a level.

    Returns
    -------
    pandas.DataFrame
        `code, title, level, shared`, nearest last.

    Examples
    --------
    >>> neighbours("I21.11", most=3).code.tolist()[-4:]
    ['I21', 'I21.19', 'I21.1', 'I21.11']
    """
    tree = tree or load_tree()
    path = tree.path(gold)
    gold = path[-1]
    chosen = _spread(_others(tree, path[0]), most)
    for depth in range(1, len(path)):
        inner = set(tree.leaves(path[depth]))
        ring = [c for c in tree.leaves(path[depth - 1]) if c not in inner]
        chosen += _spread(ring, most)
    chosen += [name for name in path[2:-1]] + [gold]
    rows = [(c, tree.title(c), *_level(tree, c, gold)) for c in dict.fromkeys(chosen)]
    frame = pd.DataFrame(rows, columns=["code", "title", "level", "shared"])
    order = frame.shared + (frame.code == gold)
    return frame.loc[order.sort_values(kind="stable").index].reset_index(drop=True)


def _others(tree: IcdTree, chapter: str) -> list[str]:
    """One code from each other chapter."""
    chapters = [c for c in tree.chapters() if c != chapter]
    return [leaves[len(leaves) // 2] for c in chapters if (leaves := tree.leaves(c))]


def _spread(codes: list[str], most: int) -> list[str]:
    if len(codes) <= most:
        return codes
    return [codes[i * len(codes) // most] for i in range(most)]


def _level(tree: IcdTree, code: str, gold: str) -> tuple[str, int]:
    shared = tree.lca_depth(code, gold)
    return ("exact" if code == gold else _DEPTHS[min(shared, 4)]), shared


def landscape(
    gold: str,
    specs: Sequence[str | RewardSpec],
    tree: IcdTree | None = None,
    most: int = 40,
) -> pd.DataFrame:
    """Reward of every neighbour of a gold code, under several specs.

    Returns
    -------
    pandas.DataFrame
        One row for a code and a spec: `spec, place, code, title, level, shared,
        reward, share` (of the exact code's reward). A last row for a code that
        does not exist and one for a malformed text are part of each spec.

    Examples
    --------
    >>> frame = landscape("I21.11", ["tree", "flat"], most=2)
    >>> frame.groupby("spec").share.max().tolist()
    [1.0, 1.0]
    """
    tree = tree or load_tree()
    near = neighbours(gold, tree, most)
    texts = [format_completion("reasoning", code) for code in near.code]
    extras = [format_completion("reasoning", f"{near.code.iloc[-1]}QQ"), "no answer"]
    extra_rows = pd.DataFrame(
        {"code": ["(no such code)", "(malformed)"], "title": "", "shared": 0}
    ).assign(level=["not in catalogue", "malformed"])
    base = pd.concat([extra_rows.iloc[::-1], near], ignore_index=True)
    frames = []
    for spec in specs:
        spec = get_spec(spec) if isinstance(spec, str) else spec
        rows = score(extras[::-1] + texts, near.code.iloc[-1], spec, tree)
        totals = [row.total for row in rows]
        frame = base.assign(spec=spec.name, reward=totals, place=range(len(base)))
        frames.append(frame.assign(share=frame.reward / totals[-1]))
    columns = "spec place code title level shared reward share".split()
    return pd.concat(frames, ignore_index=True)[columns]
