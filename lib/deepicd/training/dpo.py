"""GRPO, or on-policy DPO with the same right and wrong answers.

On-policy DPO (Rafailov et al. 2023) prefers the teacher's trace, or the policy's own
best paid right answer, to the policy's own wrong answer to the same note.
"""

import copy
from pathlib import Path

import pandas as pd
import torch

from deepicd.common.errors import UserError
from deepicd.common.parameters import choice
from deepicd.tasks import prompts
from deepicd.tasks.format import TAG
from deepicd.training import grpo, sft
from deepicd.training import trainer as training
from deepicd.training.grpo.schedule import order_of_run
from deepicd.training.grpo.settings import GrpoSettings
from deepicd.training.models.chat import Frame, frame_of
from deepicd.training.models.troubles import explained
from deepicd.training.own_answers import Drawn
from deepicd.training.rft import best_right, sft_settings
from deepicd.training.tracking import Tracker

METHODS = ("grpo", "dpo")
DPO_NAMES = sft.NAMES | {
    "rewards/margins": "dpo_margin",
    "rewards/accuracies": "dpo_accuracy",
    "entropy": "entropy",
}


def system_name(method: str, rft_steps: int) -> str:
    """Name the model after SFT, RFT where there is any, and `method`.

    Parameters
    ----------
    method : {"grpo", "dpo", "rft"}
        With ``rft`` nothing follows the RFT.
    rft_steps : int

    Raises
    ------
    UserError
        For another method, or when nothing would be trained.

    Examples
    --------
    >>> system_name("grpo", 250), system_name("grpo", 0), system_name("rft", 250)
    ('sft_rft_grpo', 'sft_grpo', 'sft_rft')
    """
    choice("method", method, (*METHODS, "rft"))
    if method == "rft" and not rft_steps:
        raise UserError(
            found="method rft with rft_steps 0",
            expected="steps to learn in",
            do="set rft_steps=250, or another method",
        )
    first = "sft_rft" if rft_steps else "sft"
    return first if method == "rft" else f"{first}_{method}"


