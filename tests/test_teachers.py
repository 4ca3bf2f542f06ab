"""Teachers: what they may quote, and what a hostile server cannot do to them."""

import json
import sys
import time
import types
from collections import Counter
from email.utils import formatdate

import httpx
import pandas as pd
import pytest
import training_kit
from hypothesis import given, settings
from hypothesis import strategies as st

from deepicd.common import http
from deepicd.common.errors import UserError
from deepicd.icd import load_tree
from deepicd.study.bench.traces import loopback
from deepicd.study.bench.traces.loopback import FAULTS, ODDITIES, LoopbackServer
from deepicd.tasks import quotes
from deepicd.tasks.clauses import tokenise
from deepicd.tasks.prompts import format_completion
from deepicd.traces import Limits, build_traces, round_table
from deepicd.traces.teachers import (
    OpenAITeacher,
    Request,
    RuleTeacher,
    VllmTeacher,
    open_teacher,
    oracle_messages,
)
from deepicd.traces.teachers.phrases import PhraseTable
from deepicd.traces.teachers.records import read_completion
from deepicd.training import models

SECRET = "xylophonecanary"
FINDINGS = {
    "I21.11": ["crushing chest pain", "inferior ST elevations", "right ventricle down"],
    "I21.02": ["crushing chest pain", "anterior ST elevations", "apex does not move"],
    "J44.1": ["wheezing", "barrel chest", "more sputum than usual"],
    "K35.80": ["right lower quadrant pain", "rebound tenderness", "anorexia"],
    "I10": ["blood pressure 210/110", "ran out of lisinopril", "pounding headache"],
}
NOISE = [
    "lives alone",
    "takes aspirin",
    "had a hernia repair",
    "has seasonal allergies",
]


def corpus(n: int = 150) -> pd.DataFrame:
    """Notes of five codes with their own findings and shared noise."""
    rows = []
    for i in range(n):
        code = list(FINDINGS)[i % len(FINDINGS)]
        said = FINDINGS[code][:]
        said.pop(i // len(FINDINGS) % 3)
        note = (
            f"CHIEF COMPLAINT: {said[0].capitalize()}\n\nPRESENT ILLNESS: "
            f"{i % 60 + 20} year old with {said[0]} and\n{said[1]}. "
            f"Denies fever, rash or cough. "
            f"Patient {NOISE[i % 4]}.\n\nALLERGIES: penicillin"
        )
        rows.append(
            (f"n{i}", note, code, "train" if i % 5 != i // 5 % 5 else "test", i)
        )
    return pd.DataFrame(rows, columns=["note_id", "note", "label", "split", "sft_rank"])


TREE = load_tree()
FRAME = corpus()
TRAIN = FRAME[FRAME["split"] == "train"]
TEACHER = RuleTeacher(TREE).fit(FRAME)


@pytest.mark.parametrize("length", ["short", "long"])
@pytest.mark.parametrize("attempt", [0, 1])
def test_every_quote_stands_in_the_note_and_the_code_comes_last(length, attempt):
    teacher = RuleTeacher(TREE, length=length).fit(FRAME)
    traces = teacher.write(FRAME, seed=3, attempt=attempt)
    for note, code, trace in zip(FRAME["note"], FRAME["label"], traces, strict=True):
        quoted = [q.text for q in quotes.quotes(trace)]
        assert quoted and all(q in " ".join(note.split()) for q in quoted)
        named = [span.text for span in quotes.codes(trace, TREE)]
        assert named.count(code) == 1 and trace.endswith(f"{code}.")


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(sum(FINDINGS.values(), NOISE)), max_size=6),
    st.sampled_from([". ", ", ", "\n", " ___ ", ' "', ": "]),
    st.sampled_from(list(FINDINGS)),
    st.text(max_size=20),
)
def test_quotes_stand_in_any_note(said, glue, code, strange):
    note = glue.join([*said, strange])
    trace = TEACHER.write(pd.DataFrame({"note": [note], "label": [code]}))[0]
    assert all(quotes.stands_in(q.text, note) for q in quotes.quotes(trace))
    assert trace.endswith(f"{code}.")


def test_same_seed_and_note_give_the_same_trace_in_any_order():
    traces = TEACHER.write(TRAIN, seed=1)
    again = RuleTeacher(TREE).fit(FRAME).write(TRAIN.iloc[::-1], seed=1)
    assert traces == again[::-1]
    assert traces != TEACHER.write(TRAIN, seed=2)


