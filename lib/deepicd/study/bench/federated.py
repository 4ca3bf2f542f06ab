"""Learning over hospitals that share no note: pooled, federated and alone.

`python -m deepicd.study.bench federated` trains the MLP on frozen embeddings over
random sites of the synthetic corpus, over sites of a speciality, and over hospitals and
regions of the eICU demo (`--eicu DIR`; by default `../shared/data` beside the
repository, left out where it is not there). Names of results have four parts: sites,
seed, what is counted, of whom.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from deepicd.data.admissions import build_admissions
from deepicd.data.examples import synthetic_admissions
from deepicd.data.sources.opening import open_source
from deepicd.data.sources.table_files import find_table, read_table
from deepicd.evaluation.baselines.federated import Site, averaged, hashed_vectors
from deepicd.evaluation.systems import Cases, differences_table, metrics_table
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import BETWEEN, Result
from deepicd.study.bench.tasks import BESIDE

TITLE = "Federated averaging over hospitals against pooled notes and each site alone"
SEEDS = 2
SITES, ALIKE = 8, 0.3
ROUNDS, EVERY = 40, 5
POOLED, FEDERATED, ALONE, OWN = "pooled", "federated", "alone, mean", "alone, own notes"
PAIRS = ((FEDERATED, POOLED), (FEDERATED, ALONE), (FEDERATED, OWN))
STAY, HOSPITAL = "patientunitstayid", "hospitalid"


def run(
    eicu: str = "", notes: int = 4000, rounds: int = ROUNDS, seeds: int = SEEDS
) -> list[Result]:
    """Score the three ways of learning on the test notes of all sites.

    Parameters
    ----------
    eicu : str
        Folder of eICU.
    notes : int
        Of the synthetic corpus.
    rounds : int
        Of averaging, and passes of the others; the best are chosen on validation.
    seeds : int
        Number of them: of corpus, split, sites and networks.

    Returns
    -------
    list of Result
    """
    folder = Path(eicu) if eicu else BESIDE / "eicu_demo"
    found = []
    for seed in range(seeds):
        found += _compared(_corpus(seed, notes), seed, rounds)
        if eicu or folder.is_dir():
            found += _compared(_hospitals(folder, seed), seed, rounds)
    return found


def _corpus(seed: int, notes: int) -> pd.DataFrame:
    """Admissions of a synthetic corpus; each patient is at one site of either kind."""
    frame = synthetic_admissions(notes, seed, task="principal_diagnosis")
    draw = np.random.default_rng(seed)
    sizes = 1 / np.arange(1, SITES + 1)
    tree = load_tree()
    chapters = frame["label"].map(lambda code: tree.at(code, "chapter"))
    first = chapters.groupby(frame["subject_id"]).first()
    of_chapter = {c: draw.dirichlet([ALIKE] * SITES) for c in sorted(set(first))}
    drawn = {
        "synthetic corpus, random sites": [sizes / sizes.sum()] * len(first),
        "synthetic corpus, sites of a speciality": first.map(of_chapter),
    }
    for name, shares in drawn.items():
        site = [draw.choice(SITES, p=share) for share in shares]
        frame[name] = frame["subject_id"].map(dict(zip(first.index, site, strict=True)))
    return frame


def _hospitals(folder: Path, seed: int) -> pd.DataFrame:
    """Admissions of eICU, each with its hospital and that one's region."""
    raw = open_source("eicu", folder)
    frame, _ = build_admissions(raw, seed=seed, workers=1)
    of_stay = raw.table("patient", (STAY, HOSPITAL)).set_index(STAY)[HOSPITAL]
    frame["eICU demo, hospitals"] = frame["hadm_id"].map(of_stay)
    table = find_table(folder, "hospital")
    if table:
        regions = read_table(table, [HOSPITAL, "region"]).to_pandas()
        region = frame["eICU demo, hospitals"].map(
            regions.set_index(HOSPITAL)["region"]
        )
        frame["eICU demo, regions"] = region.fillna("unknown")
    return frame


