"""Which engine answers, and that an adapter reaches it unrounded."""

import dataclasses
import inspect
import re

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from trl import GRPOTrainer
from trl.generation.vllm_generation import VLLMGeneration

from deepicd.common.errors import UserError
from deepicd.tasks.correct import Judge
from deepicd.training import grpo, models, own_answers
from deepicd.training.grpo import trl_trainer
from deepicd.training.models import engine, generate, serving
from deepicd.training.models.sampling import sample

LORA = models.Lora(rank=4)


class Standing:
    """Stands for a vLLM engine: the same weights, drawn by transformers."""

    def __init__(self, net, tokenizer):
        self.net, self.tokenizer = net, tokenizer
        self.asked = 0

    def draw(self, asked, length, heats, top_p=1.0, end=None, tell=None):
        self.asked += len(asked)
        tell(len(asked), len(asked), "1,000 tokens/s")
        assert end == self.tokenizer.eos_token_id
        ids = sample(self.net, asked, self.tokenizer, length, heats, top_p)
        return ids, [[0.0] * len(row) for row in ids]


@pytest.fixture
def adapted(taught):
    net, tokenizer = models.load(taught, lora=LORA)
    net = models.add_adapter(net.bfloat16(), LORA, "trl", 0).eval()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=1e-5)
    return net, tokenizer


def weights(net, part: str) -> dict:
    return {n: p.detach().clone() for n, p in net.named_parameters() if part in n}


def test_small_deltas_vanish_where_they_are_merged_and_not_where_they_are_kept(
    adapted, taught
):
    """What TRL does at each hand-over, and what is done here."""
    net, _ = adapted
    before = weights(net, "q_proj.base_layer.weight")
    delta = {
        name: net.get_submodule(name.removesuffix(".base_layer.weight"))
        .get_delta_weight("default")
        .abs()
        .max()
        for name in before
    }
    assert min(delta.values()) > 0
    net.merge_adapter()
    merged = weights(net, "q_proj.base_layer.weight")
    net.unmerge_adapter()
    same = [(merged[name] == before[name]).float().mean() for name in before]
    assert min(same) > 0.9  # the share of weights that the update did not reach

    kept = engine.Handover()
    places = [kept.keep(net) for _ in range(2)]
    assert len({name for name, *_ in places}) == 2 and not places[0][2].exists()
    base = AutoModelForCausalLM.from_pretrained(taught)
    again = PeftModel.from_pretrained(base, places[1][2])
    for name, weight in weights(net, "lora_").items():
        assert torch.equal(again.get_parameter(name), weight), name
    other = engine.Handover()
    assert other.keep(net)[0] not in {name for name, *_ in places}  # of another run


def test_answers_come_from_vllm_where_it_is_sooner(taught, table, monkeypatch):
    net, tokenizer = models.load(taught)
    given = dict(tokenizer=tokenizer, max_new_tokens=24, batch_size=4)
    ours, told, left = generate.predict(net, table, **given), [], []
    other = Standing(net, tokenizer)
    monkeypatch.setattr(generate, "engine_of", lambda *_, **__: other)
    monkeypatch.setattr(generate, "worth_it", lambda _, s: left.append(s) or True)
    found = generate.predict(
        net, table, **given, report=lambda *said: told.append(said)
    )
    assert found.equals(ours) and other.asked == len(table)
    assert len(left) == 1 and left[0] > 0
    assert told[-1] == (len(table), len(table), "answering notes, 1,000 tokens/s")
    # Another model's engine runs in this process: transformers answers.
    monkeypatch.setattr(generate, "engine_of", lambda *_, **__: None)
    assert generate.predict(net, table, **given).equals(ours)


def test_own_answers_are_drawn_by_the_engine_that_is_asked_for(
    taught, prompt_set, monkeypatch
):
    net, tokenizer = models.load(taught)
    other = Standing(net, tokenizer)
    monkeypatch.setattr(own_answers, "engine_of", lambda *_, **__: other)
    settings = grpo.GrpoSettings(prompts=4, max_completion=24, rollouts="vllm")
    given = net, tokenizer, prompt_set, 2
    found = own_answers.draw_answers(*given, settings, Judge())
    assert other.asked == 2 * len(prompt_set)
    cold = dataclasses.replace(settings, rollouts="transformers")
    columns = ["prompt", "note_id", "label"]
    expected = own_answers.draw_answers(*given, cold, Judge())
    assert found[columns].equals(expected[columns])


def test_without_a_gpu_transformers_answers(taught):
    net, _ = models.load(taught)
    assert not engine.worth_it(net, 1e9)


def test_vllm_that_is_not_installed_names_the_setting(taught, prompt_set, tmp_path):
    if engine.find_spec("vllm"):
        pytest.skip("vllm is installed")
    net, tokenizer = models.load(taught, lora=models.Lora())
    settings = grpo.GrpoSettings(steps=1, prompts=2, group_size=2, rollouts="vllm")
    with pytest.raises(UserError, match="rollouts=transformers"):
        grpo.train(net, tokenizer, prompt_set, "tree", settings, tmp_path)


def test_a_server_that_ends_says_why(taught, tmp_path, monkeypatch):
    net, _ = models.load(taught)
    monkeypatch.setattr(serving, "URL", "http://127.0.0.1:9")  # nobody answers there
    net.config.max_position_embeddings = -1  # no vLLM starts with it
    with pytest.raises(UserError, match="ended with [1-9]") as caught:
        serving.at_hand(net, 0.3, tmp_path)
    said = (tmp_path / serving.LOG).read_text().splitlines()
    assert said[-1] in str(caught.value) and "Error" in caught.value.found
    assert not serving._started


def test_the_cause_of_a_server_that_ended_is_the_first_error(tmp_path):
    log = tmp_path / "log.txt"
    cause = "ValueError: Free memory on device cuda:0 (1 of 80 GiB) is less than asked"
    rest = ["Traceback", *map(str, range(20)), "RuntimeError: see root cause above."]
    log.write_text("\n".join([f"(EngineCore) {cause}", *rest]))
    error = serving._failed(1, log)
    assert "Free memory on device" in error.found and "vllm_memory" in error.do
    assert error.do.splitlines()[1:] == rest[-serving.LAST :]
    assert "silent after" in serving._failed(None, log).found


def test_what_vllm_is_started_with(taught):
    net, _ = models.load(taught, lora=LORA)
    plain = engine.arguments(net, 0.3, 64)
    assert plain["enforce_eager"] and "enable_lora" not in plain
    net = models.add_adapter(net, LORA, "trl", 0)
    given = engine.arguments(net, 0.3, 64)
    assert given["max_lora_rank"] == 8 and given["max_loras"] == 1
    assert given["model"] == taught == net.name_or_path
    with torch.device("meta"):
        large = torch.nn.Linear(40_000, 40_000)
    large.name_or_path, large.config = "x", net.config
    given = engine.arguments(large, 0.3, 64)
    assert not given["enforce_eager"]
    assert len(given["compilation_config"]["cudagraph_capture_sizes"]) < 12


def test_trl_calls_of_its_engine_what_ours_has():
    calls = re.findall(r"self\.vllm_generation\.(\w+)", inspect.getsource(GRPOTrainer))
    # `llm` is read for agents with tools only.
    assert set(calls) - {"llm"} == {"sync_weights", "generate"}
    for name in ("sync_weights", "generate"):
        theirs = inspect.signature(getattr(VLLMGeneration, name)).parameters
        ours = inspect.signature(getattr(trl_trainer._Engine, name)).parameters
        assert list(ours) == list(theirs)
