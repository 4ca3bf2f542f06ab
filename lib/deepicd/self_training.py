"""Two other uses of right and wrong answers: rejection sampling and DPO.

Rejection-sampling fine-tuning (RFT) learns the policy's own right answers (Yuan et
al. 2023). On-policy DPO (Rafailov et al. 2023) prefers the teacher's trace to the
policy's own wrong answer to the same note.
"""

import copy
from pathlib import Path

import pandas as pd
import torch

from deepicd import encoding, grpo, prompts, rewards, sft, training
from deepicd.drawing import draw_answers
from deepicd.errors import UserError
from deepicd.grpo_settings import GrpoSettings
from deepicd.options import check_choice
from deepicd.prompt_order import order_of_run
from deepicd.rollouts import Judge, RolloutLog

METHODS = ("grpo", "rft", "dpo")
DPO_NAMES = sft.NAMES | {
    "rewards/margins": "dpo_margin",
    "rewards/accuracies": "dpo_accuracy",
    "entropy": "entropy",
}


def train(
    method: str, model, tokenizer, data, spec, settings: GrpoSettings, folder,
    tree=None, measure=None, report=None, rates=None, traces=None,
):  # fmt: skip
    """Train by the chosen method; the outputs are those of `deepicd.grpo.train`.

    Parameters
    ----------
    method : {"grpo", "rft", "dpo"}
    model, tokenizer, data, spec, settings, folder, tree, measure, report, rates
        See `deepicd.grpo.train`. RFT and DPO draw `group_size` answers for
        `steps` x `prompts` notes in `rounds` parts, as many as GRPO draws, and
        learn in `steps` steps of `examples`.
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
    check_choice("method", method, METHODS)
    if method == "grpo":
        return grpo.train(
            model, tokenizer, data, spec, settings, folder, tree, measure, report,
            rates,
        )  # fmt: skip
    study = _Study(tokenizer, data, spec, settings, Path(folder), tree, traces)
    order = order_of_run(data, settings, rates)
    curves = []
    for number in range(settings.rounds):
        part = order[len(order) * number // settings.rounds :]
        part = part[: len(order) // settings.rounds]
        answers = study.draw(model, part, number, report)
        learn = study.learn_right if method == "rft" else study.prefer_teacher
        model, found, resolved = learn(model, answers, number, measure, report)
        curves.append(study.at_step(found, answers, number))
    table = pd.concat(curves, ignore_index=True)
    return model, table, study.log.frame(), resolved


class _Study:
    """What the rounds share."""

    def __init__(self, tokenizer, data, spec, settings, folder, tree, traces):
        self.tokenizer, self.data, self.settings = tokenizer, data, settings
        self.folder, self.traces = folder, traces
        self.spec = rewards.get_spec(spec) if isinstance(spec, str) else spec
        functions, names, weights = rewards.trl_reward_functions(self.spec, tree)
        self.parts = dict(zip(names, zip(functions, weights, strict=True), strict=True))
        self.judge = Judge(tree, self.spec.style)
        self.log = RolloutLog(
            folder / "rollouts.jsonl", dict(zip(names, weights, strict=True)),
            self.judge, settings.group_size,
        )  # fmt: skip
        self.log.rewind(0)

    @property
    def steps(self) -> int:
        return max(self.settings.steps // self.settings.rounds, 1)

    def draw(self, model, rows: list[int], number: int, report) -> pd.DataFrame:
        """Draw and log the answers of one round; drawn again, the same."""
        chosen, settings = self.data.select(rows), self.settings
        answers = draw_answers(
            model, self.tokenizer, chosen, settings.group_size, settings, self.judge,
            number, report,
        )  # fmt: skip
        texts, columns = answers["completion"].tolist(), answers.to_dict("list")
        paid = {
            f"reward_{name}": function(completions=texts, **columns)
            for name, (function, _) in self.parts.items()
        }
        answers = answers.assign(**paid, reward=0.0)
        for name, (_, weight) in self.parts.items():
            answers["reward"] += weight * answers[f"reward_{name}"]
        shown = answers[["reward", *paid]].to_dict("records")
        self.log.write(
            number * self.steps, answers["note_id"], answers["icd_code"], texts,
            answers["right"].tolist(), shown,
        )  # fmt: skip
        return answers

    def learn_right(self, model, answers, number, measure, report):
        """Fine-tune on distinct right answers."""
        right = answers[answers["right"]].drop_duplicates(["note_id", "completion"])
        if right.empty:
            raise _nothing("right answer", len(answers))
        asked = self.tokenizer(right["prompt"].tolist(), add_special_tokens=False)
        limit = self.settings.max_prompt + self.settings.max_completion + 1
        data, _ = encoding.encode_pairs(
            asked["input_ids"], right["completion"].tolist(), self.tokenizer, limit
        )
        own = _sft_settings(self.settings, self.steps, limit)
        return sft.train(
            model, self.tokenizer, data, None, own, self._round(number), measure, report
        )

    def prefer_teacher(self, model, answers, number, measure, report):
        """Prefer the teacher's trace to the policy's wrong answer."""
        pairs = preference_pairs(answers, self.traces, self.spec.style)
        if pairs.empty:
            raise _nothing("wrong answer to a note with a trace", len(answers))
        return _dpo(
            model, self.tokenizer, pairs, self.settings, self.steps,
            self._round(number), measure, report,
        )  # fmt: skip

    def _round(self, number: int) -> Path:
        return self.folder / f"round-{number}"

    def at_step(self, curves, answers, number: int) -> pd.DataFrame:
        """Curves of a round at the steps of the run, with those of its answers."""
        texts, golds = answers["completion"].tolist(), answers["icd_code"].tolist()
        groups = answers.groupby(answers.index // self.settings.group_size)
        shares = self.judge.shares(texts, golds) | {
            "reward": answers["reward"].mean(),
            "reward_std": answers["reward"].std(),
            "useless_groups": groups["right"].agg(lambda r: r.nunique() == 1).mean(),
        }
        start = number * self.steps
        own = pd.DataFrame(
            {"step": start, "name": list(shares), "value": shares.values()}
        )
        return pd.concat([own, curves.assign(step=curves["step"] + start)])


def preference_pairs(answers: pd.DataFrame, traces, style: str) -> pd.DataFrame:
    """Teacher's completion against the first wrong answer to the same note.

    Parameters
    ----------
    answers : DataFrame
        From `deepicd.drawing.draw_answers`.
    traces : DataFrame
        Columns note_id, trace, accepted.
    style : str

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
            do="run notebook 03, or set method=rft",
        )
    wrong = answers[~answers["right"]].drop_duplicates("note_id")
    good = traces[traces["accepted"]].drop_duplicates("note_id")[["note_id", "trace"]]
    both = wrong.merge(good, on="note_id")
    chosen = [
        prompts.format_completion(trace, code, style)
        for trace, code in zip(both["trace"], both["icd_code"], strict=True)
    ]
    table = both[["prompt"]].assign(chosen=chosen, rejected=both["completion"])
    return table.reset_index(drop=True)


