"""Synthetic corpus: its limit, whether the limit is right, and what words reach."""

import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import BernoulliNB

from deepicd.data.admissions import build_admissions
from deepicd.data.sources.opening import open_source
from deepicd.data.synthetic import corpus
from deepicd.data.synthetic import model as models
from deepicd.data.synthetic.knowledge import core, load_knowledge
from deepicd.data.synthetic.other_tasks import ASKED
from deepicd.data.synthetic.posterior_file import ORACLE, level_shares, oracle_path
from deepicd.evaluation.baselines.material import word_features
from deepicd.evaluation.metrics import evaluate
from deepicd.icd.load import load_tree
from deepicd.study.bench.measure import Result
from deepicd.tasks.known import get_task
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS

TITLE = "Synthetic corpus: counts, oracle, calibration, other readers, speed"
TRAIN = (1_000, 5_000, 20_000)
_BLOCK = 500


def run(notes: int = 20_000, test: int = 4_000, train=TRAIN) -> list[Result]:
    """Measure the corpus at the default number of codes and at all codes.

    Parameters
    ----------
    notes : int
        Generated notes that the oracle is judged on.
    test : int
        Of them, those that other classifiers of the findings answer too; and about
        the number of held-out admission notes of the readers of words.
    train : tuple of int
        Training notes of the readers of words; the last also for the findings.

    Returns
    -------
    list of Result
    """
    knowledge, tree = load_knowledge(), load_tree()
    results = []
    for codes in (corpus.CODES, None):
        part = core(knowledge, codes)
        model = models.build_model(
            part, "brief", corpus.DIFFICULTY, models.TAIL_EXPONENT
        )
        label = f"{len(part.entries)} codes"
        drawn = draw_notes(model, notes, seed=11)
        results += counts(model, label) + oracle_scores(model, drawn, label, tree)
        results += other_classifiers(model, drawn, label, test, train[-1])
    return results + other_tasks(test) + readers_of_words(tree, test, train) + speeds()


