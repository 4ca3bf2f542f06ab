"""Is an answer right? One code against another, completions against their codes."""

from deepicd.icd.load import load_tree
from deepicd.tasks import prompts
from deepicd.tasks.answers import read_code


def same(gold: str, code: str | None, level: str, tree) -> bool:
    """Whether two codes agree at a level; no code agrees with nothing.

    Examples
    --------
    >>> same("I21.11", "I21.19", "category", load_tree())
    True
    >>> same("I21.11", None, "chapter", load_tree())
    False
    """
    if not isinstance(code, str):
        return False
    return tree.at(gold, level) is not None and (
        tree.at(gold, level) == tree.at(code, level)
    )


class Judge:
    """Says of completions whether they are right: raw correctness, not the reward.

    Parameters
    ----------
    tree : LabelSpace, optional
        By default the ICD-10-CM tree.
    style : str
        Of the completions.

    Examples
    --------
    >>> said = ["<diagnosis>I21.11</diagnosis>", "I21.11"]
    >>> Judge(style="code_only").right(said, ["I21.11", "I21.11"])
    [True, False]
    """

    def __init__(self, tree=None, style: str = "reasoning"):
        self.tree, self.style = tree or load_tree(), style

    def codes(self, completions: list[str]) -> list[str | None]:
        """Code of each completion; None where it is malformed or names no code."""
        return self._codes(self._parsed(completions))

    def _parsed(self, completions: list[str]) -> list[prompts.Parsed]:
        tag = self.tree.tag
        return [prompts.parse_completion(t, self.style, tag) for t in completions]

    def _codes(self, parsed: list[prompts.Parsed]) -> list[str | None]:
        return [
            read_code(p.answer, self.tree) if p.well_formed else None for p in parsed
        ]

    def right(self, completions: list[str], golds: list[str]) -> list[bool]:
        """Whether each completion names its gold code exactly."""
        return self._right(self.codes(completions), golds, self.tree.levels[-1])

    def _right(self, codes, golds, level: str) -> list[bool]:
        return [same(g, c, level, self.tree) for g, c in zip(golds, codes, strict=True)]

    def shares(self, completions: list[str], golds: list[str]) -> dict[str, float]:
        """Share of well-formed completions and of right ones at each level."""
        parsed = self._parsed(completions)
        codes, n = self._codes(parsed), len(completions)
        found = {"sampled_well_formed": sum(p.well_formed for p in parsed) / n}
        for level in self.tree.shown:
            right = self._right(codes, golds, level)
            found[f"sampled_accuracy_{level}"] = sum(right) / n
        return found


def useless(right: list[bool], group_size: int) -> list[bool]:
    """Whether each group is all right or all wrong, which teaches nothing.

    Examples
    --------
    >>> useless([True, True, True, False, False, False], 2)
    [True, False, True]
    """
    groups = [right[i : i + group_size] for i in range(0, len(right), group_size)]
    return [all(group) or not any(group) for group in groups]