def _nothing(what: str, drawn: int) -> UserError:
    return UserError(
        found=f"no {what} among {drawn} drawn",
        expected="at least one to learn from",
        do="raise group_size or temperature, or set method=grpo",
    )


def _sft_settings(settings: GrpoSettings, steps: int, limit: int) -> sft.SftSettings:
    return sft.SftSettings(
        steps=steps,
        batch_size=settings.examples,
        learning_rate=settings.learning_rate,
        warmup_steps=settings.warmup_steps,
        schedule=settings.schedule,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        max_length=limit,
        save_every=settings.save_every,
        validate_every=settings.validate_every,
        log_every=settings.log_every,
        seed=settings.seed,
    )


def dpo_arguments(settings: GrpoSettings, steps: int, folder, headless: bool) -> dict:
    """Give TRL's arguments for DPO, all of them explicit."""
    limit = settings.max_prompt + settings.max_completion + 1
    shared = sft.arguments(_sft_settings(settings, steps, limit), folder, headless)
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


def _dpo(model, tokenizer, pairs, settings, steps, folder, measure, report):
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
    callbacks = training.watchers("DPO", settings.validate_every, measure, report)
    training.attach(trainer, callbacks)
    trainer.train(resume_from_checkpoint=training.last_checkpoint(folder))
    curves = training.history(trainer.state.log_history, DPO_NAMES)
    return trainer.model, curves, training.resolved(trainer.args)
