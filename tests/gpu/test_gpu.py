"""Real runs on an NVIDIA GPU: adapters, rollouts, merging, speed.

./run_all.sh test tests/gpu -s
"""

import sys
import time
from pathlib import Path

import pytest
import torch

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no usable NVIDIA GPU"),
]
sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(scope="module", params=["trl", "unsloth"])
def backend(request):
    """Unsloth patches what it finds, so it has to be alone in its process."""
    if request.param == "unsloth":
        pytest.importorskip("unsloth", reason="unsloth is not installed")
        if not getattr(request.config.option, "keyword", "") == "unsloth":
            pytest.skip("alone in its process only: pytest tests/gpu -k unsloth")
    return request.param


@pytest.fixture(scope="module")
def parts(backend, tmp_path_factory):
    """Table, tokenizer and the folder of a network with LoRA-sized layers."""
    import training_kit as kit

    from deepicd.training import models

    table = kit.admissions(60)
    tokenizer = kit.tokenizer_of(table)
    folder = tmp_path_factory.mktemp("gpu") / "base"
    models.save(models.make_model(tokenizer, "50m", 0), tokenizer, folder)
    return table, tokenizer, str(folder)


def logits_of(net, tokenizer) -> torch.Tensor:
    ids = torch.tensor([tokenizer("Pain and cough")["input_ids"]], device="cuda")
    with torch.no_grad():
        return net.eval()(ids).logits.float()


def taught(parts, backend, folder):
    import training_kit as kit

    from deepicd.training import encoding, models, sft

    table, tokenizer, base = parts
    lora = models.Lora(rank=16)
    net, _ = models.load(base, backend, 256, lora)
    net = models.add_adapter(net, lora, backend, 0)
    assert models.adapter_size(net) == 0
    examples, held = encoding.training_examples(table, kit.traces(table))
    data, _ = encoding.encode(examples, tokenizer, "reasoning", "brief", 200)
    settings = sft.SftSettings(
        steps=60, batch_size=16, learning_rate=2e-3, validate_every=0, save_every=999
    )
    start = time.perf_counter()
    net, curves, _ = sft.train(net, tokenizer, data, None, settings, folder)
    tokens = sum(map(len, data["input_ids"])) / len(data) * 16 * 60
    print(f"{backend}: SFT {tokens / (time.perf_counter() - start):,.0f} tokens/s")
    return net, curves


def test_sft_with_lora_changes_the_adapter_and_merging_keeps_it(
    parts, backend, tmp_path
):
    from deepicd.training import models

    _, tokenizer, _ = parts
    net, curves = taught(parts, backend, tmp_path / "sft")
    loss = curves[curves["name"] == "train_loss"]["value"].tolist()
    assert models.adapter_size(net) > 0 and loss[-1] < loss[0]
    before = logits_of(net, tokenizer)
    models.save(net, tokenizer, tmp_path / "merged")
    merged, _ = models.load(str(tmp_path / "merged"))
    after = logits_of(merged, tokenizer)
    # bfloat16 rounds the merged weights: 8 bits of mantissa, logits of order 10.
    torch.testing.assert_close(before, after, atol=0.3, rtol=0.05)
    assert (before.argmax(-1) == after.argmax(-1)).float().mean() > 0.9


@pytest.mark.parametrize("rollouts", ["transformers", "vllm"])
def test_grpo_draws_pays_and_changes_the_adapter(parts, backend, rollouts, tmp_path):
    if rollouts == "vllm":
        pytest.importorskip("vllm", reason="vllm is not installed")
    from deepicd.training import grpo, models

    table, tokenizer, _ = parts
    net, _ = taught(parts, backend, tmp_path / "sft")
    models.save(net, tokenizer, tmp_path / "taught")
    lora = models.Lora(rank=16)
    source = str(tmp_path / "taught")
    net, _ = models.load(source, backend, 256, lora, rollouts)
    net = models.add_adapter(net, lora, backend, 0)
    data, _ = grpo.prompt_set(table, tokenizer, "reasoning", "brief", 200)
    settings = grpo.GrpoSettings(
        steps=4,
        prompts=4,
        group_size=8,
        max_completion=48,
        max_prompt=200,
        rollouts=rollouts,
        share_prompts=backend == "trl",
        log_every=1,
        validate_every=0,
        learning_rate=1e-3,
        warmup_steps=0,
    )
    start = time.perf_counter()
    net, curves, log, _ = grpo.train(
        net, tokenizer, data, "tree", settings, tmp_path / "grpo"
    )
    seconds = time.perf_counter() - start
    length = curves[curves["name"] == "completion_length"]["value"].mean()
    print(f"{backend}, {rollouts}: GRPO {len(log) * length / seconds:,.0f} tokens/s")
    assert len(log) == 4 * 4 * 8 and log["reward"].nunique() > 1
    assert models.adapter_size(net) > 0
