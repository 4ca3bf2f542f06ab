"""The synthetic corpus: what it holds, what it hides, and what is known about it."""

import gzip
import hashlib
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deepicd.common.errors import UserError
from deepicd.data.synthetic import corpus as synthetic
from deepicd.data.synthetic import model as models
from deepicd.data.synthetic.knowledge import core, load_knowledge, phrases, spread
from deepicd.data.synthetic.posterior_file import best_codes
from deepicd.data.synthetic.stays import Recipe, make_chunk
from deepicd.data.synthetic.summary import wrapped
from deepicd.data.synthetic.tables import COLUMNS, quoted
from deepicd.data.synthetic.words import Draw, expanded, joined, lexicon, speak
from deepicd.icd import LEVELS, load_tree

SHARED = Path(__file__).parents[2] / "shared" / "data"
GIVEAWAYS = ("ospital", "ischarge", "IMPRESSION", "You were admitted")


@pytest.fixture(scope="module")
def knowledge():
    return load_knowledge()


@pytest.fixture(scope="module")
def default_model(knowledge):
    chosen = core(knowledge, synthetic.CODES)
    return models.build_model(
        chosen, "brief", synthetic.DIFFICULTY, models.TAIL_EXPONENT
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return synthetic.write_corpus(tmp_path_factory.mktemp("c") / "corpus", notes=600)


@pytest.fixture(scope="module")
def notes(corpus):
    frame = pd.read_csv(corpus / "note/discharge.csv.gz", keep_default_na=False)
    return frame


@pytest.fixture(scope="module")
def draws(default_model):
    """Hidden codes and exact posteriors of 4,000 notes."""
    rng = np.random.Generator(np.random.PCG64(5))
    code, sex, age = models.sample_people(default_model, rng, np.arange(4000))
    hits = models.sample_hits(default_model, rng, sex, code, models.band_of(age))
    parts = [
        models.posterior(default_model, sex[i : i + 500], hits[i : i + 500])
        for i in range(0, 4000, 500)
    ]
    return code, np.vstack(parts), sex, age


# --- the knowledge base -------------------------------------------------------


def test_is_large_enough(knowledge):
    entries = knowledge.entries
    siblings = pd.Series([e.category for e in entries]).value_counts()
    assert len(entries) >= 260
    assert len(siblings) >= 105
    assert len({e.chapter for e in entries}) >= 19
    assert (siblings > 1).mean() >= 0.7


def test_default_corpus_is_large_enough(default_model):
    entries = default_model.knowledge.entries
    siblings = pd.Series([e.category for e in entries]).value_counts()
    assert len(entries) == synthetic.CODES
    assert len(siblings) >= 45
    assert len({e.chapter for e in entries}) == 19
    assert (siblings > 1).mean() >= 0.7


def test_codes_are_billable_with_the_official_title(knowledge):
    tree = load_tree()
    for entry in knowledge.entries:
        assert tree.is_billable(entry.code), entry.code
        above = [entry.chapter, entry.block, entry.category]
        assert [tree.at(entry.code, level) for level in LEVELS[:3]] == above
    for code, title in knowledge.titles.items():
        assert tree.is_billable(code), code
        assert tree.title(code) == title


def _wordings(options) -> int:
    """Count what the phrasings and their <a|b> choices can become."""
    return sum(
        math.prod(len(c.split("|")) for c in re.findall("<([^<>]*)>", text))
        for text in options
    )


def test_every_finding_has_three_phrasings(knowledge):
    short = [
        (v.key, name)
        for v in knowledge.variables
        for name, options in zip(v.names, v.options, strict=True)
        if _wordings(options) < 3
    ]
    assert short == []


def test_every_finding_is_used(knowledge):
    listed = {key for entry in knowledge.entries for key in entry.listed}
    idle = [
        v.key
        for v in knowledge.variables
        if v.key not in listed and not any(any(rates) for rates in v.background)
    ]
    assert idle == []


PARTS = {
    "risk": ("pmh", "social", "family", "meds", "story"),
    "exam": ("exam.",),
    "illness": ("hpi", "story"),
    "findings": ("ed", "vitals."),
}


@pytest.mark.parametrize("part", PARTS)
def test_every_entry_has_its_parts(knowledge, part):
    section = {v.key: v.section for v in knowledge.variables}
    bare = [
        e.code
        for e in knowledge.entries
        if not any(section[key].startswith(PARTS[part]) for key in e.listed)
    ]
    assert bare == []


def test_every_entry_has_course_treatment_and_comorbid_codes(knowledge):
    for entry in knowledge.entries:
        assert len(entry.course) >= 3 and len(entry.treatment) >= 3, entry.code
        assert entry.secondary and entry.drg[0], entry.code


def test_every_section_is_written(knowledge):
    from deepicd.data.synthetic.words import GROUP

    assert {v.section for v in knowledge.variables} <= set(GROUP)


def test_siblings_differ(knowledge):
    entries = list(knowledge.entries)
    for i, one in enumerate(entries):
        for other in entries[i + 1 :]:
            if one.category == other.category:
                assert one.listed != other.listed, (one.code, other.code)


def test_demographics_are_possible(knowledge):
    for entry in knowledge.entries:
        mode, low, high = entry.age
        assert low <= mode <= high and low >= 18
        if entry.chapter == "15":
            assert entry.female == 1.0 and high <= 45
        if entry.category in ("N40", "N41"):
            assert entry.female == 0.0


@pytest.mark.parametrize("codes", [60, 80, 120, 250])
def test_core_is_common_and_wide(knowledge, codes):
    small = core(knowledge, codes)
    kept = {e.code for e in small.entries}
    assert len(small.entries) == codes == len(kept)
    assert {e.chapter for e in small.entries} == {e.chapter for e in knowledge.entries}
    assert [e.code for e in small.entries] == sorted(kept)
    top = sorted(knowledge.entries, key=lambda e: -e.weight)[: codes // 4]
    assert {e.code for e in top} <= kept
    siblings = pd.Series([e.category for e in small.entries]).value_counts()
    assert (siblings > 1).mean() >= 0.7


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a; b;c", ("a", "b", "c")), ("", ()), (["x", " y "], ("x", "y"))],
)
def test_phrases(text, expected):
    assert phrases(text) == expected


def test_spread_names_an_unknown_option():
    with pytest.raises(UserError, match="leftt"):
        spread("leftt", ("left", "right"), "")


# --- the model and its posterior ----------------------------------------------


def test_probabilities_are_probabilities(default_model):
    share, of = default_model.probability, default_model.column_variable
    assert share.min() >= 0
    starts = np.flatnonzero(np.diff(of, prepend=-1))
    assert np.add.reduceat(share, starts, axis=-1).max() < 1 + 1e-9
    assert default_model.prior.sum() == pytest.approx(1)
    assert np.allclose(default_model.ages.sum(axis=1), 1)


def test_sampling_follows_the_table(default_model):
    model, count = default_model, 20_000
    code, sex, band = 30, 1, 2
    rng = np.random.Generator(np.random.PCG64(8))
    one = np.ones(count, dtype=int)
    hits = models.sample_hits(model, rng, one * sex, one * code, one * band)
    hushed = np.unique(model.hush.nonzero()[1])
    free = ~np.isin(model.column_variable, hushed)
    expected = model.probability[sex, code * 3 + band]
    assert np.abs(hits.mean(axis=0) - expected)[free].max() < 0.02


def test_posterior_sums_to_one(draws):
    assert np.allclose(draws[1].sum(axis=1), 1)


def test_posterior_is_bayes_rule(default_model):
    """By hand for one note: product over all variables, hushed ones left out."""
    model = default_model
    rng = np.random.Generator(np.random.PCG64(1))
    code, sex, age = models.sample_people(model, rng, np.arange(20))
    hits = models.sample_hits(model, rng, sex, code, models.band_of(age))
    for i in range(20):
        hushed = (hits[i, model.hushing] @ model.hush) > 0
        width = model.probability[sex[i]]
        by_sex = model.female if sex[i] == 0 else 1 - model.female
        weight = (model.prior * by_sex)[:, None] * model.bands
        weight = weight.reshape(-1).copy()
        for v in np.flatnonzero(~hushed):
            columns = np.flatnonzero(model.column_variable == v)
            said = columns[hits[i, columns]]
            share = width[:, said[0]] if len(said) else 1 - width[:, columns].sum(1)
            weight *= np.clip(share, 0, 1)
        expected = weight.reshape(-1, 3).sum(axis=1)
        found = models.posterior(model, sex[i : i + 1], hits[i : i + 1])[0]
        assert np.allclose(found, expected / expected.sum(), atol=1e-4)


def _oracle(model, code, probability):
    entries = model.knowledge.entries
    category = np.array([e.category for e in entries])
    full = (probability.argmax(axis=1) == code).mean()
    names, member = np.unique(category, return_inverse=True)
    share = probability @ (member[:, None] == np.arange(len(names)))
    return full, (names[share.argmax(axis=1)] == category[code]).mean()


def test_oracle_beats_the_prior_and_leaves_room(draws, default_model):
    code, probability, _, _ = draws
    full, grouped = _oracle(default_model, code, probability)
    assert full > 4 * default_model.prior.max()
    assert 0.80 <= full <= 0.95
    assert grouped >= full + 0.08


def test_oracle_leaves_room_with_all_codes(knowledge):
    model = models.build_model(
        knowledge, "brief", synthetic.DIFFICULTY, models.TAIL_EXPONENT
    )
    rng = np.random.Generator(np.random.PCG64(6))
    code, sex, age = models.sample_people(model, rng, np.arange(1500))
    hits = models.sample_hits(model, rng, sex, code, models.band_of(age))
    full, grouped = _oracle(model, code, models.posterior(model, sex, hits))
    assert 0.80 <= full <= 0.95
    assert grouped >= full + 0.08
    share = np.sort(model.prior)[::-1]
    assert 0.40 <= share[: len(share) // 10].sum() <= 0.60
    assert (share * 0.7 * 25_000 < 20).mean() >= 1 / 3


def test_oracle_is_calibrated(draws):
    code, probability, _, _ = draws
    best = probability.max(axis=1)
    hit = probability.argmax(axis=1) == code
    assert hit.mean() == pytest.approx(best.mean(), abs=0.015)
    for low, high in ((0.3, 0.6), (0.6, 0.9), (0.9, 1.01)):
        inside = (best >= low) & (best < high)
        assert hit[inside].mean() == pytest.approx(best[inside].mean(), abs=0.06)


def test_planned_admissions_are_not_acutely_ill(knowledge):
    planned = [e for e in knowledge.entries if set(e.listed["onset"]) == {"planned"}]
    assert len(planned) >= 10
    for entry in planned:
        assert entry.listed["fever"] == 0.0 and entry.listed["confusion"] == 0.0


def test_readmissions_keep_the_distribution(default_model):
    rng = np.random.Generator(np.random.PCG64(2))
    patient = np.repeat(np.arange(4000), 2)
    code, sex, age = models.sample_people(default_model, rng, patient)
    assert (sex[0::2] == sex[1::2]).all() and (age[0::2] == age[1::2]).all()
    counts = [
        np.bincount(c, minlength=len(default_model.prior))
        for c in (code[0::2], code[1::2])
    ]
    assert np.abs(counts[0] - counts[1]).max() / 4000 < 0.03
    female = default_model.female[code]
    assert (female[sex == 1] < 1).all() and (female[sex == 0] > 0).all()


def test_frequencies_have_a_long_tail(default_model):
    share = np.sort(default_model.prior)[::-1]
    tenth = len(share) // 10
    assert 0.40 <= share[:tenth].sum() <= 0.60
    assert share[-1] * 4000 >= 3
    assert (share * 2800 < 20).mean() >= 1 / 3


def test_difficulty_lowers_the_oracle(knowledge):
    chosen, found = core(knowledge, 60), []
    for difficulty in (0.05, 0.6):
        model = models.build_model(chosen, "brief", difficulty, 0.9)
        rng = np.random.Generator(np.random.PCG64(3))
        code, sex, age = models.sample_people(model, rng, np.arange(1000))
        hits = models.sample_hits(model, rng, sex, code, models.band_of(age))
        best = models.posterior(model, sex, hits).argmax(axis=1)
        found.append((best == code).mean())
    assert found[0] > found[1] + 0.08


# --- the corpus on disk ---------------------------------------------------------


def _hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_same_seed_same_bytes(tmp_path):
    one = synthetic.write_corpus(tmp_path / "a", notes=60, seed=3)
    two = synthetic.write_corpus(tmp_path / "b", notes=60, seed=3)
    other = synthetic.write_corpus(tmp_path / "c", notes=60, seed=4)
    assert _hashes(one) == _hashes(two)
    assert _hashes(one)["discharge.csv.gz"] != _hashes(other)["discharge.csv.gz"]


def test_chunks_do_not_depend_on_each_other(default_model):
    recipe = Recipe(default_model, 0, "brief")
    alone = make_chunk(recipe, 2, 30)[0]["note/discharge"]
    make_chunk(recipe, 0, 30)
    assert make_chunk(recipe, 2, 30)[0]["note/discharge"] == alone


def test_the_stream_of_words_is_fixed():
    """A golden value: the same on every platform and Python."""
    draw = Draw(42)
    assert [draw.below(1000) for _ in range(5)] == GOLDEN


GOLDEN = [403, 756, 263, 841, 388]


def test_phrasings_keep_their_shares():
    forms = expanded(("a", "<b|c> d", "e <1|2|3>"))
    assert len(forms) == 18
    assert forms.count("a") == 6 and forms.count("b d") == 3 and forms.count("e 2") == 2


def test_what_is_said_is_what_was_drawn(default_model):
    """Every phrase of a note belongs to a column that was hit, and no other."""
    model = default_model
    rng = np.random.Generator(np.random.PCG64(9))
    code, sex, age = models.sample_people(model, rng, np.arange(50))
    hits = models.sample_hits(model, rng, sex, code, models.band_of(age))
    said = speak(lexicon(model.knowledge), hits, rng, ["F"] * 50, [Draw(0)] * 50)
    for i, one in enumerate(said):
        assert len(one.words) == hits[i].sum()
        allowed = set()
        for column in np.flatnonzero(hits[i]):
            variable = model.knowledge.variables[model.column_variable[column]]
            option = model.column_option[column]
            texts = variable.no if option < 0 else variable.options[option]
            allowed |= set(expanded(texts))
        assert set(one.words) <= allowed


def test_best_codes_are_sorted_and_break_ties_by_order():
    rng = np.random.Generator(np.random.PCG64(1))
    share = np.round(rng.random((50, 30)), 1)
    share /= share.sum(axis=1, keepdims=True)
    expected = np.argsort(-share, axis=1, kind="stable")[:, :5]
    assert (best_codes(share) == expected).all()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("plain", "plain"),
        ("a, b", '"a, b"'),
        ('say "x"', '"say ""x"""'),
        ("two\nlines", '"two\nlines"'),
    ],
)
def test_quoted(text, field):
    assert quoted(text) == field


