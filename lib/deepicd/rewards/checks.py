"""What a `RewardSpec` refuses, and how it says so."""

import difflib
import math

from deepicd.common.errors import UserError

#: Parts in the order of their columns. `outcome` is always there.
PARTS = (
    "outcome",
    "format",
    "validity",
    "evidence",
    "length",
    "repetition",
    "judge",
)
#: Range of each added part before its weight.
PART_RANGES = {
    "format": (0.0, 1.0),
    "validity": (0.0, 1.0),
    "evidence": (0.0, 1.0),
    "length": (-1.0, 0.0),
    "repetition": (-1.0, 0.0),
    "judge": (0.0, 1.0),
}


def unknown_name(what: str, name, known: list[str]) -> UserError:
    """Make the error for an unknown name, with the nearest known one."""
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else "choose one of these"
    return UserError(found=f"{what} {name!r}", expected=", ".join(known), do=hint)


def check_type(name: str, value, kind: type) -> None:
    """Refuse text, and true or false, where a number is due."""
    allowed = (int, float) if kind is float else kind
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise UserError(
            found=f"{value!r} ({type(value).__name__}) for reward setting {name!r}",
            expected=f"a value of type {kind.__name__}",
            do=_type_hint(value, kind),
        )
    if kind is float and not math.isfinite(value):
        raise UserError(f"{value} for {name!r}", "a finite number", "give a number")


def _type_hint(value, kind: type) -> str:
    if kind is str:
        return "give a text"
    if isinstance(value, str) and any(c.isdigit() for c in value):
        return "write the number without quotes (YAML needs 1.0e-5 for 1e-5)"
    return "write a number; 0 switches a part off"


def check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that is none of the known ones."""
    if value not in known:
        raise unknown_name(f"{name} of a reward spec", value, list(known))


def check_values(spec) -> None:
    """Refuse weights under which the exact code would not be the best answer."""
    for part in PARTS:
        if spec.weight_of(part) < 0:
            raise UserError(
                found=f"weight_{part} = {spec.weight_of(part)}",
                expected="0 or more (penalties are negative by themselves)",
                do=f"set weight_{part} to a number from 0 up",
            )
    best_wrong = max(spec.ladder[-1], spec.weight_near, spec.weight_invalid)
    if spec.outcome == "ladder" and spec.weight_full <= best_wrong:
        raise UserError(
            found=f"weight_full = {spec.weight_full}, a wrong code earns {best_wrong}",
            expected="the exact code to earn more than any other",
            do="raise weight_full or lower the other weights",
        )
    _check_limits(spec)


def _check_limits(spec) -> None:
    counts = ("max_characters", "length_limit", "repetition_words")
    if (
        min(getattr(spec, name) for name in counts) < 1
        or not 0 <= spec.length_start < 1
    ):
        raise UserError(
            found="a limit below 1, or length_start outside 0..1",
            expected=f"{', '.join(counts)} of at least 1, 0 <= length_start < 1",
            do="correct these settings",
        )
