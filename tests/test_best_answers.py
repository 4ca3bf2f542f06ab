"""The best possible answers to the other tasks of the synthetic corpus."""

import hashlib
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepicd.data.admissions import build_admissions, hand_on
from deepicd.data.sources import open_source
from deepicd.data.synthetic import groups, outcomes
from deepicd.data.synthetic import model as models
from deepicd.data.synthetic.entries import SAID, Entry, Knowledge, Variable
from deepicd.data.synthetic.knowledge import load_knowledge
from deepicd.data.synthetic.other_tasks import ASKED, LAST, questions, state_shares
from deepicd.data.synthetic.posterior_file import oracle_path
from deepicd.evaluation import best_reader, ranking, systems
from deepicd.evaluation.baselines import run_baselines
from deepicd.study.bench.corpus import other_tasks
from deepicd.tasks import get_task
from deepicd.tasks.drg import split_title

DEMO = Path(__file__).parents[2] / "shared" / "data" / "mimic_iv_demo"
LENGTH = "length_of_stay"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    return open_source("synthetic", work_dir=folder, options={"notes": 600})


@pytest.fixture(scope="module")
def best(raw):
    return {t: pd.read_parquet(oracle_path(raw.oracle, t)) for t in ASKED}


@pytest.fixture(scope="module")
def cohort(raw):
    """Notes and labels of a task, built once."""
    made = {}

    def build(name):
        if name not in made:
            made[name] = build_admissions(raw, task=get_task(name), workers=1)[0]
        return made[name]

    return build


# --- exact, on a model small enough to be written out ---------------------------


def entry(code, chapter, drg, **more):
    given = {"weight": 1.0, "female": 0.4, "age": (60, 20, 90), "service": "MED"}
    given |= {"title": code, "category": code[:3], "block": code[:3]}
    given |= {"admission": "EW EMER.", "listed": {}, "chapter": chapter}
    return Entry(code=code, drg=drg, **{**given, **more})


def condition(key, code, rates):
    return Variable(key, "pmh", SAID, ((key,),), code=code, background=(rates,))


HEART = entry(
    "I50.9",
    "9",
    ("291", "HEART FAILURE AND SHOCK W MCC"),
    listed={"complaint": {"pain": 0.7, "cough": 0.3}, "fever": 0.1},
    service="CMED",
    secondary={"J96.01": 0.25, "N17.9": 0.4, "I50.1": 0.9},
    weight=3.0,
)
KIDNEY = entry(
    "N18.6",
    "14",
    ("683", "RENAL FAILURE W CC"),
    listed={"complaint": {"pain": 0.4, "cough": 0.6}},
    secondary={"N17.9": 0.12, "D62": 0.2},
    procedure=("5A1D70Z", "Performance of Urinary Filtration"),
    age=(80, 60, 95),
)
CHEST = entry(
    "R07.9",
    "18",
    ("313", "CHEST PAIN"),
    listed={"complaint": {"pain": 1.0}},
    female=0.8,
    admission="ELECTIVE",
)
SMALL = Knowledge(
    (HEART, KIDNEY, CHEST),
    (
        Variable(
            "complaint",
            "complaint",
            ("pain", "cough"),
            (("pain",), ("cough",)),
            always=True,
        ),
        Variable(
            "fever",
            "hpi",
            SAID,
            (("fever",),),
            no=("fever",),
            deny=0.1,
            background=((0.2, 0.3, 0.4),),
        ),
        condition("dialysis", "N18.6", (0.02, 0.05, 0.1)),
        condition("bleeding", "D62", (0.1, 0.1, 0.2)),
    ),
    {},
    {"I50": ["4280", "Heart failure"]},
    {"J96.01": 2, "N18.6": 2, "N17.9": 1, "D62": 1, "I50.1": 2},
)
OLDER = 0.25


