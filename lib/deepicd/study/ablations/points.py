"""A point of a grid: named parameters, checked and resolved to settings.

Names are those of `NAMES`, or a field of `SftSettings`, `GrpoSettings` or
`RewardSpec` behind ``sft.``, ``grpo.`` or ``reward.``.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from deepicd import rewards
from deepicd.common.errors import UserError
from deepicd.common.parameters import Parameter, checked, once, setting, unknown
from deepicd.training.grpo.settings import GrpoSettings
from deepicd.training.sft import SftSettings

#: Kind, default and meaning of every plain name.
NAMES = {
    "start": (
        Literal["study", "scratch"],
        "study",
        "study: the model of notebook 04; scratch: an own SFT",
    ),
    "seed": (int, 0, "of weights, order and sampling"),
    "style": (
        Literal["", "reasoning", "code_only", "answer_first"],
        "",
        "of the answers; empty: that of notebook 04",
    ),
    "base": (str, "", "model that SFT starts from; empty: random weights"),
    "lora_rank": (int, 0, "of SFT and GRPO; 0 trains all weights"),
    "traces": (float, 1.0, "as a share of those of notebook 04, or times as many"),
    "faults": (float, 0.0, "share of traces with a planted fault"),
    "filtered": (bool, False, "only traces that pass the checks again"),
    "history": (
        Literal["", "none", "codes", "titles"],
        "",
        "of earlier admissions in the notes; empty: as in notebook 01",
    ),
    "reward": (str, "tree", "name of the reward"),
    "completions": (int, 0, "of a GRPO step, shared out to groups; 0: grpo.prompts"),
    "threads": (int, 1, "that compute; another number trains another model"),
    "test_notes": (int, 0, "test notes to answer; 0: all"),
}
MOST_TRACES = 100  # times those of notebook 04; the corpus may hold fewer
SPACES = {"sft": SftSettings, "grpo": GrpoSettings, "reward": rewards.RewardSpec}
#: What an own SFT run depends on; meaningless with ``start: study``.
OF_SFT = ("style", "base", "traces", "faults", "filtered")
OF_GRPO = ("reward", "completions")


@dataclass(frozen=True)
class Point:
    """All settings of a point.

    Attributes
    ----------
    given : dict
        The names and values it was made from.
    plain : dict
        Every plain name with its value.
    sft : SftSettings
    grpo : GrpoSettings
        Of no use where its `steps` are 0: then the point ends with SFT.
    reward : RewardSpec
    """

    given: dict
    plain: dict
    sft: SftSettings
    grpo: GrpoSettings
    reward: rewards.RewardSpec

    @property
    def seed(self) -> int:
        return self.plain["seed"]

    def of(self, kind: str) -> dict:
        """Names and values that an SFT (``sft``) or GRPO run of it depends on."""
        own = self.plain["start"] == "scratch"
        spaces = ("sft.",) if kind == "sft" else ("grpo.", "reward.")
        spaces += ("sft.",) if own else ()
        plain = {
            name: value
            for name, value in self.plain.items()
            if (kind == "grpo" or name not in OF_GRPO)
            and (name != "history" or value)
            and (own or name not in OF_SFT or name == "style")
        }
        return plain | {k: v for k, v in self.given.items() if k.startswith(spaces)}


def grid(**axes: Iterable) -> list[dict]:
    """All combinations of the named values, as one dict a run.

    Examples
    --------
    >>> grid(reward=["tree", "flat"], seed=[0])
    [{'reward': 'tree', 'seed': 0}, {'reward': 'flat', 'seed': 0}]
    """
    names = list(axes)
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*axes.values())
    ]


def check_names(given: Mapping, where: str) -> None:
    """Refuse names that no run has, and values of another type.

    Raises
    ------
    UserError
        With the nearest known name.

    Examples
    --------
    >>> check_names({"grpo.group_size": 4, "reward": "flat"}, "a grid")
    """
    for name, value in given.items():
        space, _, field = name.rpartition(".")
        if space in SPACES:
            _check_field(space, field, value, where)
        elif name in NAMES:
            checked(Parameter(name, *NAMES[name]), value, where)
        else:
            raise _unknown(name, where)


def _check_field(space: str, field: str, value, where: str) -> None:
    known = settings_of(space)
    if field not in known:
        raise _unknown(f"{space}.{field}", where)
    checked(known[field], value, where)


def settings_of(space: str) -> dict[str, Parameter]:
    """Settings behind ``sft.``, ``grpo.`` or ``reward.`` that a grid may change."""
    if space == "reward":
        found = {
            name: Parameter(name, type(value).__name__, value)
            for name, value in rewards.get_spec().to_dict().items()
        }
    else:
        found = {one.name: setting(one) for one in dataclasses.fields(SPACES[space])}
    return {name: one for name, one in found.items() if name != "seed"}


def _unknown(name: str, where: str) -> UserError:
    known = [f"{space}.{one}" for space in SPACES for one in settings_of(space)]
    return unknown(f"{where}:", name, [*NAMES, *known])


def no_history(what: str) -> UserError:
    """What is wrong where a run is asked about history that its notes have not."""
    return UserError(
        f"{what} over notes without history",
        "a run whose notebook 01 knows the earlier stays of its patients",
        "./run_all.sh --from 01 --set history=codes",
    )


def resolve(given: Mapping, taught: Mapping) -> Point:
    """Settings of a point.

    Parameters
    ----------
    given : mapping
        Names and values.
    taught : mapping
        ``arguments.json`` of notebook 04: style, max_length, max_new_tokens.

    Raises
    ------
    UserError
        For a wrong name, type or choice.

    Examples
    --------
    >>> taught = {"style": "reasoning", "max_length": 512, "max_new_tokens": 96}
    >>> point = resolve({"reward": "flat", "grpo.steps": 30}, taught)
    >>> point.grpo.steps, point.grpo.max_prompt, point.reward.name
    (30, 416, 'flat')
    """
    check_names(given, "a run")
    if given.get("grpo.rft_steps"):
        raise UserError(
            "grpo.rft_steps in a grid",
            "0: the runs of a grid go from SFT straight to GRPO",
            "ask with notebook 05: ./run_all.sh --set rft_steps=N",
        )
    plain = {name: given.get(name, NAMES[name][1]) for name in NAMES}
    _check_shares(plain)
    if plain["start"] == "study":  # then nothing of these is used
        plain |= {name: NAMES[name][1] for name in OF_SFT}
    plain["style"] = plain["style"] or taught["style"]
    if not plain["faults"]:
        plain["filtered"] = False  # good traces pass anyway: the same run
    longest = taught["max_new_tokens"]
    own = {space: _of_space(given, space) for space in SPACES}
    weights = once({"style": plain["style"]}, own["reward"], "reward.")
    spec = rewards.get_spec(plain["reward"], **weights)
    limits = {"max_completion": longest, "max_prompt": taught["max_length"] - longest}
    return Point(
        dict(given),
        plain,
        _sft({"max_length": taught["max_length"]} | own["sft"], plain["seed"]),
        _grpo(limits | own["grpo"], plain),
        spec,
    )


def _of_space(given: Mapping, space: str) -> dict:
    start = f"{space}."
    return {k.removeprefix(start): v for k, v in given.items() if k.startswith(start)}


def _check_shares(plain: dict) -> None:
    for name, least, most in (("traces", 1e-9, MOST_TRACES), ("faults", 0.0, 1)):
        if not least <= plain[name] <= most:
            raise UserError(
                f"{name} {plain[name]}",
                f"a share of {most} at most",
                f"set {name} to 0.5 for a half",
            )


def _sft(own: dict, seed: int) -> SftSettings:
    steps = own.get("steps", SftSettings.steps)
    made = {
        "save_every": max(steps // 4, 1),
        "validate_every": 0,
        "seed": seed,
        "warmup_steps": min(SftSettings.warmup_steps, steps // 4),
    }
    return SftSettings(**made | own)


def _grpo(own: dict, plain: dict) -> GrpoSettings:
    steps = own.get("steps", GrpoSettings.steps)
    size = own.get("group_size", GrpoSettings.group_size)
    made = {
        "save_every": max(steps // 4, 1),
        "validate_every": max(steps // 3, 1),
        "seed": plain["seed"],
        "samples": 1,
    }
    if plain["completions"]:
        made["prompts"], rest = divmod(plain["completions"], size)
        if rest:
            raise UserError(
                f"{plain['completions']} completions in groups of {size}",
                "whole groups",
                "change completions or grpo.group_size",
            )
        if "prompts" in own:
            raise UserError(
                "completions and grpo.prompts",
                "one of them: completions are shared out to groups",
                "leave grpo.prompts out, or set completions to 0",
            )
    return GrpoSettings(**made | own)
