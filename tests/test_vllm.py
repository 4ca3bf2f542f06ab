"""The real vLLM engine and its OpenAI server: `./run_all.sh test --vllm`.

Runs on a GPU, or on a CPU where vLLM was built for one. `--vllm-model` takes a model
of notebook 04; without it a small network with random weights stands in, which drives
everything but answers nothing.
"""

import gc
import socket
import subprocess
import sys
import time

import httpx
import pytest
import torch
import training_kit as kit

from deepicd.common.errors import UserError
from deepicd.common.processes import descendants
from deepicd.data.synthetic.corpus import example_admissions
from deepicd.tasks.prompts import parse_completion
from deepicd.traces import AttemptLog, build_traces
from deepicd.traces.teachers import OpenAITeacher, Request, VllmTeacher
from deepicd.training import encoding, grpo, launch, models, rft
from deepicd.training.models import engine, generate, serving
from deepicd.training.models.sampling import sample
from deepicd.training.models.tokenizer import train_tokenizer

NOTES = example_admissions(40)
CONTEXT, TOKENS = 768, 64
START = 900  # seconds until the server has to answer


@pytest.fixture(scope="module", autouse=True)
def _asked_for(request):
    if not request.config.getoption("--vllm"):
        pytest.skip("the real vLLM engine: ./run_all.sh test --vllm")
    pytest.importorskip("vllm", reason="vllm is not installed")
    # On a CPU each of the engines would claim its share of the whole memory, and
    # several live at once.
    with pytest.MonkeyPatch.context() as patch:
        if not torch.cuda.is_available():
            patch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
            patch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        yield


@pytest.fixture(scope="module")
def model(request, tmp_path_factory) -> str:
    given = request.config.getoption("--vllm-model")
    if given:
        return given
    tokenizer = train_tokenizer(NOTES["note"], 800)
    folder = tmp_path_factory.mktemp("vllm") / "model"
    models.save(models.make_model(tokenizer, "tiny", 0), tokenizer, folder)
    return str(folder)


@pytest.fixture(scope="module")
def tree():
    from deepicd.icd import load_tree

    return load_tree()


@pytest.fixture(scope="module")
def teacher(model, tree):
    made = VllmTeacher(
        tree,
        model,
        mode="plain",
        instruction="brief",
        temperature=0.0,
        max_tokens=TOKENS,
        context=CONTEXT,
        dtype="float32",
        eager=True,
        batch=16,
        memory=0.3,
    )
    yield made
    made._engine = None  # its process ends while pytest still takes its output
    gc.collect()


def asked() -> list[Request]:
    rows = NOTES[["note_id", "note", "label"]]
    return [Request(*row) for row in rows.itertuples(index=False, name=None)]


def show(request, text: str) -> None:
    """Print past pytest's capture: numbers of this machine."""
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n  {text}", flush=True)


def test_the_engine_answers_every_request_once(request, teacher, model, tree):
    import torch
    import vllm

    begin = time.perf_counter()
    list(teacher.answer(asked()[:1]))
    loaded, begin = time.perf_counter() - begin, time.perf_counter()
    answers = list(teacher.answer(asked()))
    seconds = time.perf_counter() - begin
    assert [a.note_id for a in answers] == NOTES["note_id"].tolist()
    _, tokenizer = models.load(model)
    prompts = encoding.prompt_ids(NOTES["note"], tokenizer, "reasoning", "brief")
    assert [a.prompt_tokens for a in answers] == [len(ids) for ids in prompts]
    assert all(0 < a.completion_tokens <= TOKENS for a in answers)
    right = sum(a.answer == r.label for a, r in zip(answers, asked(), strict=True))
    written = sum(a.completion_tokens for a in answers)
    show(
        request,
        f"vllm {vllm.__version__}, torch {torch.__version__}: first answer after "
        f"{loaded:.0f} s, then {len(answers) / seconds:.1f} notes/s, "
        f"{written / seconds:.0f} tokens/s, {right} of {len(answers)} right",
    )


