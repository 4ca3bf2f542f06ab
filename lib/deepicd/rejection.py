"""Rejection-sampling fine-tuning (RFT): learning one's own right answers.

Every note is answered several times; what is exactly right is learned like a trace,
together with the teacher's traces, so that nothing is forgotten. Sources: Yuan et al.
2023, "Scaling relationship on learning mathematical reasoning"; DeepSeek-R1 2025.
"""

from pathlib import Path

import pandas as pd

from deepicd import encoding, rewards, sft
from deepicd.drawing import draw_answers
from deepicd.errors import UserError
from deepicd.files import write_parquet
from deepicd.grpo_settings import GrpoSettings
from deepicd.rollouts import Judge, RolloutLog


def fine_tune(
    model, tokenizer, data, replay, spec, settings: GrpoSettings, folder,
    tree=None, measure=None, report=None,
):  # fmt: skip
    """Learn own right answers to the prompts, `settings.rounds` times over.

    Parameters
    ----------
    model, tokenizer, data, spec, settings, folder, tree, measure, report
        See `deepicd.grpo.train`. Each round answers every prompt `rft_samples` times
        and takes its share of `rft_steps` steps.
    replay : datasets.Dataset or None
        Encoded traces of the teacher that are learned beside them, and alone where
        no answer is right.

    Returns
    -------
    (model, DataFrame, DataFrame, dict)
        Model, curves, drawn answers, arguments as resolved. With `rft_steps` 0 the
        model as it was, and nothing.

    Raises
    ------
    UserError
        When no answer is right and there is no `replay`.
    """
    if not settings.rft_steps:
        return model, pd.DataFrame(columns=["step", "name", "value"]), None, {}
    folder = Path(folder)
    drawn = Drawn(tokenizer, data, spec, settings, settings.rft_samples, folder, tree)
    steps, curves = max(settings.rft_steps // settings.rounds, 1), []
    for number in range(settings.rounds):
        start = number * steps
        answers = drawn.draw(model, range(len(data)), start, number, report)
        learned = _learned(answers, tokenizer, replay, settings)
        model, found, resolved = sft.train(
            model, tokenizer, learned, None,
            sft_settings(settings, steps, settings.rft_learning_rate),
            folder / f"round-{number}", measure, report,
        )  # fmt: skip
        curves.append(drawn.curves(found, answers, start))
    return model, pd.concat(curves, ignore_index=True), drawn.log.frame(), resolved


def best_right(answers: pd.DataFrame, keep: int) -> pd.DataFrame:
    """Choose at most `keep` distinct right answers to each note, best paid first.

    Parameters
    ----------
    answers : DataFrame
        Columns note_id, completion, right, reward.

    Examples
    --------
    >>> rows = [("a", "x", True, .2), ("a", "y", True, .9), ("a", "y", True, .9),
    ...         ("a", "z", False, 1.)]
    >>> frame = pd.DataFrame(rows, columns=["note_id", "completion", "right", "reward"])
    >>> best_right(frame, 1)["completion"].tolist()
    ['y']
    """
    right = answers[answers["right"]].drop_duplicates(["note_id", "completion"])
    paid = right.sort_values("reward", ascending=False, kind="stable")
    return paid.groupby("note_id", sort=False).head(keep).sort_index()


def _learned(answers, tokenizer, replay, settings: GrpoSettings):
    """Encode the chosen answers; the teacher's traces follow them."""
    from datasets import concatenate_datasets

    chosen = best_right(answers, settings.rft_keep)
    if chosen.empty:
        if replay is not None:
            return replay
        raise UserError(
            found=f"no right answer among {len(answers)} drawn",
            expected="at least one to learn from",
            do="set rft_steps=0, or raise rft_samples or temperature",
        )
    asked = tokenizer(chosen["prompt"].tolist(), add_special_tokens=False)
    own, _ = encoding.encode_pairs(
        asked["input_ids"], chosen["completion"].tolist(), tokenizer,
        settings.max_prompt + settings.max_completion + 1,
    )  # fmt: skip
    return own if replay is None else concatenate_datasets([own, replay])


def sft_settings(
    settings: GrpoSettings, steps: int, learning_rate: float, schedule: str = "cosine"
) -> sft.SftSettings:
    """Settings of a trainer that learns texts, with what it shares with GRPO's."""
    return sft.SftSettings(
        steps=steps,
        batch_size=settings.examples,
        learning_rate=learning_rate,
        warmup_steps=settings.warmup_steps,
        schedule=schedule,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        max_length=settings.max_prompt + settings.max_completion + 1,
        save_every=max(steps // 4, 1),
        validate_every=max(steps // 5, 1) if settings.validate_every else 0,
        log_every=settings.log_every,
        seed=settings.seed,
    )


class Drawn:
    """Answers of the policy to training notes: paid, logged, and kept in a folder.

    Parameters
    ----------
    tokenizer, data, settings, tree
        See `deepicd.grpo.train`.
    spec : RewardSpec or str
    samples : int
        Answers to a prompt.
    folder : Path
        Keeps them, so that a resumed run does not draw them again.
    """

    def __init__(self, tokenizer, data, spec, settings, samples: int, folder, tree):
        self.tokenizer, self.data, self.settings = tokenizer, data, settings
        self.samples, self.folder = samples, folder
        self.spec = rewards.get_spec(spec) if isinstance(spec, str) else spec
        functions, names, weights = rewards.trl_reward_functions(self.spec, tree)
        self.parts = dict(zip(names, zip(functions, weights, strict=True), strict=True))
        self.judge = Judge(tree, self.spec.style)
        self.log = RolloutLog(
            folder / "rollouts.jsonl", dict(zip(names, weights, strict=True)),
            self.judge, samples,
        )  # fmt: skip
        self.log.rewind(0)

    def draw(self, model, rows, step: int, number: int, report) -> pd.DataFrame:
        """Answer the rows of drawing `number`, logged as of `step`."""
        path = self.folder / f"answers-{number}.parquet"
        if not path.exists():
            answers = draw_answers(
                model, self.tokenizer, self.data.select(rows), self.samples,
                self.settings, self.judge, number, report,
            )  # fmt: skip
            write_parquet(answers, path)
        answers = pd.read_parquet(path)
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
            step, answers["note_id"], answers["icd_code"], texts,
            answers["right"].tolist(), shown,
        )  # fmt: skip
        return answers

    def curves(self, curves, answers, start: int) -> pd.DataFrame:
        """Curves of a round at the steps of the run, with those of its answers."""
        texts, golds = answers["completion"].tolist(), answers["icd_code"].tolist()
        groups = answers.groupby(answers.index // self.samples)
        shares = self.judge.shares(texts, golds) | {
            "reward": answers["reward"].mean(),
            "reward_std": answers["reward"].std(),
            "useless_groups": groups["right"].agg(lambda r: r.nunique() == 1).mean(),
        }
        own = pd.DataFrame(
            {"step": start, "name": list(shares), "value": shares.values()}
        )
        return pd.concat([own, curves.assign(step=curves["step"] + start)])
