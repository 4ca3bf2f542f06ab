"""Baselines learn, choose on validation alone, and keep the columns fixed."""

import numpy as np
import pandas as pd
import pytest
import torch

from deepicd.common.errors import UserError
from deepicd.evaluation import baselines
from deepicd.evaluation.baselines import (
    CHOSEN_BY,
    PREDICTION_COLUMNS,
    nearest_votes,
    word_features,
)
from deepicd.evaluation.baselines import encoder as encoder_module
from deepicd.evaluation.baselines.encoder import CodeClassifier, Reader, make_scratch
from deepicd.evaluation.baselines.fitting import SIBLING_MARGIN, loss_of
from deepicd.evaluation.baselines.label_vectors import known_of
from deepicd.evaluation.baselines.material import Material
from deepicd.icd import load_tree

TREE = load_tree()
COUNTING = ("prior", "nearest_case", "tfidf_lr")
SMALL = {"encoder_epochs": 5, "encoder_learning_rate": 8e-3}
WORDS = {
    "I21.11": "crushing chest pain troponin",
    "I10": "headache",
    "I21.19": "chest pain inferior leads",
    "J18.9": "cough fever sputum",
    "N17.9": "creatinine oliguria",
}


@pytest.fixture
def admissions():
    generator = np.random.default_rng(0)
    codes = generator.choice(list(WORDS), 300, p=[0.4, 0.2, 0.2, 0.1, 0.1])
    filler = [f"word{i}" for i in range(60)]
    notes = [
        " ".join(
            [*generator.choice(WORDS[code].split(), 3), *generator.choice(filler, 15)]
        )
        for code in codes
    ]
    return pd.DataFrame(
        {
            "note_id": [f"n{i}" for i in range(300)],
            "note": notes,
            "label": codes,
            "split": np.repeat(["train", "val", "test"], [180, 60, 60]),
        }
    )


def run_baselines(frame, tree, *given, systems=COUNTING, **more):
    """The baselines that count words, unless a test asks for others."""
    return baselines.run_baselines(frame, tree, *given, systems=systems, **more)


def accuracy(predictions, admissions, system):
    rows = predictions[
        (predictions["system"] == system) & (predictions["split"] == "test")
    ]
    gold = admissions.set_index("note_id")["label"]
    return (rows["code"].to_numpy() == gold.reindex(rows["note_id"]).to_numpy()).mean()


def test_reading_beats_the_most_frequent_code(admissions):
    predictions, _ = run_baselines(admissions, TREE)
    scores = [
        accuracy(predictions, admissions, s)
        for s in ("prior", "nearest_case", "tfidf_lr")
    ]
    assert scores[0] < 0.55
    assert min(scores[1:]) > 0.7


def test_predictions_keep_the_columns_of_the_contract(admissions):
    predictions, _ = run_baselines(admissions, TREE, seed=3)
    assert list(predictions.columns) == PREDICTION_COLUMNS
    assert set(predictions["split"]) == {"val", "test"}
    assert set(predictions["seed"]) == {3}
    assert set(predictions["sample"]) == {0}
    assert not predictions.duplicated(["system", "note_id"]).any()
    assert predictions["in_catalogue"].all()


def test_networks_learn_and_every_epoch_is_recorded(admissions):
    predictions, search = run_baselines(
        admissions,
        TREE,
        systems=["embed_mlp", "encoder"],
        encoder_heads=["mean", "label_attention"],
        losses=["ldam"],
        **SMALL,
    )
    for system in ("embed_mlp", "encoder"):
        assert accuracy(predictions, admissions, system) > 0.7
    tried = search[search["system"] == "encoder"]["setting"]
    assert len(tried) == len(set(tried)) == 2 * 5
    assert (search.groupby("system")["chosen"].sum() == 1).all()


def test_the_same_seed_gives_the_same_encoder(admissions):
    one, two, other = (
        run_baselines(admissions, TREE, seed, systems=["encoder"], encoder_epochs=1)[1]
        for seed in (0, 0, 1)
    )
    scores = [c for c in one if c.startswith("macro")]
    pd.testing.assert_frame_equal(one[scores], two[scores])
    assert not one[scores].equals(other[scores])


def test_padding_changes_no_logit():
    body, tokenizer = make_scratch(["chest pain"] * 3 + ["cough and fever"] * 3)
    reader = Reader(tokenizer, 64)
    short, long = reader.ids(["chest pain", "cough and fever and chest pain"])
    for head in ("mean", "label_attention"):
        network = CodeClassifier(body, 3, head).eval()
        with torch.no_grad():
            alone = network(reader.pad([short]))[0]
            padded = network(reader.pad([short, long]))[0]
        assert torch.allclose(alone, padded, atol=1e-5)


def material(codes, **options):
    return Material([pd.DataFrame({"label": codes})], 0, TREE, options)