def test_greedy_answers_are_those_of_transformers(request, teacher, model, tree):
    if not request.config.getoption("--vllm-model"):
        pytest.skip("random weights: nearly equal scores; give --vllm-model")
    ours = generate.predict(
        model, NOTES, instruction="brief", max_new_tokens=TOKENS, tree=tree
    )
    thoughts = [parse_completion(text).think or "" for text in ours["completion"]]
    theirs = [a.trace for a in teacher.answer(asked())]
    same = sum(a == b for a, b in zip(thoughts, theirs, strict=True))
    show(request, f"{same} of {len(theirs)} greedy traces equal those of transformers")
    assert same >= 0.9 * len(theirs)


def test_a_run_with_the_engine_is_stored_and_resumed(teacher, tree, tmp_path):
    frame = NOTES.assign(split="train", sft_rank=range(len(NOTES)))
    log = tmp_path / "log.jsonl"
    table = build_traces(frame, tree, teacher, attempts=1, n=20, log_path=log)
    assert len(AttemptLog(log).answers) == 20
    again = build_traces(frame, tree, teacher, attempts=1, n=20, log_path=log)
    assert table["trace"].tolist() == again["trace"].tolist()


@pytest.fixture(scope="module")
def adapted(model):
    """A network with an adapter, and encoded prompts; the engine starts from them."""
    given = models.Lora(rank=4)
    net, tokenizer = models.load(model, lora=given)
    net = models.add_adapter(net, given, "trl", 0).eval()
    asked = encoding.prompt_ids(NOTES["note"].head(8), tokenizer, "reasoning", "brief")
    yield net, tokenizer, asked
    engine._open.clear()


def moved(net, size: float) -> None:
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=size)


def test_the_engine_draws_with_the_adapter_of_now(adapted):
    net, tokenizer, asked = adapted
    seen = []
    for size in (0.0, 0.3, 0.6):
        moved(net, size)
        found = engine.engine_of(net, 400, rows=32)
        ids, chances = found.draw(asked, 12, 0.0, end=tokenizer.eos_token_id)
        seen.append(ids)
        assert ids == sample(net, asked, tokenizer, 12, 0.0)
        assert [len(row) for row in chances] == [len(row) for row in ids]
    assert seen[0] != seen[1] != seen[2]


def test_answers_and_own_answers_come_from_the_engine(adapted, monkeypatch):
    net, tokenizer, _ = adapted
    told = []
    settings = dict(tokenizer=tokenizer, max_new_tokens=12, batch_size=4)
    notes = NOTES.head(12)
    ours = generate.predict(net, notes, **settings)
    monkeypatch.setattr(generate, "worth_it", lambda *_: True)
    theirs = generate.predict(
        net, notes, **settings, report=lambda *said: told.append(said)
    )
    assert theirs["completion"].tolist() == ours["completion"].tolist()
    assert told[-1][:2] == (12, 12) and told[-1][2].endswith(" tokens/s")


def test_grpo_draws_by_the_engine_and_leaves_frozen_weights_alone(adapted, tmp_path):
    net, tokenizer, _ = adapted
    moved(net, 1e-6)
    rows = NOTES.assign(split="train").head(4)
    data, _ = grpo.prompt_set(rows, tokenizer, "reasoning", "brief", 700)
    frozen = {n: p.clone() for n, p in net.named_parameters() if "lora_" not in n}
    own = dict(steps=2, prompts=2, group_size=2, max_completion=12, max_prompt=700)
    settings = grpo.GrpoSettings(**own, rollouts="vllm", log_every=1, validate_every=0)
    _, curves, log, _ = grpo.train(net, tokenizer, data, "tree", settings, tmp_path)
    assert len(log) == 8 and curves["step"].max() == 2
    for name, weight in net.named_parameters():
        assert name not in frozen or torch.equal(weight, frozen[name])


def tuned(processes, net, tokenizer, folder):
    """RFT, then GRPO, whose completions the server of the run draws."""
    rows = NOTES.assign(split="train").head(4)
    data, _ = grpo.prompt_set(rows, tokenizer, "reasoning", "brief", 700)
    settings = grpo.GrpoSettings(
        steps=2,
        prompts=2,
        group_size=2,
        max_completion=12,
        max_prompt=700,
        rollouts="vllm_server",
        rft_steps=1,
        rft_samples=2,
        examples=4,
        log_every=1,
        validate_every=0,
    )
    replay = encoding.encode(
        rows.assign(trace="Pain."), tokenizer, "reasoning", "brief", 700
    )[0]
    asked = net, tokenizer, data, replay, "tree", settings
    net, _, drawn, _ = launch.train(processes, rft.fine_tune, *asked, folder=folder)
    asked = net, tokenizer, data, "tree", settings
    net, curves, log, _ = launch.train(processes, grpo.train, *asked, folder=folder)
    assert len(drawn) == 8 and len(log) == 8 and curves["step"].max() == 2
    return net


