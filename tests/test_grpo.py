"""GRPO: order of prompts, resampling, schedules, guard, and a resume that is exact."""

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import training_kit as kit

from deepicd import rewards
from deepicd.common.errors import UserError
from deepicd.common.parameters import notebook_parameters, once, settings_with
from deepicd.icd import load_tree
from deepicd.rewards import get_spec
from deepicd.tasks import get_task
from deepicd.tasks.correct import Judge
from deepicd.tasks.evidence import default_background
from deepicd.tasks.quotes import share_found
from deepicd.traces.guiding import Guide
from deepicd.training import encoding, grpo, models, trainer
from deepicd.training.grpo import guard, schedule
from deepicd.training.grpo.redrawing import Batch, refill
from deepicd.training.grpo.rollout_log import RolloutLog


@pytest.fixture
def run(taught, tokenizer, prompt_set, tmp_path):
    """Train the taught network; folder, reward and settings can be changed."""

    def train(name="run", report=None, spec=None, start=taught, **changes):
        given = {"steps": 4, "prompts": 2, "group_size": 4, "max_completion": 24}
        given |= {"save_every": 2, "validate_every": 0, "log_every": 1, "seed": 3}
        given |= {"learning_rate": 1e-3, "warmup_steps": 0}
        settings = grpo.GrpoSettings(**(given | changes))
        spec = spec or get_spec("tree", weight_evidence=0.5)
        net, _ = models.load(start)
        asked = prompt_set["note"], prompt_set["label"], load_tree(), spec.style
        return grpo.train(
            net,
            tokenizer,
            prompt_set,
            spec,
            settings,
            tmp_path / name,
            report=report,
            guide=Guide.of(*asked, settings.guide),
        )

    return train


VARIANTS = {
    "plain": {},
    "resampled": {"resample_rounds": 2},
    "guided": {"guide": "short"},
    "held back": {"beta": 0.05, "beta_schedule": "cosine"},
    "reused": {"updates_per_batch": 2, "micro_batches": 2, "loss_type": "grpo"},
    "by sequence": {
        "importance_level": "sequence",
        "entropy_bonus": 0.01,
        "mask_truncated": True,
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_grpo_that_was_interrupted_ends_with_the_same_weights_and_rollouts(
    variant, run, taught
):
    given = VARIANTS[variant]
    whole, curves, log, _ = run("whole", **given)
    with pytest.raises(kit.Interruption):
        run("torn", report=kit.stop_at(3), **given)
    again, resumed, again_log, _ = run("torn", **given)
    assert models.weights_hash(again) == models.weights_hash(whole)
    assert models.weights_hash(again) != models.weights_hash(models.load(taught)[0])
    pd.testing.assert_frame_equal(resumed, curves)
    pd.testing.assert_frame_equal(again_log, log)
    updates = given.get("updates_per_batch", 1)
    assert log["used"].sum() == 4 * 2 * 4 / updates


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss_type": "grpo", "scale_rewards": "none"},
        {"loss_type": "dr_grpo", "micro_batches": 2},
        {"loss_type": "bnpo", "importance_level": "sequence"},
        {"loss_type": "cispo", "epsilon_high": 5.0},
        {"beta": 0.1},
        {"entropy_bonus": 0.02},
    ],
)
def test_a_step_has_the_gradient_of_the_stock_trainer(
    options, taught, tokenizer, prompt_set, tmp_path
):
    """Same completions, both ways: each prompt once, dead rows and padding left out."""
    settings = grpo.GrpoSettings(
        steps=1,
        prompts=8,
        group_size=2,
        max_completion=24,
        seed=1,
        **options,
    )
    net, _ = models.load(taught)
    functions, names, weights = rewards.trl_reward_functions("flat")
    log = RolloutLog(tmp_path / "log.jsonl", {"outcome": 1.0})
    log.rewind(0)
    trainer = grpo.make_trainer(
        net,
        tokenizer,
        prompt_set,
        settings,
        log,
        (functions, names, weights),
        tmp_path,
        True,
    )
    trainer.current_gradient_accumulation_steps = settings.micro_batches
    batch = trainer.prepared(next(iter(trainer.get_train_dataloader())))
    assert (batch["advantages"] == 0).any() and (batch["advantages"] != 0).any()
    found = {}
    for shared in (True, False):
        trainer.plan.settings = dataclasses.replace(settings, share_prompts=shared)
        net.zero_grad()
        loss = trainer.compute_loss(net, batch)
        loss.backward()
        gradients = {n: p.grad.clone() for n, p in net.named_parameters()}
        found[shared] = loss.detach(), trainer._metrics["train"]["entropy"][-1]
        found[shared] += (gradients,)
    torch.testing.assert_close(found[True][0], found[False][0], atol=1e-6, rtol=1e-5)
    assert found[True][1] == pytest.approx(found[False][1], rel=1e-4)
    assert max(g.abs().max() for g in found[False][2].values()) > 1e-3
    for name, gradient in found[False][2].items():
        torch.testing.assert_close(found[True][2][name], gradient, atol=1e-5, rtol=1e-3)


