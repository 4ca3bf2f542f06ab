"""The questions of notebook 07 as data: sections, their variants, their points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from deepicd.common.errors import UserError
from deepicd.common.parameters import choice, unknown
from deepicd.study.ablations.points import OF_SFT, check_names, grid, no_history
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task

DATA_FILES = ("grids.yaml",)
GRIDS = Path(__file__).with_name("grids.yaml")
SCOPES = ("quick", "full")


@dataclass(frozen=True)
class Section:
    """A question and the runs that answer it.

    Attributes
    ----------
    name, letter, title, question, change : str
        `change`: what would change the answer.
    variants : dict of name to dict
        Parameters of each variant, base included, without the seed.
    against : str
        Variant that the others are compared with.
    pairs : tuple of (str, str)
        Further comparisons of variants, first minus second.
    seeds : tuple of int
    compare : {"against", "gain"}
        Variants with `against`, or each with the SFT model it started from.
    law, curves : bool
        Whether the law of the SFT size, and curves of training, are drawn.
    runs : bool
        Whether the runs belong to the chosen scope; otherwise only the plan is told.
    scope : str
        What `variants` and `seeds` are those of.
    """

    name: str
    letter: str
    title: str
    question: str
    change: str
    variants: dict = field(hash=False)
    against: str
    pairs: tuple[tuple[str, str], ...]
    seeds: tuple[int, ...]
    compare: str = "against"
    law: bool = False
    curves: bool = False
    runs: bool = True
    scope: str = "full"

    def points(self) -> list[tuple[str, dict]]:
        """Variant and parameters of every run; seeds outermost.

        A grid that is stopped half-way then holds whole comparisons of some seeds.
        """
        return [
            (name, given | {"seed": seed})
            for seed in self.seeds
            for name, given in self.variants.items()
        ]


@dataclass(frozen=True)
class Changes:
    """What a caller sets for all sections; empty or 0 leaves a section's own.

    Attributes
    ----------
    seeds : sequence of int
    steps : int
        Of GRPO, where a variant has any.
    rewards : sequence of str
        Variants of the section on rewards.
    options : mapping
        Parameters of every run.
    variants : sequence of str
        Those that are run in the sections that have any of them.
    """

    seeds: Sequence[int] = ()
    steps: int = 0
    rewards: Sequence[str] = ()
    options: Mapping = field(default_factory=dict)
    variants: Sequence[str] = ()


def load_sections(
    scope: str = "quick",
    chosen: Sequence[str] = (),
    changes: Changes | None = None,
    own: Mapping | None = None,
    task: Task = PRINCIPAL_DIAGNOSIS,
    history: Mapping | None = None,
) -> dict[str, Section]:
    """The sections of notebook 07.

    Parameters
    ----------
    scope : {"quick", "full"}
    chosen : sequence of str
        Names or letters of sections to run; empty: all that the scope has. A chosen
        section that `quick` does not have is run with the runs of `full`.
    changes : Changes, optional
    own : mapping of name to list of values, optional
        An own question, as section ``own``: every combination. Where there is one,
        only chosen sections are run beside it.
    task : Task
        What the runs ask. Another one's reward takes the place of the tree's, and
        joins those of the section on rewards; questions about the ICD-10-CM tables
        are not run.
    history : mapping, optional
        Of the run (`RunFolder.history`); without it the section on earlier admissions
        is not run.

    Returns
    -------
    dict of name to Section
        All of them, whether they run or not.

    Raises
    ------
    UserError
        For unknown scopes, sections and parameter names, before anything runs.

    Examples
    --------
    >>> found = load_sections("quick")
    >>> [name for name, section in found.items() if section.runs]
    ['reward']
    >>> len(load_sections("full")["reward"].points())
    35
    """
    choice("ablation", scope, SCOPES)
    changes = changes or Changes()
    check_names(changes.options, "ablation_options")
    content = yaml.safe_load(GRIDS.read_text(encoding="utf-8"))
    _check_chosen(chosen, content["sections"])
    content["base"]["reward"] = task.reward
    _with_reward(content["sections"]["reward"], task.reward)
    known = [v for raw in content["sections"].values() for v in raw["variants"]]
    for name in changes.variants:
        if name not in known:
            raise unknown("variant", name, known)
    found = {}
    for name, raw in content["sections"].items():
        wanted = name in chosen or raw["letter"] in chosen
        runs = wanted or (scope in raw and not chosen and not own)
        runs &= task.tabular or name != "catalogue"
        runs &= bool(history) or name != "history"
        if wanted and name == "history" and not history:
            raise no_history(f"section {raw['letter']}")
        used = scope if scope in raw else "full"
        found[name] = _section(name, raw, content["base"], used, changes, runs)
    if own:
        found["own"] = _own(own, content["base"], changes)
    return found


def _with_reward(section: dict, reward: str) -> None:
    """Add a reward to those that the section on rewards compares."""
    section["variants"].setdefault(reward, {"reward": reward})
    for scope in SCOPES:
        named = section[scope].get("variants")
        if named is not None and reward not in named:
            named.append(reward)


def _check_chosen(chosen, raw) -> None:
    letters = {section["letter"]: name for name, section in raw.items()}
    for name in chosen:
        if name not in raw and name not in letters:
            known = [f"{v} ({k})" for k, v in letters.items()]
            raise UserError(
                f"section {name!r}",
                "one of " + ", ".join(known),
                "correct ablation_sections",
            )


def _section(name, raw, base, used, changes: Changes, runs: bool) -> Section:
    scope = raw[used]
    variants = {v: raw["variants"][v] for v in scope.get("variants", raw["variants"])}
    against = raw["against"]
    if name == "reward" and changes.rewards:
        variants = {r: raw["variants"].get(r, {"reward": r}) for r in changes.rewards}
        against = against if against in variants else next(iter(variants))
    if chosen := {v: variants[v] for v in variants if v in changes.variants}:
        variants = chosen
        against = against if against in variants else next(iter(variants))
    shared = base | scope.get("base", {})
    pairs = tuple((a, b) for a, b in raw.get("pairs", ()) if {a, b} <= set(variants))
    return Section(
        name,
        raw["letter"],
        raw["title"],
        raw["question"],
        raw["change"],
        _with_base(variants, shared, changes, f"section {name}", runs),
        against,
        pairs,
        tuple(changes.seeds or scope["seeds"]),
        raw["compare"],
        raw.get("law", False),
        raw.get("curves", False),
        runs,
        used,
    )


def _with_base(
    variants, shared, changes: Changes, where: str, runs: bool = True
) -> dict[str, dict]:
    shared = shared | dict(changes.options)
    if changes.steps and shared.get("grpo.steps"):
        shared = shared | {"grpo.steps": changes.steps}
    found = {}
    for name, own in variants.items():
        check_names(shared | own, f"{where}, {name}")
        mute = [n for n in own if n in OF_SFT or n.startswith("sft.")]
        start = own.get("start", shared["start"])
        if runs and start == "study" and mute:
            raise UserError(
                f"{where}: {mute[0]} varies while every run starts from notebook 04",
                "runs with an SFT of their own",
                'set "start" to "scratch" in ablation_options',
            )
        found[name] = shared | own
    return found


def _own(own: Mapping, base: Mapping, changes: Changes) -> Section:
    """An own question: every combination of the named values."""
    bad = [name for name, values in own.items() if not isinstance(values, list)]
    if bad or "seed" in own:
        raise UserError(
            f"ablation_grid: {bad[0] if bad else 'seed'}",
            'a list of values for each name, such as {"reward": ["tree", "flat"]}',
            "write a list" if bad else "set ablation_seeds",
        )
    of_sft = any(n in (*OF_SFT, "history") or n.startswith("sft.") for n in own)
    shared = dict(base) | {
        "start": "scratch" if of_sft else "study",
        "grpo.steps": 20,
        "sft.steps": 120,
        "test_notes": 400,
    }
    variants = {
        ", ".join(f"{n.rpartition('.')[2]} {v}" for n, v in one.items()): one
        for one in grid(**own)
    }
    return Section(
        "own",
        "own",
        "An own question",
        "What does it change to set " + ", ".join(own) + "?",
        "More seeds and more steps.",
        _with_base(variants, shared, changes, "ablation_grid"),
        next(iter(variants)),
        (),
        tuple(changes.seeds or (0,)),
        curves=True,
        scope="own",
    )
