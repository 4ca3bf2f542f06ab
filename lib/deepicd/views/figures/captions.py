"""Captions written from the numbers a figure draws."""

from collections.abc import Callable

import pandas as pd

from deepicd.tasks.known import coarse_and_finest, node_name, top_levels
from deepicd.views.figures.palette import LEVEL_NAMES, METRIC_NAMES, in_order, look
from deepicd.views.figures.verifying import RULES
from deepicd.views.in_words import per_cent, points

BARS = "95 % intervals by bootstrap over patients"


def caption(kind: str, frame: pd.DataFrame, **more) -> str:
    """Say in a sentence or two what a figure shows, with its numbers.

    Parameters
    ----------
    kind : str
        Name of the figure's plot function without "plot_".
    frame : pandas.DataFrame
        What that function draws.
    more : dict
        Systems a and b for chapters; system for icicle and confusion.

    Examples
    --------
    >>> frame = pd.DataFrame({"system": ["sft", "sft"], "outcome": ["exact", "wrong"],
    ...                       "share": [0.75, 0.25], "n": [3, 1]})
    >>> caption("outcomes", frame)
    'What became of 4 notes. Exact code: SFT 75.0 %. Malformed: SFT 0.0 %.'
    """
    return writer(kind)(frame, **more)


def writer(kind: str) -> Callable[..., str]:
    """The function that writes a kind of caption; one that writes none if unknown.

    Examples
    --------
    >>> writer("tree")(pd.DataFrame())
    ''
    """
    return _WRITERS.get(kind, lambda frame: "")


def _cent(value: float) -> str:
    return f"{100 * value:.1f}"


def _names(frame) -> list[tuple[str, str]]:
    systems = in_order(frame["system"])
    return [(s, look(s, systems).name) for s in systems]


def _zoomed(frame, metric: str = "accuracy") -> tuple[str, pd.DataFrame]:
    """The level that figures zoom out to, and its rows of a metric."""
    level, _ = coarse_and_finest(frame["level"])
    return level, frame[(frame["metric"] == metric) & (frame["level"] == level)]


def _finest(frame) -> tuple[str, pd.DataFrame]:
    """The level of the label itself, and its rows."""
    _, level = coarse_and_finest(frame["level"])
    return level, frame[frame["level"] == level]


def _levels(frame) -> str:
    level, rows = _zoomed(frame)
    said = [
        f"{name} {per_cent(row, ' %')}"
        for s, name in _names(rows)
        for row in rows[rows["system"] == s].head(1).itertuples()
    ]
    return (
        f"Accuracy (full marks) and macro F1 (hollow) on {frame['n'].max():,} "
        f"notes with {BARS}. Accuracy of the {LEVEL_NAMES[level].lower()}: "
        f"{'; '.join(said)}."
    )


def _outcomes(frame) -> str:
    total = frame.groupby("system")["n"].sum().max()
    shares = (
        frame.pivot_table(
            index="system", columns="outcome", values="share", aggfunc="sum"
        )
        .reindex(columns=["exact", "malformed"])
        .fillna(0.0)
    )
    said = [
        "; ".join(
            f"{name} {_cent(shares.loc[s, outcome])} %" for s, name in _names(frame)
        )
        for outcome in shares.columns
    ]
    return (
        f"What became of {total:,.0f} notes. Exact code: {said[0]}. "
        f"Malformed: {said[1]}."
    )


def _differences(frame) -> str:
    said = [
        f"{look(r.a).name} minus {look(r.b).name}, {LEVEL_NAMES[r.level].lower()} "
        f"{METRIC_NAMES.get(r.metric, r.metric)}: {points(r)}"
        for r in _finest(frame)[1].itertuples()
    ]
    clear = frame["clear"].sum()
    return (
        f"Paired differences on {frame['n'].max():,} notes, {BARS}; {clear} "
        f"of {len(frame)} intervals exclude zero. In points: {'; '.join(said)}."
    )


def _frequency(frame) -> str:
    rare = frame[frame["train_n"] < 10]
    said = [
        f"{name} {rare.loc[rare['system'] == s, 'f1'].mean():.2f}"
        for s, name in _names(rare)
    ]
    codes = frame["code"].nunique()
    text = (
        f"F1 of each of {codes:,} codes against its training notes; shading: "
        "number of codes, lines: means of groups of equally many codes with 95 % "
        "intervals."
    )
    if not len(rare):
        return f"{text} No code has fewer than 10."
    return (
        f"{text} Mean F1 of the {rare['code'].nunique()} codes with fewer than 10 "
        f"training notes: {'; '.join(said)}."
    )


