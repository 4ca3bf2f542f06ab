"""Verifiers: what they read, that they learn, and that they are ordinary models."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
import training_kit as kit
from transformers import AutoModelForTokenClassification

from deepicd import traces
from deepicd.common.errors import UserError
from deepicd.icd import load_tree
from deepicd.tasks.prompts import format_completion
from deepicd.training import models, verifier
from deepicd.training.encoding import prompt_ids
from deepicd.training.models import generate

SHORT = verifier.VerifierSettings(
    steps=40, groups=7, answers=4, learning_rate=1e-2, warmup_steps=3, save_every=20
)
ASKED = {"style": "reasoning", "instruction": "brief"}


@pytest.fixture(scope="module")
def labelled(table):
    """Right and wrong answers to training notes, with two steps each."""
    rows = []
    for row in table[table["split"] == "train"].head(28).itertuples():
        for code in (row.label, next(c for c in kit.CODES if c != row.label)):
            text = format_completion("Pain, so this.", code)
            end = text.index("this.") + len("this.")
            right = [True, code == row.label]
            rows.append((row.note_id, row.note, text, [end, len(text)], right))
    names = ["note_id", "note", "completion", "ends", "right"]
    return pd.DataFrame(rows, columns=names)


@pytest.fixture(scope="module")
def trained(labelled, taught, tmp_path_factory):
    net, tokenizer = verifier.start(taught, "process", seed=0)
    examples = verifier.encode(labelled, tokenizer, SHORT, **ASKED)
    folder = tmp_path_factory.mktemp("verifier")
    net, curves, _ = verifier.train(net, tokenizer, examples, SHORT, folder)
    return net, tokenizer, curves


def test_labels_stand_at_the_last_tokens_of_steps(labelled, tokenizer):
    found = verifier.encode(labelled, tokenizer, SHORT, **ASKED)
    assert len(found) == 16 and all(len(row["said"]) == 2 for row in found)
    for row in found:
        for ids, labels in zip(row["said"], row["labels"], strict=True):
            places = [i for i, one in enumerate(labels) if one != -100]
            ends = [tokenizer.decode(ids[: place + 1]) for place in places]
            assert ends[0].rstrip().endswith("this.") and ends[1].endswith(
                "</diagnosis>"
            )
        assert [labels[-1] for labels in row["labels"]] == [1, 0]


def test_an_empty_answer_carries_no_label(labelled, tokenizer):
    empty = labelled.head(3).assign(completion="", ends=[[0]] * 3, right=[[False]] * 3)
    both = pd.concat([labelled, empty])
    found = verifier.encode(both, tokenizer, SHORT, **ASKED)
    assert found == verifier.encode(labelled, tokenizer, SHORT, **ASKED)


def test_it_learns_which_answer_is_right(trained, labelled):
    net, tokenizer, curves = trained
    loss = curves[curves["name"] == "train_loss"]["value"]
    assert loss.iloc[-1] < loss.iloc[0]
    last = [own[-1] for own in verifier.probabilities(net, tokenizer, labelled)]
    right = np.array([own[-1] for own in labelled["right"]])
    better = np.array(last)[right] > np.array(last)[~right]
    assert better.mean() > 0.7


def test_a_score_is_that_of_the_plain_model_whatever_stands_beside(trained, labelled):
    net, tokenizer, _ = trained
    together = verifier.probabilities(net, tokenizer, labelled)
    one = labelled.iloc[[5]]
    alone = verifier.probabilities(net, tokenizer, one)[0]
    asked = prompt_ids(one["note"], tokenizer, *ASKED.values())[0]
    said = tokenizer(one["completion"].iloc[0], add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = net(torch.tensor([asked + said])).logits
    plain = torch.softmax(logits, -1)[0, -1, 1].item()
    assert alone == pytest.approx(together[5], abs=1e-5)
    assert alone[-1] == pytest.approx(plain, abs=1e-5)


def test_it_is_kept_as_an_ordinary_folder_with_a_card(trained, labelled, tmp_path):
    net, tokenizer, _ = trained
    verifier.save(net, tokenizer, tmp_path / "model", {"steps": 30})
    again, own = verifier.load(tmp_path / "model")
    one = labelled.head(3)
    kept = np.concatenate(verifier.probabilities(again, own, one))
    first = np.concatenate(verifier.probabilities(net, tokenizer, one))
    assert kept == pytest.approx(first, abs=1e-5)
    plain = AutoModelForTokenClassification.from_pretrained(tmp_path / "model")
    assert plain.config.id2label == {0: "wrong", 1: "right"}
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Never for diagnosis" in card and "| steps | 30 |" in card


def test_a_killed_run_ends_in_the_same_weights(labelled, taught, tmp_path, trained):
    def run(folder, report=None):
        net, tokenizer = verifier.start(taught, "process", seed=0)
        examples = verifier.encode(labelled, tokenizer, SHORT, **ASKED)
        return verifier.train(net, tokenizer, examples, SHORT, folder, report)[0]

    with pytest.raises(kit.Interruption):
        run(tmp_path, kit.stop_at(20))
    assert models.weights_hash(run(tmp_path)) == models.weights_hash(trained[0])


def test_calibration_softens_what_is_too_sure_and_keeps_ranks(trained, labelled):
    net, tokenizer, _ = trained
    before = verifier.probabilities(net, tokenizer, labelled.head(6))
    kept = [weight.clone() for weight in net.score.parameters()]
    sure = [0.999] * 6 + [0.001] * 4  # right in seven of ten
    truth = [True] * 4 + [False] * 5 + [True]
    found = verifier.calibrate(net, [sure], [truth])
    after = verifier.probabilities(net, tokenizer, labelled.head(6))
    with torch.no_grad():
        for weight, old in zip(net.score.parameters(), kept, strict=True):
            weight.copy_(old)
    assert found["temperature"] > 2 and found["nll_after"] < found["nll_before"]
    flat = [np.concatenate(one) for one in (before, after)]
    assert (flat[0].argsort() == flat[1].argsort()).all()
    assert np.abs(flat[1] - 0.5).max() < np.abs(flat[0] - 0.5).max()


def test_an_outcome_model_reads_the_end_alone(taught, table):
    said = format_completion("Pain.", "I10")
    rows = pd.DataFrame({"note_id": ["n0", "n1"], "completion": [said, None]})
    notes = table.set_index("note_id")["note"]
    for kind, kinds in (("outcome", ["outcome"]), ("process", ["evidence", "code"])):
        net, _ = verifier.start(taught, kind)
        found = verifier.marked(net, rows, notes, load_tree())
        assert found["kinds"].tolist() == [kinds, []]
        assert found["ends"][0][-1] == len(said)


def test_an_adapter_is_merged_and_its_head_is_kept(taught, labelled, tmp_path):
    net, tokenizer = verifier.start(taught, "outcome", 0, models.Lora(rank=2))
    trainable = {n for n, p in net.named_parameters() if p.requires_grad}
    assert any("score" in name for name in trainable)
    assert all("lora_" in name or "score" in name for name in trainable)
    before = verifier.probabilities(net, tokenizer, labelled.head(2))
    verifier.save(net, tokenizer, tmp_path / "model", {})
    again, own = verifier.load(tmp_path / "model")
    after = verifier.probabilities(again, own, labelled.head(2))
    assert np.array(after) == pytest.approx(np.array(before), abs=1e-5)


def test_answers_that_cannot_be_read_have_no_score(trained, labelled):
    net, tokenizer, _ = trained
    rows = labelled.head(2).assign(completion=["", "<think>"], ends=[[], []])
    assert verifier.probabilities(net, tokenizer, rows) == [[], []]


def test_another_folder_is_no_verifier(taught, tmp_path):
    for folder in (taught, tmp_path):
        with pytest.raises(UserError, match="no verifier at"):
            verifier.load(folder)


def test_nothing_that_fits_is_a_clear_error(labelled, tokenizer):
    tight = verifier.VerifierSettings(max_length=5)
    with pytest.raises(UserError, match="no answer within 5 tokens"):
        verifier.encode(labelled, tokenizer, tight, **ASKED)


def test_a_greedy_continuation_of_a_greedy_answer_is_that_answer(taught, table):
    tree, policy = load_tree(), models.load(taught)
    said = generate.predict(policy[0], table, tokenizer=policy[1], tree=tree, **ASKED)
    own = traces.of_answers(said, table, tree)
    right = traces.answered_right(own, tree)
    assert 0 < sum(right) < len(right)
    found = traces.continued(*policy, own, 1, tree=tree, **ASKED)
    for steps, ends, good in zip(found["right"], own["ends"], right, strict=True):
        assert len(ends) > 1 and steps == [good] * len(ends)


def test_a_wrong_answer_says_nothing_of_the_steps_before_it(taught, table):
    tree, policy = load_tree(), models.load(taught)
    train = table[table["split"] == "train"].head(6)
    other = dict(pairwise([*kit.CODES, kit.CODES[0]]))
    both = [
        train.assign(completion=[format_completion("Pain, so this.", c) for c in codes])
        for codes in (train["label"], train["label"].map(other))
    ]
    good, bad = (
        traces.continued(*policy, traces.of_answers(part, table, tree), 4, tree=tree)
        for part in both
    )
    assert [own[:-1] for own in good["reached"]] == [own[:-1] for own in bad["reached"]]
    assert [own[-1] for own in good["reached"]] == [1.0] * 6
    assert [own[-1] for own in bad["reached"]] == [0.0] * 6
    shares = {share for own in good["reached"] for share in own[:-1]}
    assert shares <= {0.0, 0.25, 0.5, 0.75, 1.0}
    with pytest.raises(UserError, match="0 continuations"):
        traces.continued(*policy, good, 0, tree=tree)
