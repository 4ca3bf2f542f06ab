"""What goes wrong on a GPU, in words that name the setting to change."""

import contextlib

import torch

from deepicd.common.errors import UserError

#: Part of an error's text, in small letters; what was found; what to do.
KNOWN = (
    (
        "out of memory",
        "the GPU ran out of memory",
        "close what else uses the GPU (nvidia-smi), or halve the work at once: "
        "batch_size with sft_options={'accumulation': 2} in 04, "
        "grpo_options={'micro_batches': 2} in 05, predict_batch in either while notes "
        "are answered, or set lora_rank=16; the run goes on from its last checkpoint",
    ),
    (
        "driver version is insufficient",
        "an NVIDIA driver older than PyTorch's CUDA",
        "update the driver, or run --profile cpu",
    ),
    (
        "driver on your system is too old",
        "an NVIDIA driver older than PyTorch's CUDA",
        "update the driver, or run --profile cpu",
    ),
    (
        "no kernel image",
        "a GPU that this PyTorch was not built for",
        "take a GPU of compute capability 7.5 or more, or run --profile cpu",
    ),
    (
        "all cuda-capable devices are busy",
        "a GPU that another process holds alone",
        "wait for it (nvidia-smi names it), or choose another: CUDA_VISIBLE_DEVICES=1",
    ),
    (
        "free memory on device",
        "a GPU with too little free memory for the vLLM engine",
        "close what else uses the GPU, set grpo_options={'vllm_memory': 0.2}, or "
        "rollouts=transformers",
    ),
)


def explain(error: BaseException) -> UserError | None:
    """Say what an error of a GPU means; None for any other.

    Examples
    --------
    >>> explain(ValueError("no")) is None
    True
    >>> explain(RuntimeError("CUDA error: out of memory")).found
    'the GPU ran out of memory'
    """
    if isinstance(error, UserError) or not isinstance(
        error, (RuntimeError, ValueError)
    ):
        return None
    text = str(error).lower()
    for part, found, do in KNOWN:
        if part in text:
            return UserError(
                found=found + _memory(), expected="a GPU to work on", do=do
            )
    return None


def _memory() -> str:
    if not torch.cuda.is_available():
        return ""
    try:
        free, total = torch.cuda.mem_get_info()
    except RuntimeError:
        return ""
    return f" ({free / 2**30:.1f} of {total / 2**30:.1f} GiB free)"


@contextlib.contextmanager
def explained():
    """Turn what a GPU complains of into a `UserError`; other errors pass.

    Raises
    ------
    UserError
    """
    try:
        yield
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        raise told from error


def limits(capability: tuple[int, int], memory: int) -> list[str]:
    """What a GPU cannot do, in sentences; empty for a recent one of 16 GB.

    Parameters
    ----------
    capability : (int, int)
        Compute capability; bfloat16 needs 8.0 (Ampere), vLLM 7.5 (Turing).
    memory : int
        Bytes.

    Examples
    --------
    >>> limits((9, 0), 80 * 2**30)
    []
    >>> len(limits((6, 1), 8 * 2**30))
    3
    """
    said = []
    if capability < (8, 0):
        said.append(
            "no bfloat16: computes in float32, slower and with twice the memory"
        )
    if capability < (7, 5):
        said.append("too old for vLLM: set rollouts=transformers")
    if memory < 15 * 2**30:
        said.append(
            f"{memory / 2**30:.0f} GiB: set batch_size=16, sft_options={{"
            "'accumulation': 2, 'predict_batch': 64} and grpo_options={"
            "'micro_batches': 4, 'predict_batch': 64}, or model_size=50m"
        )
    return said


def of_this_gpu() -> list[str]:
    """`limits` of the first GPU; empty without one."""
    if not torch.cuda.is_available():
        return []
    found = torch.cuda.get_device_properties(0)
    return limits((found.major, found.minor), found.total_memory)