def test_ldam_asks_more_of_rare_codes():
    logits, gold = torch.zeros(3, 3), torch.arange(3)
    loss = loss_of("ldam", material(["I10"] * 81 + ["I21.11"] * 16 + ["J18.9"]))
    single = [loss(logits[i : i + 1], gold[i : i + 1]).item() for i in range(3)]
    assert single == sorted(single) and single[0] > np.log(3)
    # Margins n^(-1/4): 1/3, 1/2 and 1 of the largest.
    margins = [np.log(2 * np.exp(-s) / (1 - np.exp(-s))) for s in single]
    assert margins == pytest.approx([-2 / 3, -1, -2], abs=1e-4)


# I10, I21.11, I21.19 and J18.9: two chapters, three categories.
FOUR = ["I10", "I21.11", "I21.19", "J18.9"]


def test_the_loss_of_levels_is_the_mean_of_what_each_level_costs():
    loss = loss_of("levels", material(FOUR))
    # Of I21.11 the code has a quarter, its category a half, its chapter 3/4.
    costs = -np.log([1 / 4, 1 / 2, 3 / 4])
    assert loss(torch.zeros(1, 4), torch.tensor([1])).item() == pytest.approx(
        costs.mean()
    )
    near, far = torch.eye(4)[[2]], torch.eye(4)[[3]]
    assert loss(near, torch.tensor([1])) < loss(far, torch.tensor([1]))


def test_the_loss_of_siblings_asks_for_a_lead_before_the_same_category_alone():
    loss, plain = loss_of("siblings", material(FOUR)), torch.nn.CrossEntropyLoss()
    for logits, code, lacking in (
        ([[0.0, 0.5, 0.2, 9.0]], 1, SIBLING_MARGIN - 0.3),
        ([[0.0, 5.0, 0.2, 9.0]], 1, 0.0),
        ([[0.0, 0.0, 0.0, 0.0]], 0, 0.0),  # the only code of its category
    ):
        scores = torch.tensor(logits, requires_grad=True)
        found = loss(scores, torch.tensor([code]))
        more = found - plain(scores, torch.tensor([code]))
        assert more.item() == pytest.approx(lacking, abs=1e-5)
        found.backward()
        assert torch.isfinite(scores.grad).all()


def test_what_is_known_of_codes_is_shared_by_those_that_stand_or_sound_near():
    for source in ("tree", "titles"):
        given = material(FOUR, code_embeddings=source)
        known = known_of(given).numpy()
        assert len(known) == len(given.answerable) > 4
        place = {code: i for i, code in enumerate(given.answerable)}
        near, gold, far = (known[place[c]] for c in ("I21.02", "I21.11", "J18.1"))
        assert gold @ near > gold @ far


@pytest.mark.parametrize("source", ["tree", "titles"])
def test_a_code_without_training_notes_can_be_answered(admissions, source):
    hidden = (admissions["label"] == "I21.19") & (admissions["split"] == "train")
    frame = admissions[~hidden]
    free, made = (
        run_baselines(
            frame,
            TREE,
            systems=["embed_mlp", "encoder"],
            code_embeddings=known,
            losses=["levels", "siblings"],
            **SMALL,
        )
        for known in ("none", source)
    )
    known = set(frame.loc[frame["split"] == "train", "label"])
    assert set(free[0]["code"]) <= known
    leaves = {x for code in known for x in TREE.leaves(TREE.at(code, "category"))}
    assert set(made[0]["code"]) <= leaves
    for system in ("embed_mlp", "encoder"):
        assert accuracy(made[0], frame, system) > 0.5
    assert made[1]["setting"].str.contains("lead=").all()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"encoder": "./no-such-encoder"}, "no encoder at"),
        ({"encoder_heads": ["magic"]}, "label_attention"),
        ({"losses": ["magic"]}, "ldam"),
        ({"code_embeddings": "magic"}, "titles"),
        ({"encoder_shape": [97, 1]}, "that 4 divides"),
        ({"encoder_shape": [96]}, r"encoder_shape \[96\]"),
    ],
)
def test_what_cannot_be_fitted_is_refused(admissions, more, text):
    with pytest.raises(UserError, match=text):
        run_baselines(admissions, TREE, systems=["encoder"], **more)


def test_a_folder_serves_as_encoder_and_as_frozen_embedder(admissions, tmp_path):
    body, tokenizer = make_scratch(admissions["note"].tolist(), hidden=32)
    body.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    predictions, search = run_baselines(
        admissions,
        TREE,
        systems=["embed_mlp", "encoder"],
        embedder=str(tmp_path),
        encoder=str(tmp_path),
        encoder_epochs=1,
    )
    assert set(predictions["system"]) == {"embed_mlp", "encoder"}
    assert search["setting"].str.startswith(str(tmp_path)).sum() == 8


def test_a_pretrained_encoder_is_not_asked_to_read_more_than_it_can(
    admissions, tmp_path
):
    body, tokenizer = make_scratch(admissions["note"].tolist(), 64, hidden=32)
    body.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UserError, match="encoder_length=64"):
        run_baselines(
            admissions,
            TREE,
            systems=["encoder"],
            encoder=str(tmp_path),
            encoder_length=65,
        )


def test_the_shape_of_the_encoder_made_here(admissions, monkeypatch):
    made = []

    def spy(*given):
        made.append(make_scratch(*given)[0].config)
        return make_scratch(*given)

    monkeypatch.setattr(encoder_module, "make_scratch", spy)
    run_baselines(
        admissions, TREE, systems=["encoder"], encoder_epochs=1, encoder_shape=[32, 2]
    )
    assert made[0].hidden_size == 32 and made[0].num_hidden_layers == 2


