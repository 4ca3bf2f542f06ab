"""Codes proposed by retrieval: what is found, what prompts show, what stays."""

import numpy as np
import pandas as pd
import pytest

from deepicd import predict
from deepicd.common.errors import UserError
from deepicd.icd import load_tree
from deepicd.study.bench import candidates as bench
from deepicd.training import encoding
from deepicd.training.candidates import HEADER, RANKERS, Retriever, with_candidates
from deepicd.training.grpo.grpo import prompt_set
from deepicd.training.models.tokenizer import train_tokenizer

TREE = load_tree()
WORDS = {
    "I21.11": "crushing pain right coronary inferior leads",
    "I21.4": "troponin raised without elevation",
    "J18.9": "cough fever sputum crackles",
    "N17.9": "creatinine oliguria",
}


def admissions(n: int = 120) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    codes = draw.choice(list(WORDS), n)
    filler = [f"word{i}" for i in range(40)]
    notes = [
        " ".join([*draw.choice(WORDS[c].split(), 3), *draw.choice(filler, 8)])
        for c in codes
    ]
    return pd.DataFrame(
        {
            "note_id": [f"n{i}" for i in range(n)],
            "subject_id": [f"p{i // 2}" for i in range(n)],
            "note": notes,
            "label": codes,
            "split": np.repeat(["train", "val", "test"], [n - 40, 20, 20]),
        }
    )


def test_the_right_code_is_among_few_and_every_ranker_helps_to_find_it():
    frame = admissions()
    train, test = (frame[frame["split"] == name] for name in ("train", "test"))
    finder = Retriever(train["note"], train["label"], TREE)
    found = finder.propose(test["note"], 2)
    assert all(len(set(codes)) == 2 for codes in found)
    hits = [gold in codes for gold, codes in zip(test["label"], found, strict=True)]
    assert np.mean(hits) > 0.9
    scores = finder.scores(test["note"])
    assert tuple(scores) == RANKERS
    gold = [finder.codes.index(code) for code in test["label"]]
    for name in ("terms", "neighbours", "contrast"):
        best = scores[name].argmax(axis=1)
        assert (best == gold).mean() > 0.7, name


def test_notes_are_drawn_to_the_titles_of_their_codes():
    frame = admissions()
    finder = Retriever(frame["note"], frame["label"], TREE, others=["J18.1", "N17.0"])
    near = finder.scores(["cough fever sputum crackles"])["contrast"][0]
    of = dict(zip(finder.codes, near, strict=True))
    assert of["J18.9"] == pytest.approx(max(near))
    assert of["J18.1"] > of["N17.0"]


def test_a_training_note_proposes_nothing_to_itself_or_to_its_patient():
    frame = admissions()
    alone = frame["subject_id"] == "p0"
    frame.loc[alone, "note"], frame.loc[alone, "label"] = "zebra stripes", "A00.0"
    asked = with_candidates(frame, TREE, 3)["asked"]
    assert not asked[alone].str.contains("A00.0").any()
    shown = asked.str.split(HEADER).str[1].str.strip().str.split("\n")
    assert (shown.map(len) == 3).all()


def test_without_candidates_the_table_and_the_prompts_are_as_they_were():
    frame = admissions()
    assert with_candidates(frame, TREE, 0) is frame
    with pytest.raises(UserError, match="candidates -1"):
        with_candidates(frame, TREE, -1)


def test_every_prompt_shows_the_candidates_and_quotes_are_looked_for_in_the_note():
    frame = with_candidates(admissions(), TREE, 2)
    tokenizer = train_tokenizer(frame["asked"].tolist(), 600)
    data, _ = prompt_set(frame, tokenizer, "reasoning", "brief", 2_000)
    assert all(HEADER in prompt for prompt in data["prompt"])
    assert not any(HEADER in note for note in data["note"])
    traces = frame[["note_id"]].assign(trace="So it is.", accepted=True)
    ranked = frame.assign(sft_rank=range(len(frame)))
    examples, _ = encoding.training_examples(ranked, traces)
    encoded, _ = encoding.encode(examples, tokenizer, "reasoning", "brief", 2_000)
    assert HEADER in tokenizer.decode(encoded[0]["input_ids"])
    plain = examples.drop(columns="asked")
    encoded, _ = encoding.encode(plain, tokenizer, "reasoning", "brief", 2_000)
    assert HEADER not in tokenizer.decode(encoded[0]["input_ids"])


def test_predicting_with_such_a_model_needs_the_cases_that_propose():
    known = {"candidates": 2}
    with pytest.raises(UserError, match="--cases"):
        predict._with_candidates(pd.Series(["cough"]), None, TREE, known)
    cases = (admissions(), False)
    (text,) = predict._with_candidates(pd.Series(["cough, fever"]), cases, TREE, known)
    assert text.startswith("cough, fever\n") and "J18.9" in text.split(HEADER)[1]


def test_recall_grows_with_k_and_codes_without_notes_are_counted_apart():
    found = {r.name: r.value for r in bench.run(notes=300, seeds=1)}
    for ranker in (*RANKERS, bench.FUSED):
        recall = [
            found[bench.named(ranker, bench.ALL, f"recall at {k}")] for k in bench.KS
        ]
        assert recall == sorted(recall) and recall[0] < recall[-1] <= 1
    assert bench.named(bench.FUSED, bench.UNSEEN, "recall at 5") in found
