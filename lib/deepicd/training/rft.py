"""Rejection-sampling fine-tuning (RFT): learning one's own right answers.

Every note is answered several times; what is exactly right is learned like a trace,
together with the teacher's traces, so that nothing is forgotten. Sources: Yuan et al.
2023, "Scaling relationship on learning mathematical reasoning"; DeepSeek-R1 2025.
"""

from pathlib import Path

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.training import encoding, sft
from deepicd.training.grpo.settings import GrpoSettings
from deepicd.training.models.chat import frame_of
from deepicd.training.own_answers import Drawn


def fine_tune(
    model,
    tokenizer,
    data,
    replay,
    spec,
    settings: GrpoSettings,
    folder,
    tree=None,
    measure=None,
    report=None,
    track=None,
):
    """Learn own right answers to the prompts, `settings.rounds` times over.

    Parameters
    ----------
    model, tokenizer, data, spec, settings, folder, tree, measure, report, track
        See `grpo.train`. Each round answers every prompt `rft_samples` times
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
        learned = _learned(answers, tokenizer, drawn.spec.style, replay, settings)
        model, found, resolved = sft.train(
            model,
            tokenizer,
            learned,
            None,
            sft_settings(settings, steps, settings.rft_learning_rate),
            folder / f"round-{number}",
            measure,
            report,
            track and track / f"rft-{number}",
        )
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


def _learned(answers, tokenizer, style: str, replay, settings: GrpoSettings):
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
    chat = frame_of(tokenizer, style)
    asked = tokenizer(chosen["prompt"].tolist(), add_special_tokens=False)
    own, _ = encoding.encode_pairs(
        asked["input_ids"],
        [chat.rest(text) for text in chosen["completion"]],
        tokenizer,
        settings.max_prompt + settings.max_completion + 1,
    )
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
