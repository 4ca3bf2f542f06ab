"""Every hyper-parameter of GRPO, and TRL's arguments made from them."""

from dataclasses import dataclass
from typing import Literal

import torch

from deepicd.common.errors import UserError
from deepicd.common.parameters import Settings
from deepicd.training import trainer

Loss = Literal["grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"]


@dataclass(frozen=True)
class GrpoSettings(Settings):
    """Every hyper-parameter of a GRPO run; no hidden default.

    A step draws `group_size` completions for each of `prompts` prompts.

    Attributes
    ----------
    beta, beta_schedule : float, str
        Weight of the KL penalty, ``constant`` or falling to zero by ``cosine``.
    epsilon, epsilon_high : float
        A token's ratio is clipped to 1 - epsilon … 1 + epsilon_high; the larger
        upper bound lets unlikely tokens grow ("clip-higher").
    importance_level : str
        Ratio per ``token`` or per ``sequence`` (GSPO).
    entropy_bonus : float
        Weight of the entropy in the objective.
    mask_truncated : bool
        Leave answers that reached `max_completion` out of the loss.
    resample_rounds : int
        Up to so many times a step, groups whose completions are all exactly right
        or all wrong are replaced by groups of other prompts; 0 keeps every group.
    guard_patience : int
        The run stops with a diagnosis after so many bad logs in a row; 0 never.
    guard_entropy, guard_spread, guard_format : float
        A log is bad when the entropy or the standard deviation of the rewards is
        below its bound, or the share of well-formed answers below this share of
        the best one so far; also when the entropy is above three times its first
        value and `guard_entropy_high`.
    guide : {"none", "short", "long"}
        A group without a right answer is shown one in the place of its last answer,
        in short or long words; see `deepicd.traces.guiding`.
    share_prompts : bool
        Run each prompt of a group once (transformers rollouts only).
    rft_steps, rft_learning_rate : int, float
        Steps of rejection-sampling fine-tuning before, 0 for none; see
        `deepicd.training.rft`.
    rft_samples, rft_keep : int
        Answers drawn to each note, and the most right ones that are learned.
    rounds : int
        RFT and method ``dpo``: how often answers are drawn anew and learned.
    examples : int
        RFT and method ``dpo``: examples or pairs of one step.
    dpo_beta : float
        Method ``dpo``: how strongly the reference model binds.
    dpo_chosen : {"teacher", "own"}
        Method ``dpo``: what is preferred to a wrong answer, the teacher's trace or the
        best paid of the own right answers. With ``own`` the reward chooses both sides,
        and with its part ``process`` a verifier does.
    samples : int
        Answers to each test note after training, the first one greedy.
    validate_notes, predict_batch : int
        Notes answered at each validation, and notes answered at once.
    """

    steps: int = 150
    prompts: int = 8
    group_size: int = 8
    learning_rate: float = 1e-4
    warmup_steps: int = 10
    schedule: str = "linear"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    temperature: float = 0.7
    top_p: float = 1.0
    max_completion: int = 96
    max_prompt: int = 416
    beta: float = 0.0
    beta_schedule: Literal["constant", "cosine"] = "constant"
    epsilon: float = 0.2
    epsilon_high: float = 0.28
    loss_type: Loss = "dapo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = (
        "sum_then_normalize"
    )
    importance_level: Literal["token", "sequence"] = "token"
    entropy_bonus: float = 0.0
    # Left out of the loss, an answer that never ends would still lower its group's
    # mean: every other answer would gain, and nothing would hold length back.
    mask_truncated: bool = False
    resample_rounds: int = 0
    guide: Literal["none", "short", "long"] = "none"
    updates_per_batch: int = 1
    micro_batches: int = 1
    rollouts: Literal["transformers", "vllm", "vllm_server"] = "transformers"
    vllm_memory: float = 0.3
    share_prompts: bool = True
    rft_steps: int = 0
    rft_learning_rate: float = 1e-3
    rft_samples: int = 4
    rft_keep: int = 2
    rounds: int = 1
    examples: int = 16
    dpo_beta: float = 0.1
    dpo_chosen: Literal["teacher", "own"] = "teacher"
    samples: int = 5
    validate_notes: int = 100
    predict_batch: int = 64
    guard_patience: int = 5
    guard_entropy: float = 0.005
    guard_entropy_high: float = 2.0
    guard_spread: float = 0.001
    guard_format: float = 0.5
    save_every: int = 50
    validate_every: int = 50
    log_every: int = 5
    seed: int = 0


