"""`RewardSpec`: every weight and switch of a reward, by name, in one place."""

from dataclasses import asdict, dataclass, fields

from deepicd.rewards.checks import (
    PART_RANGES,
    PARTS,
    check_choice,
    check_type,
    check_values,
)

_LONGEST_CODE = 7


@dataclass(frozen=True)
class RewardSpec:
    """A reward, fully described by scalars.

    The outcome is read from a ladder: how many levels the answer shares with the
    gold code. A step that is set below the one before it counts as that one, so
    credit never falls with depth. Added parts are switched by their weight; a
    weight of 0 is off.

    Attributes
    ----------
    name : str
        Shown in tables.
    outcome : {"ladder", "prefix"}
        `prefix` pays by shared leading characters, as DeepICD-R1 was run.
    style : {"reasoning", "code_only", "answer_first"}
        Structure that counts as well-formed.
    weight_outcome : float
        Weight of the outcome among the parts.
    weight_malformed, weight_empty, weight_invalid, weight_none : float
        Outcome of a broken structure, an empty text, an answer that is no code of
        the catalogue, and a code of another chapter.
    weight_chapter, weight_block, weight_category, weight_subcategory : float
        Outcome of a wrong code whose lowest common ancestor with the gold code is
        a chapter, a block, a category or a four-character subcategory.
    weight_near : float
        What deeper common ancestors approach: each further level halves the gap.
    weight_full : float
        Outcome of the exact code.
    weight_extra_pair : float
        Added for each diagnosis beyond the first in a malformed text.
    most_extra_pairs : int
        No more than so many are counted, which bounds the reward.
    prefix_scale : float
        Factor of the `prefix` outcome.
    max_characters : int
        A longer completion counts as malformed.
    weight_format, weight_validity, weight_evidence, weight_judge : float
        Weights of the added parts that range over 0..1.
    weight_length, weight_repetition : float
        Weights of the added parts that range over -1..0.
    length_limit : int
        Characters at which the length penalty is full.
    length_start : float
        Share of the limit at which it begins.
    repetition_words : int
        Length, in words, of the runs that count as repeated.
    evidence_characters : int
        Shorter quotations are no evidence.
    judge_url, judge_model : str
        OpenAI-compatible engine on this machine, and its model.
    judge_seconds : float
        Time limit of one request to the judge.

    Examples
    --------
    >>> from deepicd.rewards import get_spec
    >>> spec = get_spec("tree", weight_evidence=0.1)
    >>> spec.parts, spec.bounds
    (('outcome', 'evidence'), (-0.5, 1.1))
    """

    name: str = "tree"
    outcome: str = "ladder"
    style: str = "reasoning"
    weight_outcome: float = 1.0
    weight_malformed: float = -0.5
    weight_empty: float = -0.5
    weight_invalid: float = -0.2
    weight_none: float = 0.0
    weight_chapter: float = 0.1
    weight_block: float = 0.2
    weight_category: float = 0.4
    weight_subcategory: float = 0.5
    weight_near: float = 0.58
    weight_full: float = 1.0
    weight_extra_pair: float = 0.0
    most_extra_pairs: int = 10
    prefix_scale: float = 15.0
    max_characters: int = 50_000
    weight_format: float = 0.0
    weight_validity: float = 0.0
    weight_evidence: float = 0.0
    weight_length: float = 0.0
    weight_repetition: float = 0.0
    weight_judge: float = 0.0
    length_limit: int = 4_000
    length_start: float = 0.8
    repetition_words: int = 4
    evidence_characters: int = 6
    judge_url: str = "http://127.0.0.1:8000/v1"
    judge_model: str = "judge"
    judge_seconds: float = 60.0

    def __post_init__(self):
        for item in fields(self):
            check_type(item.name, getattr(self, item.name), item.type)
        check_choice("outcome", self.outcome, ("ladder", "prefix"))
        styles = ("reasoning", "code_only", "answer_first")
        check_choice("style", self.style, styles)
        check_values(self)

    @property
    def ladder(self) -> tuple[float, ...]:
        """Outcome by number of shared levels, 0 to 3, then 4, 5, ... (wrong codes).

        Examples
        --------
        >>> from deepicd.rewards import get_spec
        >>> [round(step, 3) for step in get_spec("tree").ladder]
        [0.0, 0.1, 0.2, 0.4, 0.5, 0.54, 0.56, 0.57, 0.575]
        """
        near, first = self.weight_near, self.weight_subcategory
        deep = [near - (near - first) * 0.5**step for step in range(5)]
        steps = [self.weight_none, self.weight_chapter, self.weight_block]
        steps += [self.weight_category, *deep]
        for i in range(1, len(steps)):
            steps[i] = max(steps[i], steps[i - 1])
        return tuple(steps)

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that are switched on."""
        return tuple(p for p in PARTS if p == "outcome" or self.weight_of(p) != 0)

    def weight_of(self, part: str) -> float:
        """Weight of a part."""
        return getattr(self, f"weight_{part}")

    @property
    def outcome_bounds(self) -> tuple[float, float]:
        """Lowest and highest outcome before its weight, over all gold codes."""
        extra = self.weight_extra_pair * self.most_extra_pairs
        low = min(self.weight_malformed, self.weight_malformed + extra)
        low = min(low, self.weight_empty, self.weight_invalid, self.weight_none)
        if self.outcome == "prefix":
            return low, self.prefix_scale * _LONGEST_CODE
        return low, self.weight_full

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest total that any text can earn, over all gold codes."""
        low, high = (self.weight_outcome * value for value in self.outcome_bounds)
        for part in self.parts[1:]:
            least, most = PART_RANGES[part]
            low += self.weight_of(part) * least
            high += self.weight_of(part) * most
        return low, high

    def to_dict(self) -> dict:
        """All fields, as they go into a manifest."""
        return asdict(self)