def test_a_server_that_the_run_starts_draws_with_the_adapter_of_now(
    adapted, tmp_path, request
):
    net, tokenizer, asked = adapted
    begin = time.perf_counter()
    serving.at_hand(net, 0.3, tmp_path)
    show(request, f"server: answers after {time.perf_counter() - begin:.0f} s")
    server, seen = serving.Server(), []
    for size in (0.3, 0.6):
        moved(net, size)
        server.sync(net)
        ids, chances = server.draw(asked, 12, 0.0, end=tokenizer.eos_token_id)
        assert ids == sample(net, asked, tokenizer, 12, 0.0)
        assert [len(row) for row in chances] == [len(row) for row in ids]
        seen.append(ids)
    assert seen[0] != seen[1]
    process = serving._started[0][0]
    tuned(1, net, tokenizer, tmp_path / "run")
    assert serving._started[0][0] is process  # one server for all of it
    process.kill()
    process.wait()
    with pytest.raises(UserError, match="no answer from a vLLM server"):
        server.draw(asked, 12, 0.0)
    serving.close()


def test_a_server_takes_all_weights_of_two_processes(model, tmp_path):
    net, tokenizer = models.load(model)
    asked = encoding.prompt_ids(NOTES["note"].head(4), tokenizer, "reasoning", "brief")
    net = tuned(2, net, tokenizer, tmp_path)
    server, below = serving.Server(), descendants(serving._started[0][0].pid)
    server.sync(net)
    ids, _ = server.draw(asked, 12, 0.0, end=tokenizer.eos_token_id)
    assert ids == sample(net, asked, tokenizer, 12, 0.0)
    serving.close()
    assert serving._served() is None
    assert below and not any(kit.alive(process) for process in below)


@pytest.fixture(scope="module")
def server(model, tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    command = [
        sys.executable,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        model,
        "--served-model-name",
        "student",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--max-model-len",
        str(CONTEXT),
        "--dtype",
        "float32",
        "--enforce-eager",
        "--gpu-memory-utilization",
        "0.3",
        # so much at once that no prompt is split; see `VllmTeacher`
        "--max-num-batched-tokens",
        str(64 * CONTEXT),
    ]
    with open(log, "w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        _wait(process, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait(process, url: str, log) -> None:
    for _ in range(START):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx.get(url, timeout=1.0, trust_env=False).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(1)
    raise AssertionError(f"no answer within {START} s: {log.read_text()[-3000:]}")


def _ask(server, tree, concurrency: int):
    made = OpenAITeacher(
        tree,
        "student",
        server,
        mode="plain",
        instruction="brief",
        max_tokens=TOKENS,
        concurrency=concurrency,
        timeout=300.0,
        temperature=0.0,
    )
    begin = time.perf_counter()
    answers = list(made.answer(asked()))
    return made, answers, len(answers) / (time.perf_counter() - begin)


def test_the_openai_teacher_with_the_server_of_vllm(request, server, tree):
    _ask(server, tree, 16)  # warm
    _, single, slow = _ask(server, tree, 1)
    made, answers, fast = _ask(server, tree, 16)
    assert sorted(a.note_id for a in answers) == sorted(NOTES["note_id"])
    assert not any(a.failed for a in [*answers, *single])
    assert made.usage["completion_tokens"] == sum(a.completion_tokens for a in answers)
    assert made.usage["prompt_tokens"] == sum(a.prompt_tokens for a in answers) > 0
    show(
        request,
        f"server: {slow:.1f} notes/s one at a time, {fast:.1f} with 16 in flight",
    )


def test_an_unknown_model_is_a_wrong_setting(server, tree):
    made = OpenAITeacher(tree, "another", server, concurrency=1)
    with pytest.raises(UserError, match="model"):
        list(made.answer(asked()[:2]))
