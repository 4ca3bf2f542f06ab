"""What the tables of the evaluation say, in words and in readable tables."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from deepicd.evaluation.intervals import half_over_seeds
from deepicd.evaluation.metrics import WHOLE, outcome_names, outcomes
from deepicd.evaluation.ordered import KAPPA, OFF
from deepicd.evaluation.ranking import AUROC
from deepicd.evaluation.skill import SKILL
from deepicd.evaluation.systems import OVERALL, Cases
from deepicd.tasks.known import shown_levels
from deepicd.views.figures.palette import LEVEL_NAMES, METRIC_NAMES, in_order, look

PUBLISHED_AS = "PUBLISHED, other notes: MERLIN-DDX 2026, MIMIC-IV; no interval given"
PUBLISHED_NOTES = 2184
PUBLISHED = (
    ("Qwen3-8B, untrained", "4.9", "19.5"),
    ("Qwen3-8B, fine-tuned", "13.9", "43.5"),
    ("Qwen3-32B, untrained", "12.7", "33.5"),
    ("Qwen3-32B, fine-tuned", "21.0", "50.5"),
    ("GatorTronS encoder", "26.0", "–"),
    ("BiomedBERT encoder", "21.7", "–"),
)
"""System, macro and micro F1 at category level, per cent."""
PRIVATE_TEXT = "(not shown: the notes of this run are private)"


def wide_table(
    metrics: pd.DataFrame,
    levels=None,
    names=("accuracy", "macro_f1"),
) -> pd.DataFrame:
    """One row a system, one column a level and metric: "0.62 [0.58, 0.66]".

    The last column is the number of notes behind every cell of its row; before it,
    where it is known, the number of labelled notes that the system has learned from.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Columns system, level, stratum, metric, value, low, high, and perhaps n and
        labelled_notes.

    Examples
    --------
    >>> row = {"system": "sft", "level": "full", "stratum": "overall",
    ...        "metric": "accuracy", "value": 0.621, "low": 0.58, "high": 0.66}
    >>> wide_table(pd.DataFrame([row]), ["full"], ["accuracy"]).iloc[0, 0]
    '0.621 [0.580, 0.660]'
    """
    rows = metrics[metrics["stratum"] == OVERALL]
    levels = levels or shown_levels(rows["level"])
    rows = rows.assign(
        text=[bracketed(r.value, r.low, r.high) for r in rows.itertuples()]
    )
    grid = rows.pivot_table(
        index="system", columns=["level", "metric"], values="text", aggfunc="first"
    )
    columns = [
        (level, name)
        for level in levels
        for name in names
        if (level, name) in grid.columns
    ]
    grid = grid.dropna(how="all", subset=columns)
    known = set(grid.index)
    systems = in_order(s for s in dict.fromkeys(rows["system"]) if s in known)
    grid = grid.reindex(index=systems)[columns].fillna("")
    grid.index = pd.Index([look(s, systems).name for s in systems], name="system")
    grid.columns = [heading(level, name) for level, name in columns]
    if "labelled_notes" in rows:
        known = rows.groupby("system")["labelled_notes"].first()
        grid["labelled notes"] = [whole_number(known[system]) for system in systems]
    counts = rows.groupby("system")["n"].max() if "n" in rows else pd.Series(dtype=int)
    grid["notes"] = [int(counts.get(system, 0)) for system in systems]
    return grid


def whole_number(n) -> str:
    """A count with thousands apart; nothing where it is missing.

    Examples
    --------
    >>> whole_number(2796.0), whole_number(float("nan"))
    ('2,796', '')
    """
    return "" if pd.isna(n) else f"{int(n):,}"


def order_scores(metrics: pd.DataFrame) -> list[str]:
    """Names of the scores in a table that only labels with an order have."""
    ranks = [name for name in metrics["metric"].unique() if name.startswith(AUROC)]
    return [OFF, KAPPA, *ranks]


def score_columns(present: Iterable[str]) -> list[tuple[str, str]]:
    """Level and metric of each column of a table of results, from coarse to fine.

    Accuracy at the shown ones of the levels that are present, and macro F1 of the
    finest.

    Examples
    --------
    >>> score_columns(["chapter", "block", "full"])
    [('chapter', 'accuracy'), ('full', 'accuracy'), ('full', 'macro_f1')]
    """
    levels = shown_levels(present)
    return [(level, "accuracy") for level in levels] + [(levels[-1], "macro_f1")]


def heading(level: str, name: str) -> str:
    """What stands above a column of scores.

    Examples
    --------
    >>> heading("full", "macro_f1"), heading("all", "tree_distance")
    ('Full code, macro F1', 'tree distance')
    """
    text = METRIC_NAMES.get(name, name)
    return text if level == WHOLE else f"{LEVEL_NAMES[level]}, {text}"


def bracketed(value: float, low: float, high: float) -> str:
    """A value with its interval; in words where it has none.

    Examples
    --------
    >>> bracketed(0.5, 0.25, 0.75), bracketed(0.5, float("nan"), float("nan"))
    ('0.500 [0.250, 0.750]', '0.500 (too few to say)')
    """
    if np.isnan(low):
        return f"{value:.3f} (too few to say)"
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def per_cent(row, unit: str = "") -> str:
    """A share with its interval, in per cent.

    Parameters
    ----------
    row : Series or named tuple
        With value, low and high; low and high NaN where there are too few to say.
    unit : str
        Stands behind the value.

    Examples
    --------
    >>> per_cent(pd.Series({"value": 0.5, "low": 0.25, "high": 0.75}), " %")
    '50.0 % [25.0, 75.0]'
    """
    text = f"{100 * row.value:.1f}{unit}"
    if np.isnan(row.low):
        return f"{text} (too few to say)"
    return f"{text} [{100 * row.low:.1f}, {100 * row.high:.1f}]"


def signed(value: float) -> str:
    """A difference of shares in points, with its sign, a true minus among them.

    Examples
    --------
    >>> signed(0.0214), signed(-0.0214), signed(-0.0001)
    ('+2.1', '−2.1', '0.0')
    """
    found = round(100 * float(value), 1)
    return f"{'+' if found > 0 else '−' if found < 0 else ''}{abs(found):.1f}"


def points(row) -> str:
    """A difference of shares with its interval, in points; a row as in `per_cent`.

    Examples
    --------
    >>> points(pd.Series({"value": 0.02, "low": -0.01, "high": 0.05}))
    '+2.0 (−1.0 to +5.0)'
    """
    if np.isnan(row.low):
        return f"{signed(row.value)} (too few to say)"
    return f"{signed(row.value)} ({signed(row.low)} to {signed(row.high)})"


def over_seeds(values: Sequence[float], difference: bool = False) -> str:
    """Mean of shares over seeds with its interval; of fewer than three the mean alone.

    A share's interval ends at 0 and at 100 per cent.

    Parameters
    ----------
    values : sequence of float
        One a seed.
    difference : bool
        In points with a sign instead of per cent.

    Examples
    --------
    >>> over_seeds([0.5, 0.6, 0.7]), over_seeds([0.02, 0.04], difference=True)
    ('60.0 [35.2, 84.8]', '+3.0')
    """
    values = np.asarray(values, float)
    mean = values.mean()
    if len(values) < 3:
        return signed(mean) if difference else f"{100 * mean:.1f}"
    half = half_over_seeds(values)
    row = pd.Series({"value": mean, "low": mean - half, "high": mean + half})
    return points(row) if difference else per_cent(row.clip(0, 1))


def with_interval(table: pd.DataFrame) -> pd.DataFrame:
    """Replace the columns value, low and high by one text, names by long ones.

    Examples
    --------
    >>> row = {"system": "sft", "level": "full", "metric": "ece", "value": 0.1234,
    ...        "low": 0.1, "high": 0.2, "n": 9}
    >>> with_interval(pd.DataFrame([row])).values.tolist()
    [['SFT', 'Full code', 'ECE', '0.123 [0.100, 0.200]', 9]]
    """
    text = [bracketed(r.value, r.low, r.high) for r in table.itertuples()]
    table = table.assign(value=text).drop(columns=["low", "high"])
    named = {
        "system": lambda s: look(s, table["system"]).name,
        "level": lambda s: LEVEL_NAMES.get(s, s),
        "metric": lambda s: METRIC_NAMES.get(s, s),
    }
    for column, name in named.items():
        if column in table:
            table[column] = table[column].map(name)
    return table


def tasks_table(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a task and level, one column a system and score, per cent.

    Parameters
    ----------
    frame : pandas.DataFrame
        From `deepicd.study.reference.tasks.compare`.

    Examples
    --------
    >>> row = {"task": "drg", "about": "MS-DRG", "depth": "finest", "level": "drg",
    ...        "labels": 9, "system": "sft", "metric": "accuracy", "value": 0.5,
    ...        "low": 0.4, "high": 0.6, "n": 50}
    >>> tasks_table(pd.DataFrame([row])).reset_index().values.tolist()
    [['drg', 'drg', 9, 50, '50.0 [40.0, 60.0]']]
    """
    known = frame.dropna(subset="value")
    known = known.assign(text=[per_cent(row) for row in known.itertuples()])
    place = ["task", "level", "labels", "n"]
    grid = known.pivot_table(
        index=place, columns=["metric", "system"], values="text", aggfunc="first"
    )
    order = frame[place].drop_duplicates().itertuples(index=False, name=None)
    grid = grid.reindex(list(order)).fillna("")
    systems = in_order(frame["system"])
    metrics = ("accuracy", "macro_f1", SKILL)
    columns = [(m, s) for m in metrics for s in systems if (m, s) in grid]
    grid = grid[columns]
    named = [(look(s, systems).name, METRIC_NAMES.get(m, m)) for m, s in columns]
    grid.columns = [", ".join(pair) for pair in named]
    grid.index = grid.index.set_names({"labels": "different labels", "n": "test notes"})
    return grid


