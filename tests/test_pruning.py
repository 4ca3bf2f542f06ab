"""Layers taken out of a network: which ones go, and that what is left is a model."""

import json

import pytest
import torch
import training_kit as kit

from deepicd.common.errors import UserError
from deepicd.training import encoding, models, sft
from deepicd.training.models import model_card, pruning
from deepicd.training.models.sizes import Size

LAYERS = 5
SHAPE = Size(64, LAYERS, 2, 1, 128, 400)


@pytest.fixture(scope="module")
def table():
    return kit.admissions()


@pytest.fixture(scope="module")
def tokenizer(table):
    return kit.tokenizer_of(table)


@pytest.fixture(scope="module")
def asked(table, tokenizer):
    return encoding.prompt_ids(table["note"].head(6), tokenizer, "reasoning", "brief")


def network(tokenizer, idle=()):
    """Random layers; `idle` ones add next to nothing to what runs through them."""
    net = models.make_model(tokenizer, SHAPE, 0)
    with torch.no_grad():
        for number, layer in enumerate(net.model.layers):
            gain = 1e-3 if number in idle else 20.0
            layer.self_attn.o_proj.weight *= gain
            layer.mlp.down_proj.weight *= gain
    return net


@pytest.fixture
def base(tokenizer, tmp_path):
    models.save(network(tokenizer, idle=(2, 3)), tokenizer, tmp_path / "base")
    return str(tmp_path / "base")


@pytest.mark.parametrize(
    ("layers", "idle", "first"), [(1, (2,), 2), (2, (1, 2), 1), (3, (0, 1, 2), 0)]
)
def test_the_block_that_turns_least_goes(tokenizer, asked, layers, idle, first):
    found = pruning.angular_distances(network(tokenizer, idle), asked, layers)
    assert len(found) == LAYERS - layers
    assert all(0 < distance < 1 for distance in found)
    assert found.index(min(found)) == first


def test_the_angle_is_that_between_what_runs_in_and_out(tokenizer, asked):
    net, caught = network(tokenizer), []
    for layer in net.model.layers:
        layer.register_forward_pre_hook(
            lambda _, given: caught.append(given[0][0, -1].double())
        )
    with torch.no_grad():
        net(torch.tensor([asked[0]]))
    one, two = caught[1], caught[3]
    angle = torch.arccos(one @ two / one.norm() / two.norm()) / torch.pi
    caught.clear()
    found = pruning.angular_distances(net, asked[:1], 2)
    assert found[1] == pytest.approx(float(angle), rel=1e-5)


def test_the_last_layer_stays_however_idle_it_is(tokenizer, asked):
    net = network(tokenizer, idle=(LAYERS - 1,))
    found = pruning.angular_distances(net, asked, 1)
    assert len(found) == LAYERS - 1
    last = net.model.layers[-1]
    pruning.drop_layers(net, 1, 1)
    pruning.drop_layers(net, 1, 2)
    assert net.model.layers[-1] is last
    told = models.removed(net)["layers_removed"]
    assert told == f"2 of {LAYERS}, then 2 to 3 of {LAYERS - 1}"


def test_what_is_left_answers_with_its_own_layers_and_cache(tokenizer, asked):
    """As a network made of the other layers does, with and without a cache."""
    net, other = network(tokenizer), network(tokenizer)
    pruning.drop_layers(net, 1, 2)
    assert net.config.num_hidden_layers == len(net.config.layer_types) == LAYERS - 2
    for layer in other.model.layers[1:3]:  # layers that add nothing
        torch.nn.init.zeros_(layer.self_attn.o_proj.weight)
        torch.nn.init.zeros_(layer.mlp.down_proj.weight)
    ids = torch.tensor([asked[0]])
    with torch.no_grad():
        torch.testing.assert_close(net(ids).logits, other(ids).logits)
        first = net(ids[:, :-1], use_cache=True)
        step = net(ids[:, -1:], past_key_values=first.past_key_values)
    assert len(first.past_key_values.layers) == LAYERS - 2
    torch.testing.assert_close(step.logits[:, -1], net(ids).logits[:, -1])


def test_a_copy_is_written_that_loads_as_any_model(base, table, asked, tmp_path):
    folder = pruning.prune(base, tmp_path / "few", 2, table["note"].head(6))
    net, tokenizer = models.load(folder)
    assert net.config.num_hidden_layers == LAYERS - 2
    assert models.describe(net)["layers_removed"] == f"3 to 4 of {LAYERS}"
    whole, _ = models.load(base)
    pruning.drop_layers(whole, 2, 2)
    ids = torch.tensor([asked[0]])
    torch.testing.assert_close(net(ids).logits, whole(ids).logits)
    assert tokenizer.get_vocab() == models.load(base)[1].get_vocab()
    again = pruning.prune(base, tmp_path / "again", 2, table["note"].head(6))
    assert models.weights_hash(models.load(again)[0]) == models.weights_hash(net)


def test_an_adapter_learns_over_what_is_left_and_is_found_again(base, table, tmp_path):
    lora = models.Lora(rank=4)
    few = pruning.prune(base, tmp_path / "pruned", 2, table["note"].head(6), lora)
    net, tokenizer = models.load(few, lora=lora)
    net = models.add_adapter(net, lora, "trl", 0)
    examples, held = encoding.training_examples(table, kit.traces(table))
    data, _ = encoding.encode(examples, tokenizer, "reasoning", "brief", 200)
    settings = sft.SftSettings(steps=2, batch_size=4, validate_every=0, save_every=9)
    net, _, resolved = sft.train(net, tokenizer, data, None, settings, tmp_path / "c")
    models.save(net, tokenizer, tmp_path / "model")
    kept = models.kept(tmp_path / "model")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "../pruned"
    loaded, _ = models.load(kept)
    assert models.adapter_size(loaded) > 0
    said = models.removed(loaded)
    assert said == models.removed(models.load(str(tmp_path / "model"))[0])
    model_card.write_card(tmp_path / "model", resolved, said, {"examples": examples})
    card = (tmp_path / "model" / "README.md").read_text()
    assert f"| layers_removed | 3 to 4 of {LAYERS} |" in card


def test_nothing_is_said_of_a_whole_model(tokenizer):
    assert models.removed(network(tokenizer)) == {}
    assert "layers_removed" not in models.describe(network(tokenizer))


@pytest.mark.parametrize("layers", [0, -1, LAYERS, 99])
def test_a_number_that_leaves_nothing_or_takes_nothing_is_refused(
    base, table, tmp_path, layers
):
    with pytest.raises(UserError, match=f"model of {LAYERS} layers"):
        pruning.prune(base, tmp_path / "few", layers, table["note"].head(2))
    assert not (tmp_path / "few").exists()
