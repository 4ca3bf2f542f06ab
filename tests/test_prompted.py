"""Baselines by prompt: worked examples of the training split, and code alone."""

import pandas as pd
import pytest
import training_kit as kit

from deepicd.common.errors import UserError
from deepicd.evaluation.baselines import by_prompt
from deepicd.icd import load_tree
from deepicd.tasks import PRINCIPAL_DIAGNOSIS, prompts
from deepicd.training import encoding
from deepicd.training.models import generate
from deepicd.training.sft import SftSettings

TREE = load_tree()
ASKED = {"style": "reasoning", "instruction": "brief"}


@pytest.fixture(scope="module")
def table():
    return kit.admissions(48)


@pytest.fixture(scope="module")
def tokenizer(table):
    return kit.tokenizer_of(table)


@pytest.fixture(scope="module")
def examples(table):
    return encoding.training_examples(table, kit.traces(table))[0]


@pytest.fixture
def test_notes(table):
    return table[table["split"] == "test"]


def answers(examples, notes, tokenizer, pretrained=True, style="reasoning", **steps):
    settings = ASKED | {
        "tokenizer": tokenizer,
        "tree": TREE,
        "max_new_tokens": 4,
        "seed": 0,
        "style": style,
    }
    steps = SftSettings(**{"max_length": 400} | steps)
    net = kit.network(tokenizer)
    return by_prompt.answer(net, notes, examples, steps, pretrained, **settings)


def test_auto_leaves_random_weights_out(examples, test_notes, tokenizer):
    assert answers(examples, test_notes, tokenizer, pretrained=False) == ([], {})
    never = {"prompt_baselines": "never"}
    assert answers(examples, test_notes, tokenizer, **never) == ([], {})
    with pytest.raises(UserError, match="auto, always or never"):
        answers(examples, test_notes, tokenizer, prompt_baselines="sometimes")


def test_both_ways_answer_every_note(examples, test_notes, tokenizer):
    for given in ({}, {"pretrained": False, "prompt_baselines": "always"}):
        tables, facts = answers(examples, test_notes, tokenizer, **given)
        assert [t["system"].iloc[0] for t in tables] == ["base_shots", "base_code_only"]
        for table in tables:
            assert list(table.columns) == generate.COLUMNS
            assert table["note_id"].tolist() == test_notes["note_id"].tolist()
    assert facts["notes_by_shots"] == {"3": len(test_notes)}
    assert set(facts["shots"]) <= set(examples["note_id"]) and len(facts["shots"]) == 3


def test_a_code_only_study_asks_for_code_only_once(examples, test_notes, tokenizer):
    tables, _ = answers(examples, test_notes, tokenizer, style="code_only")
    assert [t["system"].iloc[0] for t in tables] == ["base_shots"]
    none, facts = answers(examples, test_notes, tokenizer, style="code_only", shots=0)
    assert none == [] and facts == {}


def test_each_way_is_read_with_its_own_reader(
    examples, test_notes, tokenizer, monkeypatch
):
    """A model that always says a bare code is right only where that was asked."""
    said = prompts.format_completion("", "I21.4", "code_only")
    monkeypatch.setattr(
        generate, "complete", lambda model, tok, asked, **_: [[said] for _ in asked]
    )
    tables, _ = answers(examples, test_notes, tokenizer)
    formed = {t["system"].iloc[0]: t["well_formed"].mean() for t in tables}
    assert formed == {"base_shots": 0.0, "base_code_only": 1.0}
    assert set(tables[1]["code"]) == {"I21.4"}


def test_examples_stand_in_the_prompt_before_the_note(examples, tokenizer):
    shown = by_prompt.choose_shots(examples, examples.head(0), TREE, 2, seed=0)
    pairs = [
        (r.note, prompts.format_completion(r.trace, r.label))
        for r in shown.itertuples()
    ]
    text = encoding.prompt_text("THE NOTE", tokenizer, **ASKED, shots=pairs)
    places = [
        text.index(prompts.escape(part)) if i % 2 == 0 else text.index(part)
        for pair in pairs
        for i, part in enumerate(pair)
    ]
    assert places == sorted(places) and places[-1] < text.index("THE NOTE")
    assert text.count("<|im_start|>user\n") == 3
    assert text.count("<|im_start|>assistant\n") == 3
    assert text.count(PRINCIPAL_DIAGNOSIS.instructions["brief"]["reasoning"]) == 1
    plain = encoding.prompt_text("THE NOTE", tokenizer, **ASKED)
    assert text.endswith("THE NOTE" + plain.split("THE NOTE")[1])


