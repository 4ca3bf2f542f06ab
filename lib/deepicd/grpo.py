"""Group-relative policy optimisation with the hierarchical reward.

Shao et al. 2024, "DeepSeekMath": the advantage of a completion is its reward
minus the mean of the completions drawn for the same prompt.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from deepicd import rewards, training
from deepicd.encoding import prompt_text
from deepicd.errors import UserError
from deepicd.prefix import trainer_class
from deepicd.rollouts import RolloutLog
from deepicd.sft import seed_everything

NAMES = {
    "loss": "train_loss",
    "reward": "reward",
    "reward_std": "reward_std",
    "frac_reward_zero_std": "frac_zero_std",
    "entropy": "entropy",
    "kl": "kl",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "completions/mean_length": "completion_length",
    "completions/clipped_ratio": "clipped_ratio",
    "clip_ratio/region_mean": "clip_ratio",
}


@dataclass(frozen=True)
class GrpoSettings:
    """Every hyper-parameter of a GRPO run; no hidden default.

    A step draws `group_size` completions for each of `prompts` prompts.
    """

    steps: int = 150
    prompts: int = 8
    group_size: int = 8
    learning_rate: float = 1e-4
    warmup_steps: int = 10
    schedule: str = "constant_with_warmup"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    max_completion: int = 96
    max_prompt: int = 416
    beta: float = 0.0
    epsilon: float = 0.2
    epsilon_high: float = 0.28
    loss_type: str = "dapo"
    scale_rewards: str = "group"
    aggregation: str = "sum_then_normalize"
    # Left out of the loss, an answer that never ends would still lower its group's
    # mean: every other answer would gain, and nothing would hold length back.
    mask_truncated: bool = False
    updates_per_batch: int = 1
    micro_batches: int = 1
    rollouts: str = "transformers"
    share_prompts: bool = True
    save_every: int = 50
    validate_every: int = 50
    log_every: int = 5
    seed: int = 0


def arguments(
    settings: GrpoSettings, weights: list, folder: str, headless: bool
) -> dict:
    """Give TRL's arguments for `settings`, all of them explicit."""
    gpu = torch.cuda.is_available()
    completions = settings.prompts * settings.group_size
    return {
        "output_dir": str(folder),
        "max_steps": settings.steps,
        "per_device_train_batch_size": completions // settings.micro_batches,
        "gradient_accumulation_steps": settings.micro_batches,
        "steps_per_generation": settings.micro_batches,
        "num_generations": settings.group_size,
        "num_iterations": settings.updates_per_batch,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.schedule,
        "warmup_steps": settings.warmup_steps,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "optim": "adamw_torch",
        "adam_beta1": 0.9,
        "adam_beta2": 0.999,
        "adam_epsilon": 1e-8,
        "bf16": gpu and torch.cuda.is_bf16_supported(),
        "fp16": False,
        # A shared prompt lives in the key-value cache, which checkpointing drops.
        "gradient_checkpointing": gpu and not settings.share_prompts,
        "seed": settings.seed,
        "data_seed": settings.seed,
        "logging_steps": settings.log_every,
        "logging_first_step": True,
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "save_total_limit": 2,
        "eval_strategy": "no",
        "report_to": "none",
        "push_to_hub": False,
        "log_completions": False,  # would print prompts: private notes
        "disable_tqdm": headless,
        "dataloader_num_workers": 0,
        "dataloader_pin_memory": gpu,
        "remove_unused_columns": False,
        "shuffle_dataset": True,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "top_k": 0,
        "repetition_penalty": 1.0,
        "max_completion_length": settings.max_completion,
        "beta": settings.beta,
        "epsilon": settings.epsilon,
        "epsilon_high": settings.epsilon_high,
        "loss_type": settings.loss_type,
        "scale_rewards": settings.scale_rewards,
        "multi_objective_aggregation": settings.aggregation,
        "importance_sampling_level": "token",
        "mask_truncated_completions": settings.mask_truncated,
        "reward_weights": weights,
        **_engine(settings.rollouts),
    }


def _engine(rollouts: str) -> dict:
    if rollouts == "transformers":
        return {"use_vllm": False}
    modes = {"vllm": "colocate", "vllm_server": "server"}
    if rollouts not in modes:
        raise UserError(
            found=f"rollouts {rollouts!r}",
            expected="transformers, vllm or vllm_server",
            do="set rollouts to one of these",
        )
    return {
        "use_vllm": True,
        "vllm_mode": modes[rollouts],
        "vllm_gpu_memory_utilization": 0.3,
        "vllm_importance_sampling_correction": True,
    }