def _subgroups(frame) -> str:
    level, rows = _zoomed(frame)
    # Bands and nodes of the space have figures of their own.
    others = ("frequency", "note length", *top_levels())
    groups = rows[~rows["stratum"].str.split(":").str[0].isin(others)]
    said = []
    for s, name in _names(groups):
        own = groups[groups["system"] == s].reset_index()
        low, high = own.loc[own["value"].idxmin()], own.loc[own["value"].idxmax()]
        said.append(
            f"{name} {_cent(low['value'])} % ({low['stratum']}) to "
            f"{_cent(high['value'])} % ({high['stratum']})"
        )
    return (
        f"{LEVEL_NAMES[level]} accuracy by stratum, {rows['n'].min():,} notes or "
        f"more in each, {BARS}. Lowest and highest subgroup of patients: "
        f"{'; '.join(said)}. Whether such a gap is more than chance: figure `gaps`."
    )


def _gaps(frame) -> str:
    level, rows = _zoomed(frame)
    said = []
    for s, name in _names(rows):
        own = rows[rows["system"] == s].reset_index()
        top = own.loc[own["p_holm"].idxmin()]
        said.append(
            f"{name} {_cent(top['gap'])} points by {top['kind']} ({top['best']} over "
            f"{top['worst']}; p = {top['p_holm']:.2g}{_mix(top['p_mix_holm'])})"
        )
    return (
        f"{LEVEL_NAMES[level]} accuracy: largest gap between groups of patients, "
        f"{BARS}, with the gaps that 95 of 100 deals of the groups among patients do "
        f"not exceed. Least likely by chance: {'; '.join(said)}; corrected for the "
        f"{rows['kind'].nunique()} kinds of groups (Holm)."
    )


def _mix(p: float) -> str:
    return f", within chapters {p:.2g}" if p == p else ""


def _note_length(frame) -> str:
    level, rows = _finest(frame)
    said = []
    for s, name in _names(rows):
        own = rows[rows["system"] == s].sort_values("words")
        said.append(
            f"{name} {_cent(own['value'].iloc[0])} % to "
            f"{_cent(own['value'].iloc[-1])} %"
        )
    return (
        f"Accuracy from the shortest notes ({rows['words'].min():.0f} words) to "
        f"the longest ({rows['words'].max():.0f}), {BARS}. {LEVEL_NAMES[level]}, "
        f"first to last group: {'; '.join(said)}."
    )


def _confusion(frame, system: str) -> str:
    off = frame[(frame["gold"] != frame["predicted"]) & (frame["predicted"] != "none")]
    node = node_name(frame)
    text = (
        f"{node.capitalize()}s answered by {look(system).name} against gold {node}s, "
        f"per cent of the gold {node}, {frame['n'].sum():,} answers."
    )
    if not len(off):
        return f"{text} No answer is in another {node}."
    top = off.loc[off["n"].idxmax()]
    return (
        f"{text} Commonest confusion: {node} {top['gold']} answered as "
        f"{top['predicted']}, {top['n']:,} times ({_cent(top['share'])} %)."
    )


def _icicle(frame, system: str) -> str:
    level, _ = coarse_and_finest(frame["level"])
    rows = frame[(frame["level"] == level) & (frame["n"] >= 10)]
    total = frame.loc[frame["level"] == frame["level"].iloc[0], "n"].sum()
    text = (
        f"Share right of {look(system).name} at every node of the tree; nodes are "
        f"as wide as their test notes, {total:,} in all."
    )
    if not len(rows):
        return text
    low = rows.loc[rows["value"].idxmin()]
    return (
        f"{text} Lowest {LEVEL_NAMES[level].lower()} with 10 notes or more: "
        f"{low['label']} ({low['title']}), {_cent(low['value'])} % of {low['n']:,}."
    )


def _chapters(frame, a: str, b: str) -> str:
    level, rows = _zoomed(frame)
    kinds = rows["stratum"].str.split(":").str[0]
    rows = rows[kinds.isin(top_levels())]
    node = kinds[rows.index].iloc[0] if len(rows) else "node"
    wide = rows.pivot_table(index="stratum", columns="system", values="value")
    up, down = int((wide[a] > wide[b]).sum()), int((wide[a] < wide[b]).sum())
    return (
        f"{LEVEL_NAMES[level]} accuracy of {len(wide)} {node}s with "
        f"{rows['n'].min():,} notes or more, {BARS}: {look(a).name} is above "
        f"{look(b).name} in {up}, below in {down}."
    )


