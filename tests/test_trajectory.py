"""Readmissions whose code hangs on the stay before: drawn as told, known exactly."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from deepicd.common.errors import UserError
from deepicd.data.admissions import build_admissions, hand_on
from deepicd.data.history import read_past
from deepicd.data.sources import open_source
from deepicd.data.synthetic import corpus as synthetic
from deepicd.data.synthetic import model as models
from deepicd.data.synthetic import trajectory
from deepicd.data.synthetic.knowledge import core, load_knowledge

BEARING, READMITTED = 0.8, 0.4


@pytest.fixture(scope="module")
def model():
    return models.build_model(core(load_knowledge(), 60), "brief", 0.3, 0.9)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return synthetic.write_corpus(
        tmp_path_factory.mktemp("c") / "corpus",
        notes=1500,
        readmitted=READMITTED,
        bearing=BEARING,
        history=True,
    )


@pytest.fixture(scope="module")
def later(corpus):
    """Summaries of the oracle, by name: whether the patient was here before."""
    notes = pd.read_csv(corpus / "note/discharge.csv.gz").drop_duplicates("note_id")
    first = notes.groupby("subject_id")["hadm_id"].transform("min")
    return notes.assign(later=notes["hadm_id"] > first).set_index("note_id")["later"]


def alone(model, sex, age) -> np.ndarray:
    """Probability of each code given sex and age, with nothing known before."""
    by_sex = model.female if sex == 0 else 1 - model.female
    share = model.prior * by_sex * model.ages[:, age - models.AGES[0]]
    return share / share.sum()


@pytest.mark.parametrize(("sex", "age"), [(0, 25), (1, 60), (0, 80)])
def test_a_later_stay_has_the_distribution_of_a_first(model, sex, age):
    before = alone(model, sex, age)
    code = np.flatnonzero(before)
    given = np.full(len(code), sex), np.full(len(code), age)
    after = trajectory.next_shares(model, BEARING, code, *given)
    assert np.allclose(after.sum(axis=1), 1)
    assert np.allclose(before[code] @ after, before)
    nothing = trajectory.next_shares(model, 0.0, code, *given)
    assert np.allclose(nothing, before)


def test_what_bears_stays_within_the_line(model):
    entries = model.knowledge.entries
    heart = model.codes.index("I21.4")
    shares = trajectory.next_shares(
        model, 1.0, np.array([heart]), np.array([1]), np.array([70])
    )[0]
    near = {entries[i].category for i in np.flatnonzero(shares)}
    assert {"I21", "I50"} <= near <= {"I21", "I48", "I50", "I26", "I82"}
    assert shares[heart] > trajectory.SAME and shares.argmax() == heart


def test_lines_name_categories_once_that_exist():
    knowledge = load_knowledge()
    named = [c for own in knowledge.related.values() for c in own]
    assert len(named) == len(set(named))
    assert set(named) <= {entry.category for entry in knowledge.entries}


def test_secondary_codes_are_said_independently():
    """What the exact answer rests on: no finding with a code is ever hushed."""
    known = load_knowledge()
    hushed = {key for v in known.variables for group in v.hush for key in group}
    assert not hushed & {v.key for v in known.variables if v.code}


def listed_shares(model, sex, band, code) -> dict:
    """By hand: how likely each secondary code is on the list of a stay."""
    known, entry = model.knowledge, model.knowledge.entries[code]
    found = {}
    for column, (v, option) in enumerate(
        zip(model.column_variable, model.column_option, strict=True)
    ):
        if known.variables[v].code and option >= 0:
            said = model.probability[sex, code * 3 + band, column]
            found[known.variables[v].code] = 1 - (1 - said)
    for name, share in entry.secondary.items():
        found[name] = 1 - (1 - found.get(name, 0)) * (1 - round(100 * share) / 100)
    return {n: s for n, s in found.items() if not n.startswith(entry.category)}


def test_the_informed_prior_is_bayes_rule_over_age(model):
    sex = 1
    code = np.array([model.codes.index(c) for c in ("I21.4", "I50.23", "I50.23")])
    listed = [["I10", "E11.9"], ["I10"], []]
    found = trajectory.informed_prior(
        model, BEARING, np.zeros(3, int), code, np.full(3, sex), listed
    )
    assert np.allclose(found[0], models.log_prior(model)[sex])
    expected = np.zeros((len(code), len(model.codes), 3))
    for age in models.AGES:
        band = int(models.band_of(np.array([age]))[0])
        first = model.prior * (1 - model.female) * model.ages[:, age - models.AGES[0]]
        weight = first[code[0]]
        for stay in (1, 2):
            shares = listed_shares(model, sex, band, code[stay - 1])
            for name, share in shares.items():
                weight *= share if name in listed[stay - 1] else 1 - share
            step = trajectory.next_shares(
                model, BEARING, code[[stay - 1]], np.array([sex]), np.array([age])
            )[0]
            expected[stay, :, band] += weight * step
            weight *= step[code[stay]]
    for stay in (1, 2):
        share = expected[stay] / expected[stay].sum()
        assert np.allclose(np.exp(found[stay]).reshape(-1, 3), share, atol=1e-9)


def test_the_past_bears_on_the_present_and_the_oracle_knows_it(corpus, later):
    plain = pd.read_parquet(corpus / "oracle.parquet").set_index("note_id")
    told = pd.read_parquet(corpus / "oracle_history.parquet").set_index("note_id")
    again = later[plain.index]
    gain = np.log(told["p_gold"].clip(1e-6)) - np.log(plain["p_gold"].clip(1e-6))
    assert 0.35 < again.mean() < 0.45
    assert gain[~again].abs().max() < 1e-9 and gain[again].mean() > 0.02
    for oracle in (plain, told):
        right = (oracle["full"] == oracle["icd_code"])[again]
        assert abs(right.mean() - oracle["p_full"][again].mean()) < 0.04
    assert told["p_full"][again].mean() > plain["p_full"][again].mean() + 0.01


def test_codes_repeat_as_often_as_told(corpus):
    stays = pd.read_csv(corpus / "hosp/diagnoses_icd.csv.gz").query("seq_num == 1")
    stays = stays.sort_values(["subject_id", "hadm_id"])
    pairs = [
        p for _, own in stays.groupby("subject_id") for p in pairwise(own.icd_code)
    ]
    same = np.mean([a == b for a, b in pairs])
    # Half of what bears, and what falls on the same code by chance.
    assert trajectory.SAME * BEARING < same < trajectory.SAME * BEARING + 0.25


def test_best_answers_of_who_knows_the_past_leave_the_corpus_as_it_is(tmp_path):
    one = synthetic.write_corpus(tmp_path / "a", notes=60)
    two = synthetic.write_corpus(tmp_path / "b", notes=60, history=True)
    names = {p.relative_to(one) for p in one.rglob("*") if p.is_file()}
    more = {p.relative_to(two) for p in two.rglob("*") if p.is_file()} - names
    assert all((one / n).read_bytes() == (two / n).read_bytes() for n in names)
    assert {p.stem.removesuffix("_history") for p in more} == {
        p.stem for p in names if p.stem.startswith("oracle")
    }


@pytest.mark.parametrize("wrong", [{"readmitted": 0.6}, {"bearing": 1.5}])
def test_shares_out_of_range_are_named(tmp_path, wrong):
    with pytest.raises(UserError, match="readmitted from 0 to 0.4"):
        synthetic.write_corpus(tmp_path / "c", notes=10, **wrong)


def test_notes_of_a_run_name_the_past_and_its_oracle_knows_it(tmp_path):
    options = {"notes": 120, "readmitted": 0.4, "bearing": 1.0}
    options |= {"task": "principal_diagnosis", "history": "codes"}
    raw = open_source("synthetic", "", tmp_path, 0, options)
    past = read_past(raw, raw.admissions["hadm_id"])
    rows, _ = build_admissions(raw, workers=1, past=past)
    (tmp_path / "01").mkdir()
    hand_on(raw, {}, tmp_path / "01", history="codes")
    told = rows["note"].str.contains("EARLIER ADMISSIONS: ")
    assert 0.2 < told.mean() < 0.6
    best = pd.read_parquet(tmp_path / "01" / "oracle.parquet")
    knows = pd.read_parquet(tmp_path / "synthetic" / "oracle_history.parquet")
    pd.testing.assert_frame_equal(best, knows)
    assert set(rows["note_id"]) <= set(best["note_id"])
