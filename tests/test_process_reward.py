"""The part `process`: steps are paid, and there is little to gain by fooling it."""

import pytest

from deepicd.common.errors import UserError
from deepicd.icd import load_tree
from deepicd.rewards import get_spec, score
from deepicd.rewards.registry import PARTS
from deepicd.tasks import get_task
from deepicd.training import grpo, models, verifier
from deepicd.training.verifier.reward import by_kind

TREE = load_tree()
NOTE = "Crushing chest pain since noon. ST elevation in II, III and aVF."
GOLD = "I21.19"
GOOD = (
    '"Crushing chest pain": circulatory (9). Acute infarction, I21; '
    '"ST elevation in II" points to the inferior wall. So {}.'
)
ANSWER = "<think>{}</think><diagnosis>{}</diagnosis>"


@pytest.fixture(scope="module")
def folder(taught, tmp_path_factory):
    place = tmp_path_factory.mktemp("process") / "model"
    asked = {"style": "reasoning", "instruction": "brief"}
    asked["task"] = get_task("principal_diagnosis")
    verifier.save(*verifier.start(taught, "process"), place, {}, asked)
    return str(place)


def paid(folder: str, *texts: str) -> list[float]:
    spec = get_spec("tree", weight_process=1.0, verifier=folder)
    rows = score(list(texts), GOLD, spec, TREE, notes=NOTE)
    return [row.parts["process"] for row in rows]


def said(trace: str = GOOD, code: str = GOLD) -> str:
    return ANSWER.format(trace.format(code), code)


def test_a_right_answer_with_all_its_steps_is_paid_within_bounds(folder):
    full, sibling = paid(folder, said(), said(code="I21.11"))
    assert 0 < full <= 1 and 0 < sibling <= 1
    assert get_spec("tree", weight_process=0.2).bounds == (-0.5, 1.2)


def test_what_is_wrong_or_broken_earns_nothing_however_it_reads(folder):
    wrong = said(code="J18.9"), said(code="I21.19X"), said() + said()
    broken = GOOD.format(GOLD), "", f"<think>{GOOD}</think>", said(" ... ")
    assert paid(folder, *wrong, *broken) == [0.0] * 7


def test_steps_that_are_left_out_or_repeated_do_not_pay(folder):
    bare = said("So {}.")
    many = said(GOOD + ' "Crushing chest pain" again.' * 30)
    alone, repeated = paid(folder, bare, many)
    assert alone <= 0.2 and repeated <= 1.0
    assert by_kind(["evidence"] * 9, [0.9] * 8 + [0.1]) == pytest.approx(0.02)


def test_no_wrong_code_can_overtake_the_right_one_at_the_usual_weight():
    spec = get_spec("tree", weight_process=0.2)
    best_wrong = max(spec.ladder) + 0.2 * PARTS["process"].high
    assert best_wrong < spec.credit["full"]


def test_the_same_answer_is_paid_the_same_beside_others(folder):
    alone = paid(folder, said())
    together = paid(folder, said(code="I21.11"), said(), "")
    assert together[1] == pytest.approx(alone[0], abs=1e-5)


def test_no_verifier_and_an_outcome_model_are_clear_errors(taught, tmp_path):
    with pytest.raises(UserError, match="no verifier at"):
        paid("", said())
    place = tmp_path / "model"
    verifier.save(*verifier.start(taught, "outcome"), place, {})
    with pytest.raises(UserError, match="the outcome verifier of"):
        paid(str(place), said())


def test_grpo_is_paid_by_the_verifier(folder, taught, tokenizer, prompt_set, tmp_path):
    net, _ = models.load(taught)
    settings = grpo.GrpoSettings(
        steps=1, prompts=2, group_size=4, max_completion=24, validate_every=0
    )
    spec = get_spec("tree", weight_process=0.2, verifier=folder)
    _, _, log, _ = grpo.train(net, tokenizer, prompt_set, spec, settings, tmp_path)
    assert log["reward_process"].between(0, 1).all() and len(log) == 8
