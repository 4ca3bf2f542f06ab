"""Two processes train as one does: same batch, same curves, same weights."""

import contextlib
import copy
import dataclasses
import functools
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import training_kit as kit
from accelerate.utils import DistributedType

from deepicd.common.errors import UserError
from deepicd.icd import load_tree
from deepicd.rewards import get_spec
from deepicd.training import encoding, grpo, launch, models, rft, sft
from deepicd.training.models import generate

RFT_GRPO = grpo.GrpoSettings(
    steps=2,
    prompts=4,
    group_size=4,
    max_completion=24,
    learning_rate=1e-3,
    warmup_steps=0,
    validate_every=0,
    log_every=1,
    rft_steps=2,
    examples=8,
    rft_samples=2,
    seed=3,
)
SFT = sft.SftSettings(
    steps=6,
    batch_size=8,
    learning_rate=1e-3,
    warmup_steps=0,
    validate_every=3,
    save_every=2,
    log_every=1,
)


def same(one, two, steps):
    """Weights within float rounding, of which Adam makes at most its step size."""
    for name, weight in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], weight, atol=steps, rtol=0)


def same_curves(one, two, **close):
    wide = [t.pivot(index="step", columns="name", values="value") for t in (one, two)]
    assert list(wide[0]) == list(wide[1])
    for name in set(wide[0]) - {"grad_norm", "kl"}:
        found, expected = (t[name].dropna().tolist() for t in wide)
        assert found == pytest.approx(expected, **close), name


@pytest.fixture(scope="module")
def inputs(table, tokenizer):
    examples, held = encoding.training_examples(table, kit.traces(table))
    encoded = functools.partial(
        encoding.encode,
        tokenizer=tokenizer,
        style="reasoning",
        instruction="brief",
        limit=200,
    )
    val = table[table["split"] == "val"].head(2)
    measure = generate.measure_accuracy(
        val, tokenizer=tokenizer, tree=load_tree(), max_new_tokens=16
    )
    return encoded(examples)[0], encoded(held)[0], measure


def fine_tune(processes, tokenizer, inputs, folder, **more):
    data, held, measure = inputs
    return launch.train(
        processes,
        sft.train,
        kit.network(tokenizer),
        tokenizer,
        data,
        held,
        SFT,
        folder=folder,
        measure=measure,
        **more,
    )


@pytest.fixture(scope="module")
def alone(tokenizer, inputs, tmp_path_factory):
    return fine_tune(1, tokenizer, inputs, tmp_path_factory.mktemp("alone"))


def test_two_processes_fine_tune_as_one_does(tokenizer, inputs, alone, tmp_path):
    told = []
    net, curves, resolved = fine_tune(
        2, tokenizer, inputs, tmp_path, report=lambda *said: told.append(said)
    )
    assert resolved["per_device_train_batch_size"] == 4
    assert told and told[-1][1] == SFT.steps
    same_curves(curves, alone[1], rel=1e-3, abs=1e-6)
    same(alone[0], net, 2e-4)
    assert not (tmp_path / "job").exists()  # it held notes


def test_a_killed_run_of_two_goes_on_with_one(tokenizer, inputs, alone, tmp_path):
    """The asking process is killed; its processes end, and what they kept is used."""
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "import training_kit as kit, test_launch as t\n"
        "table = kit.admissions(); tokenizer = kit.tokenizer_of(table)\n"
        "inputs = t.inputs.__wrapped__(table, tokenizer)\n"
        "t.fine_tune(2, tokenizer, inputs, sys.argv[2])\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: (tmp_path / "checkpoint-2" / "COMPLETE").exists())
        below = psutil.Process(process.pid).children(recursive=True)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert len(below) >= 3
    wait_for(lambda: not any(p.is_running() and kit.alive(p) for p in below))
    net, curves, _ = fine_tune(1, tokenizer, inputs, tmp_path)
    same_curves(curves, alone[1], rel=1e-3, abs=1e-6)
    same(alone[0], net, 2e-4)


def test_a_run_out_of_memory_goes_on_with_smaller_passes(
    tokenizer, inputs, alone, tmp_path
):
    data, held, measure = inputs
    with pytest.raises(kit.Interruption):
        fine_tune(1, tokenizer, inputs, tmp_path, report=kit.stop_at(5))
    smaller = dataclasses.replace(SFT, batch_size=4, accumulation=2)
    given = data, held, smaller, tmp_path, measure
    net, curves, _ = sft.train(kit.network(tokenizer), tokenizer, *given)
    # Accuracy is a mean over passes, which hold unlike numbers of tokens.
    same_curves(curves, alone[1], rel=1e-2, abs=1e-6)
    same(alone[0], net, 2e-4)


def wait_for(done, seconds: float = 240):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_two_processes_draw_and_learn_as_one_does(
    taught, tokenizer, prompt_set, inputs, tmp_path
):
    """RFT, then GRPO with a KL penalty from its model.

    Begun by one process, and gone on with by two in smaller passes.
    """
    settings = dataclasses.replace(RFT_GRPO, beta=0.05, steps=3, save_every=1)
    spec, found = get_spec("tree"), []
    for n in (2, 1):
        net, folder = models.load(taught, lora=models.Lora())[0], tmp_path / str(n)
        net, first, drawn, _ = launch.train(
            n,
            rft.fine_tune,
            net,
            tokenizer,
            prompt_set,
            inputs[0],
            spec,
            settings,
            folder=folder / "rft",
        )
        own = settings
        if n == 2:
            begun = copy.deepcopy(net), tokenizer, prompt_set, spec, settings
            with pytest.raises(kit.Interruption):
                grpo.train(*begun, folder, report=kit.stop_at(2))
            assert (folder / "checkpoint-1").exists()
            own = dataclasses.replace(settings, micro_batches=2)
        net, curves, log, _ = launch.train(
            n, grpo.train, net, tokenizer, prompt_set, spec, own, folder=folder
        )
        found.append((net, first, drawn, curves, log))
    two, one = found
    names = ["step", "note_id", "completion", "reward"]
    for i in (2, 4):
        rows = [t[i].sort_values(names)[names].values.tolist() for t in (two, one)]
        assert rows[0] == rows[1]
    same_curves(two[1], one[1], rel=1e-3, abs=1e-6)
    same_curves(two[3], one[3], rel=1e-2, abs=1e-4)
    same(one[0], two[0], 4e-4)


