"""`RewardSpec`: every credit, weight and switch of a reward, by name, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import deepicd.rewards.parts  # noqa: F401  registers them
from deepicd.common.errors import UserError
from deepicd.common.parameters import Parameter, checked, choice, unknown
from deepicd.rewards.registry import PARTS

__all__ = ["CREDIT", "OUTCOME", "SPECIAL", "SPECS", "RewardSpec", "get_spec"]

OUTCOME = "outcome"  # always there, the first column
#: Ways to pay an answer: `rewards.outcome.CREDITS`.
OUTCOMES = ("ladder", "prefix", "ordered", "ordered_quadratic", "severity")
STYLES = ("reasoning", "code_only", "answer_first")
#: Credit of a wrong code by the deepest level that it shares with the gold code;
#: `near` is what deeper levels approach, `full` that of the exact code.
CREDIT = {
    "none": 0.0,
    "chapter": 0.1,
    "block": 0.2,
    "category": 0.4,
    "subcategory": 0.5,
    "near": 0.58,
    "full": 1.0,
}
_LONGEST_CODE = 7
_DEEPER = 5  # levels below the subcategory that a wrong code may share
_WEIGHT = "weight_"


@dataclass(frozen=True, eq=False)
class RewardSpec:
    """A reward, fully described by scalars.

    The outcome is read from a ladder: how many levels the answer shares with the
    gold code. A step that is set below the one before it counts as that one, so
    credit never falls with depth. Added parts are switched by their weight.

    Attributes
    ----------
    name : str
        Shown in tables.
    outcome : {"ladder", "prefix", "ordered", "ordered_quadratic", "severity"}
        `prefix` pays by shared leading characters, as DeepICD-R1 was run; `ordered`
        by how far the answer is off, for labels that have an order; `severity` pays
        the principal part and the severity of a DRG apart.
    style : {"reasoning", "code_only", "answer_first"}
        Structure that counts as well-formed.
    credit : mapping of str to float
        Outcome of a readable code, by shared level; see `CREDIT`.
    weights : mapping of str to float
        Weight of each added part that is switched on (`registry.PARTS`).
    weight_outcome : float
        Weight of the outcome among the parts.
    weight_malformed, weight_empty, weight_invalid : float
        Outcome of a broken structure, an empty text, an answer that is no code.
    weight_extra_pair : float
        Added for each answer beyond the first in a malformed text.
    most_extra_pairs : int
        No more than so many are counted, which bounds the reward.
    prefix_scale : float
        Factor of the `prefix` outcome.
    max_characters : int
        A longer completion counts as malformed.
    length_limit, length_start : int, float
        Characters at which the length penalty is full; share at which it begins.
    repetition_words : int
        Length, in words, of the runs that count as repeated.
    least_quotes : int
        Quotes that the part `unfounded` looks for; 1 at least.
    judge_url, judge_model, judge_seconds : str, str, float
        OpenAI-compatible engine on this machine, its model, time limit of a request.
    verifier : str
        Folder of the process verifier (``08_verify_and_rank/process/model``) that pays
        the part `process`.

    Examples
    --------
    >>> spec = get_spec("tree", weight_evidence=0.1)
    >>> spec.parts, spec.bounds
    (('outcome', 'evidence'), (-0.5, 1.1))
    """

    name: str = "tree"
    outcome: str = "ladder"
    style: str = "reasoning"
    credit: Mapping[str, float] = field(default_factory=lambda: dict(CREDIT))
    weights: Mapping[str, float] = field(default_factory=dict)
    weight_outcome: float = 1.0
    weight_malformed: float = -0.5
    weight_empty: float = -0.5
    weight_invalid: float = -0.2
    weight_extra_pair: float = 0.0
    most_extra_pairs: int = 10
    prefix_scale: float = 15.0
    max_characters: int = 50_000
    length_limit: int = 4_000
    length_start: float = 0.8
    repetition_words: int = 4
    least_quotes: int = 1
    judge_url: str = "http://127.0.0.1:8000/v1"
    judge_model: str = "judge"
    judge_seconds: float = 60.0
    verifier: str = ""

    def __post_init__(self):
        for given, known in ((self.credit, CREDIT), (self.weights, PARTS)):
            for name in given:
                if name not in known:
                    raise unknown("reward setting", _WEIGHT + name, known)
        kinds = {item.name: item.type for item in fields(self)}
        for name, value in self.to_dict().items():
            default = getattr(type(self), name, 0.0)
            setting = Parameter(name, kinds.get(name, float), default)
            checked(setting, value, "the reward")
        choice("outcome", self.outcome, OUTCOMES)
        choice("style", self.style, STYLES)
        _check_values(self)

    def __eq__(self, other) -> bool:
        return isinstance(other, RewardSpec) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(tuple(self.to_dict().items()))

    @cached_property
    def ladder(self) -> tuple[float, ...]:
        """Outcome by number of shared levels, 0 to 3, then 4, 5, ... (wrong codes).

        Examples
        --------
        >>> [round(step, 3) for step in get_spec("tree").ladder]
        [0.0, 0.1, 0.2, 0.4, 0.5, 0.54, 0.56, 0.57, 0.575]
        """
        *steps, first, near, _ = (self.credit[level] for level in CREDIT)
        steps += [near - (near - first) * 0.5**step for step in range(_DEEPER)]
        for i in range(1, len(steps)):
            steps[i] = max(steps[i], steps[i - 1])
        return tuple(steps)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that are switched on."""
        return (OUTCOME, *(name for name in PARTS if self.weights.get(name)))

    def weight_of(self, part: str) -> float:
        """Weight of a part."""
        return self.weight_outcome if part == OUTCOME else self.weights.get(part, 0.0)

    def needs(self, what: str) -> bool:
        """Whether a part that is switched on reads the "note" or the "think"."""
        return any(what in PARTS[name].needs for name in self.parts[1:])

    @property
    def outcome_bounds(self) -> tuple[float, float]:
        """Lowest and highest outcome before its weight, over all gold codes."""
        extra = self.weight_extra_pair * self.most_extra_pairs
        low = min(self.weight_malformed, self.weight_malformed + extra)
        low = min(low, self.weight_empty, self.weight_invalid, self.credit["none"])
        if self.outcome == "prefix":
            return low, self.prefix_scale * _LONGEST_CODE
        return low, self.credit["full"]

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest total that any text can earn, over all gold codes."""
        low, high = (self.weight_outcome * value for value in self.outcome_bounds)
        for name in self.parts[1:]:
            low += self.weight_of(name) * PARTS[name].low
            high += self.weight_of(name) * PARTS[name].high
        return low, high

    def to_dict(self) -> dict:
        """All settings by the names that `get_spec` takes, as in a manifest."""
        found = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "credit":
                value = {_WEIGHT + level: paid for level, paid in value.items()}
            elif item.name == "weights":
                value = {_WEIGHT + name: value.get(name, 0.0) for name in PARTS}
            found |= value if isinstance(value, dict) else {item.name: value}
        return found


def _check_values(spec: RewardSpec) -> None:
    """Refuse weights under which the exact code would not be the best answer."""
    for name in (OUTCOME, *PARTS):
        if spec.weight_of(name) < 0:
            raise UserError(
                found=f"weight_{name} = {spec.weight_of(name)}",
                expected="0 or more (penalties are negative by themselves)",
                do=f"set weight_{name} to a number from 0 up",
            )
    full = spec.credit["full"]
    best_wrong = max(spec.ladder[-1], spec.credit["near"], spec.weight_invalid)
    if spec.outcome.startswith("ordered"):
        best_wrong = max(spec.credit["none"], spec.weight_invalid)
    if spec.outcome != "prefix" and full <= best_wrong:
        raise UserError(
            found=f"weight_full = {full}, a wrong code earns {best_wrong}",
            expected="the exact code to earn more than any other",
            do="raise weight_full or lower the other weights",
        )
    counts = ("max_characters", "length_limit", "repetition_words", "least_quotes")
    least = min(getattr(spec, name) for name in counts)
    if least < 1 or not 0 <= spec.length_start < 1:
        raise UserError(
            found="a limit below 1, or length_start outside 0..1",
            expected=f"{', '.join(counts)} of at least 1, 0 <= length_start < 1",
            do="correct these settings",
        )


def _level(name: str, chapter: float, category: float) -> RewardSpec:
    """Pay one level only; the last tenth is kept for the exact code."""
    own = {"chapter": chapter, "block": chapter, "near": category}
    own |= {"category": category, "subcategory": category}
    return RewardSpec(name, credit=CREDIT | own)


def _sapphire(name: str, wrong: float, loose: float, principal: float) -> RewardSpec:
    """DRG scheme on ICD-10-CM: category as principal part, chapter as the loose one."""
    own = {"none": wrong, "chapter": loose, "block": loose, "category": principal}
    own |= {"subcategory": principal, "near": principal, "full": 2.0}
    return RewardSpec(
        name,
        credit=CREDIT | own,
        weight_malformed=-2.0,
        weight_empty=-2.0,
        weight_invalid=-1.5,
    )


#: The named specs.
SPECS: dict[str, RewardSpec] = {
    "tree": RewardSpec(),
    "flat": _level("flat", 0.0, 0.0),
    "chapter": _level("chapter", 0.9, 0.9),
    "category": _level("category", 0.0, 0.9),
    "prefix": RewardSpec(
        "prefix",
        "prefix",
        credit=CREDIT | {"none": -1.0},
        weights={"format": 1.0},
        weight_malformed=-1.0,
        weight_empty=-5.0,
        weight_invalid=-1.0,
        weight_extra_pair=-1.0,
    ),
    "sapphire_dense": _sapphire("sapphire_dense", -0.5, 0.5, 1.5),
    "sapphire_strict": _sapphire("sapphire_strict", 0.0, 0.0, 0.0),
}
SPECS["sapphire"] = SPECS["sapphire_dense"]
#: Named specs for labels that have an order, or a severity.
SPECIAL: dict[str, RewardSpec] = {
    "ordered": RewardSpec("ordered", "ordered"),
    "ordered_quadratic": RewardSpec("ordered_quadratic", "ordered_quadratic"),
    "drg_dense": replace(SPECS["sapphire_dense"], name="drg_dense", outcome="severity"),
    "drg_strict": replace(SPECS["sapphire_strict"], name="drg_strict"),
}


def get_spec(name: str = "tree", **overrides) -> RewardSpec:
    """Give a named spec, with some of its scalars replaced.

    Parameters
    ----------
    name : str
        One of `SPECS`, which every task can use, or of `SPECIAL`.
    **overrides
        Scalar fields of `RewardSpec`; ``weight_<level>`` for a credit;
        ``weight_<part>`` for a part.

    Raises
    ------
    UserError
        For an unknown name, with the nearest known one.

    Examples
    --------
    >>> get_spec("flat").ladder[:4], get_spec("sapphire_dense").credit["full"]
    ((0.0, 0.0, 0.0, 0.0), 2.0)
    """
    known = SPECS | SPECIAL
    if name not in known:
        raise unknown("reward spec", name, known)
    settings = known[name].to_dict()
    for key in overrides:
        if key not in settings:
            raise unknown("reward setting", key, settings)
    return spec_of(settings | overrides)


def spec_of(settings: Mapping) -> RewardSpec:
    """The spec of settings by name, such as `RewardSpec.to_dict` gives them."""
    rest = dict(settings)
    credit = {level: rest.pop(_WEIGHT + level) for level in CREDIT}
    weights = {name: rest.pop(_WEIGHT + name, 0.0) for name in PARTS}
    return RewardSpec(credit=credit, weights=weights, **rest)
