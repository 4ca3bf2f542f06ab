"""Does filtering help? SFT on unfiltered against filtered traces of a bad teacher.

A fifth of the teacher's traces get a planted fault, all eight kinds alike. One arm
learns from the first traces as they are, the other from as many that the checks
accept. Six training runs of some minutes; each is kept, so a stopped study goes on.
"""

import dataclasses
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from deepicd.common.files import write_parquet
from deepicd.evaluation.intervals import paired_bootstrap
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import Result
from deepicd.study.bench.traces import synthetic_notes
from deepicd.traces.distil import build_traces
from deepicd.traces.spoiling import arms, spoil
from deepicd.traces.teachers.rule import RuleTeacher
from deepicd.training import encoding, models, sft
from deepicd.training.models import generate
from deepicd.training.models.tokenizer import train_tokenizer

TITLE = "Traces: SFT on unfiltered against filtered ones, a fifth with planted faults"
FOLDER = Path(__file__).parents[4] / "outputs" / "bench" / "filtering"
ARMS = ("unfiltered", "filtered")
LEVELS = ("chapter", "category", "full")


@dataclass(frozen=True)
class Study:
    """Sizes of the comparison; the defaults are those of the cpu profile.

    Attributes
    ----------
    notes : int
        Of the synthetic corpus.
    size : int
        Traces that each arm learns from.
    share : float
        Of traces with a planted fault.
    seeds : tuple of int
        Of faults, weights and order of training.
    model_size, vocab_size
        Of the network made here.
    steps, batch_size : int
    max_new_tokens : int
    """

    notes: int = 4000
    size: int = 1100
    share: float = 0.2
    seeds: tuple[int, ...] = (0, 1, 2)
    model_size: str = "2m"
    vocab_size: int = 4096
    steps: int = 500
    batch_size: int = 16
    max_new_tokens: int = 96


def run(steps: int = Study.steps) -> list[Result]:
    """Run or go on with the study of the cpu profile's size.

    Parameters
    ----------
    steps : int
        Of every SFT run.

    Returns
    -------
    list of Result
    """
    return summarise(*run_study(Study(steps=steps), FOLDER))


def run_study(study: Study, folder: Path):
    """Train both arms with every seed and answer the test notes.

    Parameters
    ----------
    study : Study
    folder : Path
        Where answers of finished runs are kept.

    Returns
    -------
    (pandas.DataFrame, pandas.DataFrame, dict)
        Test notes; predictions (column system is the arm); counts of the arms.
    """
    tree, notes = load_tree(), synthetic_notes(study.notes)
    clean = build_traces(notes, tree, RuleTeacher(tree).fit(notes))
    found, counts = [], {}
    for seed in study.seeds:
        spoilt = spoil(clean[clean["accepted"]], notes, tree, study.share, seed)
        sets = arms(spoilt, notes, tree, study.size, seed)
        for arm, examples in sets.items():
            counts[arm, seed] = float(examples["faulty"].mean())
            file = folder / f"{arm}-{_key(study, examples, seed)}.parquet"
            if not file.exists():
                write_parquet(_train(study, examples, clean, notes, tree, seed), file)
            found.append(pd.read_parquet(file).assign(system=arm, seed=seed))
    test = notes[notes["split"] == "test"]
    return test, pd.concat(found, ignore_index=True), counts


def _key(study: Study, examples: pd.DataFrame, seed: int) -> str:
    """Name of a run: everything it depends on but the code."""
    rows = pd.util.hash_pandas_object(examples[["note", "trace", "label"]])
    facts = [dataclasses.asdict(study), int(rows.sum()), seed]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _train(study: Study, examples, clean, notes, tree, seed: int) -> pd.DataFrame:
    """One run: network from scratch, SFT, answers to the test notes."""
    train = notes[notes["split"] == "train"]
    kept = clean[clean["accepted"]]
    # One tokenizer for all arms and seeds.
    texts = encoding.rendered(train["note"], kept, "reasoning", "brief")
    tokenizer = train_tokenizer(texts, study.vocab_size)
    net = models.make_model(tokenizer, study.model_size, seed)
    data, _ = encoding.encode(examples, tokenizer, "reasoning", "brief", 512)
    settings = sft.SftSettings(
        steps=study.steps,
        batch_size=study.batch_size,
        seed=seed,
        validate_every=0,
        save_every=study.steps,
        warmup_steps=min(40, study.steps // 2),
    )
    with tempfile.TemporaryDirectory() as checkpoints:
        net, _, _ = sft.train(net, tokenizer, data, data, settings, checkpoints)
    return generate.predict(
        net,
        notes[notes["split"] == "test"],
        tokenizer=tokenizer,
        seed=seed,
        max_new_tokens=study.max_new_tokens,
        tree=tree,
    )


def summarise(test: pd.DataFrame, answers: pd.DataFrame, counts: dict) -> list[Result]:
    """Accuracy of both arms, and filtered minus unfiltered with its 95 % interval.

    Patients and seeds are resampled together.
    """
    by_arm = {
        arm: [
            group.set_index("note_id")["code"].reindex(test["note_id"]).tolist()
            for _, group in answers[answers["system"] == arm].groupby("seed")
        ]
        for arm in ARMS
    }
    results = []
    for arm in ARMS:
        faulty = [share for (name, _), share in counts.items() if name == arm]
        share = 100 * sum(faulty) / len(faulty)
        results.append(Result(f"{arm}: traces with a fault", share, "%"))
    differences = paired_bootstrap(
        test["label"].tolist(),
        by_arm["filtered"],
        by_arm["unfiltered"],
        test["subject_id"].tolist(),
        list(LEVELS),
        metric="accuracy",
    )
    for level, change in differences.items():
        name = f"{level} accuracy, filtered - unfiltered"
        points = [100 * x for x in (change.value, change.low, change.high)]
        results.append(Result(name, points[0], "points"))
        results += [
            Result(f"{name}, {side}", points[k], "points")
            for k, side in ((1, "low"), (2, "high"))
        ]
        results += [
            Result(f"{level} accuracy, {arm}", _accuracy(test, by_arm[arm], level), "%")
            for arm in ARMS
        ]
    return results


def _accuracy(test: pd.DataFrame, runs: list[list], level: str) -> float:
    tree = load_tree()
    gold = [tree.at(code, level) for code in test["label"]]
    shares = [
        sum(
            isinstance(code, str) and tree.at(code, level) == right
            for code, right in zip(codes, gold, strict=True)
        )
        for codes in runs
    ]
    return 100 * sum(shares) / (len(shares) * len(gold))