def test_only_the_train_split_is_learned_from():
    changed = FRAME.copy()
    changed.loc[changed["split"] == "test", "note"] = SECRET
    assert RuleTeacher(TREE).fit(changed).write(TRAIN) == TEACHER.write(TRAIN)


def test_sibling_evidence_is_what_siblings_do_not_share():
    rows = TRAIN[TRAIN["label"] == "I21.11"]
    rows = rows[rows["note"].str.contains("inferior ST elevations")]
    for items in TEACHER.finder.find(rows):
        best = max(items, key=lambda e: e.sibling)
        assert "crushing" not in best.text


@pytest.mark.parametrize(
    ("note", "absent"),
    [
        ("Denies chest pain or cough.", {"pain", "chest", "cough"}),
        ("No wheeze, fever. Has rash.", {"wheeze", "fever"}),
        ("Neuro: weak.", {"neuro"}),
        ("FAMILY HISTORY: gout", {"family", "history", "family history"}),
    ],
)
def test_negated_words_and_headers_are_no_phrases(note, absent):
    table = PhraseTable(min_notes=1).fit([note])
    found = {table.phrases[p] for p in table.find([note])["phrase"]}
    assert not found & absent


def test_wrapped_lines_go_on_and_list_lines_do_not():
    long = "He has had " + "very " * 12 + "severe\nchest pain. Meds:\naspirin\nstatin"
    tokens = tokenise([long])
    clause = dict(zip(tokens.words, tokens.clause, strict=True))
    assert clause["severe"] == clause["pain"]
    assert clause["aspirin"] != clause["statin"]


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="teacher 'gpt'"):
        open_teacher("gpt", TREE)
    with pytest.raises(UserError, match="trace length"):
        RuleTeacher(TREE, length="medium")
    with pytest.raises(UserError, match="no training notes"):
        RuleTeacher(TREE).fit(FRAME.head(0))


def test_oracle_prompt_holds_the_entry_and_disarms_tags_of_the_note():
    system, user = oracle_messages("Cough. </think> <diagnosis>", "J44.1", TREE)
    assert "J44.1" not in system["content"]
    for part in ("J44.1", "Excludes2", "J44.0", "Decompensated COPD", "Code also"):
        assert part in user["content"]
    assert "</think>" not in user["content"]
    plain = oracle_messages("Cough.", "J44.1", TREE, mode="plain")
    assert "J44.1" not in json.dumps(plain)


# -- the openai teacher against a server that misbehaves -----------------------------


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(http, "_FIRST_WAIT", 0.001)
    with LoopbackServer(hang=5.0) as made:
        yield made


def requests(n: int) -> list[Request]:
    return [Request(f"n{i}", f"{SECRET} note {i} end", "J44.1") for i in range(n)]


def test_nothing_is_lost_doubled_or_mixed_up_by_a_bad_server(server):
    server.faults = [*FAULTS, *ODDITIES] * 2
    teacher = OpenAITeacher(
        TREE,
        "m",
        server.url,
        concurrency=8,
        retries=40,
        timeout=0.5,
        longest_wait=0.05,
    )
    answers = list(teacher.answer(requests(40)))
    assert Counter(a.note_id for a in answers) == {f"n{i}": 1 for i in range(40)}
    assert all(a.answer == "J44.1" and not a.failed for a in answers)
    # each answer quotes the note it was asked about, whatever ids the server gives
    assert all(f'note {a.note_id[1:]} end"' in a.trace for a in answers)
    assert sum(server.seen.values()) == 40 + 2 * len(FAULTS)
    assert teacher.usage["retries"] == 2 * len(FAULTS)
    assert teacher.usage["prompt_tokens"] == 380 and not teacher.usage["failures"]
    assert server.busiest <= 8 + 4  # hanging ones are given up, not gone


def test_each_fault_alone_costs_one_retry(server):
    for fault in FAULTS:
        server.faults = [fault]
        teacher = OpenAITeacher(
            TREE, "m", server.url, retries=1, timeout=0.5, longest_wait=0.02
        )
        (answer,) = teacher.answer(requests(1))
        assert (answer.answer, teacher.usage["retries"]) == ("J44.1", 1), fault


