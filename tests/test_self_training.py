"""Rejection-sampling fine-tuning and on-policy DPO: outputs, resume, choices."""

import dataclasses

import pandas as pd
import pytest
import training_kit as kit

from deepicd.common.errors import UserError
from deepicd.rewards import get_spec
from deepicd.tasks.correct import Judge
from deepicd.training import dpo, encoding, grpo, models, rft, trainer
from deepicd.training.own_answers import draw_answers

SETTINGS = grpo.GrpoSettings(
    steps=4,
    prompts=4,
    group_size=4,
    max_completion=24,
    save_every=1,
    rounds=2,
    validate_every=0,
    log_every=1,
    seed=3,
    learning_rate=1e-3,
    examples=4,
    warmup_steps=0,
    rft_steps=4,
)


@pytest.mark.parametrize("method", ["rft", "dpo"])
def test_another_method_gives_what_grpo_gives_and_resumes_exactly(
    method, taught, tokenizer, prompt_set, table, tmp_path
):
    examples, _ = encoding.training_examples(table, kit.traces(table), 0.5)
    replay, _ = encoding.encode(examples, tokenizer, "code_only", "brief", 256)

    def run(name, report=None):
        net, _ = models.load(taught)
        given = (tokenizer, prompt_set)
        rest = (get_spec("tree"), SETTINGS, tmp_path / name)
        if method == "rft":
            return rft.fine_tune(net, *given, replay, *rest, report=report)
        return dpo.train(
            method, net, *given, *rest, report=report, traces=kit.traces(table)
        )

    def stop(done, total, text):
        if text.startswith(("SFT", "DPO")):
            calls.append(done)
        if len(calls) == 4:  # in the second round
            raise kit.Interruption

    calls = []
    whole, curves, log, resolved = run("whole", report=lambda *_: None)
    with pytest.raises(kit.Interruption):
        run("torn", stop)
    again, resumed, again_log, _ = run("torn", report=lambda *_: None)
    assert models.weights_hash(again) == models.weights_hash(whole)
    assert models.weights_hash(again) != models.weights_hash(models.load(taught)[0])
    pd.testing.assert_frame_equal(resumed, curves)
    pd.testing.assert_frame_equal(again_log, log)
    drawn = 2 * len(prompt_set) * 4 if method == "rft" else 4 * 4 * 4
    assert len(log) == drawn and log["used"].all()
    assert {"reward", "sampled_accuracy_full", "train_loss"} <= set(curves["name"])
    assert resolved["learning_rate"] == SETTINGS.learning_rate
    if method == "dpo":
        assert {"dpo_margin", "dpo_accuracy"} <= set(curves["name"])


@pytest.mark.parametrize("method", ["rft", "dpo"])
def test_a_model_that_was_never_saved_learns_too(
    method, taught, tokenizer, prompt_set, table, tmp_path
):
    found = set()
    for name in ("saved", "unsaved"):
        net, _ = models.load(taught)
        if name == "unsaved":
            weights = net.state_dict()
            net = kit.network(tokenizer)
            net.load_state_dict(weights)
        few = dataclasses.replace(SETTINGS, rounds=1, steps=2, rft_steps=2)
        given = (net, tokenizer, prompt_set)
        rest = (get_spec("tree"), few, tmp_path / name)
        if method == "rft":
            net = rft.fine_tune(*given, None, *rest)[0]
        else:
            net = dpo.train(method, *given, *rest, traces=kit.traces(table))[0]
        found.add(models.weights_hash(net))
    assert len(found) == 1


def test_pairs_prefer_the_trace_to_a_wrong_answer():
    answers = pd.DataFrame(
        [
            ("p1", "a", "I21.11", "bad 1", False),
            ("p1", "a", "I21.11", "bad 2", False),
            ("p2", "b", "J18.9", "good", True),
            ("p3", "c", "J18.9", "bad", False),
        ],
        columns=["prompt", "note_id", "label", "completion", "right"],
    )
    traces = pd.DataFrame(
        {"note_id": ["a", "b", "c"], "trace": "T.", "accepted": [True, True, False]}
    )
    pairs = dpo.preference_pairs(answers, traces, "code_only")
    expected = [["p1", "<diagnosis>I21.11</diagnosis>", "bad 1"]]
    assert pairs.values.tolist() == expected
    with pytest.raises(UserError, match="without traces"):
        dpo.preference_pairs(answers, None, "code_only")


