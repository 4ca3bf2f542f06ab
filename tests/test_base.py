"""The base model that comes with the repository is what its card says."""

import json

import pytest
from safetensors import safe_open

from deepicd.training import models
from deepicd.training.models import loading
from deepicd.training.pretrain.pretraining import PretrainSettings, held_out, read_right

FACTS = json.loads((loading.BASE_FOLDER / "pretraining.json").read_text())


@pytest.fixture(scope="module")
def base():
    return models.load("base")


def test_its_weights_are_those_of_the_card(base):
    net, tokenizer = base
    assert models.weights_hash(net.bfloat16()) == FACTS["weights"]
    net.float()
    card = (loading.BASE_FOLDER / "README.md").read_text(encoding="utf-8")
    assert FACTS["weights"] in card and "Never for diagnosis" in card
    assert sum(p.numel() for p in net.parameters()) == FACTS["parameters"]
    assert len(tokenizer) == net.config.vocab_size
    with safe_open(loading.BASE_FOLDER / "model.safetensors", "pt") as kept:
        kinds = {kept.get_slice(name).get_dtype() for name in kept.keys()}
    assert kinds == {"BF16"}


def test_it_is_small_enough_to_travel_with_the_repository():
    sizes = [file.stat().st_size for file in loading.BASE_FOLDER.iterdir()]
    assert sum(sizes) < 12e6


def test_it_copies_from_notes_that_it_has_not_read(base):
    asked = held_out(PretrainSettings(ask=60))
    found = read_right(*base, asked)
    # Within what chance allows on 60 questions of what the card says of 600.
    assert abs(found["copied"].mean() - FACTS["copied"]) < 0.2
    assert abs(found["right"].mean() - FACTS["right"]) < 0.2
    assert FACTS["copied"] > 0.5


def test_its_hospitals_are_none_that_a_study_can_have():
    assert FACTS["first_seed"] >= 1_000_000