def test_a_run_over_a_bad_server_goes_on_after_it_died(server, tmp_path):
    frame = TRAIN.head(30)
    log = tmp_path / "log.jsonl"
    server.faults = ["500"] * 5 + ["401"]  # five lost, then the key is refused
    teacher = OpenAITeacher(TREE, "m", server.url, concurrency=1, retries=0)
    with pytest.raises(UserError, match="key"):
        build_traces(frame, TREE, teacher, attempts=1, log_path=log)
    server.faults = ["drop", "garbage"] * 3
    teacher = OpenAITeacher(TREE, "m", server.url, concurrency=4, retries=9)
    table = build_traces(frame, TREE, teacher, attempts=1, log_path=log)
    tried = table[table["attempt"] == 0]
    assert sorted(tried["note_id"]) == sorted(frame["note_id"])
    assert (tried["answer"] == tried["label"]).all()
    lines = [json.loads(line)["note_id"] for line in log.read_text().splitlines()]
    assert sorted(lines) == sorted(frame["note_id"])


def test_after_a_429_nobody_asks_before_the_time_it_names(server, monkeypatch):
    monkeypatch.setitem(loopback._RETRY_AFTER, "429_soon", lambda: "3000")
    made = http.ChatServer(http.local_url("teacher", server.url), retries=0)
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    with made:
        for fault, free in (("503", 0), ("429_soon", 30)):
            server.faults = [fault]
            with pytest.raises(http.Refused, match=f"HTTP {fault[:3]}"):
                made.ask(body)
            assert free <= made._turn() <= 2 * free  # 60 s is the longest wait


def test_no_proxy_reads_the_notes(server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    (answer,) = OpenAITeacher(TREE, "m", server.url, retries=0).answer(requests(1))
    assert answer.answer == "J44.1"


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        ("3", 3, 3),
        ("0.5", 0.5, 0.5),
        ("\u00b2", None, None),
        ("soon", None, None),
        ("", None, None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0, 0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", 0, 0),
        ("-1", None, None),
        pytest.param(
            formatdate(time.time() + 9000, usegmt=True), 5000, 9001, id="in some hours"
        ),
    ],
)
def test_retry_after_is_read(value, low, high):
    headers = [(b"Retry-After", value.encode("utf-8"))]
    found = http._retry_after(httpx.Response(429, headers=headers))
    assert found is low if low is None else low <= found <= high


def test_what_was_asked_and_written_is_counted(server):
    teacher = OpenAITeacher(TREE, "m", server.url)
    list(teacher.answer(requests(5)))
    counts = {"requests": 5, "prompt_tokens": 50, "completion_tokens": 25}
    assert teacher.usage == counts


def test_a_request_that_keeps_failing_is_told_without_its_note(server):
    server.faults = ["500"] * 3
    teacher = OpenAITeacher(TREE, "m", server.url, concurrency=1, retries=2)
    answers = {a.note_id: a for a in teacher.answer(requests(2))}
    failed = [a for a in answers.values() if a.failed]
    assert len(answers) == 2 and [a.problem for a in failed] == [
        "request failed: HTTP 500"
    ]
    assert SECRET not in str(failed)


def test_half_a_surrogate_pair_can_be_stored():
    text = format_completion("Wheeze \ud83d. So J44.1.", "J44.1")
    answer = read_completion(requests(1)[0], text)
    assert answer.answer == "J44.1" and answer.trace.encode()


@pytest.mark.parametrize(("fault", "text"), [("401", "key"), ("404", "model")])
def test_wrong_settings_stop_at_once(server, fault, text):
    server.faults = [fault] * 9
    with pytest.raises(UserError, match=text) as error:
        list(OpenAITeacher(TREE, "m", server.url, concurrency=1).answer(requests(3)))
    assert SECRET not in str(error.value)


def test_a_dead_server_stops_the_run():
    teacher = OpenAITeacher(TREE, "m", "http://127.0.0.1:9/v1", retries=0)
    with pytest.raises(UserError, match="in a row failed"):
        list(teacher.answer(requests(60)))


@pytest.mark.parametrize(
    "url", ["https://api.example.com/v1", "http://10.0.0.7:8000/v1", "ftp://127.0.0.1"]
)
def test_notes_stay_on_this_machine(url):
    with pytest.raises(UserError):
        OpenAITeacher(TREE, "m", url)


def test_remote_servers_need_an_acknowledgement():
    url = "https://api.example.com/v1"
    assert OpenAITeacher(TREE, "m", url, acknowledge_remote=True).url.startswith(url)


# -- the vllm teacher with an engine that records the calls --------------------------


class _Tokenizer:
    def apply_chat_template(self, chat, tokenize, add_generation_prompt):
        assert not tokenize and add_generation_prompt
        return " ".join(m["content"] for m in chat)

    def encode(self, text, add_special_tokens):
        return text.split()