def test_a_model_that_was_never_saved_is_held_back_by_a_copy_of_itself(
    taught, tokenizer, prompt_set, tmp_path
):
    """The same weights, once with a folder: the same reference, the same training."""
    given = {"steps": 3, "prompts": 2, "group_size": 4, "max_completion": 24}
    given |= {"save_every": 9, "validate_every": 0, "log_every": 1, "seed": 3}
    found = {}
    for name, beta in (("saved", 0.3), ("unsaved", 0.3), ("free", 0.0)):
        settings = grpo.GrpoSettings(**given, learning_rate=1e-3, beta=beta)
        net, _ = models.load(taught)
        if name != "saved":
            weights = net.state_dict()
            net = kit.network(tokenizer)
            net.load_state_dict(weights)
            assert not net.config.name_or_path
        net, curves, _, resolved = grpo.train(
            net, tokenizer, prompt_set, "tree", settings, tmp_path / name
        )
        found[name] = models.weights_hash(net)
        assert resolved["beta"] == beta
        kl = curves.loc[curves["name"] == "kl", "value"]
        assert kl.empty if not beta else kl.iloc[-1] > 0
    assert found["saved"] == found["unsaved"] != found["free"]


def test_parts_that_are_switched_off_change_the_training(run, taught):
    """Unlike switches that are read as text, where "False" is true."""
    start = models.weights_hash(models.load(taught)[0])
    found = {}
    specs = {
        "both": get_spec("tree", weight_length=2.0, length_limit=100, length_start=0.0),
        "outcome": get_spec("tree", weight_length=0.0),
        "length": get_spec(
            "tree",
            weight_outcome=0.0,
            weight_length=2.0,
            length_limit=100,
            length_start=0.0,
        ),
    }
    for name, spec in specs.items():
        net, curves, log, resolved = run(name, spec=spec, steps=2)
        found[name] = models.weights_hash(net)
        parts = {c.removeprefix("reward_") for c in log if c.startswith("reward_")}
        drawn = {n.split("/")[1] for n in curves["name"] if n.startswith("reward/")}
        assert parts == drawn and len(resolved["reward_weights"]) == len(parts)
        assert ("outcome" in parts) == (name != "length")
    assert len({start, *found.values()}) == 4


def test_a_rollout_has_every_part_of_its_reward(run):
    _, curves, log, resolved = run(steps=2)
    parts = [name for name in log if name.startswith("reward_")]
    assert len(parts) >= 2
    weights = dict(zip(parts, resolved["reward_weights"], strict=True))
    total = sum(log[name] * weight for name, weight in weights.items())
    torch.testing.assert_close(torch.tensor(total), torch.tensor(log["reward"]))
    curve = curves.pivot(index="step", columns="name", values="value")
    means = log.groupby("step").mean(numeric_only=True)
    # The trainer logs a step after it is done, under the next number.
    assert curve["reward"].iloc[:2].tolist() == pytest.approx(means["reward"], abs=1e-5)
    right = log.groupby("step")["right"].mean()
    assert curve["sampled_accuracy_full"].iloc[:2].tolist() == pytest.approx(right)
    expected = {"sampled_accuracy_chapter", "sampled_well_formed", "useless_groups"}
    assert expected | {"entropy", "reward_std", "completion_length"} <= set(curve)


