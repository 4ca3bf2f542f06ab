"""Group-relative policy optimisation with the hierarchical reward.

Shao et al. 2024, "DeepSeekMath": the advantage of a completion is its reward
minus the mean of the completions drawn for the same prompt.
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

import deepicd.training.verifier.reward  # noqa: F401  registers the part `process`
from deepicd import rewards
from deepicd.common.errors import UserError
from deepicd.common.parameters import choice
from deepicd.common.progress import counted
from deepicd.icd.load import load_tree
from deepicd.tasks.correct import Judge
from deepicd.tasks.evidence import Background
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.training import trainer as training
from deepicd.training.encoding import asked_of, prompt_text
from deepicd.training.grpo.guard import CollapseGuard
from deepicd.training.grpo.rollout_log import RolloutLog
from deepicd.training.grpo.schedule import Plan, order_of_run
from deepicd.training.grpo.settings import GrpoSettings, arguments, rows_a_pass
from deepicd.training.models.chat import frame_of
from deepicd.training.models.troubles import explained
from deepicd.training.sft import seed_everything
from deepicd.training.tracking import Tracker

__all__ = [
    "Judge",
    "GrpoSettings",
    "make_trainer",
    "arguments",
    "prompt_set",
    "rows_a_pass",
    "train",
    "training_notes",
]

NAMES = {
    "loss": "train_loss",
    "reward": "reward",
    "reward_std": "reward_std",
    "frac_reward_zero_std": "frac_zero_std",
    "useless_groups": "useless_groups",
    "useless_first_draw": "useless_first_draw",
    "extra_completions": "extra_completions",
    "shown_answers": "shown_answers",
    "entropy": "entropy",
    "kl": "kl",
    "beta": "beta",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "completions/mean_length": "completion_length",
    "completions/clipped_ratio": "clipped_ratio",
    "clip_ratio/region_mean": "clip_ratio",
    "cispo_clip_ratio": "clip_ratio",
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
    choice("grpo_notes", which, ("new", "all"))
    train = admissions[admissions["split"] == "train"].sort_values("sft_rank")
    new = train[train["sft_rank"] >= sft_ranks]
    return train if which == "all" or new.empty else new


def prompt_set(
    frame,
    tokenizer,
    style: str,
    instruction: str,
    limit: int,
    task: Task = PRINCIPAL_DIAGNOSIS,
):
    """Encode admissions as prompts with the columns that rewards read.

    Parameters
    ----------
    frame : DataFrame
        Columns note_id, note, label, and if there asked.
    limit : int
        Longest prompt in tokens; longer ones are dropped, never cut, because TRL
        has no limit of its own.
    task : Task
        What is asked.

    Returns
    -------
    (datasets.Dataset, dict)
        Columns prompt, note_id, note, label; counts kept and dropped.

    Raises
    ------
    UserError
        When no prompt fits.
    """
    from datasets import Dataset

    asked = dict(style=style, instruction=instruction, task=task)
    notes = counted(asked_of(frame), "writing prompts")
    texts = [prompt_text(note, tokenizer, **asked) for note in notes]
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
    rows |= {name: chosen[name].tolist() for name in ("note_id", "note", "label")}
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
    track: Path | None = None,
    guide=None,
):
    """Train a model with GRPO; continues a killed run.

    Parameters
    ----------
    model, tokenizer
        From `deepicd.training.models`; changed in place.
    prompts : datasets.Dataset
        From `prompt_set`.
    spec : str or RewardSpec
    settings : GrpoSettings
    folder : path-like
        Checkpoints and the rollout log.
    measure, report : callable, optional
    track : Path, optional
        As in `deepicd.training.sft.train`.
    guide : deepicd.traces.guiding.Guide, optional
        Shows right answers to groups that lack one; needed where `settings` ask for it.

    Returns
    -------
    (model, DataFrame, DataFrame, dict)
        Trained model, curves (step, name, value), rollouts (one row a
        completion), arguments as resolved.

    Raises
    ------
    UserError
        When the run collapses, with a diagnosis; the last checkpoint is kept.
    """
    if (guide is None) != (settings.guide == "none"):
        raise UserError(
            found=f"guide={settings.guide} and {guide or 'nobody'} to guide",
            expected="both or none",
            do="pass guide=Guide.of(...) of deepicd.traces.guiding",
        )
    seed_everything(settings.seed)
    spec = rewards.get_spec(spec) if isinstance(spec, str) else spec
    usual = guide.background if guide else None
    functions, names, weights = reward_functions(spec, tree, prompts, usual)
    log = RolloutLog(
        Path(folder) / "rollouts.jsonl",
        dict(zip(names, weights, strict=True)),
        Judge(tree, spec.style),
        settings.group_size,
        frame_of(tokenizer, spec.style),
    )
    trainer = make_trainer(
        model,
        tokenizer,
        prompts,
        settings,
        log,
        (functions, names, weights),
        folder,
        report is not None,
        guide,
    )
    tracker = Tracker(track / "grpo", NAMES) if track else None
    callbacks = training.watchers(
        "GRPO", settings.validate_every, measure, report, tracker
    )
    callbacks.insert(1, CollapseGuard(settings))
    training.attach(trainer, callbacks)
    checkpoint = training.last_checkpoint(folder)
    log.rewind(int(checkpoint.rpartition("-")[2]) if checkpoint else 0)
    with explained():
        trainer.train(resume_from_checkpoint=checkpoint)
    trainer.accelerator.wait_for_everyone()
    curves = training.history(trainer.state.log_history, NAMES)
    return trainer.model, curves, log.frame(), training.resolved(trainer.args)


def reward_functions(spec, tree, prompts, usual=None):
    """TRL's reward functions; what is usual is learned from the training prompts.

    Parameters
    ----------
    spec : RewardSpec
    tree : IcdTree or None
    prompts : datasets.Dataset
        Columns note, label.
    usual : Background, optional
        What is usual in them, where it is known already.

    Returns
    -------
    tuple
        See `deepicd.rewards.trl_reward_functions`.
    """
    tree = tree or load_tree()
    if usual is None and spec.weight_of("evidence"):
        usual = Background.of(prompts["note"], prompts["label"], tree)
    return rewards.trl_reward_functions(spec, tree, background=usual)


def make_trainer(
    model, tokenizer, prompts, settings, log, rewards_, folder, headless, guide=None
):
    """Make the trainer of a run, with its prompts in order.

    Parameters
    ----------
    model, tokenizer, prompts, settings, folder
        See `train`.
    log : RolloutLog
    rewards_ : tuple
        Functions, names and weights, from `deepicd.rewards.trl_reward_functions`.
    headless : bool
        No progress bar.
    guide : Guide, optional
    """
    from trl import GRPOConfig

    from deepicd.training.grpo.trl_trainer import HouseTrainer

    functions, names, weights = rewards_
    given = arguments(settings, weights, str(folder), headless)
    trainer = HouseTrainer(
        model=model,
        args=training.make_config(GRPOConfig, given),
        reward_funcs=[log.watch(n, f) for n, f in zip(names, functions, strict=True)],
        train_dataset=prompts.select(order_of_run(len(prompts), settings)),
        processing_class=tokenizer,
    )
    trainer.plan = Plan(settings, prompts, log, guide)
    return trainer
