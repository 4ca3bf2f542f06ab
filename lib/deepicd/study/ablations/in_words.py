"""Answers in words, written from the numbers of the runs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from deepicd.evaluation.systems import OVERALL
from deepicd.study.ablations.comparison import Law
from deepicd.views.figures.palette import LEVEL_NAMES, METRIC_NAMES, look
from deepicd.views.in_words import points, signed


@dataclass(frozen=True)
class Answer:
    """What the runs of a section say, and what they do not.

    Attributes
    ----------
    short : str
        Whose accuracy is clear of zero.
    facts : sequence of str
        Notes and seeds, fitted lines, code frequency, how many would be clear by
        chance.
    pairs : sequence of str
        Every comparison in numbers.
    """

    short: str
    facts: Sequence[str]
    pairs: Sequence[str]

    def lines(self) -> list[str]:
        return [self.short, *self.facts, *self.pairs]

    def markdown(self, mark: str = "") -> str:
        """As Markdown; the numbers of every comparison are folded.

        Examples
        --------
        >>> print(Answer("In short, none.", ["5 seeds."], []).markdown("Mine: "))
        **Mine: In short, none.**
        <BLANKLINE>
        - 5 seeds.
        """
        text = [f"**{mark}{self.short}**", "", *(f"- {one}" for one in self.facts)]
        if self.pairs:
            text += [
                "",
                "<details><summary>Every comparison in numbers</summary>",
                "",
                *(f"- {one}" for one in self.pairs),
                "",
                "</details>",
            ]
        return "\n".join(text)


def tell(section, differences: pd.DataFrame, laws: dict) -> Answer:
    """The answer of a section.

    Parameters
    ----------
    section : Section
    differences : DataFrame
        From `deepicd.study.ablations.comparison.differences`.
    laws : dict of level to Law
        Empty where the section has none.
    """
    facts = [_basis(section, differences)]
    facts += [tell_law(level, law) for level, law in laws.items()]
    if laws:
        facts.append(_where_it_stops(section, differences))
    facts += [*_by_stratum(differences), _chance(differences)]
    pairs = []
    kinds = ["gain", "against"] if section.compare == "gain" else ["against", "gain"]
    for kind in kinds:
        rows = differences[differences["comparison"] == kind]
        overall = rows[rows["stratum"] == OVERALL]
        pairs += [_pair(pair) for _, pair in overall.groupby(["a", "b"], sort=False)]
    return Answer(_short(section, differences), facts, pairs)


def _short(section, table: pd.DataFrame) -> str:
    """Whose accuracy is clear of zero in the comparisons the section was made for."""
    rows = table[
        (table["comparison"] == section.compare)
        & (table["stratum"] == OVERALL)
        & (table["metric"] == "accuracy")
    ]
    other = "SFT alone"
    if section.compare == "against":
        rows, other = rows[rows["b"] == section.against], _name(section.against)
    parts = []
    for level, own in rows.groupby("level", sort=False):
        words = {
            "better": own.loc[own["clear"] & (own["value"] > 0), "a"],
            "worse": own.loc[own["clear"] & (own["value"] < 0), "a"],
        }
        found = [
            f"{word} with {', '.join(map(_listed, names))}"
            for word, names in words.items()
            if len(names)
        ]
        parts.append(
            f"{LEVEL_NAMES[level]}: " + ("; ".join(found) or "no difference is shown")
        )
    return f"In short, accuracy against {other}. " + ". ".join(parts) + "."


def _basis(section, table) -> str:
    seeds = len(section.seeds)
    text = (
        f"{table['n'].max():,} test notes of {table['patients'].max():,} patients, "
        f"{seeds} seed{'s' if seeds > 1 else ''}; points are per cent, intervals "
        "95 % by bootstrap over patients"
    )
    return text + (
        " and seeds."
        if seeds > 1
        else "; with one seed they leave out the chance of training."
    )


def _pair(rows: pd.DataFrame) -> str:
    """All scores of one comparison, and how many exclude zero."""
    first = rows.iloc[0]
    parts = []
    for metric, own in rows.groupby("metric", sort=False):
        cells = [
            f"{LEVEL_NAMES[r.level].lower()} {points(r)}" for r in own.itertuples()
        ]
        parts.append(f"{METRIC_NAMES[metric]}: " + ", ".join(cells))
    text = f"{versus(first['a'], first['b'])}, " + "; ".join(parts)
    clear = rows[rows["clear"]]
    if clear.empty:
        return text + ". Not significant: every interval holds zero."
    named = ", ".join(
        f"{METRIC_NAMES[r.metric]} of the {LEVEL_NAMES[r.level].lower()} "
        f"({'better' if r.value > 0 else 'worse'})"
        for r in clear.itertuples()
    )
    rest = len(rows) - len(clear)
    others = {0: "", 1: " The other one holds zero."}
    tail = others.get(rest, f" The other {rest} hold zero.")
    return f"{text}. Intervals that exclude zero: {named}.{tail}"


def _name(system: str) -> str:
    return look(system).name


def _listed(system: str) -> str:
    """Its name between others: in quotes where it holds a comma."""
    name = _name(system)
    return f'"{name}"' if "," in name else name


def versus(a: str, b: str) -> str:
    """A comparison in words.

    Examples
    --------
    >>> versus("tree", "flat"), versus("1/4 of the traces", "1/4 of the traces, SFT")
    ('tree minus flat', '1/4 of the traces, after RL minus before')
    """
    if b == f"{a}, SFT":
        return f"{_name(a)}, after RL minus before"
    return f"{_name(a)} minus {_name(b)}"


def _by_stratum(differences: pd.DataFrame) -> list[str]:
    """Which bands of code frequency show a difference in accuracy."""
    rows = differences[differences["stratum"] != OVERALL]
    if rows.empty:
        return []
    bands = rows.groupby("stratum", sort=False)["n"].max()
    parts, none = [], []
    for (a, b), own in rows.groupby(["a", "b"], sort=False):
        clear = own[own["clear"]]
        cells = [
            f"{LEVEL_NAMES[r.level].lower()} in {r.stratum} {points(r)}"
            for r in clear.itertuples()
        ]
        if cells:
            parts.append(f"{versus(a, b)}: {', '.join(cells)}")
        else:
            none.append(versus(a, b))
    parts += [f"none for {', '.join(none)}"] * bool(none)
    sizes = ", ".join(f"{band} n = {n:,}" for band, n in bands.items())
    return [
        "Accuracy intervals that exclude zero, by training frequency of the code "
        f"({sizes}): {'; '.join(parts)}."
    ]


def tell_law(level: str, law: Law) -> str:
    """The fitted line of one level in a sentence."""
    text = (
        f"{LEVEL_NAMES[level]}: a doubling of the traces goes with "
        f"{signed(law.slope)} points of accuracy after RL"
    )
    if not law.r2 == law.r2:  # nan: nothing varies
        return f"{LEVEL_NAMES[level]}: all runs score the same, there is no law to see."
    if law.runs == 2:
        return text + " (two runs: a line through two points has no interval)."
    verdict = "" if law.clear else ", which holds zero: no slope is shown"
    few = " Three runs leave one degree of freedom: this says little."
    return (
        f"{text}, 95 % interval {signed(law.low)} to {signed(law.high)}"
        f"{verdict}; R² {law.r2:.2f} over {law.runs} runs, {law.r2_means:.2f} over "
        f"the means of {law.sizes} sizes.{few * (law.runs == 3)}"
    )


def _where_it_stops(section, differences: pd.DataFrame) -> str:
    """Sizes at which RL pays, by the gain of full-code accuracy."""
    rows = differences[
        (differences["comparison"] == "gain")
        & (differences["stratum"] == OVERALL)
        & (differences["metric"] == "accuracy")
    ]
    said = []
    for level in ("category", "full"):
        own = rows[rows["level"] == level]
        pays = [_name(r.a) for r in own.itertuples() if r.clear and r.value > 0]
        harms = [_name(r.a) for r in own.itertuples() if r.clear and r.value < 0]
        text = f"{LEVEL_NAMES[level].lower()}: " + (
            "RL pays at " + ", ".join(pays)
            if pays
            else "RL is not shown to pay at any size"
        )
        said.append(text + (f", and harms at {', '.join(harms)}" if harms else ""))
    return "Where RL pays (the paired gain over SFT excludes zero): " + (
        "; ".join(said) + "."
    )


def _chance(differences: pd.DataFrame) -> str:
    clear = differences["clear"].sum()
    return (
        f"In all, {clear} of {len(differences)} intervals exclude zero; about "
        f"{len(differences) / 20:.0f} would by chance alone if nothing differed "
        "(they are not corrected for their number)."
    )


def tell_plan(plan: pd.DataFrame, workers: int) -> str:
    """Runs new, interrupted and reused, and how long they will take."""
    count = plan["state"].value_counts()
    new, torn, old, kept = (
        int(count.get(s, 0)) for s in ("new", "interrupted", "finished", "kept")
    )
    parts = [
        f"{new} new",
        f"{torn} to go on from a checkpoint" * (torn > 0),
        f"{old} finished and reused" * (old > 0),
        f"{kept} taken from the reference kept in outputs/reference" * (kept > 0),
    ]
    text = f"{len(plan)} runs: {', '.join(part for part in parts if part)}; "
    if not new + torn:
        return text + "nothing to do."
    minutes = plan["minutes"].sum() / workers
    time = f"about {minutes:.0f} minute{'s' if round(minutes) != 1 else ''}"
    if minutes < 1:
        time = "less than a minute"
    side = f", {workers} side by side" if workers > 1 else ""
    return f"{text}{time}{side} ({plan['basis'].iloc[0]})."