def notes_of(model):
    """Every note that the small model can write: sex and what is said."""
    columns = [
        [*np.flatnonzero(model.column_variable == v), None]
        for v in range(len(SMALL.variables))
    ]
    columns[0].remove(None)  # a complaint is always said
    for sex, said in product((0, 1), product(*columns)):
        hits = np.zeros(len(model.column_variable), dtype=bool)
        hits[[c for c in said if c is not None]] = True
        yield sex, hits


def said_codes(model, hits):
    """Secondary diagnoses that a note says: those of the conditions it lists."""
    return {SMALL.variables[v].code for v in model.column_variable[hits]} - {""}


def chance_of_note(model, sex, hits, code, band):
    """Product over the variables, written out."""
    share, row = 1.0, model.probability[sex, code * 3 + band]
    for v in range(len(SMALL.variables)):
        own = np.flatnonzero(model.column_variable == v)
        said = own[hits[own]]
        share *= row[said[0]] if len(said) else 1 - row[own].sum()
    return share


def chances_of_codes(entry, said):
    """Each set of secondary diagnoses that a stay may be coded with, and its chance."""
    likely = list(entry.secondary)
    for there in product((False, True), repeat=len(likely)):
        share, codes = 1.0, set(said)
        for code, coded in zip(likely, there, strict=True):
            share *= entry.secondary[code] if coded else 1 - entry.secondary[code]
            codes |= {code} if coded else set()
        yield {c for c in codes if not c.startswith(entry.category)}, share


def label_chances(name, entry, older, band, grade):
    if name == "drg":
        return {groups.members(entry)[grade][0]: 1.0}
    if name == "procedure":
        return {entry.procedure[0]: 1.0} if entry.procedure and not older else {}
    if name == LENGTH:
        bins = get_task(LENGTH).space(None).order
        return dict(zip(bins, outcomes.length_shares(entry, grade), strict=True))
    if name == "routing":
        units = outcomes.unit_shares(entry, grade)
        return units if entry.admission.startswith("EW") else {}
    if name == "routing-service":
        return {entry.service: 1.0}
    dies = outcomes.death_share(entry, band == 2) * (1 if older else LAST)
    return {"survives": 1 - dies, "dies": dies}


def by_hand(model, name, sex, hits):
    """Bayes' rule over everything hidden, one case after the other."""
    found, prior = {}, model.prior
    people = sum(
        prior[c] * (f if sex == 0 else 1 - f) * model.bands[c]
        for c, f in enumerate(e.female for e in SMALL.entries)
    )
    for code, one in enumerate(SMALL.entries):
        by_sex = one.female if sex == 0 else 1 - one.female
        for band, older in product(range(3), (False, True)):
            here = prior[code] * by_sex * model.bands[code, band]
            if older:
                here = OLDER * people[band] * (one is HEART)
            here *= chance_of_note(model, sex, hits, code, band)
            for codes, share in chances_of_codes(one, said_codes(model, hits)):
                grade = groups.grade_of(SMALL, codes)
                chances = label_chances(name, one, older, band, grade)
                for label, chance in chances.items():
                    found[label] = found.get(label, 0.0) + here * share * chance
    total = sum(found.values())
    return {label: share / total for label, share in found.items()} if total else {}


@pytest.fixture(scope="module")
def small():
    model = models.build_model(SMALL, "brief", 0.3, 0.9)
    sex, hits = map(np.array, zip(*notes_of(model), strict=True))
    seen = models.log_likelihood(model, sex, hits)
    return model, sex, hits, state_shares(model, sex, hits, seen, OLDER)


@pytest.mark.parametrize("name", ASKED)
def test_the_probability_of_every_answer_is_bayes_rule(small, name):
    model, sex, hits, state = small
    question = questions(model, ASKED)[name]
    assert len(sex) == 48 and np.allclose(state.sum(axis=1), 1)
    share = state @ question.shares
    share /= share.sum(axis=1, keepdims=True)
    for row, s, said in zip(share, sex, hits, strict=True):
        expected = by_hand(model, name, s, said)
        assert set(expected) <= set(question.labels)
        for label, value in zip(question.labels, row, strict=True):
            assert value == pytest.approx(expected.get(label, 0.0), abs=1e-5)


