"""Answers of the policy to training notes, for pass rates, RFT and DPO."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from deepicd.files import write_parquet
from deepicd.grpo_plan import uniform
from deepicd.grpo_settings import GrpoSettings
from deepicd.prefix import sample
from deepicd.prompt_order import pass_rates
from deepicd.rollouts import Judge


def draw_answers(
    model,
    tokenizer,
    rows,
    samples: int,
    settings: GrpoSettings,
    judge: Judge,
    number: int = 0,
    report: Callable[[int, int, str], None] | None = None,
) -> pd.DataFrame:
    """Draw `samples` completions for each prompt and judge them.

    Parameters
    ----------
    model, tokenizer
        From `deepicd.models`.
    rows : datasets.Dataset
        Columns prompt, note_id, note, icd_code.
    samples : int
        Completions a prompt.
    settings : GrpoSettings
        Temperature, top_p, longest completion, seed, prompts at once.
    number : int
        Of this drawing, so that another one differs.

    Returns
    -------
    DataFrame
        Columns prompt, note_id, note, icd_code, completion, right; the completions
        of a prompt stand together. Drawn again, the same.
    """
    training = model.training
    model.eval()
    found, size = [], settings.prompts
    for start in range(0, len(rows), size):
        part = rows.select(range(start, min(start + size, len(rows)))).to_pandas()
        part = part.loc[part.index.repeat(samples)].reset_index(drop=True)
        asked = tokenizer(part["prompt"].tolist(), add_special_tokens=False)
        length = settings.max_completion
        draws = uniform(settings.seed, start, number + 1_000_000, len(part), length)
        ids = sample(
            model, asked["input_ids"], tokenizer, length, settings.temperature,
            settings.top_p, draws,
        )  # fmt: skip
        texts = tokenizer.batch_decode(ids, skip_special_tokens=True)
        right = judge.right(texts, part["icd_code"].tolist())
        found.append(part.assign(completion=texts, right=right))
        if report:
            report(min(start + size, len(rows)), len(rows), "drawing answers")
    model.train(training)
    return pd.concat(found, ignore_index=True)


def measured_rates(
    model, tokenizer, rows, settings: GrpoSettings, judge: Judge, path, report=None
) -> pd.DataFrame | None:
    """Pass rates of prompts, drawn once and kept; None where no order needs them.

    Parameters
    ----------
    path : path-like
        Parquet file that keeps them, so that a resumed run orders prompts alike.

    Returns
    -------
    DataFrame or None
        See `deepicd.prompt_order.pass_rates`.
    """
    if settings.order == "shuffled":
        return None
    if not Path(path).exists():
        answers = draw_answers(
            model, tokenizer, rows, settings.difficulty_samples, settings, judge,
            number=999, report=report,
        )  # fmt: skip
        write_parquet(pass_rates(answers), path)
    return pd.read_parquet(path)