@pytest.mark.parametrize("table", COLUMNS)
def test_columns_are_those_of_mimic(corpus, table):
    with gzip.open(corpus / f"{table}.csv.gz", "rt") as handle:
        assert handle.readline().strip().split(",") == COLUMNS[table].split()
        assert handle.readline()


@pytest.mark.parametrize("table", [t for t in COLUMNS if t.startswith("hosp")])
def test_columns_agree_with_the_demo(table):
    demo = SHARED / "mimic_iv_demo" / f"{table}.csv.gz"
    if not demo.is_file():
        pytest.skip("needs shared/data/mimic_iv_demo")
    with gzip.open(demo, "rt") as handle:
        assert handle.readline().strip().split(",") == COLUMNS[table].split()


def test_identifiers_fit_together(corpus, notes):
    read = {
        name: pd.read_csv(corpus / f"{name}.csv.gz", dtype=str)
        for name in COLUMNS
        if name.startswith("hosp")
    }
    admissions = read["hosp/admissions"]
    assert admissions.hadm_id.is_unique
    assert read["hosp/patients"].subject_id.is_unique
    assert set(admissions.subject_id) == set(read["hosp/patients"].subject_id)
    assert notes.note_id.is_unique
    assert set(notes.hadm_id.astype(str)) <= set(admissions.hadm_id)
    known = set(
        zip(
            read["hosp/d_icd_diagnoses"].icd_code,
            read["hosp/d_icd_diagnoses"].icd_version,
            strict=True,
        )
    )
    used = read["hosp/diagnoses_icd"]
    assert set(zip(used.icd_code, used.icd_version, strict=True)) <= known