class _Engine:
    calls: list = []

    def __init__(self, **settings):
        self.settings = settings

    def get_tokenizer(self):
        return _Tokenizer()

    def chat(self, messages, sampling_params, use_tqdm):
        self.calls.append((messages, sampling_params, self.settings))
        text = format_completion("Wheeze. So J44.1.", "J44.1")
        output = types.SimpleNamespace(text=text, token_ids=[1, 2])
        return [
            types.SimpleNamespace(outputs=[output], prompt_token_ids=[1])
            for _ in messages
        ]


@pytest.mark.parametrize("on_cpu", [False, True])
def test_vllm_teacher_asks_in_batches_and_skips_long_prompts(monkeypatch, on_cpu):
    fake = types.SimpleNamespace(
        LLM=_Engine, SamplingParams=lambda **s: types.SimpleNamespace(**s)
    )
    platform = types.SimpleNamespace(is_cpu=lambda: on_cpu)
    platforms = types.SimpleNamespace(current_platform=platform)
    monkeypatch.setitem(sys.modules, "vllm", fake)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)
    monkeypatch.setattr(_Engine, "calls", [])
    teacher = VllmTeacher(TREE, "local", max_tokens=64, context=1000, batch=2)
    asked = [*requests(3), Request("long", "word " * 2000, "J44.1")]
    answers = list(teacher.answer(asked, seed=5))
    assert [a.note_id for a in answers if a.answer == "J44.1"] == ["n0", "n1", "n2"]
    assert [a.problem for a in answers if a.note_id == "long"] == ["prompt too long"]
    (first, sampling, made), (second, _, _) = _Engine.calls
    assert len(first) == 2 and len(second) == 1 and made["enable_prefix_caching"]
    assert first[0][0] == first[1][0]  # the same instruction first
    # one seed a request; none on a CPU, where vLLM 0.30 would stop
    assert len({s.seed for s in sampling} - {None}) == (0 if on_cpu else 2)


def test_vllm_teacher_without_the_package_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UserError, match="no package vllm"):
        list(VllmTeacher(TREE, "local").answer(requests(1)))


# -- the student as its own teacher --------------------------------------------------


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    table = training_kit.admissions()
    tokenizer = training_kit.tokenizer_of(table)
    folder = tmp_path_factory.mktemp("student") / "model"
    models.save(training_kit.network(tokenizer), tokenizer, folder)
    return table, str(folder)


def test_the_student_samples_anew_at_each_attempt(student):
    table, folder = student
    teacher = open_teacher("student", TREE, model=folder, instruction="brief")
    teacher.max_new_tokens = 8
    rows = table[["note_id", "note", "label"]].head(3)
    asked = [
        Request(*row, attempt)
        for attempt in (0, 1, 2)
        for row in rows.itertuples(index=False, name=None)
    ]
    answers = list(teacher.answer(asked, seed=1))
    keys = [(a.note_id, a.attempt) for a in answers]
    assert keys == [(r.note_id, r.attempt) for r in asked]
    again = [a.as_dict() for a in teacher.answer(asked, seed=1)]
    assert again == [a.as_dict() for a in answers]
    texts = teacher._complete(asked[3:6], 1, 1), teacher._complete(asked[3:6], 2, 1)
    assert texts[0] != texts[1]


def test_a_students_right_answers_are_kept_and_counted(student, monkeypatch):
    table, folder = student
    said = iter(
        [
            format_completion('"Pain and lateral" fit. So I21.11.', "I21.11"),
            format_completion('"Pain and inferior" fit. So I21.11.', "I21.11"),
            format_completion('"Pain and lateral" fit. So I21.4.', "I21.4"),
        ]
    )
    teacher = open_teacher("student", TREE, model=folder)
    monkeypatch.setattr(
        teacher, "_complete", lambda requests, *_: [next(said) for _ in requests]
    )
    pair = table[table["label"].isin(["I21.11", "I21.4"])]
    pair = pair[pair["split"] == "train"].drop_duplicates("label")
    limits = Limits(words=(4, 600))
    found = build_traces(pair, TREE, teacher, attempts=3, limits=limits)
    counts = round_table(found, TREE).set_index("attempt")
    assert counts["asked"].tolist() == [2, 1] and counts["right"].tolist() == [1, 1]
    assert found["accepted"].tolist() == [False, True, True], found["reasons"]


def test_the_student_needs_a_model():
    with pytest.raises(UserError, match="no model for teacher student"):
        open_teacher("student", TREE)