def train(
    method: str,
    model,
    tokenizer,
    data,
    spec,
    settings: GrpoSettings,
    folder,
    tree=None,
    measure=None,
    report=None,
    traces=None,
    track=None,
    guide=None,
):
    """Train by the chosen method; the outputs are those of `grpo.train`.

    Parameters
    ----------
    method : {"grpo", "dpo"}
    model, tokenizer, data, spec, settings, folder, tree, measure, report, track, guide
        See `deepicd.training.grpo.train`. DPO draws `group_size` answers for `steps` x
        `prompts` notes in `rounds` parts, as many as GRPO draws, and learns in
        `steps` steps of `examples` pairs.
    traces : DataFrame, optional
        Of stage 03; DPO needs accepted ones of the training notes.

    Returns
    -------
    (model, DataFrame, DataFrame, dict)
        Model, curves, rollouts, arguments as resolved.

    Raises
    ------
    UserError
        For another method, or when there is nothing to learn from.
    """
    choice("method", method, METHODS)
    if method == "grpo":
        return grpo.train(
            model,
            tokenizer,
            data,
            spec,
            settings,
            folder,
            tree,
            measure,
            report,
            track,
            guide,
        )
    folder, steps = Path(folder), max(settings.steps // settings.rounds, 1)
    drawn = Drawn(tokenizer, data, spec, settings, settings.group_size, folder, tree)
    order, curves = order_of_run(len(data), settings), []
    for number in range(settings.rounds):
        part = order[len(order) * number // settings.rounds :]
        part = part[: len(order) // settings.rounds]
        answers = drawn.draw(model, part, number * steps, number, report)
        style, tag = drawn.spec.style, drawn.judge.tree.tag
        chat = frame_of(tokenizer, style)
        if settings.dpo_chosen == "own":
            pairs, sought = own_pairs(answers, chat), "note with right and wrong ones"
        else:
            pairs = preference_pairs(answers, traces, style, chat, tag)
            sought = "wrong answer to a note with a trace"
        if pairs.empty:
            raise UserError(
                found=f"no {sought} among {len(answers)} answers",
                expected="at least one to learn from",
                do="raise group_size or temperature, or set method=grpo",
            )
        model, found, resolved = _dpo(
            model,
            tokenizer,
            pairs,
            settings,
            steps,
            folder / f"round-{number}",
            measure,
            report,
            track and track / f"dpo-{number}",
        )
        curves.append(drawn.curves(found, answers, number * steps))
    table = pd.concat(curves, ignore_index=True)
    return model, table, drawn.log.frame(), resolved


def preference_pairs(
    answers: pd.DataFrame,
    traces,
    style: str,
    chat: Frame | None = None,
    tag: str = TAG,
) -> pd.DataFrame:
    """Teacher's completion against the first wrong answer to the same note.

    Parameters
    ----------
    answers : DataFrame
        From `deepicd.training.own_answers.draw_answers`.
    traces : DataFrame
        Columns note_id, trace, accepted.
    style : str
    chat : Frame, optional
        Of the tokenizer's template; what the prompt holds already is left out.
    tag : str
        Of the answer: `Task.tag`.

    Returns
    -------
    DataFrame
        Columns prompt, chosen, rejected; one row a note with a wrong answer and an
        accepted trace.

    Raises
    ------
    UserError
        When there are no traces.
    """
    if traces is None:
        raise UserError(
            found="method dpo without traces",
            expected="traces.parquet of notebook 03",
            do="run notebook 03, or set method=grpo",
        )
    chat = chat or Frame()
    wrong = answers[~answers["right"]].drop_duplicates("note_id")
    good = traces[traces["accepted"]].drop_duplicates("note_id")[["note_id", "trace"]]
    both = wrong.merge(good, on="note_id")
    chosen = [
        prompts.format_completion(trace, code, style, tag)
        for trace, code in zip(both["trace"], both["label"], strict=True)
    ]
    return _pairs(both["prompt"], chosen, both["completion"], chat)


def own_pairs(answers: pd.DataFrame, chat: Frame | None = None) -> pd.DataFrame:
    """The best paid right answer against the worst paid wrong one to the same note.

    Parameters
    ----------
    answers : DataFrame
        Columns prompt, note_id, completion, right, reward.
    chat : Frame, optional
        As of `preference_pairs`.

    Returns
    -------
    DataFrame
        Columns prompt, chosen, rejected; one row a note that has both.

    Examples
    --------
    >>> rows = [("p", "a", "x", True, .7), ("p", "a", "y", True, .9),
    ...         ("p", "a", "z", False, .1), ("q", "b", "w", False, 0.)]
    >>> names = ["prompt", "note_id", "completion", "right", "reward"]
    >>> own_pairs(pd.DataFrame(rows, columns=names)).values.tolist()
    [['p', 'y', 'z']]
    """
    best = best_right(answers, 1)
    wrong = answers[~answers["right"]].sort_values("reward", kind="stable")
    worst = wrong.drop_duplicates("note_id").set_index("note_id")
    best = best[best["note_id"].isin(worst.index)]
    rejected = worst["completion"].reindex(best["note_id"])
    return _pairs(best["prompt"], best["completion"], rejected, chat or Frame())


def _pairs(asked, chosen, rejected, chat: Frame) -> pd.DataFrame:
    said = [[chat.rest(text) for text in texts] for texts in (chosen, rejected)]
    names = ("prompt", "chosen", "rejected")
    return pd.DataFrame(dict(zip(names, (list(asked), *said), strict=True)))


def dpo_arguments(settings: GrpoSettings, steps: int, folder, headless: bool) -> dict:
    """Give TRL's arguments for DPO, all of them explicit."""
    own = sft_settings(settings, steps, settings.learning_rate, settings.schedule)
    shared = sft.arguments(own, folder, headless)
    only_sft = (
        *("packing", "completion_only_loss", "assistant_only_loss"),
        *("shuffle_dataset", "loss_type"),
    )
    return {k: v for k, v in shared.items() if k not in only_sft} | {
        "eval_strategy": "no",
        "eval_steps": None,
        "beta": settings.dpo_beta,
        "loss_type": ["sigmoid"],
        "loss_weights": None,
        "label_smoothing": 0.0,
        "f_divergence_type": "reverse_kl",
        "use_weighting": False,
        "ld_alpha": None,
        "disable_dropout": False,
        "precompute_ref_log_probs": False,
        "sync_ref_model": False,
        "truncation_mode": "keep_start",
    }


def _dpo(model, tokenizer, pairs, settings, steps, folder, measure, report, track):
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    sft.seed_everything(settings.seed)
    given = dpo_arguments(settings, steps, str(folder), report is not None)
    lengths = (pairs["chosen"].str.len() + pairs["prompt"].str.len()).tolist()
    rows = sft.order(lengths, steps, settings.examples, settings.seed)
    adapted = hasattr(model, "merge_and_unload")  # the base is the reference then
    with torch.no_grad():
        reference = None if adapted else copy.deepcopy(model).eval()
    trainer = DPOTrainer(
        model=model,
        ref_model=reference,
        args=training.make_config(DPOConfig, given),
        train_dataset=Dataset.from_pandas(pairs.iloc[rows], preserve_index=False),
        processing_class=tokenizer,
    )
    tracker = Tracker(track, DPO_NAMES) if track else None
    callbacks = training.watchers(
        "DPO", settings.validate_every, measure, report, tracker
    )
    training.attach(trainer, callbacks)
    with explained():
        trainer.train(resume_from_checkpoint=training.last_checkpoint(folder))
    curves = training.history(trainer.state.log_history, DPO_NAMES)
    return trainer.model, curves, training.resolved(trainer.args)
