"""Variants of a section beside one another: the same notes, patients and seeds."""

import dataclasses
from dataclasses import dataclass

import pandas as pd

from deepicd.evaluation.strata import frequency_band
from deepicd.evaluation.systems import Cases, differences_table, gather, metrics_table
from deepicd.study.ablations.questions import Section
from deepicd.study.ablations.size_law import Law, fit_law
from deepicd.study.ablations.study import Study
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS

LEVELS = PRINCIPAL_DIAGNOSIS.shown
METRICS = ("accuracy", "macro_f1")
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
    return metrics_table(one.cases, tree, n_boot, seed, levels=LEVELS, metrics=METRICS)


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
        found = differences_table(cases, pairs, tree, LEVELS, METRICS, n_boot, seed)
        tables.append(found.assign(comparison=kind, stratum="overall"))
        if pairs != one.main:
            continue
        for stratum, mask in masks.items():
            found = differences_table(
                cases.where(mask), pairs, tree, LEVELS, METRICS[:1], n_boot, seed
            )
            tables.append(found.assign(comparison=kind, stratum=stratum))
    table = pd.concat(tables, ignore_index=True)
    return table.assign(seeds=[len(cases.seeds(a)) for a in table["a"]])


def _strata(one: Comparison) -> dict:
    bands = frequency_band(one.cases.notes["label"], one.train_codes)
    sizes = pd.Series(bands).value_counts()
    order = sorted(sizes.index, key=lambda b: ("head", "body", "tail").index(b[:4]))
    return {band: bands == band for band in order if sizes[band] >= MINIMUM}


def law_points(study: Study, section: Section) -> pd.DataFrame:
    """One row a run of a section: level, after (RL or not), size, value, seed."""
    table, rows = study.table().set_index("key"), []
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
                for level in LEVELS
            ]
    return pd.DataFrame(rows, columns=["level", "after", "size", "value", "seed"])


def laws(points: pd.DataFrame) -> dict[str, Law]:
    """The law after RL, by level."""
    found = {}
    for level, rows in points[points["after"]].groupby("level", sort=False):
        law = fit_law(rows["size"], rows["value"])
        if law:
            found[level] = law
    return found


def law_table(points: pd.DataFrame) -> pd.DataFrame:
    """The law after RL as a table: a row a level, the fields of `Law`, clear."""
    return pd.DataFrame(
        [
            {"level": level} | dataclasses.asdict(law) | {"clear": law.clear}
            for level, law in laws(points).items()
        ]
    )


def law_lines(points: pd.DataFrame) -> pd.DataFrame:
    """Lines and bands at the sizes of the runs, for the figure."""
    tables = []
    for level, law in laws(points).items():
        sizes = sorted(points["size"].unique())
        value, low, high = law.at(sizes)
        tables.append(
            pd.DataFrame(
                {
                    "level": level,
                    "size": sizes,
                    "value": value,
                    "low": low,
                    "high": high,
                    "r2": law.r2,
                }
            )
        )
    columns = ["level", "size", "value", "low", "high", "r2"]
    return pd.concat(tables) if tables else pd.DataFrame(columns=columns)