def test_the_answers_of_a_level_are_the_most_probable_nodes(small):
    model, _, hits, state = small
    question = questions(model, ASKED)[LENGTH]
    share = state @ question.shares
    bins = np.array(question.labels, dtype=object)
    ids, stays = [str(i) for i in range(len(hits))], [Ended(1440 * 5)] * len(hits)
    table = question.answers(ids, stays, state).to_pandas()
    assert table["bin"].tolist() == bins[share.argmax(axis=1)].tolist()
    short = share[:, :2].sum(axis=1)
    assert table["p_half"].to_numpy() == pytest.approx(np.maximum(short, 1 - short))
    steps = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))
    fewest = (share @ steps).argmin(axis=1)
    assert table["middle"].tolist() == bins[fewest].tolist()
    assert np.stack(table["shares"]) == pytest.approx(share, abs=1e-6)


class Ended:
    """A stay of which only the length is asked."""

    def __init__(self, minutes):
        self.minutes = minutes


# --- the corpus -------------------------------------------------------------------


@pytest.mark.parametrize("name", ASKED)
def test_every_note_of_the_cohort_has_its_best_answer(best, cohort, name):
    notes, known = cohort(name), best[name].set_index("note_id")
    task = get_task(name)
    assert known["label"].reindex(notes["note_id"]).tolist() == notes["label"].tolist()
    assert set(task.shown) <= set(known.columns)
    for level in task.shown:
        assert known[f"p_{level}"].between(0, 1).all()


@pytest.mark.parametrize("name", ASKED)
def test_best_answers_are_as_often_right_as_they_say(best, name):
    table, task = best[name], get_task(name)
    right = table[task.finest] == table["label"]
    said = table[f"p_{task.finest}"]
    noise = np.sqrt((said * (1 - said)).sum()) / len(table)
    assert right.mean() == pytest.approx(said.mean(), abs=4 * noise + 1e-6)


@pytest.mark.parametrize("name", ["drg", LENGTH, "routing", "mortality"])
def test_no_baseline_is_better_than_the_best_answer_but_by_chance(best, cohort, name):
    notes, task = cohort(name), get_task(name)
    space = questions_space(name, best)
    predictions, _ = run_baselines(
        notes,
        space,
        systems=["prior", "nearest_case", "tfidf_lr"],
        strengths=[10.0],
        neighbours=[5],
        max_features=2000,
        max_iter=20,
    )
    cases = systems.gather(predictions, notes)
    gap = best_reader.oracle_gap(cases, best[name], space, n=200, levels=task.shown)
    assert len(gap) == 3 * len(task.shown)
    assert (gap["high"] > 0).all() or (gap["value"] > -0.02).all()
    table = best_reader.with_oracle(
        systems.metrics_table(cases, space, n_boot=0), cases, best[name], space, 0
    )
    assert set(table["system"]) == {"prior", "nearest_case", "tfidf_lr", "oracle"}
    shown = table[(table["system"] == "oracle") & (table["metric"] == "accuracy")]
    assert set(task.shown) <= set(shown["level"])
    if space.order:
        off = table[table["metric"] == "bins_off"].set_index("system")["value"]
        assert off["oracle"] <= off.drop("oracle").min() + 0.05
        ranks = ranking.auroc_table(cases, predictions, space, best[name], n_boot=0)
        area = ranks[ranks["metric"] == "auroc"].set_index("system")["value"]
        assert area["prior"] == 0.5 and area["oracle"] > 0.6


def questions_space(name, best):
    if name == "drg":
        return get_task(name).space(groups.titles_of(load_knowledge()))
    own = best[name]["label"].unique()
    return get_task(name).space({label: label for label in own})