def training_notes(admissions, which: str, sft_ranks: int) -> pd.DataFrame:
    """Training admissions for GRPO.

    Parameters
    ----------
    admissions : DataFrame
        Contract of stage 01.
    which : str
        ``new`` for notes that SFT has not seen, ``all`` for the whole training
        split; ``new`` gives all where SFT has seen every note.
    sft_ranks : int
        SFT used the notes with an `sft_rank` below this.

    Raises
    ------
    UserError
        For another word.
    """
    if which not in ("new", "all"):
        raise UserError(
            found=f"grpo_notes {which!r}", expected="new or all", do="choose one"
        )
    train = admissions[admissions["split"] == "train"].sort_values("sft_rank")
    new = train[train["sft_rank"] >= sft_ranks]
    return train if which == "all" or new.empty else new


def prompt_set(frame, tokenizer, style: str, instruction: str, limit: int):
    """Encode admissions as prompts with the columns that rewards read.

    Parameters
    ----------
    frame : DataFrame
        Columns note_id, note, icd_code.
    limit : int
        Longest prompt in tokens; longer ones are dropped, never cut, because TRL
        has no limit of its own.

    Returns
    -------
    (datasets.Dataset, dict)
        Columns prompt, note_id, note, icd_code; counts kept and dropped.

    Raises
    ------
    UserError
        When no prompt fits.
    """
    from datasets import Dataset

    texts = [prompt_text(n, tokenizer, style, instruction) for n in frame["note"]]
    lengths = [len(ids) for ids in tokenizer(texts)["input_ids"]] if texts else []
    kept = [i for i, length in enumerate(lengths) if length <= limit]
    if not kept:
        raise UserError(
            found=f"no prompt within {limit} tokens among {len(texts)}",
            expected="max_prompt above the usual note",
            do=f"raise max_prompt; the shortest has {min(lengths, default=0)} tokens",
        )
    chosen = frame.iloc[kept]
    rows = {"prompt": [texts[i] for i in kept]}
    rows |= {name: chosen[name].tolist() for name in ("note_id", "note", "icd_code")}
    return Dataset.from_dict(rows), {
        "kept": len(kept),
        "dropped": len(texts) - len(kept),
    }


def train(
    model,
    tokenizer,
    prompts,
    spec,
    settings: GrpoSettings,
    folder: str | Path,
    tree=None,
    measure: Callable[[object], dict] | None = None,
    report: Callable[[int, int, str], None] | None = None,
):
    """Train a model with GRPO; continues a killed run.

    Parameters
    ----------
    model, tokenizer
        From `deepicd.models`; changed in place.
    prompts : datasets.Dataset
        From `prompt_set`.
    spec : str or RewardSpec
    settings : GrpoSettings
    folder : path-like
        Checkpoints and the rollout log.
    measure, report : callable, optional
        As in `deepicd.sft.train`.

    Returns
    -------
    (model, DataFrame, DataFrame, dict)
        Trained model, curves (step, name, value), rollouts (one row a
        completion), arguments as resolved.
    """
    from trl import GRPOConfig

    seed_everything(settings.seed)
    functions, names, weights = rewards.trl_reward_functions(spec, tree)
    log = RolloutLog(
        Path(folder) / "rollouts.jsonl", dict(zip(names, weights, strict=True))
    )
    given = arguments(settings, weights, str(folder), report is not None)
    trainer = _trainer_class(settings)(
        model=model,
        args=training.make_config(GRPOConfig, given),
        reward_funcs=[log.watch(n, f) for n, f in zip(names, functions, strict=True)],
        train_dataset=prompts,
        processing_class=tokenizer,
    )
    callbacks = [training.CheckpointMarker()]
    if measure:
        callbacks.append(training.Validator(measure, settings.validate_every))
    if report:
        callbacks.append(training.ProgressReporter(report, "GRPO"))
    training.attach(trainer, callbacks)
    checkpoint = training.last_checkpoint(folder)
    log.rewind(int(checkpoint.rpartition("-")[2]) if checkpoint else 0)
    trainer.train(resume_from_checkpoint=checkpoint)
    curves = training.history(trainer.state.log_history, NAMES)
    return trainer.model, curves, log.frame(), training.resolved(trainer.args)


def _trainer_class(settings: GrpoSettings):
    if settings.share_prompts and settings.rollouts == "transformers":
        return trainer_class()
    from trl import GRPOTrainer

    return GRPOTrainer


def advantages(values: list[float], scale: bool = True) -> list[float]:
    """Group-relative advantages as TRL computes them, for one group.

    Parameters
    ----------
    values : list of float
        Total reward of each completion of one prompt.
    scale : bool
        Divide by the standard deviation (``scale_rewards="group"``).

    Returns
    -------
    list of float
        All zero where the rewards are equal: such a group teaches nothing.

    Examples
    --------
    >>> advantages([1.0, 0.0, 0.0, 1.0], scale=False)
    [0.5, -0.5, -0.5, 0.5]
    """
    rewards_ = torch.tensor(values, dtype=torch.float64)
    centred = rewards_ - rewards_.mean()
    if scale and len(values) > 1:
        centred = centred / (rewards_.std() + 1e-4)
    return centred.tolist()