def test_what_a_process_says_to_the_user_is_passed_on(tokenizer, inputs, tmp_path):
    broken = inputs[0], None, "not settings"
    with pytest.raises(UserError, match="ended with 1 .AttributeError"):
        launch.train(
            2, sft.train, kit.network(tokenizer), tokenizer, *broken, folder=tmp_path
        )


def test_a_job_of_several_nodes_starts_through_srun(monkeypatch):
    assert launch._launcher(2)[-3:] == ["--standalone", "--nproc_per_node", "2"]
    for name, value in (
        ("SLURM_JOB_NUM_NODES", "2"),
        ("SLURM_JOB_ID", "7"),
        ("SLURMD_NODENAME", "node1"),
    ):
        monkeypatch.setenv(name, value)
    command = launch._launcher(8)
    assert command[:5] == ["srun", "--nodes", "2", "--ntasks-per-node", "1"]
    assert command[command.index("--nproc_per_node") + 1] == "4"
    assert command[-1] == "node1:29500"
    with pytest.raises(UserError, match="processes=6"):
        launch._launcher(7)


def test_a_model_that_does_not_fit_is_shared_out_or_refused(tokenizer):
    net = kit.network(tokenizer)
    size = sum(p.numel() for p in net.parameters())
    assert not launch.has_to_be_shared(net, 20 * size, 2)
    assert launch.has_to_be_shared(net, 12 * size, 2)
    for memory, processes in ((7 * size, 2), (4 * size, 64)):
        with pytest.raises(UserError, match="lora_rank=32"):
            launch.has_to_be_shared(net, memory, processes)
    adapted = models.add_adapter(net, models.Lora(rank=2), "trl", 0)
    assert not launch.has_to_be_shared(adapted, 12 * size, 2)


def as_on_gpus(function, *given, **more):
    """Train with FSDP on CPUs, which accelerate knows for GPUs only."""
    from accelerate import PartialState

    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    return function(*given, **more)


def test_a_model_that_is_shared_out_learns_and_draws_as_a_whole_one(
    taught, tokenizer, prompt_set, inputs, tmp_path, monkeypatch
):
    """Each of two processes holds half of it: RFT, then GRPO."""
    settings = dataclasses.replace(RFT_GRPO, validate_every=1)
    spec, measure, found = get_spec("tree"), inputs[2], []
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    for n in (2, 1):
        if n == 2:
            monkeypatch.setattr(launch, "_shared_out", lambda *_: True)
        net, folder = models.load(taught, lora=models.Lora())[0], tmp_path / str(n)
        for function, place, given in (
            (rft.fine_tune, "rft", (prompt_set, inputs[0], spec, settings)),
            (grpo.train, "grpo", (prompt_set, spec, settings)),
        ):
            asked = functools.partial(as_on_gpus, function) if n == 2 else function
            net, curves, drawn, _ = launch.train(
                n, asked, net, tokenizer, *given, folder=folder / place, measure=measure
            )
            found.append((net, curves, drawn))
    for two, one in zip(found[:2], found[2:], strict=True):
        names = ["step", "note_id", "completion", "reward"]
        rows = [t[2].sort_values(names)[names].values.tolist() for t in (two, one)]
        assert rows[0] == rows[1]
        same_curves(two[1], one[1], rel=1e-2, abs=1e-4)
    same(found[-1][0], found[1][0], 4e-4)


def test_a_batch_that_cannot_be_shared_is_an_error(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="3 processes"):
        sft.arguments(sft.SftSettings(batch_size=8), "x", True)
    with pytest.raises(UserError, match="equal shares"):
        grpo.arguments(grpo.GrpoSettings(prompts=8, group_size=8), [1.0], "x", True)


def test_a_process_started_for_a_run_ends_with_it(tmp_path):
    """The asking process is killed, and cannot end what it has started."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    asked = ["-m", "deepicd.common.processes", "http.server", port]
    code = (
        "import subprocess, sys, time\n"
        f"below = subprocess.Popen([sys.executable, *{asked}])\n"
        "print(below.pid, flush=True); time.sleep(600)\n"
    )
    own = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "env": own}
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, **given)
    below = psutil.Process(int(parent.stdout.readline()))

    def answers() -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", int(port))).close()
            return True
        return False

    wait_for(answers)
    parent.kill()
    parent.communicate()
    wait_for(lambda: not (below.is_running() and kit.alive(below)))


def test_a_server_of_the_run_is_refused_on_several_nodes(tokenizer, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    settings = dataclasses.replace(RFT_GRPO, rollouts="vllm_server")
    net = kit.network(tokenizer)
    with pytest.raises(UserError, match="rollouts=vllm$"):
        launch.train(2, grpo.train, net, tokenizer, settings, folder="")