def _oracle_gap(frame) -> str:
    level, rows = _finest(frame)
    said = [
        f"{name} {per_cent(row, ' %')}"
        for s, name in _names(rows)
        for row in rows[rows["system"] == s].itertuples()
    ]
    return (
        "What each system lacks of the best possible accuracy, "
        f"{frame['n'].max():,} notes, {BARS}. {LEVEL_NAMES[level]}, in points of "
        f"per cent: {'; '.join(said)}."
    )


def _reliability(frame) -> str:
    said = []
    for s, name in _names(frame):
        for level, own in frame[frame["system"] == s].groupby("level", sort=False):
            top = own.sort_values("agreement").iloc[-1]
            said.append(
                f"{name}, {LEVEL_NAMES[level].lower()}: "
                f"{_cent(top['value'])} % of {top['n']:,}"
            )
    return (
        f"Share of majority answers that are right, by agreement of the samples, "
        f"{BARS}. Where agreement is highest: {'; '.join(said)}."
    )


def _risk_coverage(frame) -> str:
    said = []
    for s, name in _names(frame):
        for level, own in frame[frame["system"] == s].groupby("level", sort=False):
            first, last = own.iloc[0], own.iloc[-1]
            said.append(
                f"{name}, {LEVEL_NAMES[level].lower()}: "
                f"{_cent(first['risk'])} % of the surest "
                f"{_cent(first['coverage'])} %, {_cent(last['risk'])} % of all"
            )
    return (
        f"Error among answered notes, {frame['n'].max():,} notes, answered from "
        f"the surest down. {'; '.join(said)}."
    )


def _best_of(frame) -> str:
    said = []
    for (panel, level), own in frame.groupby(["panel", "level"], sort=False):
        last = own[own["n"] == own["n"].max()].set_index("rule")
        named = [r for r in ("one", "majority", "outcome", "last") if r in last.index]
        told = [f"{RULES[r].name} {per_cent(last.loc[r], ' %')}" for r in named]
        said.append(f"{LEVEL_NAMES[level]}, {panel}, N = {own['n'].max()}: ")
        said[-1] += "; ".join(told)
    return (
        f"Accuracy of the answer that each rule chooses among N drawn ones, {BARS} at "
        f"the largest N. {'. '.join(said)}."
    )


def _gold_chosen(frame) -> str:
    total = frame[frame["fault"] == "all"]
    said = [
        f"{RULES[row.score].name if row.score in RULES else row.score} "
        f"{per_cent(row, ' %')}"
        for row in total.itertuples()
    ]
    return (
        f"A good trace against its faulty version, {total['n'].max():,} pairs, {BARS}; "
        f"equal scores count half. All faults: {'; '.join(said)}."
    )


def _steps(frame) -> str:
    area = frame[(frame["what"] == "auc") & (frame["kind"] == "all")]
    said = [
        f"{row.source} {row.value:.3f} [{row.low:.3f}, {row.high:.3f}] of "
        f"{row.n:,} steps"
        for row in area.itertuples()
    ]
    return (
        "Left: area under the ROC curve of the process verifier's step scores, 95 % "
        f"intervals by bootstrap over patients; all kinds: {'; '.join(said)}. Right: "
        "share of steps that are right by their probability."
    )


def _tasks(frame) -> str:
    rows = frame[(frame["metric"] == "skill") & frame["value"].notna()]
    rows = rows[rows["depth"] == "finest"]
    said = []
    for task in dict.fromkeys(frame["task"]):
        own = rows[rows["task"] == task]
        if len(own):
            best = next(own.loc[[own["value"].idxmax()]].itertuples())
            named = f"{look(best.system).name} {per_cent(best, ' %')}"
            said.append(f"{task.replace('_', ' ')} {named}")
        else:
            said.append(f"{task.replace('_', ' ')} none: nothing is clearly above")
    return (
        f"What can be told from an admission note, {len(said)} tasks, {BARS}. Skill: "
        "the share of the way from the accuracy of the most frequent label to that of "
        "the best possible reader, or to 100 % where none is known. Most skill at the "
        f"finest level: {'; '.join(said)}."
    )


_WRITERS: dict[str, Callable] = {
    "best_of": _best_of,
    "gold_chosen": _gold_chosen,
    "steps": _steps,
    "levels": _levels,
    "outcomes": _outcomes,
    "differences": _differences,
    "frequency": _frequency,
    "subgroups": _subgroups,
    "gaps": _gaps,
    "note_length": _note_length,
    "confusion": _confusion,
    "icicle": _icicle,
    "chapters": _chapters,
    "oracle_gap": _oracle_gap,
    "reliability": _reliability,
    "risk_coverage": _risk_coverage,
    "tasks": _tasks,
}