def test_resampling_leaves_fewer_useless_groups_and_says_what_it_cost(run):
    _, curves, log, _ = run(resample_rounds=3, prompts=4, group_size=2, steps=3)
    curve = curves.pivot(index="step", columns="name", values="value")
    assert (curve["useless_groups"] <= curve["useless_first_draw"]).iloc[:3].all()
    assert (curve["useless_groups"] < curve["useless_first_draw"]).iloc[:3].any()
    used = log.groupby("step")["used"].sum()
    assert used.tolist() == [8] * 3
    extra = (~log["used"]).groupby(log["step"]).sum() / 8
    assert curve["extra_completions"].iloc[:3].tolist() == pytest.approx(extra)
    assert log.loc[~log["used"], "reward"].isna().all()


def test_resampled_rows_are_paid_by_their_own_code(run):
    _, _, log, _ = run(
        resample_rounds=2, prompts=4, group_size=2, steps=2, spec=get_spec("flat")
    )
    used = log[log["used"]]
    again = Judge().right(used["completion"].tolist(), used["label"].tolist())
    assert used["right"].tolist() == again
    assert (used["reward"] > 0.5).tolist() == again


@pytest.fixture(scope="module")
def quoting(table, tokenizer, tmp_path_factory):
    """A network that quotes the note, and is often wrong."""
    folder = tmp_path_factory.mktemp("quoting")
    return kit.taught(table, tokenizer, folder, 40, '"Pain", so this.')


GUIDED = {"group_size": 3, "prompts": 4, "steps": 2, "max_completion": 130}


def test_a_group_without_a_right_answer_is_shown_one(run, quoting, prompt_set):
    _, _, log, _ = run(start=quoting, guide="short", **GUIDED)
    notes = dict(zip(prompt_set["note_id"], prompt_set["note"], strict=True))
    assert 0 < log["shown"].sum() < 8
    for start in range(0, len(log), 3):
        group = log[start : start + 3]
        drawn, shown = group[~group["shown"]], group[group["shown"]]
        assert not group["shown"].iloc[:2].any()  # the last one gives its place
        assert drawn["right"].any() != (len(shown) == 1)
        for row in shown.itertuples():
            assert row.right and row.reward == 1  # in every note: no evidence
            assert '"Pain"' in row.completion
            assert share_found(row.completion, notes[row.note_id]) == 1


def test_curves_are_of_what_the_policy_drew_itself(run, quoting):
    _, curves, log, _ = run(start=quoting, guide="short", **GUIDED)
    curve = curves.pivot(index="step", columns="name", values="value").iloc[:2]
    own = log[~log["shown"]].groupby("step")
    assert curve["sampled_reward"].tolist() == pytest.approx(own["reward"].mean())
    right = own["right"].mean()
    assert curve["sampled_accuracy_full"].tolist() == pytest.approx(right)
    assert (curve["reward"] > curve["sampled_reward"]).any()
    shown = log.groupby("step")["shown"].mean()
    assert curve["shown_answers"].tolist() == pytest.approx(shown)


def test_what_no_engine_drew_has_no_chance_that_could_be_corrected(
    quoting, tokenizer, prompt_set, tmp_path
):
    """Rows as an engine gives them: token ids, and the chance of each."""
    net, _ = models.load(quoting)
    settings = grpo.GrpoSettings(prompts=2, group_size=2, guide="short")
    log = RolloutLog(tmp_path / "log.jsonl", {"outcome": 1.0})
    given = rewards.trl_reward_functions("flat")
    asked = prompt_set["note"], prompt_set["label"], load_tree(), "reasoning"
    guide = Guide.of(*asked, "short")
    trainer = grpo.make_trainer(
        net, tokenizer, prompt_set, settings, log, given, tmp_path, True, guide
    )
    trainer.max_completion_length = 130
    said = tokenizer('<think>"Pain".</think>', add_special_tokens=False)["input_ids"]
    rows = [prompt_set[0]] * 2 + [prompt_set[1]] * 2
    drawn = [(said, [-0.5] * len(said))] * 4
    batch = Batch(rows, list(drawn), [False, False, False, True])
    trainer._show(batch)
    assert log.shown == {1} and batch.drawn[2:] == drawn[2:]
    ids, chances = batch.drawn[1]
    assert chances == [None] * len(ids) and ids[-1] == tokenizer.eos_token_id
    assert prompt_set["label"][0] in tokenizer.decode(ids)
    plain = Batch(rows, [(said, None)] * 4, [False] * 4)
    trainer._show(plain)  # transformers gives no chances
    assert log.shown == {1, 3} and plain.drawn[3][1] is None


