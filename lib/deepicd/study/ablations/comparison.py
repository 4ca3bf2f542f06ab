"""Variants of a section beside one another: the same notes, patients and seeds.

Where a section asks how many traces pay, laws are fitted: the score before and after
RL against the logarithm of the size. DRG-Sapphire (arXiv 2505.21908) reports that the
one after RL is linear.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from deepicd.evaluation.ordered import KAPPA, OFF
from deepicd.evaluation.strata import frequency_band
from deepicd.evaluation.systems import Cases, differences_table, gather, metrics_table
from deepicd.study.ablations.questions import Section
from deepicd.study.ablations.study import Study
from deepicd.tasks.known import shown_levels

METRICS = ("accuracy", "macro_f1")
SHOWN = (*METRICS, OFF, KAPPA)
"""With those that only labels with an order have."""
MINIMUM = 30
"""Notes of a stratum; smaller ones say nothing."""
BEFORE = "sft"


@dataclass(frozen=True)
class Comparison:
    """Answers of all variants of a section, and which are compared.

    Attributes
    ----------
    cases : Cases
        Systems: every variant, and the SFT models that variants started from.
    against, gains : list of (str, str)
        Variants with the section's reference variant; variants with their SFT.
    train_codes : list of str
        Of all training notes, for the bands of frequency.
    """

    section: Section
    cases: Cases
    against: list
    gains: list
    train_codes: list

    @property
    def main(self) -> list:
        return self.gains if self.section.compare == "gain" else self.against


def compare(study: Study, section: Section) -> Comparison:
    """Read the answers of all runs of a section.

    Raises
    ------
    FileNotFoundError
        Where a run is not finished.
    """
    frames, starts, trained = {}, {}, []
    for name, given in section.points():
        first, second = study.jobs(given)
        starts.setdefault(name, []).append(first.key if first else None)
        if second:
            frames[name, given["seed"]] = study.predictions(second)
            trained.append(name)
    shared = len({tuple(keys) for keys in starts.values()}) == 1
    before = {}
    for name, given in section.points():
        label = (BEFORE if shared else f"{name}, SFT") if name in trained else name
        before[name] = label
        first, _ = study.jobs(given)
        if first:
            frames[label, given["seed"]] = study.predictions(first)
        else:
            frames[label, "study"] = study.material.answers
    table = pd.concat(
        [f.assign(system=s, seed=str(seed)) for (s, seed), f in frames.items()],
        ignore_index=True,
    )
    names, admissions = list(section.variants), study.material.admissions
    return Comparison(
        section,
        gather(table, admissions),
        [
            *((name, section.against) for name in names if name != section.against),
            *section.pairs,
        ],
        [(name, before[name]) for name in names if name in trained],
        admissions.loc[admissions["split"] == "train", "label"].tolist(),
    )


def scores(one: Comparison, tree, n_boot: int, seed: int) -> pd.DataFrame:
    """Accuracy and macro F1 of every system, with intervals."""
    return metrics_table(
        one.cases, tree, n_boot, seed, levels=tree.shown, metrics=SHOWN
    )


def differences(one: Comparison, tree, n_boot: int, seed: int) -> pd.DataFrame:
    """Paired differences over patients and seeds.

    Returns
    -------
    DataFrame
        As `evaluation.systems.differences_table`, with the columns comparison
        (against, gain), stratum (overall, or a band of code frequency; accuracy
        only), seeds (of a).
    """
    cases, tables = one.cases, []
    kinds = [("gain", one.gains)]
    if one.section.compare == "against":
        kinds.insert(0, ("against", one.against))
    masks = _strata(one)
    for kind, pairs in kinds:
        found = differences_table(cases, pairs, tree, tree.shown, METRICS, n_boot, seed)
        tables.append(found.assign(comparison=kind, stratum="overall"))
        if pairs != one.main:
            continue
        for stratum, mask in masks.items():
            found = differences_table(
                cases.where(mask), pairs, tree, tree.shown, METRICS[:1], n_boot, seed
            )
            tables.append(found.assign(comparison=kind, stratum=stratum))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(seeds=[len(cases.seeds(a)) for a in table["a"]])


def _strata(one: Comparison) -> dict:
    bands = frequency_band(one.cases.notes["label"], one.train_codes)
    sizes = pd.Series(bands).value_counts()
    order = sorted(sizes.index, key=lambda b: ("head", "body", "tail").index(b[:4]))
    return {band: bands == band for band in order if sizes[band] >= MINIMUM}


@dataclass(frozen=True)
class Law:
    """A line through runs: score against log2(size).

    Attributes
    ----------
    slope : float
        The gain of a doubling.
    low, high : float
        95 % interval of the slope (Student's t over runs); infinite with two runs.
    r2 : float
        Share of the variance between runs that the line explains.
    runs, sizes : int
    centre, middle : float
        Mean of log2(size), and the line there.
    reach : float
        Half the 95 % interval of `middle`, which is independent of the slope.
    """

    slope: float
    low: float
    high: float
    r2: float
    runs: int
    sizes: int
    centre: float
    middle: float
    reach: float

    def at(self, sizes: Sequence[float]) -> tuple:
        """Line and its 95 % band at some sizes: value, low, high.

        The band is that of the line, not of a new run.
        """
        x = np.log2(np.asarray(sizes, dtype=float)) - self.centre
        value = self.middle + self.slope * x
        reach = np.hypot(self.reach, (self.high - self.slope) * x)
        return value, value - reach, value + reach

    @property
    def clear(self) -> bool:
        """Whether the interval of the slope excludes zero."""
        return self.low > 0 or self.high < 0


def fit_law(sizes: Sequence[float], scores: Sequence[float]) -> Law | None:
    """Fit the line; None with fewer than two different sizes.

    Parameters
    ----------
    sizes : sequence of float
        Traces of each run, above 0.
    scores : sequence of float

    Examples
    --------
    >>> law = fit_law([64, 128, 256, 512], [0.10, 0.20, 0.30, 0.40])
    >>> round(law.slope, 3), round(law.r2, 3)
    (0.1, 1.0)
    """
    x, y = np.log2(np.asarray(sizes, dtype=float)), np.asarray(scores, dtype=float)
    if len(np.unique(x)) < 2:
        return None
    errors, free = np.array([np.inf, np.inf]), len(x) - 2
    if free:
        line, spread = np.polyfit(x - x.mean(), y, 1, cov=True)
        errors = stats.t.ppf(0.975, free) * np.sqrt(np.diag(spread))
    else:
        line = np.polyfit(x - x.mean(), y, 1)
    slope, middle = map(float, line)
    r2 = np.corrcoef(x, y)[0, 1] ** 2 if np.ptp(y) > 1e-12 else np.nan
    low, high = slope - errors[0], slope + errors[0]
    return Law(
        slope,
        float(low),
        float(high),
        float(r2),
        len(x),
        len(np.unique(x)),
        float(x.mean()),
        middle,
        float(errors[1]),
    )


def law_points(study: Study, section: Section) -> pd.DataFrame:
    """One row a run of a section: level, after (RL or not), size, value, seed."""
    table, rows = study.table().set_index("key"), []
    shown = shown_levels(n[9:] for n in table if n.startswith("accuracy_"))
    for _, given in section.points():
        for job in filter(None, study.jobs(given)):
            run = table.loc[job.key]
            rows += [
                (
                    level,
                    job.kind == "grpo",
                    int(run["n_traces"]),
                    float(run[f"accuracy_{level}"]),
                    given["seed"],
                )
                for level in shown
            ]
    return pd.DataFrame(rows, columns=["level", "after", "size", "value", "seed"])


def laws(points: pd.DataFrame | None) -> dict[tuple[str, bool], Law]:
    """The laws by level, before and after RL; none where one has no points."""
    found = {}
    if points is None:
        return found
    for place, rows in points.groupby(["level", "after"], sort=False):
        law = fit_law(rows["size"], rows["value"])
        if law:
            found[place] = law
    return found


def law_table(points: pd.DataFrame | None) -> pd.DataFrame:
    """The laws as a table: level, after (RL or not), then fields of `Law`, clear."""
    fields = ["slope", "low", "high", "clear", "r2", "runs", "sizes"]
    rows = [
        (*place, *(getattr(law, name) for name in fields))
        for place, law in laws(points).items()
    ]
    return pd.DataFrame(rows, columns=["level", "after", *fields])


def law_lines(points: pd.DataFrame) -> pd.DataFrame:
    """Lines and bands at the sizes of the runs, for the figure."""
    tables = []
    for (level, after), law in laws(points).items():
        sizes = sorted(points.loc[points["after"] == after, "size"].unique())
        band = dict(zip(("value", "low", "high"), law.at(sizes), strict=True))
        place = {"level": level, "after": after, "size": sizes}
        tables.append(pd.DataFrame({**place, **band, "r2": law.r2}))
    columns = ["level", "after", "size", "value", "low", "high", "r2"]
    return pd.concat(tables) if tables else pd.DataFrame(columns=columns)