def test_own_pairs_are_chosen_by_what_is_paid_within_a_note():
    names = ["prompt", "note_id", "completion", "right", "reward"]
    rows = [
        ("p1", "a", "right, well paid", True, 0.9),
        ("p1", "a", "right", True, 0.8),
        ("p1", "a", "wrong, well paid", False, 0.5),
        ("p1", "a", "wrong", False, 0.1),
        ("p2", "b", "right alone", True, 1.0),
        ("p3", "c", "wrong alone", False, 0.0),
    ]
    answers = pd.DataFrame(rows, columns=names)
    expected = [["p1", "right, well paid", "wrong"]]
    assert dpo.own_pairs(answers).values.tolist() == expected
    shuffled = dpo.own_pairs(answers.iloc[::-1])
    assert shuffled.values.tolist() == expected


def test_own_pairs_need_no_traces(taught, tokenizer, prompt_set, tmp_path):
    own = dataclasses.replace(SETTINGS, dpo_chosen="own", rounds=1)
    net, _ = models.load(taught)
    before = models.weights_hash(net)
    given = (tokenizer, prompt_set, get_spec("tree"), own, tmp_path)
    net, curves, log, _ = dpo.train("dpo", net, *given)
    assert models.weights_hash(net) != before
    assert "dpo_margin" in set(curves["name"])
    certain = dataclasses.replace(own, temperature=1e-3)
    with pytest.raises(UserError, match="right and wrong ones"):
        dpo.train("dpo", net, *given[:3], certain, tmp_path / "certain")


def test_nothing_to_learn_from_is_a_clear_error(tokenizer, prompt_set, tmp_path):
    given = (kit.network(tokenizer), tokenizer, prompt_set)
    rest = ("tree", SETTINGS, tmp_path)
    traces = pd.DataFrame({"note_id": [], "trace": [], "accepted": []})
    traces = traces.astype({"accepted": bool, "note_id": str})
    with pytest.raises(UserError, match="no wrong answer"):
        dpo.train("dpo", *given, *rest, traces=traces)
    with pytest.raises(UserError, match="no right answer"):
        rft.fine_tune(*given, None, *rest)
    with pytest.raises(UserError, match="grpo or dpo"):
        dpo.train("ppo", *[None] * 6)
    with pytest.raises(UserError, match="rft_steps 0"):
        dpo.system_name("rft", 0)


def test_without_rft_steps_nothing_is_drawn(tokenizer, prompt_set, tmp_path):
    none = grpo.GrpoSettings(**vars(SETTINGS) | {"rft_steps": 0})
    net = kit.network(tokenizer)
    before = models.weights_hash(net)
    found, curves, log, resolved = rft.fine_tune(
        net, tokenizer, prompt_set, None, "tree", none, tmp_path / "none"
    )
    assert models.weights_hash(found) == before and curves.empty and log is None
    assert resolved == {} and not (tmp_path / "none").exists()


def test_every_argument_of_dpo_is_known(tmp_path):
    from trl import DPOConfig

    given = dpo.dpo_arguments(SETTINGS, 4, tmp_path, True)
    assert trainer.make_config(DPOConfig, given).beta == SETTINGS.dpo_beta


def test_drawn_again_the_same(taught, tokenizer, prompt_set):
    net, _ = models.load(taught)
    given = (net, tokenizer, prompt_set.select(range(6)), 3, SETTINGS, Judge())
    first, second, third = (draw_answers(*given, number=k) for k in (0, 0, 1))
    pd.testing.assert_frame_equal(first, second)
    assert first["completion"].tolist() != third["completion"].tolist()