def counts(model: models.Model, label: str) -> list[Result]:
    """Count codes, categories and siblings; how long the tail is."""
    entries = model.knowledge.entries
    size = pd.Series([entry.category for entry in entries]).value_counts()
    share = np.sort(model.prior)[::-1]
    tenth = share[: len(share) // 10].sum()
    return [
        Result(f"{label}: categories", len(size), ""),
        Result(f"{label}: chapters", len({e.chapter for e in entries}), ""),
        Result(
            f"{label}: categories with siblings",
            (size > 1).mean(),
            "",
            goal=0.7,
            at_least=True,
        ),
        Result(f"{label}: notes of the top tenth", tenth, ""),
        *(
            Result(
                f"{label}: under 20 training notes of {n:,}",
                float((share * 0.7 * n < 20).mean()),
                "",
            )
            for n in (4_000, 10_000, 25_000)
        ),
    ]


def draw_notes(model: models.Model, notes: int, seed: int):
    """Draw code, sex and findings of notes; gives index, sex and sparse findings."""
    rng = np.random.Generator(np.random.PCG64(seed))
    code, sex, age = models.sample_people(model, rng, np.arange(notes))
    hits = [
        sparse.csr_array(
            models.sample_hits(model, rng, sex[s], code[s], models.band_of(age[s]))
        )
        for s in _blocks(notes)
    ]
    return code, sex, sparse.vstack(hits, format="csr")


def _blocks(notes: int) -> list[slice]:
    return [slice(i, min(i + _BLOCK, notes)) for i in range(0, notes, _BLOCK)]


def oracle_scores(model, drawn, label: str, tree) -> list[Result]:
    """Score the oracle at each level; the answer is the best name of that level."""
    code, sex, hits = drawn
    found: dict[str, list] = {level: [] for level in PRINCIPAL_DIAGNOSIS.levels}
    for s in _blocks(len(code)):
        share = models.posterior(model, sex[s], hits[s].toarray())
        for level in PRINCIPAL_DIAGNOSIS.levels:
            names, sums = (
                (np.array(model.codes), share)
                if level == "full"
                else level_shares(model, share, level)
            )
            best = sums.argmax(axis=1)
            found[level].append(
                pd.DataFrame({"answer": names[best], "p": sums.max(axis=1)})
            )
    gold = np.array(model.codes)[code].tolist()
    results = []
    for level, parts in found.items():
        frame = pd.concat(parts, ignore_index=True)
        results += _level(model, frame, gold, level, label, tree)
    return results


def _level(model, frame, gold, level: str, label: str, tree) -> list[Result]:
    """Accuracy, macro F1 and calibration of the oracle at one level."""
    truth = np.array([tree.at(code, level) for code in gold])
    error = calibration_error(frame.p, frame.answer == truth)
    # Scored as codes: any code of the answered group stands for it.
    stands = {tree.at(code, level): code for code in model.codes}
    table = evaluate(
        gold,
        [stands[name] for name in frame.answer],
        levels=(level,),
        tree=tree,
        n_boot=500,
        metrics=("accuracy", "macro_f1"),
    )
    return [
        *(
            _interval(f"{label}: oracle {row.metric}, {level}", row)
            for row in table.itertuples()
            if row.metric in ("accuracy", "macro_f1")
        ),
        Result(f"{label}: oracle calibration error, {level}", error, "", goal=0.01),
    ]


def _interval(name: str, row) -> Result:
    return Result(name, row.value, f"[{row.low:.3f}, {row.high:.3f}]")


def calibration_error(share, right, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width.

    Examples
    --------
    >>> calibration_error([0.75] * 4, [True, True, True, False])
    0.0
    """
    share, right = np.asarray(share, float), np.asarray(right, float)
    at = np.minimum((share * bins).astype(int), bins - 1)
    gap = np.bincount(at, share - right, minlength=bins)
    return float(np.abs(gap).sum() / len(share))


def other_classifiers(model, drawn, label: str, test: int, train: int):
    """Let classifiers that see the true findings try to beat the oracle."""
    code, sex, hits = (part[:test] for part in drawn)
    mine = (
        np.concatenate(
            [
                models.posterior(model, sex[s], hits[s].toarray()).argmax(axis=1)
                for s in _blocks(test)
            ]
        )
        == code
    )
    known, sexes, material = draw_notes(model, train, seed=12)
    x = sparse.hstack([material, sexes[:, None]], format="csr").astype(float)
    y = sparse.hstack([hits, sex[:, None]], format="csr").astype(float)
    results = []
    for name, learner in (
        ("logistic regression", LogisticRegression(C=3.0, max_iter=60)),
        ("naive Bayes", BernoulliNB(alpha=0.05)),
    ):
        right = learner.fit(x, known).predict(y) == code
        results.append(
            Result(
                f"{label}: {name} on {train:,} true findings, accuracy",
                right.mean(),
                "",
                goal=float(mine.mean()),
            )
        )
    return results


def other_tasks(notes: int) -> list[Result]:
    """The oracle of every other task at its finest level, and the commonest label."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        made = corpus.write_corpus(Path(folder) / "corpus", notes=notes, seed=21)
        for name in ASKED:
            answers = pd.read_parquet(oracle_path(made / ORACLE, name))
            level = get_task(name).finest
            right = (answers[level] == answers["label"]).mean()
            most = answers["label"].value_counts(normalize=True).max()
            gap = answers[f"p_{level}"].mean() - right
            results += [
                Result(f"{name}: oracle accuracy, {level}", right, ""),
                Result(f"{name}: most frequent label", most, ""),
                Result(f"{name}: oracle calibration error", abs(gap), "", goal=0.02),
            ]
    return results


def readers_of_words(tree, test: int, train) -> list[Result]:
    """TF-IDF and logistic regression on admission notes; the oracle beside it."""
    with tempfile.TemporaryDirectory() as folder:
        raw = open_source(
            "synthetic",
            work_dir=folder,
            seed=21,
            options={
                "notes": train[-1] + test + 1_000,
                "length": "brief",
            },
        )
        frame, _ = build_admissions(raw, tree, seed=0, workers=1)
        answers = pd.read_parquet(raw.oracle, columns=["note_id", "full", "icd_code"])
    frame = frame.sample(frac=1.0, random_state=0)
    held, rest = frame.iloc[:test], frame.iloc[test:]
    limit = answers[answers.note_id.isin(held.note_id)]
    results = [
        Result(
            "oracle accuracy on the held-out notes",
            (limit.full == limit.icd_code).mean(),
            "",
        )
    ]
    for size in train:
        part = rest.iloc[:size]
        x, _, y = word_features(part.note, part.note[:1], held.note)
        learner = LogisticRegression(C=100.0, max_iter=60).fit(x, part.label)
        table = evaluate(
            held.label.tolist(),
            learner.predict(y).tolist(),
            tree=tree,
            n_boot=500,
            groups=held.subject_id.tolist(),
            metrics=("accuracy", "macro_f1"),
        )
        results += [
            _interval(f"TF-IDF, {len(part):,} notes: {row.metric}, {row.level}", row)
            for row in table.itertuples()
            if row.level in PRINCIPAL_DIAGNOSIS.levels
        ]
    return results


def speeds(notes: int = 3_000) -> list[Result]:
    """Notes per second of one core, everything written, with and without gzip."""
    goals = {"brief": 3_000.0, "full": 1_500.0}
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for length, goal in goals.items():
            for level in (corpus.GZIP_LEVEL, 0):
                taken = []
                for _ in range(2):
                    begin = time.process_time()
                    corpus.write_corpus(
                        Path(folder) / "c", notes=notes, length=length, level=level
                    )
                    taken.append(time.process_time() - begin)
                what = "gzip" if level else "not compressed"
                results.append(
                    Result(
                        f"{length} notes, {what}",
                        notes / min(taken),
                        "notes/s",
                        goal=goal,
                        at_least=True,
                    )
                )
    return results