def test_an_answer_that_is_too_long_is_not_shown(run, quoting):
    _, curves, log, _ = run(
        start=quoting, guide="long", **(GUIDED | {"max_completion": 24})
    )
    assert not log["shown"].any()
    assert not curves.loc[curves["name"] == "shown_answers", "value"].any()


def test_a_guide_that_is_asked_for_has_to_be_given(run, prompt_set, tokenizer, taught):
    settings = grpo.GrpoSettings(guide="short")
    net, _ = models.load(taught)
    with pytest.raises(UserError, match="guide=short and nobody"):
        grpo.train(net, tokenizer, prompt_set, "tree", settings, "nowhere")


def test_a_guide_needs_whole_groups():
    given = {"prompts": 2, "group_size": 3, "micro_batches": 3}
    assert grpo.rows_a_pass(grpo.GrpoSettings(**given)) == 2
    assert grpo.rows_a_pass(grpo.GrpoSettings(guide="long", **given)) == 2


def test_a_task_without_a_tabular_list_has_a_guide_of_its_own():
    space = get_task("length_of_stay").space(None)
    said = ['<think>"Septic shock": short.</think><diagnosis>up to 3 days</diagnosis>']
    guide = Guide(space, "answer_first", "short", default_background())
    answer = guide.answer(said, "Septic shock today.", "over 14 days")
    assert answer.index(f"<{space.tag}>") < answer.index("<think>")
    assert '"Septic shock"' in answer
    assert guide.answer(["<think>x</think>"], "Septic shock.", "over 14 days") is None
    short = Guide(space, "code_only", "short", default_background())
    assert "over 14 days" in short.answer([], "", "over 14 days")


def test_a_group_that_stays_useless_is_kept_and_the_rounds_end():
    asked = []

    def spare(n, number, used):
        asked.append((n, number))
        return [{"x": number}] * n

    rows = [{"x": 0}] * 2 + [{"x": 9}] * 2

    def draw(rows, number):
        values = [row["x"] for row in rows]
        return values, [v == 9 and i % 2 == 0 for i, v in enumerate(values)]

    found = refill(rows, 2, 2, draw, spare)
    assert found.rows == rows and found.extra == 4
    assert asked == [(1, 1), (1, 2)] and len(found.discarded) == 2
    assert found.useless_first == 0.5


def test_the_plain_order_is_that_of_trls_own_sampler(prompt_set):
    from trl.trainer.utils import RepeatSampler

    settings = grpo.GrpoSettings(steps=9, prompts=5, seed=7)
    sampler = RepeatSampler(range(len(prompt_set)), 1, 5, shuffle=True, seed=7)
    theirs = [row for _ in range(3) for row in sampler][:45]
    assert schedule.order_of_run(len(prompt_set), settings) == theirs


def test_kl_weight_falls_to_zero_or_stays():
    cosine = grpo.GrpoSettings(beta=0.2, beta_schedule="cosine", steps=10)
    found = [schedule.kl_weight(cosine, step) for step in range(11)]
    assert found[0] == 0.2 and found[10] == pytest.approx(0)
    assert sorted(found, reverse=True) == found
    steady = dataclasses.replace(cosine, beta_schedule="constant")
    assert {schedule.kl_weight(steady, step) for step in range(11)} == {0.2}


@pytest.mark.parametrize(
    "last, name",
    [
        ({"entropy": 0.001}, "entropy fell"),
        ({"entropy": 4.0}, "entropy rose"),
        ({"reward_std": 0.0, "sampled_accuracy_full": 0.2}, "spread vanished"),
        ({"sampled_well_formed": 0.3}, "format broke"),
    ],
)
def test_a_collapse_is_named(last, name):
    good = {"entropy": 0.7, "reward_std": 0.4, "sampled_well_formed": 0.99}
    settings = grpo.GrpoSettings(guard_patience=2)
    assert guard.diagnose([good] * 9, settings) is None
    assert guard.diagnose([good, good, good | last], settings) is None
    assert guard.diagnose([good, good | last, good | last], settings)[0] == name
    off = grpo.GrpoSettings(guard_patience=0)
    assert guard.diagnose([good, good | last, good | last], off) is None