def published_table(metrics: pd.DataFrame, data: str) -> pd.DataFrame:
    """Category scores of this run beside those published for MIMIC-IV, per cent.

    Parameters
    ----------
    metrics : pandas.DataFrame
        As in `wide_table`; rows of category, macro and micro F1 are used.
    data : str
        What this run's notes are, for the column "data".
    """
    rows = metrics[(metrics["stratum"] == OVERALL) & (metrics["level"] == "category")]
    rows = rows.set_index(["system", "metric"])
    own = [
        (
            look(s).name,
            *(per_cent(rows.loc[(s, metric)]) for metric in ("macro_f1", "micro_f1")),
            int(rows.loc[(s, "macro_f1"), "n"]),
            f"this run: {data}",
        )
        for s in in_order(rows.index.get_level_values("system"))
    ]
    others = [(*row, PUBLISHED_NOTES, PUBLISHED_AS) for row in PUBLISHED]
    columns = ["system", "macro F1", "micro F1", "notes", "data"]
    return pd.DataFrame([*own, *others], columns=columns)


def describe_reasoning(table: pd.DataFrame) -> list[str]:
    """Say of each system whether its evidence stands in the note.

    Parameters
    ----------
    table : pandas.DataFrame
        From `deepicd.evaluation.reasoning.reasoning_table`.

    Returns
    -------
    list of str
        One sentence a system; "most" and "fewer than half" only where the whole
        interval is on that side of a half.

    Examples
    --------
    >>> rows = [("sft", "quotes", 2.4, 2.3, 2.5, 800),
    ...         ("sft", "evidence_found", .42, .39, .45, 800),
    ...         ("sft", "all_found", .10, .08, .12, 800),
    ...         ("sft", "recovered", .7, .66, .74, 780)]
    >>> names = ["system", "metric", "value", "low", "high", "n"]
    >>> print(describe_reasoning(pd.DataFrame(rows, columns=names))[0])
    SFT: fewer than half of the quoted phrases stand in the note (42.0 % \
[39.0, 45.0]); all of them do on 10.0 % [8.0, 12.0] of the 800 notes; \
the reasoning alone tells the answer on 70.0 % [66.0, 74.0] of the 780 where it can.
    """
    said = []
    for system, part in table.groupby("system", sort=False):
        rows = part.set_index("metric")
        quoted, whole, told = (
            rows.loc[name] for name in ("evidence_found", "all_found", "recovered")
        )
        notes = f"{int(whole['n']):,} notes"
        evidence = f"nothing is quoted on any of the {notes}"
        if rows.loc["quotes", "value"] > 0:
            evidence = (
                f"{_how_many(quoted)} of the quoted phrases stand in the note "
                f"({per_cent(quoted, ' %')}); all of them do on "
                f"{per_cent(whole, ' %')} of the {notes}"
            )
        known = int(told["n"])
        leads = (
            f"; the reasoning alone tells the answer on {per_cent(told, ' %')} "
            f"of the {known:,} where it can"
            if known
            else ""
        )
        said.append(f"{look(system).name}: {evidence}{leads}.")
    return said