def test_who_dies_is_not_admitted_again(corpus):
    stays = pd.read_csv(corpus / "hosp/admissions.csv.gz")
    people = pd.read_csv(corpus / "hosp/patients.csv.gz").set_index("subject_id")
    dead = stays[stays.hospital_expire_flag == 1]
    assert len(dead) and (dead.deathtime == dead.dischtime).all()
    assert (dead.discharge_location == "DIED").all()
    assert people.dod[dead.subject_id].notna().all()
    assert people.dod.notna().sum() == len(dead)
    last = stays.groupby("subject_id").admittime.transform("max")
    assert (dead.admittime == last[dead.index]).all()


def test_times_are_in_order(corpus):
    stays = pd.read_csv(corpus / "hosp/admissions.csv.gz")
    assert (stays.admittime < stays.dischtime).all()
    urgent = stays[stays.edregtime.notna()]
    assert (urgent.edregtime < urgent.admittime).all()
    moves = pd.read_csv(corpus / "hosp/transfers.csv.gz")
    assert (moves.intime <= moves.outtime.fillna("9")).all()
    assert moves.transfer_id.is_unique


def test_admissions_of_a_patient_do_not_overlap(corpus):
    stays = pd.read_csv(corpus / "hosp/admissions.csv.gz").sort_values(
        ["subject_id", "admittime"]
    )
    again = stays.subject_id.eq(stays.subject_id.shift())
    assert again.any()
    assert (stays.admittime[again] > stays.dischtime.shift()[again]).all()


