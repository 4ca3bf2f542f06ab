import math

import pandas as pd
import pytest
import torch
from training_kit import admissions, network

from deepicd.common.errors import UserError
from deepicd.common.files import read_json
from deepicd.training import grpo, models
from deepicd.training.models import backends, merging
from deepicd.training.models import model_card as cards

TEXTS = [
    "<think>\nST elevation in II, III, aVF.\n</think>\n<diagnosis>I21.11</diagnosis>",
    "BP 84/40, HR 120; 3.5 mg\n\n\tnaïve – “quoted” ___ 漢字",
    "   leading, trailing   \r\n",
    "",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_saved_tokenizer_reads_as_before(tokenizer, text, tmp_path):
    models.save(network(tokenizer), tokenizer, tmp_path / "model")
    _, loaded = models.load(str(tmp_path / "model"))
    assert loaded(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert loaded.padding_side == "left"
    assert loaded.chat_template == tokenizer.chat_template


def test_tags_survive_the_removal_of_special_tokens(tokenizer):
    text = TEXTS[0] + tokenizer.eos_token
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == TEXTS[0]
    assert len(tokenizer("<think>")["input_ids"]) == 1


def test_every_digit_is_a_token_of_its_own(tokenizer):
    pieces = tokenizer.tokenize("I21.11")
    assert [p for p in pieces if p.isdigit()] == ["2", "1", "1", "1"]


def test_counted_parameters_are_the_real_ones(tokenizer):
    for name in ("tiny", "1m", "2m"):
        net = models.make_model(tokenizer, name, 0)
        counted = models.SIZES[name].parameters(len(tokenizer))
        assert counted == models.describe(net)["parameters"]


def test_a_seed_decides_the_weights_and_leaves_the_global_state(tokenizer):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = (network(tokenizer, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    assert models.weights_hash(a) == models.weights_hash(b)
    assert models.weights_hash(a) != models.weights_hash(c)


def test_a_saved_model_is_the_same_model(tokenizer, tmp_path):
    net = network(tokenizer)
    models.save(net, tokenizer, tmp_path / "model")
    loaded, _ = models.load(str(tmp_path / "model"))
    assert models.weights_hash(loaded) == models.weights_hash(net)


def adapted(net, spread: float):
    """The model with an adapter whose B matrices are of this size."""
    net = models.add_adapter(net, models.Lora(rank=4), "trl", 0)
    assert models.adapter_size(net) == 0
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=spread)
    assert models.adapter_size(net) > 0
    return net


def test_merging_an_adapter_keeps_answers_and_logits(tokenizer, tmp_path):
    asked = [tokenizer(text)["input_ids"] for text in ("Pain and cough", "Denies")]
    net = adapted(network(tokenizer), 0.2)
    found = models.save(net, tokenizer, tmp_path / "merged", asked, 12)
    assert found == read_json(tmp_path / "merged" / "merging.json")
    assert (found["notes"], found["answers_changed"]) == (2, 0)
    assert found["largest_logit_difference"] < 1e-4


def test_a_merge_that_changes_answers_is_told(tokenizer):
    asked = [tokenizer(text)["input_ids"] for text in ("Pain and cough", "Denies")]
    net = adapted(network(tokenizer), 0.2)
    whole = merging.probe(net, tokenizer, asked, 12)
    bare = merging.probe(network(tokenizer), tokenizer, asked, 12)
    found = merging.compare(whole, bare)
    assert found["answers_changed"] == 2 and found["largest_logit_difference"] > 0.01


def test_merging_loses_nothing_that_bfloat16_cannot_hold(tokenizer, tmp_path):
    """Deltas far below the resolution of the weights that they are added to."""

    def base():
        return network(tokenizer).to(torch.bfloat16)

    name = "model.layers.0.mlp.up_proj"
    start = base().get_submodule(name).weight.float()
    net = adapted(base(), 1e-6)
    layer = net.base_model.model.get_submodule(name)
    delta = layer.get_delta_weight("default").float()
    assert 0 < delta.abs().max() < start.abs().mean() / 2**9
    rounded = adapted(base(), 1e-6).merge_and_unload().get_submodule(name).weight
    assert (rounded.float() == start).float().mean() > 0.9  # what would be lost
    models.save(net, tokenizer, tmp_path / "merged")
    kept = models.load(str(tmp_path / "merged"))[0].get_submodule(name).weight
    assert kept.dtype == torch.float32
    torch.testing.assert_close(kept - start, delta, atol=1e-8, rtol=1e-2)


def test_the_adapter_is_kept_answers_and_is_trained_further(tokenizer, tmp_path):
    lora = models.Lora(rank=4)
    models.save(network(tokenizer), tokenizer, tmp_path / "a" / "base")
    net = adapted(models.load(str(tmp_path / "a" / "base"), lora=lora)[0], 0.2)
    asked = [tokenizer(text)["input_ids"] for text in ("Pain and cough", "Denies")]
    said = merging.probe(net, tokenizer, asked, 12)
    models.save(net, tokenizer, tmp_path / "a" / "model")
    (tmp_path / "a").rename(tmp_path / "moved")  # base and adapter together
    kept = models.kept(tmp_path / "moved" / "model")
    assert kept.endswith("adapter")
    loaded, _ = models.load(kept)
    found = merging.compare(said, merging.probe(loaded, tokenizer, asked, 12))
    assert (found["answers_changed"], found["largest_logit_difference"]) == (0, 0)
    further = models.add_adapter(models.load(kept, lora=lora)[0], lora, "trl", 9)
    assert models.adapter_size(further) == models.adapter_size(loaded) > 0
    assert (
        models.describe(further)["trainable"] < models.describe(further)["parameters"]
    )
    whole = models.load(kept, lora=models.Lora())[0]
    alone = models.load(str(tmp_path / "moved" / "model"))[0]
    assert models.weights_hash(whole) == models.weights_hash(alone)
    with pytest.raises(UserError, match="lora_rank 8 over an adapter of rank 4"):
        models.load(kept, lora=models.Lora(rank=8))
    models.save(alone, tokenizer, tmp_path / "moved" / "model")
    assert models.kept(tmp_path / "moved" / "model").endswith("model")


def test_grpo_at_a_rate_of_a_millionth_is_not_rounded_away(
    taught, tokenizer, prompt_set, tmp_path
):
    """bfloat16 weights under a float32 adapter: what a GPU holds of a 7B model."""
    lora = models.Lora(rank=4)
    net = models.load(taught, lora=lora)[0].to(torch.bfloat16)
    net = models.add_adapter(net, lora, "trl", 0)
    said = models.describe(net)["precision"]
    assert said.startswith("frozen bfloat16 weights, float32 adapter")
    start = {n: p.detach().clone() for n, p in net.named_parameters()}
    settings = grpo.GrpoSettings(
        steps=3,
        prompts=4,
        group_size=4,
        max_completion=24,
        learning_rate=1e-6,
        warmup_steps=0,
        validate_every=0,
        temperature=1.2,
        seed=3,
    )
    net = grpo.train(net, tokenizer, prompt_set, "tree", settings, tmp_path / "g")[0]
    moved = {n: (p - start[n]).abs().max() for n, p in net.named_parameters()}
    assert all(d == 0 for n, d in moved.items() if "lora_" not in n)
    size = models.adapter_size(net)
    assert 0 < size < 1e-5
    models.save(net, tokenizer, tmp_path / "model")
    again = models.load(models.kept(tmp_path / "model"), lora=lora)[0]
    assert models.adapter_size(again) == size
    change = models.load(str(tmp_path / "model"))[0].state_dict()
    names = [n for n in change if n.endswith("_proj.weight")]
    old = models.load(taught)[0].to(torch.bfloat16).state_dict()
    assert all((change[n] != old[n].float()).any() for n in names)
    rounded = [(change[n].to(torch.bfloat16) == old[n]).float().mean() for n in names]
    assert min(rounded) > 0.9  # what a merge in bfloat16 would have lost


def test_a_model_without_adapters_has_no_adapter_size(tokenizer):
    assert math.isnan(models.adapter_size(network(tokenizer)))


def test_a_missing_model_is_a_clear_error(tmp_path):
    with pytest.raises(UserError, match="no model at"):
        models.load(str(tmp_path / "nothing"))


def test_an_unknown_size_names_the_known_ones(tokenizer):
    with pytest.raises(UserError, match="2m"):
        models.make_model(tokenizer, "9m", 0)


def test_the_card_says_what_it_is_for_what_it_saw_and_how_good_it_is(tmp_path):
    table = admissions()
    arguments = {"max_steps": 1, "learning_rate": 0.1, "seed": 0}
    results = pd.DataFrame(
        {"well_formed": [0.5], "chapter": [0.25], "category": [0.2], "full": [0.125]},
        index=["sft"],
    ).assign(labelled_notes=1119)
    data = {"admissions": table, "traces": table.head(3)}
    cards.write_card(tmp_path, arguments, {"kept": 3}, data, results)
    card = (tmp_path / "README.md").read_text()
    assert "Never for diagnosis" in card and "| kept | 3 |" in card
    assert "| sft | 0.500 | 0.250 | 0.200 | 0.125 | 1,119 |" in card
    assert cards.data_hash(table) in card
    assert cards.data_hash(table) != cards.data_hash(table.head(3))
    assert not any(note in card for note in table["note"])


@pytest.mark.parametrize("rank", [0, 4])
def test_a_model_loads_as_plain_transformers_loads_it(tokenizer, tmp_path, rank):
    """What vLLM reads too: config, one file of weights, tokenizer, template."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    net = models.add_adapter(network(tokenizer), models.Lora(rank=rank), "trl", 0)
    models.save(net, tokenizer, tmp_path / "model")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= files
    assert not any("adapter" in name for name in files)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert models.weights_hash(loaded) == models.weights_hash(network(tokenizer))
    reader = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert reader.chat_template == tokenizer.chat_template
    assert loaded.config.eos_token_id == tokenizer.eos_token_id


def test_four_bit_weights_need_an_adapter_and_a_gpu():
    with pytest.raises(UserError, match="four_bit"):
        models.load("x", lora=models.Lora(rank=0, four_bit=True))


def test_unsloth_trains_all_weights_or_shares_its_adapter_with_vllm():
    given = models.unsloth_arguments("x", 9, models.Lora(), "transformers")
    assert given["full_finetuning"] and not given["fast_inference"]
    given = models.unsloth_arguments("x", 9, models.Lora(rank=64), "vllm")
    assert given["fast_inference"] and given["max_lora_rank"] == 64
    with pytest.raises(UserError, match="lora_rank 0"):
        models.unsloth_arguments("x", 9, models.Lora(), "vllm")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_trl_trains_and_says_why():
    assert backends.choose("auto") == ("trl", "no usable NVIDIA GPU")
    with pytest.raises(UserError, match="no usable NVIDIA GPU"):
        backends.choose("unsloth")
    with pytest.raises(UserError, match="auto or trl or unsloth"):
        backends.choose("jax")