def _compared(frame: pd.DataFrame, seed: int, rounds: int) -> Iterator[Result]:
    """Every kind of sites that the frame has a column for."""
    vectors = hashed_vectors(frame["note"].tolist())
    train = frame["split"].eq("train").to_numpy()
    labels, numbers = np.unique(frame["label"][train].astype(str), return_inverse=True)
    classes = np.zeros(len(frame), dtype=np.int64)
    classes[train] = numbers
    whole = Site(vectors, torch.as_tensor(classes))
    pooled = _answers([whole.at(np.flatnonzero(train))], whole, labels, seed, rounds)
    for column in frame.columns[frame.columns.str.contains(", ")]:
        places = frame[column].to_numpy()
        names = sorted(set(places[train]))
        sites = [whole.at(np.flatnonzero(train & (places == name))) for name in names]
        joint = _answers(sites, whole, labels, seed, rounds)
        alone = [_answers([site], whole, labels, seed, rounds) for site in sites]
        answers = {
            POOLED: pooled[None],
            FEDERATED: joint[None],
            ALONE: np.stack(alone),
        }
        kind = BETWEEN.join([column, f"seed {seed}"])
        yield from _sizes(kind, [len(site.numbers) for site in sites])
        yield from _scores(kind, frame, places, names, answers)


def _answers(sites, whole: Site, labels, seed: int, rounds: int) -> np.ndarray:
    """Codes for all notes after every few rounds, shape (times, notes)."""
    found = []
    networks = averaged(sites, len(labels), seed, rounds)
    for done, network in enumerate(networks, start=1):
        if done % EVERY == 0 or done == rounds:
            with torch.no_grad():
                found.append(network(whole.vectors).argmax(dim=1).numpy())
    return labels.astype(object)[np.stack(found)]


def _sizes(kind: str, sizes: list[int]) -> Iterator[Result]:
    yield Result(BETWEEN.join([kind, "sites", "all"]), len(sizes), "sites")
    for what, of in ((min, "smallest"), (np.median, "median"), (max, "largest")):
        name = BETWEEN.join([kind, "training notes", of])
        yield Result(name, float(what(sizes)), "notes")


def _scores(kind, frame, places, names, answers) -> Iterator[Result]:
    """Accuracies on the test notes, and how far averaging is from the others.

    Each way answers by what was best on the validation notes of all sites together.
    """
    gold = frame["label"].to_numpy()
    val = frame["split"].eq("val").to_numpy()
    best = {}
    for system, codes in answers.items():
        right = (codes == gold)[..., val].mean(axis=(0, 2))
        best[system] = codes[:, right.argmax()]
        at = BETWEEN.join([kind, "chosen of the times tried", system])
        yield Result(at, int(right.argmax()) + 1, f"of {len(right)}")
    number = {name: i for i, name in enumerate(names)}
    own = [number.get(place) for place in places]
    answered = [None if s is None else best[ALONE][s, i] for i, s in enumerate(own)]
    best[OWN] = [answered]
    test = np.flatnonzero(frame["split"].eq("test"))
    kept = {
        system: {i: [codes[n] for n in test] for i, codes in enumerate(many)}
        for system, many in best.items()
    }
    formed = {s: {i: [True] * len(test) for i in many} for s, many in kept.items()}
    cases = Cases(frame.iloc[test].reset_index(drop=True), kept, formed)
    yield Result(BETWEEN.join([kind, "test", "notes"]), len(test), "notes")
    yield from _with_intervals(kind, cases)


def _with_intervals(kind: str, cases: Cases) -> Iterator[Result]:
    tree = load_tree()
    table = metrics_table(cases, tree, levels=tree.shown, metrics=["accuracy"])
    gaps = differences_table(cases, PAIRS, tree, tree.shown, ["accuracy"])
    rows = [(r, f"accuracy, {r.level}", r.system) for r in table.itertuples()]
    rows += [(r, f"accuracy minus {r.b}, {r.level}", r.a) for r in gaps.itertuples()]
    for row, what, of in rows:
        low, high = round(float(row.low), 4), round(float(row.high), 4)
        name = BETWEEN.join([kind, what, of])
        yield Result(name, round(float(row.value), 4), "", low=low, high=high)
