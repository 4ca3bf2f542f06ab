"""The named reward specs, and how to get one with changes."""

from dataclasses import fields, replace

from deepicd.rewards.checks import unknown_name
from deepicd.rewards.spec import RewardSpec


def _level(name: str, chapter: float, category: float) -> RewardSpec:
    """Pay one level only; the last tenth is kept for the exact code."""
    return RewardSpec(
        name=name,
        weight_chapter=chapter,
        weight_block=chapter,
        weight_category=category,
        weight_subcategory=category,
        weight_near=category,
    )


def _sapphire(name: str, wrong: float, loose: float, principal: float) -> RewardSpec:
    """DRG scheme on ICD-10-CM: category as principal part, chapter as the loose one."""
    return RewardSpec(
        name=name,
        weight_malformed=-2.0,
        weight_empty=-2.0,
        weight_invalid=-1.5,
        weight_none=wrong,
        weight_chapter=loose,
        weight_block=loose,
        weight_category=principal,
        weight_subcategory=principal,
        weight_near=principal,
        weight_full=2.0,
    )


#: The named specs.
SPECS: dict[str, RewardSpec] = {
    "tree": RewardSpec(),
    "flat": _level("flat", 0.0, 0.0),
    "chapter": _level("chapter", 0.9, 0.9),
    "category": _level("category", 0.0, 0.9),
    "prefix": RewardSpec(
        name="prefix",
        outcome="prefix",
        weight_malformed=-1.0,
        weight_empty=-5.0,
        weight_invalid=-1.0,
        weight_none=-1.0,
        weight_extra_pair=-1.0,
        weight_format=1.0,
    ),
    "sapphire_dense": _sapphire("sapphire_dense", -0.5, 0.5, 1.5),
    "sapphire_strict": _sapphire("sapphire_strict", 0.0, 0.0, 0.0),
}
SPECS["sapphire"] = SPECS["sapphire_dense"]


def get_spec(name: str = "tree", **overrides) -> RewardSpec:
    """Give a named spec, with some of its scalars replaced.

    Parameters
    ----------
    name : str
        One of `SPECS`.
    **overrides
        Fields of `RewardSpec`.

    Raises
    ------
    UserError
        For an unknown name, with the nearest known one.

    Examples
    --------
    >>> get_spec("flat").ladder[:4], get_spec("sapphire_dense").weight_full
    ((0.0, 0.0, 0.0, 0.0), 2.0)
    """
    if name not in SPECS:
        raise unknown_name("reward spec", name, list(SPECS))
    known = [item.name for item in fields(RewardSpec)]
    for key in overrides:
        if key not in known:
            raise unknown_name("reward setting", key, known)
    return replace(SPECS[name], **overrides)