def test_lengths_fall_into_every_bin_and_stays_do_not_meet(best, raw):
    share = best[LENGTH]["label"].value_counts(normalize=True)
    assert set(share.index) == set(get_task(LENGTH).space(None).order)
    assert 0.02 < share["over 14 days"] < 0.12 and share.max() < 0.6
    days = raw.stays["days"]
    assert days.max() > 14 and days.between(0.25, 25).all()


def test_a_task_that_is_asked_alone_is_written_alone(tmp_path):
    name = f"{LENGTH}-2-5.5"
    options = {"notes": 40, "task": name}
    raw = open_source("synthetic", work_dir=tmp_path, options=options)
    written = {file.name for file in raw.oracle.parent.glob("oracle*")}
    assert written == {"oracle.parquet", f"oracle_{name}.parquet"}
    (tmp_path / "run").mkdir()
    hand_on(raw, {}, tmp_path / "run", get_task(name))
    table = pd.read_parquet(tmp_path / "run" / "oracle.parquet")
    assert set(table["label"]) <= set(get_task(name).space(None).order)
    (tmp_path / "other").mkdir()
    hand_on(raw, {}, tmp_path / "other", get_task("drg"))
    assert not (tmp_path / "other" / "oracle.parquet").exists()


def test_notes_and_diagnoses_do_not_depend_on_how_stays_end(raw):
    """Golden values: texts, diagnoses and the oracle of the diagnosis."""
    folder = raw.oracle.parent
    text = pd.read_csv(folder / "note/discharge.csv.gz", keep_default_na=False)["text"]
    codes = pd.read_csv(folder / "hosp/diagnoses_icd.csv.gz", dtype=str)
    levels = list(get_task("principal_diagnosis").levels)
    kept = pd.read_parquet(raw.oracle)[["note_id", "icd_code", *levels]]
    found = [
        hashlib.sha256(frame.to_csv().encode()).hexdigest()[:16]
        for frame in (text, codes, kept)
    ]
    assert found == GOLDEN


GOLDEN = ["0ad78057e0aa0f48", "08d984703c21e6a2", "0bb33d2c27e8ac57"]


# --- the rule of the DRG -----------------------------------------------------------


def test_members_of_a_base_drg_differ_by_severity_alone():
    for one in load_knowledge().entries:
        parts = [split_title(title) for _, title in groups.members(one)]
        assert len({base for base, _ in parts}) == 1, one.code
        assert one.drg[1] in {title for _, title in groups.members(one)}
        severities = [severity for _, severity in parts]
        none, some, major = severities
        assert none in ("none", "CC or none", "undivided")
        assert (some == major) == (some in ("CC or MCC", "undivided"))


@pytest.mark.parametrize(
    ("codes", "grade"),
    [([], 0), (["I10"], 0), (["N17.9", "I10"], 1), (["N17.9", "J96.01"], 2)],
)
def test_the_most_severe_comorbidity_counts(codes, grade):
    assert groups.grade_of(load_knowledge(), codes) == grade


@pytest.mark.skipif(not DEMO.is_dir(), reason="needs ../shared/data/mimic_iv_demo")
def test_numbers_have_the_severity_that_they_have_in_the_demo():
    rows = pd.read_csv(DEMO / "hosp" / "drgcodes.csv.gz", dtype=str)
    rows = rows[rows["drg_type"] == "HCFA"]
    demo = {
        code.zfill(3): split_title(title)[1]
        for code, title in zip(rows["drg_code"], rows["description"], strict=True)
    }
    own = groups.titles_of(load_knowledge())
    shared = set(own) & set(demo)
    assert len(shared) > 30
    assert {n: split_title(own[n])[1] for n in shared} == {n: demo[n] for n in shared}


# --- the benchmark -------------------------------------------------------------------


def test_the_benchmark_holds_every_oracle_against_its_commonest_label():
    found = {one.name: one.value for one in other_tasks(300)}
    for name in ASKED:
        best = found[f"{name}: oracle accuracy, {get_task(name).finest}"]
        assert found[f"{name}: most frequent label"] <= best + 0.02 <= 1.02
