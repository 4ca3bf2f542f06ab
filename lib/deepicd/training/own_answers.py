"""Answers of the policy to training notes, for RFT and DPO."""

import dataclasses
import time
from collections.abc import Callable

import pandas as pd

from deepicd import rewards
from deepicd.common.files import write_parquet
from deepicd.common.progress import counted
from deepicd.tasks.correct import Judge
from deepicd.training.grpo.grpo import reward_functions
from deepicd.training.grpo.rollout_log import RolloutLog
from deepicd.training.grpo.schedule import uniform
from deepicd.training.grpo.settings import GrpoSettings
from deepicd.training.models.chat import frame_of
from deepicd.training.models.engine import engine_of, worth_it
from deepicd.training.models.sampling import sample
from deepicd.training.models.serving import Server
from deepicd.training.trainer import everyone, processes, rank, whole


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
        From `deepicd.training.models`.
    rows : datasets.Dataset
        Columns prompt, note_id, note, label.
    samples : int
        Completions a prompt.
    settings : GrpoSettings
        Temperature, top_p, longest completion, seed, prompts at once.
    number : int
        Of this drawing, so that another one differs.

    Returns
    -------
    DataFrame
        Columns prompt, note_id, note, label, completion, right; the completions
        of a prompt stand together. Drawn again, the same; but for vLLM, which
        draws where `settings` ask for it, or where it is there and sooner done.
    """
    training = model.training
    model.eval()
    found, size, engine = [], settings.prompts, None
    if settings.rollouts == "vllm":
        longest = settings.max_prompt + settings.max_completion
        engine = engine_of(model, longest, settings.vllm_memory)
    elif settings.rollouts == "vllm_server":
        engine = Server()
        engine.sync(model)
    if engine:
        size = -(-len(rows) // processes())
    chat = frame_of(tokenizer, judge.style)
    begin, written = time.perf_counter(), 0
    if report:
        report(0, len(rows), "drawing answers")
    # Each drawing has numbers of its own: who draws it makes no difference.
    for start in range(0, len(rows), size)[rank() :: processes()]:
        part = rows.select(range(start, min(start + size, len(rows)))).to_pandas()
        part = part.loc[part.index.repeat(samples)].reset_index(drop=True)
        asked = tokenizer(part["prompt"].tolist(), add_special_tokens=False)
        asked = asked["input_ids"]
        if engine:
            ids = _by_vllm(engine, asked, tokenizer, settings, samples, report)
        else:
            place = settings.seed, start, number + 1_000_000
            ids = _by_transformers(model, asked, tokenizer, settings, place)
        texts = [
            chat.whole(text)
            for text in tokenizer.batch_decode(ids, skip_special_tokens=True)
        ]
        right = judge.right(texts, part["label"].tolist())
        found.append((start, part.assign(completion=texts, right=right)))
        written += sum(map(len, ids))
        seconds = time.perf_counter() - begin
        if report:
            text = f"drawing answers, {written / seconds:,.0f} tokens/s"
            report(min(start + size, len(rows)), len(rows), text)
        left = seconds * (len(rows) / size - 1)
        cold = settings.rollouts == "transformers"
        if start == 0 and cold and worth_it(model, left):
            model.train(training)
            again = dataclasses.replace(settings, rollouts="vllm")
            given = rows, samples, again, judge, number, report
            return draw_answers(model, tokenizer, *given)
    model.train(training)
    parts = dict(everyone(found))
    return pd.concat([parts[start] for start in sorted(parts)], ignore_index=True)


def _by_transformers(model, asked, tokenizer, settings, place) -> list[list[int]]:
    length = settings.max_completion
    draws = uniform(*place, len(asked), length)
    given = length, settings.temperature, settings.top_p, draws
    return sample(model, asked, tokenizer, *given)


def _by_vllm(engine, asked, tokenizer, settings, many, report) -> list[list[int]]:
    def told(done, total, speed):
        if report:
            report(done // many, total // many, f"drawing answers, {speed}")

    given = settings.max_completion, settings.temperature, settings.top_p
    return engine.draw(asked, *given, tokenizer.eos_token_id, told)[0]


class Drawn:
    """Answers of the policy to training notes: paid, logged, and kept in a folder.

    Parameters
    ----------
    tokenizer, data, settings, tree
        See `deepicd.training.grpo.train`.
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
        functions, names, weights = reward_functions(self.spec, tree, data)
        self.parts = dict(zip(names, zip(functions, weights, strict=True), strict=True))
        self.judge = Judge(tree, self.spec.style)
        self.log = RolloutLog(
            folder / "rollouts.jsonl",
            dict(zip(names, weights, strict=True)),
            self.judge,
            samples,
        )
        self.log.rewind(0)

    def draw(self, model, rows, step: int, number: int, report) -> pd.DataFrame:
        """Answer the rows of drawing `number`, logged as of `step`."""
        path = self.folder / f"answers-{number}.parquet"
        if not path.exists():
            asked = self.tokenizer, self.data.select(rows), self.samples
            with whole(model):
                answers = draw_answers(
                    model, *asked, self.settings, self.judge, number, report
                )
            if rank() == 0:
                write_parquet(answers, path)
            everyone([])
        answers = pd.read_parquet(path)
        texts = answers["completion"].tolist()
        paid = self._pay(answers)
        answers = answers.assign(**paid, reward=0.0)
        for name, (_, weight) in self.parts.items():
            answers["reward"] += weight * answers[f"reward_{name}"]
        shown = answers[["reward", *paid]].to_dict("records")
        ids, right = answers["note_id"], answers["right"].tolist()
        if rank() == 0:
            self.log.write(step, ids, answers["label"], texts, right, shown)
        return answers

    def _pay(self, answers) -> dict[str, list[float]]:
        """What each part of the reward gives to each answer, note by note."""
        paid = {f"reward_{name}": [] for name in self.parts}
        for start in counted(range(0, len(answers), self.samples), "notes: paying"):
            columns = answers.iloc[start : start + self.samples].to_dict("list")
            texts = columns["completion"]
            for name, (function, _) in self.parts.items():
                paid[f"reward_{name}"] += function(completions=texts, **columns)
        return paid

    def curves(self, curves, answers, start: int) -> pd.DataFrame:
        """Curves of a round at the steps of the run, with those of its answers."""
        texts, golds = answers["completion"].tolist(), answers["label"].tolist()
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