def test_every_exclusion_has_something_to_exclude(corpus, notes):
    diagnoses = pd.read_csv(corpus / "hosp/diagnoses_icd.csv.gz", dtype=str)
    admissions = pd.read_csv(corpus / "hosp/admissions.csv.gz")
    assert (diagnoses.icd_version == "9").any()
    assert (diagnoses.icd_code == "Z3800").any()
    assert (notes.text.str.strip("_ \n") == "").any()
    assert (notes.note_type == "AD").any()
    assert notes[notes.note_type == "DS"].hadm_id.duplicated().any()
    assert set(admissions.hadm_id) - set(notes.hadm_id)


def test_summaries_give_the_answer_away_after_the_admission(corpus, notes):
    oracle = pd.read_parquet(corpus / "oracle.parquet").set_index("note_id")
    usable = notes.set_index("note_id").loc[oracle.index]
    titles = load_knowledge().titles
    alive = usable.text[~usable.text.str.contains("\nExpired\n")]
    assert len(alive) < len(usable)
    for note_id, text in alive.head(200).items():
        title = titles[oracle.icd_code[note_id]]
        flat = " ".join(text.split()).lower()
        assert flat.count(title.lower()) >= 4
        assert all(part in text for part in GIVEAWAYS[1:])
        before = text.partition("IMPRESSION")[0].partition("98% RA")[0]
        long = len(title.split()) > 3
        assert not long or title.lower() not in " ".join(before.split()).lower()


