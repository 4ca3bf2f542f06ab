"""The arguments we pass to unsloth and vllm exist in the pinned releases.

Reads their source with `ast`, so it needs no GPU and does not import them. They are
found where they are installed, or in a folder of unpacked wheels given by
``--engine-sources``; elsewhere the tests skip, because there is nothing to check.
"""

import ast
import importlib.util
import types
from pathlib import Path

import pytest

from deepicd.training import grpo, models, sft
from deepicd.training.models import engine
from deepicd.training.models.loading import Lora

#: What our code, or TRL for it, passes besides what the tests ask our code for.
CHAT = {"sampling_params", "use_tqdm"}
SAMPLING = {"n", "temperature", "top_p", "max_tokens", "seed"}
ENGINE = {
    *("model", "seed", "dtype", "max_model_len", "gpu_memory_utilization"),
    *("enable_prefix_caching", "enforce_eager"),
}


@pytest.fixture
def source(request):
    """Give the syntax tree of a file of a package."""
    folder = request.config.getoption("--engine-sources")

    def read(package: str, file: str) -> ast.Module:
        place = Path(folder) / package if folder else _installed(package)
        if place is None:
            pytest.skip(f"{package} is not installed, no --engine-sources given")
        return ast.parse((place / file).read_text(encoding="utf-8"))

    return read


def _installed(package: str) -> Path | None:
    found = importlib.util.find_spec(package)
    return Path(found.origin).parent if found and found.origin else None


def methods(tree: ast.Module, name: str) -> dict[str, ast.FunctionDef]:
    """Methods of a class at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return {n.name: n for n in node.body if isinstance(n, ast.FunctionDef)}
    raise AssertionError(f"no class {name}")


def accepted(function: ast.FunctionDef) -> set[str]:
    """Names of the arguments of a function, `**kwargs` not counted."""
    given = function.args
    return {a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)}


def fields(tree: ast.Module, name: str) -> set[str]:
    """Annotated fields of a class at the top of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            lines = [n for n in node.body if isinstance(n, ast.AnnAssign)]
            return {n.target.id for n in lines}
    raise AssertionError(f"no class {name}")


def defaults(function: ast.FunctionDef) -> set[str]:
    """Names of the arguments that have a default."""
    given = function.args
    late = given.args[len(given.args) - len(given.defaults) :]
    return {a.arg for a in late} | {
        a.arg
        for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)
        if d is not None
    }


@pytest.mark.parametrize("lora", [Lora(), Lora(rank=32), Lora(rank=16, four_bit=True)])
def test_unsloth_loads_with_our_arguments(source, lora):
    tree = source("unsloth", "models/loader.py")
    known = accepted(methods(tree, "FastLanguageModel")["from_pretrained"])
    given = models.unsloth_arguments("model", 512, lora, "transformers")
    assert set(given) <= known
    assert given["full_finetuning"] == (lora.rank == 0)


def test_unsloth_makes_our_adapter(source):
    tree = source("unsloth", "models/llama.py")
    known = accepted(methods(tree, "FastLlamaModel")["get_peft_model"])
    assert set(models.unsloth_adapter_arguments(Lora(rank=8), 0)) < known
    base = source("unsloth", "models/loader.py")
    made = methods(base, "FastLanguageModel")["get_peft_model"]
    assert [a.arg for a in made.args.args] == ["model"]


def test_vllm_opens_chats_and_samples_with_our_arguments(source):
    tree = source("vllm", "entrypoints/llm.py")
    engine = source("vllm", "engine/arg_utils.py")
    known = accepted(methods(tree, "LLM")["__init__"]) | fields(engine, "EngineArgs")
    assert ENGINE <= known
    chat = methods(tree, "LLM")["chat"]
    assert chat.args.args[1].arg == "messages" and CHAT <= defaults(chat)
    assert SAMPLING <= fields(source("vllm", "sampling_params.py"), "SamplingParams")


def test_vllm_starts_with_our_arguments_and_takes_weights(source):
    """Of a small model with an adapter, and of a large one."""
    known = fields(source("vllm", "engine/arg_utils.py"), "EngineArgs")
    ends = types.SimpleNamespace(eos_token_id=0, pad_token_id=0)
    small = models.make_model(ends, "tiny", 0, vocab=64)
    small.name_or_path = "x"
    given = engine.arguments(models.add_adapter(small, Lora(rank=8), "trl", 0), 0.3, 64)
    assert {*given, "compilation_config", "distributed_executor_backend"} <= known
    runner = source("vllm", "v1/worker/gpu_model_runner.py")
    reload = methods(runner, "GPUModelRunner")["reload_weights"]
    assert {"weights_iterator", "weights_path"} <= accepted(reload)


def test_what_trl_passes_to_vllm_exists(source):
    """TRL's own calls: a release of vllm beyond those TRL supports fails here."""
    import trl

    place = Path(trl.__file__).parent / "generation" / "vllm_generation.py"
    tree = source("vllm", "entrypoints/llm.py")
    engine = fields(source("vllm", "engine/arg_utils.py"), "EngineArgs")
    known = accepted(methods(tree, "LLM")["__init__"]) | engine
    calls = [
        node
        for node in ast.walk(ast.parse(place.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "LLM"
    ]
    assert calls
    for call in calls:
        assert {keyword.arg for keyword in call.keywords} <= known


def test_our_names_are_those_that_the_code_passes():
    """The lists above are what the vllm teacher writes in its calls."""
    import deepicd.traces.teachers.vllm as teacher

    tree = ast.parse(Path(teacher.__file__).read_text(encoding="utf-8"))
    found: dict[str, set] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            found.setdefault(name, set()).update(k.arg for k in node.keywords)
    assert found["LLM"] == ENGINE and found["chat"] == CHAT
    assert found["make_sampling"] == SAMPLING


@pytest.mark.skipif(
    importlib.util.find_spec("unsloth") is None, reason="unsloth is not installed"
)
def test_both_backends_resolve_the_same_arguments(tmp_path, monkeypatch):
    """In processes of their own, because Unsloth patches TRL when imported."""
    import json
    import subprocess
    import sys

    code = (
        "import json, sys\n"
        "if sys.argv[1] == 'unsloth': import unsloth\n"
        "from trl import GRPOConfig, SFTConfig\n"
        "from deepicd import grpo, sft, training as t\n"
        "a = t.make_config(SFTConfig, sft.arguments(sft.SftSettings(), 'x', True))\n"
        "b = grpo.arguments(grpo.GrpoSettings(), [1.0], 'x', True)\n"
        "b = t.make_config(GRPOConfig, b)\n"
        "print(json.dumps([t.resolved(a), t.resolved(b)], default=str))\n"
    )
    monkeypatch.setenv("UNSLOTH_ALLOW_CPU", "1")
    found = []
    for backend in ("trl", "unsloth"):
        done = subprocess.run(
            [sys.executable, "-c", code, backend],
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(json.loads(done.stdout.splitlines()[-1]))
    ours = [sft.arguments(sft.SftSettings(), "x", True)]
    ours.append(grpo.arguments(grpo.GrpoSettings(), [1.0], "x", True))
    for given, plain, patched in zip(ours, *found, strict=True):
        same = {k for k in given if k in plain and plain[k] == patched.get(k)}
        assert {k for k in given if k in plain} - same == set()
