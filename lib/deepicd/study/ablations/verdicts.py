"""Answers in words, written from the numbers of the runs."""

import pandas as pd

from deepicd.evaluation.systems import OVERALL
from deepicd.views.figures.palette import LEVEL_NAMES, look
from deepicd.views.in_words import signed


def tell(section, differences: pd.DataFrame, laws: pd.DataFrame) -> list[str]:
    """The answer of a section in sentences: in short, then what it rests on.

    Parameters
    ----------
    section : Section
    differences : DataFrame
        From `deepicd.study.ablations.comparison.differences`.
    laws : DataFrame
        From `comparison.law_table`; empty where the section has none.
    """
    return [
        _short(section, differences),
        _basis(differences),
        *map(tell_law, laws.itertuples()),
        _chance(differences),
    ]


def _short(section, table: pd.DataFrame) -> str:
    """Whose accuracy is clear of zero in the comparisons the section was made for."""
    rows = table[
        (table["comparison"] == section.compare)
        & (table["stratum"] == OVERALL)
        & (table["metric"] == "accuracy")
    ]
    other = "SFT alone"
    if section.compare == "against":
        # A section that was kept may have been asked with other variants.
        named = section.against in set(rows["b"]) or rows.empty
        against = section.against if named else rows["b"].iloc[0]
        rows, other = rows[rows["b"] == against], _name(against)
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


def _basis(table) -> str:
    seeds = table["seeds"].max()
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


def tell_law(law) -> str:
    """The fitted line of one level, a row of `comparison.law_table`, in a sentence."""
    name, when = LEVEL_NAMES[law.level], "after RL" if law.after else "before RL"
    text = (
        f"{name}: a doubling of the traces goes with {signed(law.slope)} points of "
        f"accuracy {when}"
    )
    if law.r2 != law.r2:  # nan: nothing varies
        return f"{name}: all runs score the same {when}, there is no law to see."
    if law.runs == 2:
        return text + " (two runs: a line through two points has no interval)."
    verdict = "" if law.clear else ", which holds zero: no slope is shown"
    few = " Three runs leave one degree of freedom: this says little."
    return (
        f"{text}, 95 % interval {signed(law.low)} to {signed(law.high)}{verdict}; "
        f"R² {law.r2:.2f} over {law.runs} runs of {law.sizes} sizes."
        f"{few * (law.runs == 3)}"
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