def test_no_drug_class_is_listed_twice(notes):
    from deepicd.data.synthetic.sentences import drug_class

    checked = 0
    for text in notes.text:
        for part in re.split(r"edications[^\n]*:\n|\n ?\n", text):
            if re.match(r"1\. [A-Z]", part) and " daily" in part:
                drugs = [drug_class(d) for d in re.findall(r"^\d+\. (.*)", part, re.M)]
                known = [d for d in drugs if d in ("anticoagulant", "statin", "nsaid")]
                assert len(known) == len(set(known)), part
                checked += 1
    assert checked > 300


def test_headers_vary_and_lose_words(notes):
    text = "\n".join(notes.text)
    for header in (
        "HPI:",
        "___ of Present Illness:",
        "___ Hospital Course:",
        "PMH:",
        "Medications ___ Admission:",
        "ischarge Diagnosis:",
    ):
        assert header in text
    usual = sum("History of Present Illness:" in t for t in notes.text)
    assert usual > len(notes) / 2


def test_oracle_file_holds_every_level(corpus):
    oracle = pd.read_parquet(corpus / "oracle.parquet")
    assert len(oracle) == 600 and oracle.note_id.is_unique
    for level in ("chapter", "block", "category", "full"):
        assert oracle[f"p_{level}"].between(0, 1).all()
    assert (oracle.p_chapter + 1e-5 >= oracle.p_category).all()
    assert (oracle.p_category + 1e-5 >= oracle.p_full).all()
    assert (oracle.p_full + 1e-5 >= oracle.p_gold).all()
    assert all(len(codes) == 5 for codes in oracle.top_codes)


