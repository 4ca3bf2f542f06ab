"""The base model: what it reads, how it is asked, and that a killed run goes on."""

import copy
import random
import re

import pandas as pd
import pytest
import torch
from transformers import TrainerCallback

from deepicd.icd import load_tree
from deepicd.tasks.quotes import quotes, stands_in
from deepicd.training import models
from deepicd.training import trainer as training
from deepicd.training.models.tokenizer import TURN_END, train_tokenizer
from deepicd.training.pretrain import __main__ as command
from deepicd.training.pretrain import pretraining, reading, texts
from deepicd.training.pretrain.encoded import encode, opening
from deepicd.training.pretrain.optimizer import MuonAndAdamW

TREE = load_tree()
NOTE = """CHIEF COMPLAINT: Low energy

PRESENT ILLNESS: ___ year old male presenting with low energy for a few days. Also
with orthopnea and recent weight gain. Denies fever, abdominal pain or palpitations.

Workup showed BNP 2400.

MEDICATION ON ADMISSION: 1. Losartan 50 mg daily
2. Glipizide 5 mg daily

PHYSICAL EXAM: T 98.1, HR 84
CV: regular rhythm
Ext: bilateral leg edema"""
SETTINGS = pretraining.PretrainSettings(
    notes=40, steps=6, size="tiny", save_every=3, validate_every=3, log_every=1, ask=8
)


@pytest.fixture(scope="module")
def documents():
    return list(texts.documents(60, TREE, seed=0))


def answers(kind: str) -> set:
    rng = random.Random(0)
    asked = reading.questions(NOTE, "CHIEF COMPLAINT: Rash", rng, 400)
    return {(question, answer) for k, question, answer in asked if k == kind}


def test_every_kind_of_question_is_asked_and_answered_from_the_note():
    assert answers("complaint") == {("Quote the chief complaint.", '"Low energy"')}
    assert answers("denied") == {
        ("Quote what is denied.", '"fever", "abdominal pain", "palpitations"')
    }
    assert answers("drugs") == {
        ("Which drugs are taken?", '"Losartan 50 mg daily", "Glipizide 5 mg daily"')
    }
    assert ('Under which header stands "regular rhythm"?', "PHYSICAL EXAM.") in (
        answers("where")
    )
    said = {a for k in ("section", "note", "after", "line") for _, a in answers(k)}
    assert len(said) > 20
    assert all(stands_in(q.text, NOTE) for a in said for q in quotes(a))
    yes = [q for q, a in answers("present") if a == "Yes."]
    no = [q for q, a in answers("present") if a == "No."]
    assert yes and no == ['Does "Rash" stand in the note?']


def test_chats_about_a_note_never_ask_the_question_of_the_study(documents):
    chats = [turns for kind, turns in documents if kind == "note"]
    asked = [text for turns in chats for role, text in turns if role == "user"]
    assert not [t for t in asked if re.search(r"\bcode|ICD|diagnos", t.split("\n")[-1])]
    said = [text for turns in chats for role, text in turns if role == "assistant"]
    assert not [text for text in said if "<diagnosis>" in text]


def test_hospitals_are_none_of_a_study_and_come_out_the_same(documents, monkeypatch):
    assert list(texts.documents(60, TREE, seed=0)) == documents
    seeds = []
    real = texts.write_corpus

    def spy(folder, notes, seed, **options):
        seeds.append(seed)
        return real(folder, notes, seed, **options)

    monkeypatch.setattr(texts, "write_corpus", spy)
    monkeypatch.setattr(texts, "HOSPITAL", 20)
    list(texts.documents(60, TREE, seed=2))
    pretraining.held_out(SETTINGS)
    assert len(set(seeds)) == 4
    assert min(seeds) > 900_000
    assert {kind for kind, _ in documents} == {"summary", "note", "catalogue"}


@pytest.fixture(scope="module")
def tokenizer(documents):
    return train_tokenizer((t for _, turns in documents for _, t in turns), 900)


def test_of_a_chat_first_turn_and_answers_are_learned_of_a_text_everything(tokenizer):
    turns = [("user", "Quote it."), ("assistant", '"Cough"'), ("user", "And?")]
    ids, labels = encode([*turns, ("assistant", "No.")], tokenizer, 500)
    learned = [i for i, label in zip(ids, labels, strict=True) if label != -100]
    note = f"Quote it.{TURN_END}"  # the first turn holds the note
    assert tokenizer.decode(learned) == f'{note}"Cough"{TURN_END}No.{TURN_END}'
    assert tokenizer.decode(ids) == tokenizer.apply_chat_template(
        [{"role": r, "content": t} for r, t in [*turns, ("assistant", "No.")]],
        tokenize=False,
    )
    whole, same = encode([("text", "Cough and fever.")], tokenizer, 500)
    assert whole == same and tokenizer.decode(whole).startswith("Cough and fever.")
    assert len(encode([("text", "Cough " * 99)], tokenizer, 20)[0]) == 20