def arguments(
    settings: GrpoSettings, weights: list, folder: str, headless: bool
) -> dict:
    """Give TRL's arguments for `settings`, all of them explicit.

    Raises
    ------
    UserError
        For a batch that the processes cannot share.
    """
    gpu = torch.cuda.is_available()
    return trainer.shared_arguments(settings, folder, headless) | {
        "per_device_train_batch_size": rows_a_pass(settings),
        "gradient_accumulation_steps": settings.micro_batches,
        "steps_per_generation": settings.micro_batches,
        "num_generations": settings.group_size,
        "num_iterations": settings.updates_per_batch,
        # A shared prompt lives in the key-value cache, which checkpointing drops.
        "gradient_checkpointing": gpu and not settings.share_prompts,
        # Whole batches of rollouts, which are not stored.
        "save_steps": trainer.save_every(settings, settings.updates_per_batch),
        "eval_strategy": "no",
        "log_completions": False,  # would print prompts: private notes
        "remove_unused_columns": False,
        **_objective(settings, weights),
        **_engine(settings),
    }


def _objective(settings: GrpoSettings, weights: list) -> dict:
    return {
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": 0,
        "min_p": None,
        "repetition_penalty": 1.0,
        "max_completion_length": settings.max_completion,
        "beta": settings.beta,
        "epsilon": settings.epsilon,
        "epsilon_high": settings.epsilon_high,
        "delta": None,
        "loss_type": settings.loss_type,
        "scale_rewards": settings.scale_rewards,
        "multi_objective_aggregation": settings.aggregation,
        "importance_sampling_level": settings.importance_level,
        "mask_truncated_completions": settings.mask_truncated,
        "top_entropy_quantile": 1.0,
        "entropy_coef": settings.entropy_bonus,
        "use_adaptive_entropy": False,
        "sync_ref_model": False,
        "use_liger_kernel": False,
        "disable_dropout": False,
        "reward_weights": weights,
    }


def _engine(settings: GrpoSettings) -> dict:
    if settings.rollouts == "transformers":
        return {"use_vllm": False}
    colocated = settings.rollouts == "vllm"
    return {
        "use_vllm": True,
        "vllm_mode": "colocate" if colocated else "server",
        "vllm_gpu_memory_utilization": settings.vllm_memory,
        "vllm_max_model_length": settings.max_prompt + settings.max_completion,
        "vllm_tensor_parallel_size": 1,
        "vllm_importance_sampling_correction": True,
    }


def rows_a_pass(settings: GrpoSettings) -> int:
    """Completions in one forward pass of one process.

    Raises
    ------
    UserError
        When the completions of a step cannot be shared out evenly.

    Examples
    --------
    >>> rows_a_pass(GrpoSettings(prompts=8, group_size=8, micro_batches=4))
    16
    """
    completions, parts = settings.prompts * settings.group_size, trainer.processes()
    rows, rest = divmod(completions, settings.micro_batches * parts)
    whole = settings.resample_rounds or settings.guide != "none"
    broken = whole and rows * settings.micro_batches % settings.group_size
    if rest or broken:
        raise UserError(
            found=f"{completions} completions a step for {parts} processes with "
            f"{settings.micro_batches} passes each",
            expected="equal shares" + (" of whole groups" if broken else ""),
            do="change prompts_per_step, group_size or micro_batches",
        )
    return rows