@pytest.mark.parametrize(
    ("length", "low", "high"), [("brief", 70, 110), ("full", 280, 460)]
)
def test_length_of_the_admission_sections(knowledge, length, low, high):
    from deepicd.data.synthetic.sentences import admission_sections

    model = models.build_model(core(knowledge, 120), length, 0.3, 0.9)
    rng = np.random.Generator(np.random.PCG64(4))
    code, sex, age = models.sample_people(model, rng, np.arange(150))
    hits = models.sample_hits(model, rng, sex, code, models.band_of(age))
    letters = [models.SEXES[s] for s in sex]
    draws = [Draw(i) for i in range(150)]
    said = speak(lexicon(model.knowledge), hits, rng, letters, draws)
    words = [
        len(" ".join(admission_sections(one, length == "full").values()).split()) + 15
        for one in said
    ]
    assert low <= np.mean(words) <= high


def test_pregnant_patients_are_young_women(corpus):
    oracle = pd.read_parquet(corpus / "oracle.parquet")
    person = oracle.note_id.str.split("-").str[0].astype(int)
    patients = pd.read_csv(corpus / "hosp/patients.csv.gz").set_index("subject_id")
    pregnant = patients.loc[person[oracle.icd_code.str.startswith("O")]]
    assert len(pregnant) and (pregnant.gender == "F").all()
    assert pregnant.anchor_age.between(18, 45).all()


# --- the doors --------------------------------------------------------------------


def test_examples_say_that_they_are_synthetic():
    frame = synthetic.example_admissions(4, seed=9)
    assert len(frame) == 4
    assert frame.note.str.startswith("[synthetic example]").all()
    assert frame.equals(synthetic.example_admissions(4, seed=9))


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": "long"},
        {"notes": 0},
        {"difficulty": 1.0},
        {"codes": 10},
        {"tail": -1.0},
    ],
)
def test_wrong_parameters_are_named(tmp_path, wrong):
    with pytest.raises(UserError):
        synthetic.write_corpus(tmp_path / "x", **{"notes": 5, **wrong})
    assert not (tmp_path / "x").exists()


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("keep me")
    with pytest.raises(UserError, match="something else"):
        synthetic.write_corpus(tmp_path, notes=5)
    assert (tmp_path / "thesis.txt").read_text() == "keep me"


def test_the_card_says_how_to_make_it_again(tmp_path):
    given = "--notes 9 --seed 4 --length full --difficulty 0.2 --tail 1.1 --codes 60"
    synthetic.main(["--out", str(tmp_path / "a"), *given.split()])
    card = (tmp_path / "a" / "README.md").read_text()
    assert "not patient data" in card and "Not for clinical use" in card
    command = re.search(r"--out DIR (.*)", card).group(1)
    synthetic.main(["--out", str(tmp_path / "b"), *command.split()])
    assert _hashes(tmp_path / "a") == _hashes(tmp_path / "b")


def test_command_line_writes_and_refuses(tmp_path, capsys):
    synthetic.main(["--notes", "5", "--out", str(tmp_path / "c")])
    assert "5 synthetic summaries" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        synthetic.main(["--notes", "0", "--out", str(tmp_path / "d")])
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("items", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")],
)
def test_joined(items, text):
    assert joined(items) == text


def test_wrapping_keeps_every_word():
    text = "alpha beta " * 60 + "\n\nnext " + "x" * 200
    assert wrapped(text, 40).split() != []
    assert "".join(wrapped(text, 40).split()) == "".join(text.split())