def test_a_question_is_asked_as_it_was_learned(tokenizer):
    turns = [("user", "Quote it."), ("assistant", '"Cough"')]
    ids, labels = encode(turns, tokenizer, 500)
    begin = opening(turns, tokenizer)
    assert ids[: len(begin)] == begin
    assert labels[len(begin) - 1] == -100 and labels[len(begin)] != -100
    second = [*turns, ("user", "And?"), ("assistant", "No.")]
    whole, labels = encode(second, tokenizer, 500)
    begin = opening(second, tokenizer)
    assert whole[: len(begin)] == begin and labels[len(begin) - 1] == -100
    assert labels[len(begin)] != -100


def test_a_chat_ends_before_the_turn_that_is_too_long(tokenizer):
    turns = [("user", "Quote it."), ("assistant", '"Cough"'), ("user", "And? " * 99)]
    assert encode(turns, tokenizer, 60) == encode(turns[:2], tokenizer, 60)


def test_a_word_is_the_same_tokens_wherever_it_stands(documents):
    told = ["\n".join(t for _, t in turns) for _, turns in documents]
    words = {w for t in told for w in re.findall(r"[A-Za-z]{4,}", t)}
    both = {}
    for alike in (False, True):
        tokenizer = train_tokenizer(told, 600, alike=alike)
        assert len(tokenizer) <= 600

        def pieces(text, tokenizer=tokenizer):
            return [t.replace("Ġ", "") for t in tokenizer.tokenize(text)]

        same = [
            pieces(f" {w}")[-len(pieces(w)) :] == pieces(w)
            and pieces(f'"{w}')[1:] == pieces(w) == pieces(f"({w}")[1:]
            for w in sorted(words)
        ]
        both[alike] = sum(same) / len(same)
        for text in told[:20]:
            assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert both[True] == 1.0 > both[False]


def test_documents_are_the_same_however_many_write_them(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "HOSPITAL", 20)
    one, rows, counts = pretraining.read_documents(SETTINGS, TREE, tmp_path / "one")
    two, same, again = pretraining.read_documents(SETTINGS, TREE, tmp_path / "two", 2)
    assert one.get_vocab() == two.get_vocab() and counts == again
    assert rows.to_dict() == same.to_dict() and len(rows) > 40
    tokens = sum(len(ids) for ids in rows["input_ids"])
    assert tokens == sum(kind["tokens"] for kind in counts.values())


def _steps(net, optimizer, numbers):
    for i in numbers:
        net(torch.tensor([i % 4])).pow(2).sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def _net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Embedding(4, 2), torch.nn.Linear(2, 3))


def test_the_optimizer_goes_on_where_it_was():
    net = _net()
    whole = MuonAndAdamW(net, 0.02)
    _steps(net, whole, range(2))
    kept, weights = copy.deepcopy((whole.state_dict(), net.state_dict()))
    _steps(net, whole, range(2, 4))
    again = _net()
    again.load_state_dict(weights)
    optimizer = MuonAndAdamW(again, 0.02)
    optimizer.load_state_dict(kept)
    _steps(again, optimizer, range(2, 4))
    assert all(
        torch.equal(a, b)
        for a, b in zip(net.parameters(), again.parameters(), strict=True)
    )


def test_a_killed_pretraining_ends_with_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "ASKED", 20)
    facts = command.make(tmp_path / "whole", SETTINGS)

    class Kill(TrainerCallback):
        def on_step_begin(self, args, state, control, **rest):
            if state.global_step == 4:
                raise KeyboardInterrupt

    real = training.watchers
    monkeypatch.setattr(training, "watchers", lambda *given: [*real(*given), Kill()])
    with pytest.raises(KeyboardInterrupt):
        command.make(tmp_path / "torn", SETTINGS)
    monkeypatch.setattr(training, "watchers", real)
    again = command.make(tmp_path / "torn", SETTINGS)
    assert again["weights"] == facts["weights"]
    card = (tmp_path / "whole" / "README.md").read_text(encoding="utf-8")
    assert facts["weights"] in card and "--steps 6" in card
    assert "Never for diagnosis" in card
    curves = pd.read_csv(tmp_path / "whole" / "curves.csv")
    assert {"train_loss", "val_right"} <= set(curves["name"])
    net, _ = models.load(str(tmp_path / "whole"))
    assert models.weights_hash(net) == facts["weights"]