def test_prior_answers_the_most_frequent_training_code(admissions):
    predictions, _ = run_baselines(admissions, TREE, systems=["prior"])
    assert set(predictions["code"]) == {"I21.11"}


def test_every_setting_is_recorded_and_one_chosen(admissions):
    _, search = run_baselines(admissions, TREE, strengths=[1.0, 10.0, 100.0])
    assert search.groupby("system").size().to_dict() == {
        "nearest_case": 3,
        "prior": 1,
        "tfidf_lr": 3,
    }
    assert (search.groupby("system")["chosen"].sum() == 1).all()
    for _, rows in search.groupby("system"):
        scores = rows[f"{CHOSEN_BY}_full"]
        assert scores[rows["chosen"]].item() == scores.max()


def test_labels_of_the_test_split_change_nothing(admissions):
    systems = [*COUNTING, "embed_mlp", "encoder"]
    changed = admissions.copy()
    test = changed["split"] == "test"
    changed.loc[test, "label"] = changed.loc[test, "label"].to_numpy()[::-1]
    one, two = (
        run_baselines(frame, TREE, systems=systems, encoder_epochs=1)[0]
        for frame in (admissions, changed)
    )
    pd.testing.assert_frame_equal(one, two)


def test_the_vocabulary_comes_from_training_notes_alone():
    train, val, _ = word_features(["chest pain", "chest pain"], ["zebra"], ["zebra"])
    assert train.shape[1] == val.shape[1] == 3
    assert val.nnz == 0


def test_words_of_one_letter_and_numbers_are_words():
    train, *_ = word_features(["t 38.5 bp 90/60"] * 2, ["x"], ["x"])
    assert train.shape[1] == 7  # four words, three pairs


def test_the_most_similar_note_wins_and_several_vote():
    train, notes, _ = word_features(
        ["a b c", "a b c x", "a b c y", "q r s"], ["a b c"], ["q"]
    )
    numbers = np.array([0, 1, 1, 2])
    assert nearest_votes(notes, train, numbers, 1).argmax(1).tolist() == [0]
    assert nearest_votes(notes, train, numbers, 99).argmax(1).tolist() == [1]


def test_one_code_in_training_is_answered_by_all(admissions):
    admissions.loc[admissions["split"] == "train", "label"] = "I10"
    predictions, _ = run_baselines(
        admissions, TREE, systems=baselines.SYSTEMS, encoder_epochs=1
    )
    assert set(predictions["code"]) == {"I10"}


def test_labelled_notes_of_a_baseline_are_its_training_notes(admissions):
    predictions, _ = run_baselines(admissions, TREE)
    assert set(predictions["labelled_notes"]) == {180}


def test_the_regression_on_traced_notes_reads_no_other_training_note(admissions):
    train = admissions["split"] == "train"
    traced = admissions.loc[train, "note_id"].tolist()[:40]
    changed = admissions.copy()
    others = train & ~changed["note_id"].isin(traced)
    changed.loc[others, "label"] = "N17.9"
    changed.loc[others, "note"] = "crushing chest pain troponin word1"
    given = {"strengths": [1.0, 10.0]}
    one, search = baselines.on_traced_notes(admissions, traced, TREE, 3, **given)
    two, _ = baselines.on_traced_notes(changed, traced, TREE, 3, **given)
    pd.testing.assert_frame_equal(one, two)
    assert set(one["system"]) == set(search["system"]) == {"tfidf_lr_traced"}
    assert set(one["labelled_notes"]) == {40} and set(one["seed"]) == {3}
    assert search["setting"].tolist() == ["C=1", "C=10"]
    fewer, _ = run_baselines(
        admissions[~others], TREE, 3, systems=["tfidf_lr"], **given
    )
    assert one["code"].tolist() == fewer["code"].tolist()


def test_the_regression_on_all_training_notes_is_that_of_notebook_02(admissions):
    ids = admissions["note_id"]
    again, _ = baselines.on_traced_notes(admissions, ids, TREE)
    once, _ = run_baselines(admissions, TREE, systems=["tfidf_lr"])
    pd.testing.assert_frame_equal(again.assign(system="tfidf_lr"), once)


def test_no_traced_training_note_is_refused(admissions):
    test = admissions.loc[admissions["split"] == "test", "note_id"]
    with pytest.raises(UserError, match=r"\[0, 60, 60\]"):
        baselines.on_traced_notes(admissions, test, TREE)


@pytest.mark.parametrize(
    ("split", "text"), [("train", r"\[0, 60, 60\]"), ("val", r"\[180, 0, 60\]")]
)
def test_an_empty_split_is_refused(admissions, split, text):
    with pytest.raises(UserError, match=text):
        run_baselines(admissions[admissions["split"] != split], TREE)


def test_an_unknown_baseline_is_refused(admissions):
    with pytest.raises(UserError, match="magic"):
        run_baselines(admissions, TREE, systems=["magic"])
