"""Settings that all tests share."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A program of `tests/gpu/run.sh`, not a module with examples.
collect_ignore = ["gpu/checks.py"]

# Child processes of tests find the package too.
LIB = str(Path(__file__).resolve().parents[1] / "lib")
os.environ["PYTHONPATH"] = os.pathsep.join(
    p for p in (LIB, os.environ.get("PYTHONPATH")) if p
)
sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile(
    "default",
    deadline=None,  # a busy machine is not a failure
    derandomize=True,  # the same examples at every call
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
# pytest --hypothesis-profile=long
settings.register_profile(
    "long",
    deadline=None,
    max_examples=10_000,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("default")  # the option of pytest is read after this


def pytest_addoption(parser):
    """Tests that need more than the pinned CPU packages are asked for by name."""
    parser.addoption(
        "--vllm", action="store_true", help="drive the real vLLM engine (minutes)"
    )
    parser.addoption(
        "--vllm-model", default="", help="model folder for it; else random weights"
    )
    parser.addoption(
        "--engine-sources",
        default="",
        help="folder with the unpacked wheels of unsloth and vllm, for signatures",
    )


def pytest_collection_modifyitems(items):
    """The slowest file first, so that no core is idle at the end."""
    items.sort(key=lambda item: "smoke" not in item.keywords)


# What training tests share; drawn once for all of them, changed by none.


@pytest.fixture(scope="session")
def table():
    """Notes of `training_kit`."""
    import training_kit

    return training_kit.admissions()


@pytest.fixture(scope="session")
def tokenizer(table):
    """Tokenizer of those notes."""
    import training_kit

    return training_kit.tokenizer_of(table)


@pytest.fixture(scope="session")
def taught(table, tokenizer, tmp_path_factory):
    """Folder of a network that answers in the right form."""
    import training_kit

    return training_kit.taught(table, tokenizer, tmp_path_factory.mktemp("taught"))


@pytest.fixture(scope="session")
def prompt_set(table, tokenizer):
    """Prompts of every training note."""
    from deepicd.training import grpo

    notes = grpo.training_notes(table, "all", 0)
    return grpo.prompt_set(notes, tokenizer, "reasoning", "brief", 200)[0]