def _how_many(row) -> str:
    if row["high"] < 0.5:
        return "fewer than half"
    return "most" if row["low"] > 0.5 else "about half"


def describe_difference(row) -> str:
    """Say in one sentence what a row of `differences_table` shows.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> print(describe_difference(SimpleNamespace(
    ...     a="sft_grpo", b="sft", level="full", metric="accuracy", value=0.02,
    ...     low=-0.01, high=0.05, clear=False, n=800, patients=760)))
    Full code, accuracy: SFT + GRPO is 0.020 above SFT, 95 % interval -0.010 to 0.050 \
(800 notes of 760 patients); the interval holds zero, so no difference is shown.
    """
    way = "above" if row.value >= 0 else "below"
    verdict = (
        "the interval excludes zero"
        if row.clear
        else "the interval holds zero, so no difference is shown"
    )
    return (
        f"{LEVEL_NAMES[row.level]}, {METRIC_NAMES.get(row.metric, row.metric)}: "
        f"{look(row.a).name} is {abs(row.value):.3f} {way} {look(row.b).name}, "
        f"95 % interval {row.low:.3f} to {row.high:.3f} ({row.n:,} notes of "
        f"{row.patients:,} patients); {verdict}."
    )


def describe_change(cases: Cases, a: str, b: str, tree) -> str:
    """Count the notes whose outcome differs between two systems (first seeds).

    Says how many notes b answered better than a and the reverse, by the deepest
    level that is right.
    """
    order = outcome_names(tree)  # from the best on
    far = []
    for system in (a, b):
        read = next(iter(cases.well_formed[system].values()))
        found = outcomes(cases.gold, cases.seeds(system)[0], tree, read)
        far.append(np.array([order.index(one) for one in found]))
    better, worse = int((far[0] < far[1]).sum()), int((far[0] > far[1]).sum())
    return (
        f"Of {len(far[0]):,} notes, {look(a).name} is nearer to the gold code "
        f"than {look(b).name} on {better:,} and farther on {worse:,}; "
        f"{len(far[0]) - better - worse:,} are equally near."
    )


