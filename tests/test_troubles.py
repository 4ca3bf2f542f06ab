"""What a GPU complains of names the setting to change; other errors are left alone."""

import pytest
import torch

from deepicd.common.errors import UserError
from deepicd.training.models.backends import choose
from deepicd.training.models.troubles import KNOWN, explain, explained, limits


@pytest.mark.parametrize(
    ("error", "found", "do"),
    [
        (
            torch.cuda.OutOfMemoryError(
                "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total "
                "capacity of 7.79 GiB of which 1.2 GiB is free."
            ),
            "ran out of memory",
            "accumulation",
        ),
        (
            RuntimeError(
                "The NVIDIA driver on your system is too old (found version 11040)."
            ),
            "driver older",
            "update the driver",
        ),
        (
            RuntimeError(
                "CUDA error: no kernel image is available for execution on the device"
            ),
            "not built for",
            "7.5",
        ),
        (
            RuntimeError(
                "CUDA error: all CUDA-capable devices are busy or unavailable"
            ),
            "another process holds",
            "CUDA_VISIBLE_DEVICES",
        ),
        (
            ValueError(
                "Free memory on device (3.1/79.1 GiB) on startup is less than desired "
                "GPU memory utilization (0.3, 23.7 GiB)."
            ),
            "vLLM engine",
            "vllm_memory",
        ),
    ],
)
def test_an_error_of_a_gpu_names_the_setting(error, found, do):
    told = explain(error)
    assert found in told.found and do in told.do
    with pytest.raises(UserError, match=found), explained():
        raise error


def test_other_errors_pass_unchanged():
    for error in (ValueError("batch of 3"), KeyError("note"), UserError("a", "b", "c")):
        with pytest.raises(type(error)) as kept, explained():
            raise error
        assert kept.value is error


def test_what_an_old_or_small_gpu_lacks_is_said():
    assert limits((9, 0), 80 * 2**30) == []
    old = limits((7, 0), 16 * 2**30)
    assert len(old) == 2 and "float32" in old[0] and "transformers" in old[1]
    (small,) = limits((8, 6), 8 * 2**30)
    assert "8 GiB" in small and "accumulation" in small
    assert len({part for part, *_ in KNOWN}) == len(KNOWN)


def test_several_processes_train_with_trl():
    assert choose("trl", 2)[0] == "trl" and choose("auto", 2)[0] == "trl"
    with pytest.raises(UserError, match="unsloth"):
        choose("unsloth", 2)
