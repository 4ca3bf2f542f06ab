"""One check of the GPU path: checks.py KIND BACKEND ENGINE DEVICE FOLDER TOLD."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

KIND, BACKEND, ENGINE, DEVICE, FOLDER, TOLD = sys.argv[1:7]
FOLDER = Path(FOLDER)
#: The size that shows speed on a GPU, and one that a CPU trains in seconds.
SIZE, NOTES, STEPS = ("50m", 240, 100) if DEVICE == "cuda" else ("tiny", 24, 60)
RATE = 5e-4 if DEVICE == "cuda" else 1e-2
LONGEST, ANSWER, RANK = 200, 48, 16
CACHE = 2**31  # bytes of a vLLM's cache on a GPU: other checks may share the card
phases, numbers = {}, {}


@contextlib.contextmanager
def phase(name: str):
    """Time a phase, print it at once and keep what is known so far."""
    begin = time.perf_counter()
    yield
    phases[name] = round(time.perf_counter() - begin, 2)
    print(f"{name}: {phases[name]} s", flush=True)
    Path(TOLD).write_text(json.dumps({"phases": phases, "numbers": numbers}))


with phase("import"):
    if BACKEND == "unsloth":
        import unsloth  # noqa: F401  it has to come first
    import torch
    import training_kit as kit

    from deepicd.icd import load_tree
    from deepicd.rewards import get_spec
    from deepicd.training import encoding, grpo, launch, models, sft
    from deepicd.training.grpo.grpo import reward_functions
    from deepicd.training.models import engine, generate, merging, sampling, serving

SFT = sft.SftSettings(
    steps=STEPS,
    batch_size=16,
    learning_rate=RATE,
    warmup_steps=5,
    validate_every=0,
    save_every=1000,
    log_every=5,
)
LORA = models.Lora(rank=RANK)
asked_of_vllm = engine.arguments


def little(model, memory: float, rows: int) -> dict:
    """Arguments of an engine that measures no memory: others take some meanwhile."""
    given = asked_of_vllm(model, min(memory, 0.1), rows)
    return given | {"kv_cache_memory_bytes": CACHE}


if DEVICE == "cuda":
    engine.arguments = serving.arguments = little


def inputs():
    """Notes of which a quarter of the traces name another code: often wrong."""
    table = kit.admissions(NOTES)
    traces = kit.traces(table)
    codes = list(kit.CODES)
    spoilt = traces.index[::3]
    other = {code: codes[(i + 1) % len(codes)] for i, code in enumerate(codes)}
    wrong = table.set_index("note_id").loc[traces.loc[spoilt, "note_id"], "label"]
    traces.loc[spoilt, "label"] = [other[code] for code in wrong]
    return table, traces


def encoded(table, traces, tokenizer):
    labels = traces.set_index("note_id")["label"]
    taught = table.assign(label=table["note_id"].map(labels).fillna(table["label"]))
    examples, _ = encoding.training_examples(taught, traces)
    return encoding.encode(examples, tokenizer, "reasoning", "brief", LONGEST)[0]


def prompts(table, tokenizer):
    notes = grpo.training_notes(table, "all", 0)
    return grpo.prompt_set(notes, tokenizer, "reasoning", "brief", LONGEST)[0]


def load(folder: str, rollouts: str = "transformers"):
    with phase("load"):
        net, tokenizer = models.load(folder, BACKEND, 256, LORA, rollouts)
        net = models.add_adapter(net, LORA, BACKEND, 0)
        print(models.describe(net), flush=True)
    return net, tokenizer


def peak() -> None:
    if DEVICE == "cuda":
        numbers["peak GiB"] = torch.cuda.max_memory_allocated() / 2**30


def taught() -> None:
    """A base, and a model taught from partly wrong traces: GRPO has room."""
    table, traces = inputs()
    tokenizer = kit.tokenizer_of(table)
    base = models.make_model(tokenizer, SIZE, 0)
    models.save(base, tokenizer, FOLDER / "base")
    with phase("load"):
        net, tokenizer = models.load(str(FOLDER / "base"), lora=models.Lora())
    with phase("steps"):
        data = encoded(table, traces, tokenizer)
        net, curves, _ = sft.train(net, tokenizer, data, None, SFT, FOLDER / "sft")
    models.save(net, tokenizer, FOLDER / "taught")
    with phase("answers"):
        train = table[table["split"] == "train"].head(32)
        found = generate.predict(
            net, train, 4, tokenizer=tokenizer, tree=load_tree(), max_new_tokens=ANSWER
        )
    gold = train.set_index("note_id")["label"]
    right = (found["code"] == found["note_id"].map(gold)).mean()
    numbers["right"] = float(right)
    assert 0.2 < right < 0.98, f"{right:.0%} right: nothing to learn or nothing learned"


def check_sft() -> None:
    """The adapter learns, is kept, and answers as it did; merging is measured."""
    table, traces = inputs()
    net, tokenizer = load(str(FOLDER / "base"))
    assert models.adapter_size(net) == 0
    data = encoded(table, traces, tokenizer)
    own = dataclasses.replace(SFT, steps=30, learning_rate=2e-3)
    with phase("steps"):
        net, curves, _ = sft.train(net, tokenizer, data, None, own, FOLDER / KIND_PLACE)
    tokens = sum(map(len, data["input_ids"])) / len(data) * own.batch_size * own.steps
    numbers["tokens/s"] = tokens / phases["steps"]
    loss = curves[curves["name"] == "train_loss"]["value"].tolist()
    assert models.adapter_size(net) > 0 and loss[-1] < loss[0]
    asked = encoding.prompt_ids(table["note"].head(24), tokenizer, "reasoning", "brief")
    with phase("merge"):
        said = merging.probe(net, tokenizer, asked, ANSWER)
        merged = models.save(
            net, tokenizer, FOLDER / KIND_PLACE / "model", asked, ANSWER
        )
        kept, _ = models.load(models.kept(FOLDER / KIND_PLACE / "model"), BACKEND, 256)
        again = merging.compare(said, merging.probe(kept, tokenizer, asked, ANSWER))
    numbers["answers changed by merging"] = merged["answers_changed"]
    numbers["answers changed by loading"] = again["answers_changed"]
    assert again["answers_changed"] <= len(asked) * (0.1 if DEVICE == "cuda" else 0)


def grpo_settings(steps: int, **more):
    return grpo.GrpoSettings(
        steps=steps,
        prompts=4,
        group_size=8,
        max_completion=ANSWER,
        max_prompt=LONGEST,
        rollouts=ENGINE,
        share_prompts=BACKEND == "trl" and ENGINE == "transformers",
        learning_rate=1e-3,
        warmup_steps=0,
        temperature=1.0,
        validate_every=0,
        log_every=1,
        **more,
    )


def check_grpo() -> None:
    """Rewards differ, and the adapter moves."""
    table, _ = inputs()
    net, tokenizer = load(str(FOLDER / "taught"), ENGINE)
    data, steps = prompts(table, tokenizer), 4
    marks = []

    def told(done, total, text):  # the engine starts before the first step
        marks.append(time.perf_counter())

    begin = time.perf_counter()
    with phase("engine and steps"):
        net, curves, log, _ = grpo.train(
            net,
            tokenizer,
            data,
            "tree",
            grpo_settings(steps),
            FOLDER / KIND_PLACE,
            report=told,
        )
    phases["engine"] = round(marks[0] - begin, 2)
    phases["steps"] = round(marks[-1] - marks[0], 2)
    length = curves[curves["name"] == "completion_length"]["value"].mean()
    numbers["rollout tokens/s, training included"] = (
        len(log) * length / max(phases["steps"], 0.01)
    )
    assert len(log) == steps * 4 * 8 and log["reward"].nunique() > 1
    assert models.adapter_size(net) > 0


def check_sync() -> None:
    """Answers drawn by vLLM are those of the weights as they are now."""
    from deepicd.training.grpo.rollout_log import RolloutLog

    table, _ = inputs()
    net, tokenizer = models.load(str(FOLDER / "taught"), lora=models.Lora())
    data = prompts(table, tokenizer)
    functions = reward_functions(get_spec("tree"), None, data)
    log = RolloutLog(FOLDER / "sync.jsonl", dict(zip(*functions[1:], strict=True)))
    with phase("engine"):
        made = grpo.make_trainer(
            net,
            tokenizer,
            data,
            grpo_settings(1),
            log,
            functions,
            FOLDER / "sync",
            True,
        )
    rows = [data[i] for i in range(4) for _ in range(8)]
    with phase("draw"):
        before, _ = made.drawn(rows)
    with phase("sync"), torch.no_grad():
        for weight in made.model.parameters():
            weight.mul_(0.0)
        made.state.global_step += 1  # TRL hands weights over once a step
        after, _ = made.drawn(rows)
    numbers["drawn tokens/s"] = sum(map(len, before)) / phases["draw"]
    assert before != after


def check_answers() -> None:
    """vLLM answers with the adapter of now; how much sooner than transformers."""
    table, _ = inputs()
    net, tokenizer = load(str(FOLDER / "taught"))
    asked = encoding.prompt_ids(table["note"], tokenizer, "reasoning", "brief")
    with phase("engine"):
        vllm = engine.engine_of(net.eval(), LONGEST + ANSWER)
    for name in ("taught", "moved"):
        with phase(f"transformers, {name}"):
            ours = sampling.sample(net, asked, tokenizer, ANSWER, 0.0)
        vllm.sync(net)
        with phase(f"vllm, {name}"):
            theirs, _ = vllm.draw(asked, ANSWER, 0.0, end=tokenizer.eos_token_id)
        same = sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(asked)
        numbers[f"answers alike, {name}"] = same
        assert same > (0.8 if DEVICE == "cuda" else 0.99)
        with torch.no_grad():
            for part, weight in net.named_parameters():
                if "lora_B" in part:
                    weight.normal_(std=0.05)
    written = sum(map(len, theirs))
    numbers["transformers tokens/s"] = written / phases["transformers, moved"]
    numbers["vllm tokens/s"] = written / phases["vllm, moved"]


def check_server() -> None:
    """A server that the run starts draws with the adapter of now, and for GRPO."""
    table, _ = inputs()
    net, tokenizer = load(str(FOLDER / "taught"))
    asked = encoding.prompt_ids(table["note"], tokenizer, "reasoning", "brief")
    with phase("server"):
        serving.at_hand(net, engine.MEMORY, FOLDER)
    server = serving.Server()
    with torch.no_grad():
        for part, weight in net.named_parameters():
            if "lora_B" in part:
                weight.normal_(std=0.05)
    with phase("sync"):
        server.sync(net)
    with phase("draw"):
        theirs, _ = server.draw(asked, ANSWER, 0.0, end=tokenizer.eos_token_id)
    ours = sampling.sample(net.eval(), asked, tokenizer, ANSWER, 0.0)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(asked)
    numbers["answers alike"] = same
    numbers["server tokens/s"] = sum(map(len, theirs)) / phases["draw"]
    assert same > (0.8 if DEVICE == "cuda" else 0.99)
    settings = dataclasses.replace(grpo_settings(2), rollouts="vllm_server")
    given = net, tokenizer, prompts(table, tokenizer), "tree", settings
    with phase("steps"):
        net, _, log, _ = launch.train(1, grpo.train, *given, folder=FOLDER / "server")
    assert len(log) == 2 * 4 * 8
    with phase("end"):
        serving.close()


def check_resume() -> None:
    """Killed after its checkpoint, a run goes on from it and ends as it should."""
    steps, place = grpo_settings(4, save_every=2), FOLDER / "resume"
    if os.environ.get("TO_BE_KILLED") is None:
        code = [sys.executable, *sys.argv[:6], str(FOLDER / "killed.json")]
        with phase("until killed"):
            child = subprocess.Popen(code, env={**os.environ, "TO_BE_KILLED": "yes"})
            while not (place / "checkpoint-2" / "COMPLETE").exists():
                assert child.poll() is None, "ended by itself"
                time.sleep(0.05)
            child.send_signal(signal.SIGKILL)
            child.wait()
    table, _ = inputs()
    net, tokenizer = load(str(FOLDER / "taught"))
    data = prompts(table, tokenizer)
    with phase("steps"):
        net, curves, log, _ = grpo.train(net, tokenizer, data, "tree", steps, place)
    assert sorted(set(log["step"])) == [0, 1, 2, 3] and len(log) == 4 * 32
    assert curves["step"].max() == 4 and models.adapter_size(net) > 0


KIND_PLACE = f"{KIND}-{BACKEND}-{ENGINE}"
RUN = {
    "taught": taught,
    "sft": check_sft,
    "grpo": check_grpo,
    "sync": check_sync,
    "answers": check_answers,
    "server": check_server,
    "resume": check_resume,
}
RUN[KIND]()
peak()
Path(TOLD).write_text(json.dumps({"phases": phases, "numbers": numbers}))