def test_a_policy_that_is_always_right_has_not_collapsed():
    logs = [{"reward_std": 0.0, "sampled_accuracy_full": 1.0, "entropy": 0.1}] * 9
    assert guard.diagnose(logs, grpo.GrpoSettings()) is None


def test_a_collapsed_run_stops_with_advice_and_keeps_its_checkpoint(run, tmp_path):
    options = {"guard_format": 1.5, "guard_patience": 2, "save_every": 1}
    with pytest.raises(UserError, match="format broke.*lower the learning rate"):
        run("broken", **options)
    assert trainer.last_checkpoint(tmp_path / "broken")
    with pytest.raises(UserError, match="collapsed by step 3"):
        run("broken", **options)


def test_options_are_checked_by_name_type_and_choice():
    settings = settings_with(grpo.GrpoSettings(), {"epsilon": 1}, "grpo_options")
    assert settings.epsilon == 1.0
    with pytest.raises(UserError, match="grpo_options: 'epsilom'.*'epsilon'"):
        settings_with(settings, {"epsilom": 1}, "grpo_options")
    with pytest.raises(UserError, match="write 1.0e-3"):
        settings_with(settings, {"beta": "1e-3"}, "grpo_options")
    with pytest.raises(UserError, match="set loss_type=dapo"):
        settings_with(settings, {"loss_type": "dapoo"}, "grpo_options")
    uneven = grpo.GrpoSettings(prompts=3, group_size=3, micro_batches=2)
    with pytest.raises(UserError, match="equal shares"):
        grpo.arguments(uneven, [1.0], "x", True)


@pytest.mark.parametrize(
    ("notebook", "holder", "name"),
    [
        ("05_train_grpo", "reward_weights", "weight_evidence"),
        ("05_train_grpo", "reward_weights", "style"),
        ("05_train_grpo", "grpo_options", "beta"),
        ("05_train_grpo", "grpo_options", "steps"),
        ("04_train_sft", "sft_options", "learning_rate"),
    ],
)
def test_a_setting_in_two_places_is_refused_by_the_notebook(notebook, holder, name):
    path = Path(__file__).parents[1] / "notebooks" / f"{notebook}.ipynb"
    known = {p.name: p.default for p in notebook_parameters(path).values()}
    known |= {holder: {name: 0}, "once": once, "style": "reasoning"}
    cells = json.loads(path.read_text())["cells"]
    (line,) = (s for c in cells for s in c["source"] if f"once(own, {holder}" in s)
    (cell,) = ("".join(c["source"]) for c in cells if line in c["source"])
    own = cell[cell.index("own = {") : cell.index(line)]
    with pytest.raises(UserError, match=f"'{name}' in {holder}, and in a parameter"):
        exec(own + line, known)


def test_long_prompts_are_dropped_and_counted(table, tokenizer):
    lengths = [
        len(i)
        for i in encoding.prompt_ids(table["note"], tokenizer, "reasoning", "brief")
    ]
    limit = sorted(lengths)[len(lengths) // 2]
    data, counts = grpo.prompt_set(table, tokenizer, "reasoning", "brief", limit)
    assert len(data) == counts["kept"] == sum(n <= limit for n in lengths)
    with pytest.raises(UserError, match="raise max_prompt"):
        grpo.prompt_set(table, tokenizer, "reasoning", "brief", 3)


def test_new_notes_are_those_after_the_sft_ranks(table):
    examples, _ = encoding.training_examples(table, kit.traces(table), 0.3)
    seen = encoding.ranks_below(examples, table)
    new = grpo.training_notes(table, "new", seen)
    assert not set(new["note_id"]) & set(examples["note_id"])
    assert len(new) + seen == (table["split"] == "train").sum()
    with pytest.raises(UserError, match="new or all"):
        grpo.training_notes(table, "some", 0)


def test_unknown_rollouts_are_an_error():
    with pytest.raises(UserError, match="transformers, vllm or vllm_server"):
        grpo.GrpoSettings(rollouts="sglang")


def test_a_rewound_log_forgets_repeated_steps_and_a_torn_line(tmp_path):
    log = RolloutLog(tmp_path / "log.jsonl", {"outcome": 1.0})
    lines = ['{"step": 0, "reward": 1.0}', '{"step": 1, "reward": 0.0}', '{"step": 1']
    log.path.write_text("\n".join(lines))
    log.rewind(1)
    assert log.frame()["step"].tolist() == [0]