def test_a_template_that_drops_earlier_thoughts_keeps_the_examples(tokenizer):
    """As those of some reasoning models do with the turns of the assistant."""
    usual = tokenizer.chat_template
    tokenizer.chat_template = usual.replace(
        "message['content']", "message['content'].split('</think>')[-1]"
    )
    said = prompts.format_completion("Pain, so this.", "I21.4")
    text = encoding.prompt_text("Note.", tokenizer, **ASKED, shots=[("Other.", said)])
    tokenizer.chat_template = usual
    assert text == encoding.prompt_text(
        "Note.", tokenizer, **ASKED, shots=[("Other.", said)]
    )
    assert said in text


def test_tags_in_the_note_of_an_example_are_escaped():
    turns = prompts.build_messages("b", shots=[("he said <think>", "done")])
    assert [t["role"] for t in turns] == ["user", "assistant", "user"]
    assert turns[0]["content"].endswith("he said &lt;think>")
    assert [t["content"] for t in turns[1:]] == ["done", "b"]


def test_examples_are_reproducible_short_and_of_different_chapters(examples):
    many = pd.concat([examples] * 6, ignore_index=True)
    many["note_id"] = [f"m{i}" for i in range(len(many))]
    many["note"] = [f"{'long ' * (i % 40)}{n} {i}" for i, n in enumerate(many["note"])]
    none = many.head(0)
    one, two, other = (
        by_prompt.choose_shots(many, none, TREE, 3, s) for s in (1, 1, 2)
    )
    assert one["note_id"].tolist() == two["note_id"].tolist()
    assert one["note_id"].tolist() != other["note_id"].tolist()
    for shown in (one, other):
        assert len({TREE.at(code, "chapter") for code in shown["label"]}) == 3
        assert shown["note"].str.len().max() < many["note"].str.len().median()


def test_a_note_is_never_its_own_example(examples):
    left = examples["note_id"].tolist()[:2]
    without = examples[~examples["note_id"].isin(left)]
    shown = by_prompt.choose_shots(examples, without, TREE, 5, seed=0)
    assert set(shown["note_id"]) == set(left)
    twins = without.assign(note_id=[f"twin{i}" for i in range(len(without))])
    shown = by_prompt.choose_shots(examples, twins, TREE, 5, seed=0)
    assert set(shown["note_id"]) == set(left)


def test_examples_never_come_from_other_splits(table, tokenizer, test_notes):
    everywhere = kit.traces(table.assign(split="train"))
    examples, _ = encoding.training_examples(table, everywhere)
    tables, facts = answers(examples, test_notes, tokenizer, shots=9)
    train = table.loc[table["split"] == "train", "note_id"]
    assert len(facts["shots"]) == 9 and set(facts["shots"]) <= set(train)


def test_a_prompt_that_is_too_long_has_fewer_examples_and_is_counted(
    examples, test_notes, tokenizer
):
    notes = [*test_notes["note"].iloc[:2], "word " * 60]
    shots = [
        (n, prompts.format_completion("So.", "I21.4"))
        for n in examples["note"].iloc[:3]
    ]
    whole = encoding.prompt_ids(notes, tokenizer, **ASKED, shots=shots)
    limit = len(whole[0])
    asked, used = by_prompt.with_shots(
        notes, tokenizer, **ASKED, shots=shots, limit=limit
    )
    assert used[0] == 3 and used[2] < 3 and asked[0] == whole[0]
    for ids, note, k in zip(asked, notes, used, strict=True):
        [again] = encoding.prompt_ids([note], tokenizer, **ASKED, shots=shots[:k])
        assert ids == again and (len(ids) <= limit or k == 0)
    _, facts = answers(examples, test_notes, tokenizer, max_length=5)
    assert facts["notes_by_shots"] == {"0": len(test_notes)}