def first_changed(cases: Cases, a: str, b: str, tree) -> int:
    """Row of the first note that a answers exactly and b not; else of any change.

    Row 0 where the two systems agree on every note. A chosen case shows what can
    happen, not how often.
    """
    one, two = (outcomes(cases.gold, cases.seeds(s)[0], tree) for s in (a, b))
    won = np.flatnonzero((one == "exact") & (two != "exact"))
    changed = np.flatnonzero(one != two)
    return int(next(iter([*won, *changed, 0])))


def tell_answers(
    cases: Cases,
    row: int,
    predictions: pd.DataFrame,
    tree,
    systems: Sequence[str],
    private: bool,
) -> str:
    """What each system said about one note, with the path of its answer.

    Completions quote the note, so for private data they are left out, and so are
    the codes of that note.
    """
    if private:
        return PRIVATE_TEXT
    note = cases.notes.iloc[row]
    told = [f"GOLD  {_path(note['label'], tree)}"]
    rows = predictions[
        (predictions["note_id"] == note["note_id"]) & (predictions["sample"] == 0)
    ]
    for system in systems:
        for said in rows[rows["system"] == system].head(1).itertuples():
            result = outcomes([note["label"]], [said.code], tree, [said.well_formed])[0]
            told.append(
                f"{look(system).name.upper()}  ({result})\n"
                f"{said.completion.strip()[:1200] or '(no text)'}\n"
                f"= {_path(said.code, tree)}"
            )
    return "\n\n".join(told)


def _path(code, tree) -> str:
    if not isinstance(code, str):
        return "no code"
    return f"{' > '.join(tree.path(code))}  {tree.title(code)}"
