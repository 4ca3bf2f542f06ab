"""Sharing a prompt must not change a number."""

import pytest
import torch
from training_kit import admissions, network, tokenizer_of

from deepicd.training.models import sampling


@pytest.fixture(scope="module")
def parts():
    tokenizer = tokenizer_of(admissions())
    return network(tokenizer).eval(), tokenizer


def group_batch(tokenizer, prompts=3, group=4, longest=14, width=9):
    """Shuffled groups: left-padded prompts, right-padded completions."""
    draw = torch.Generator().manual_seed(0)
    ids, mask = [], []
    for _ in range(prompts):
        n = int(torch.randint(longest // 2, longest + 1, (1,), generator=draw))
        prompt = torch.full((longest,), tokenizer.pad_token_id)
        prompt[longest - n :] = torch.randint(20, 300, (n,), generator=draw)
        for _ in range(group):
            k = int(torch.randint(1, width + 1, (1,), generator=draw))
            said = torch.randint(20, 300, (width,), generator=draw)
            ids.append(torch.cat([prompt, said]))
            seen = torch.arange(longest) >= longest - n
            mask.append(torch.cat([seen, torch.arange(width) < k]).long())
    order = torch.randperm(prompts * group, generator=draw)
    return torch.stack(ids)[order], torch.stack(mask)[order], width


def test_logits_and_gradients_are_those_of_a_full_pass(parts):
    net, tokenizer = parts
    ids, mask, width = group_batch(tokenizer)
    seen = mask[:, -width:].bool()
    found = {}
    for name in ("full", "shared"):
        net.zero_grad()
        if name == "full":
            logits = net(input_ids=ids, attention_mask=mask).logits[:, -width - 1 : -1]
        else:
            logits = sampling.completion_logits(net, ids, mask, width)
        logits.log_softmax(-1)[seen].pow(2).mean().backward()
        weights = net.named_parameters()
        found[name] = logits.detach()[seen], {n: p.grad.clone() for n, p in weights}
    torch.testing.assert_close(*(found[n][0] for n in found), atol=1e-5, rtol=1e-4)
    for name, gradient in found["full"][1].items():
        torch.testing.assert_close(
            found["shared"][1][name], gradient, atol=1e-5, rtol=1e-3
        )


def test_gradients_repeat_to_the_bit_with_several_threads(parts):
    net, tokenizer = parts
    ids, mask, width = group_batch(tokenizer, prompts=4, group=16, longest=200, width=9)
    seen, found = mask[:, -width:].bool(), set()
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        for _ in range(6):
            net.zero_grad()
            logits = sampling.completion_logits(net, ids, mask, width)
            logits.log_softmax(-1)[seen].pow(2).mean().backward()
            bits = [p.grad.numpy().tobytes() for p in net.parameters()]
            found.add(b"".join(bits))
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


def test_greedy_answers_are_those_of_transformers(parts):
    net, tokenizer = parts
    prompts = [
        tokenizer(f"Pain {i} and cough. " * (i + 1))["input_ids"] for i in (0, 2)
    ]
    prompts += [prompts[0]]
    ours = sampling.sample(net, prompts, tokenizer, 80, temperature=0.0)
    for prompt, said in zip(prompts, ours, strict=True):
        theirs = net.generate(
            torch.tensor([prompt]), max_new_tokens=80, do_sample=False
        )[0, len(prompt) :]
        assert said == theirs.tolist()


def test_draws_follow_the_models_probabilities(parts):
    net, tokenizer = parts
    prompt = tokenizer("Pain and cough")["input_ids"]
    torch.manual_seed(0)
    n = 4000
    drawn = sampling.sample(net, [prompt] * n, tokenizer, 1, temperature=0.5)
    with torch.no_grad():
        logits = net(torch.tensor([prompt])).logits[0, -1]
    expected = torch.softmax(logits / 0.5, -1)
    counts = torch.bincount(torch.tensor(drawn)[:, 0], minlength=len(expected)) / n
    # Total variation of an empirical distribution over 400 tokens is near
    # sum(sqrt(2 p / (pi n))) / 2, which Cauchy-Schwarz bounds by sqrt(400 / (2 pi n)).
    assert (counts - expected).abs().sum() / 2 < 0.13


def test_greedy_and_drawn_answers_stand_in_one_batch(parts):
    net, tokenizer = parts
    prompts = [tokenizer(f"Pain {i}. Cough")["input_ids"] for i in range(4)]
    heats = [0.0, 3.0, 0.0, 3.0]
    both = sampling.sample(net, prompts, tokenizer, 12, heats)
    greedy = sampling.sample(net, prompts, tokenizer, 12, 0.0)
    assert both[0::2] == greedy[0::2]
    assert both[1] != greedy[1] and both[3] != greedy[3]


def test_a_nucleus_keeps_the_likeliest_tokens(parts):
    net, tokenizer = parts
    prompt = tokenizer("Pain and cough")["input_ids"]
    drawn = sampling.sample(net, [prompt] * 50, tokenizer, 1, 1.0, top_p=1e-6)
    greedy = sampling.sample(net, [prompt], tokenizer, 1, 0.0)
    assert drawn == greedy * 50


@pytest.mark.parametrize("room", [False, True])
def test_a_completion_ends_with_the_end_token(parts, room):
    net, tokenizer = parts
    end = tokenizer.eos_token_id
    bias = torch.zeros(len(tokenizer))
    bias[end] = 8.0
    hook = net.lm_head.register_forward_hook(lambda m, i, out: out + bias)
    prompts = [tokenizer("Pain" * (i % 3 + 1))["input_ids"] for i in range(40)]
    torch.manual_seed(0)
    said = sampling.sample(net, prompts, tokenizer, 30, temperature=4.0, room=room)
    hook.remove()
    assert {len(s) for s in said} != {30}
    assert all(s.count(end) <= 1 and (end not in s or s[-1] == end) for s in said)


def test_a_cache_with_room_draws_the_same(parts):
    """What a GPU draws with; rows end at different tokens."""
    net, tokenizer = parts
    end, heats = tokenizer.eos_token_id, [0.0, 4.0] * 20
    bias = torch.zeros(len(tokenizer))
    bias[end] = 20.0
    hook = net.lm_head.register_forward_hook(lambda m, i, out: out + bias)
    prompts = [
        tokenizer("Pain and cough " * (i % 4 + 1))["input_ids"] for i in range(40)
    ]
    draws = torch.rand(40, 24, generator=torch.Generator().manual_seed(0))
    asked = net, prompts, tokenizer, 24, heats, 1.0, draws
    grown, kept = (sampling.sample(*asked, room=room) for room in (False, True))
    hook.remove()
    assert len({len(said) for said in grown}) > 5
    assert kept == grown
