"""TRL's GRPOTrainer with shared prompts, resampled or guided groups, a KL schedule.

The one file that touches what TRL keeps private; `PRIVATE` names all of it, and
`missing` says which of it a new TRL has moved.

To be imported where a run begins: Unsloth has to be imported before trl.
"""

import copy
import inspect
import re
import time

import torch
import trl
from trl import GRPOTrainer
from trl.models.utils import _ForwardRedirection
from trl.trainer.utils import selective_log_softmax, selective_log_softmax_and_entropy

from deepicd.common.errors import UserError
from deepicd.training.grpo.redrawing import refill
from deepicd.training.grpo.schedule import Plan, kl_weight, uniform
from deepicd.training.models.engine import ROWS, engine_of
from deepicd.training.models.sampling import logits_by_length, sample
from deepicd.training.models.serving import Server
from deepicd.training.trainer import sharded, whole

#: Methods of GRPOTrainer that `HouseTrainer` overrides or calls.
METHODS = (
    "_calculate_rewards",
    "_compute_loss",
    "_full_logits_logps",
    "_generate_and_score_completions",
    "_generate_single_turn",
    "_log_metric",
    "_prepare_inputs",
    "_tokenize_prompts",
)
#: Attributes that GRPOTrainer sets on itself and `HouseTrainer` reads or writes.
STATE = (
    "_entropy_bonus_enabled",
    "_last_loaded_step",
    "_metrics",
    "_pending_metrics",
)
#: The place of each name, below ``trl``.
PRIVATE = (
    *(f"GRPOTrainer.{name}" for name in METHODS + STATE),
    "models.utils._ForwardRedirection",
    "trainer.utils.selective_log_softmax",
    "trainer.utils.selective_log_softmax_and_entropy",
)


def missing(package=trl) -> list[str]:
    """Names of `PRIVATE` that a TRL does not have.

    Parameters
    ----------
    package : module
        TRL, or something in its shape.

    Examples
    --------
    >>> missing()
    []
    """
    return [name for name in PRIVATE if not _has(package, name)]


def _has(package, place: str) -> bool:
    owner, _, name = place.rpartition(".")
    for part in owner.split("."):
        package = getattr(package, part, None)
    if name not in STATE:
        return hasattr(package, name)
    # Set when a trainer is made: look for the line that does.
    source = inspect.getsource(package) if package else ""
    return re.search(rf"self\.{name}(: [^=]+)? = ", source) is not None


class HouseTrainer(GRPOTrainer):
    """GRPOTrainer that wastes no prompt; its `plan` is set before training.

    Differs from its parent in how completions are drawn (each prompt once, groups
    that teach nothing replaced, or shown a right answer), in how their
    log-probabilities are computed (each prompt once, completions of like length
    together) and in the weight of the KL penalty. The loss is TRL's. A model that was
    never saved is its own reference: a copy of it, as it is given. vLLM takes an
    adapter as it is; TRL would merge it in the precision of the frozen weights, and
    change these by taking it out again.
    """

    plan: Plan
    _ready: list | None = None
    _live: torch.Tensor | None = None

    def __init__(self, model, args, **kwargs):
        beta, own = args.beta, None
        if beta and not hasattr(model, "disable_adapter"):
            if not model.config.name_or_path:  # TRL would load it from its folder
                own, args.beta = copy.deepcopy(model).eval(), 0.0
        engine = _Engine.of(model, args, kwargs["processing_class"])
        if engine:
            args.use_vllm = False  # or TRL would start another one
        super().__init__(model=model, args=args, **kwargs)
        if engine:
            self.use_vllm = args.use_vllm = True
            self.vllm_generation, self._last_loaded_step = engine, -1
        if own is not None:
            self.beta = self.args.beta = beta
            self.ref_model = self.accelerator.prepare_model(own, evaluation_mode=True)

    @property
    def _shares(self) -> bool:
        # Calls by length differ in number, and those of a shared-out model must not.
        shares = self.plan.settings.share_prompts and not self.use_vllm
        return shares and not sharded()

    def training_step(self, *args, **kwargs):
        settings, step = self.plan.settings, self.state.global_step
        if settings.beta:
            self.beta = kl_weight(settings, step)
            self._metrics["train"]["beta"].append(self.beta)
        return super().training_step(*args, **kwargs)

    def _generate_and_score_completions(self, inputs):
        settings = self.plan.settings
        if self.model.training and (settings.resample_rounds or self.plan.guide):
            inputs = self._refilled(inputs)
        return super()._generate_and_score_completions(inputs)

    def _refilled(self, inputs: list[dict]) -> list[dict]:
        settings, log = self.plan.settings, self.plan.log
        rank, step = self.accelerator.process_index, self.state.global_step

        def spare(n, number, used):
            return self.plan.spare(n, step, number, rank, used)

        batch = refill(
            inputs,
            settings.group_size,
            settings.resample_rounds,
            self._judged,
            spare,
        )
        if settings.resample_rounds:
            self._log_metric("useless_first_draw", batch.useless_first)
            self._log_metric("extra_completions", batch.extra / len(inputs))
        for old in batch.discarded:
            notes, golds = ([r[k] for r in old.rows] for k in ("note_id", "label"))
            texts = self._texts([ids for ids, _ in old.drawn])
            log.write(step, notes, golds, texts, old.right)
        if self.plan.guide:
            self._show(batch)
        self._ready = batch.drawn
        return batch.rows

    def _show(self, batch) -> None:
        """Put a right answer in the last place of each group that has none."""
        size, step, shown = self.plan.settings.group_size, self.state.global_step, set()
        for start in range(0, len(batch.rows), size):
            group = slice(start, start + size)
            if any(batch.right[group]):
                continue
            texts = self._texts([ids for ids, _ in batch.drawn[group]])
            row, last = batch.rows[start], start + size - 1
            name = f"{row['note_id']}|{step}"
            said = self.plan.guide.answer(texts, row["note"], row["label"], name)
            ids = self._written(said) if said else []
            if 0 < len(ids) <= self.max_completion_length:
                # No engine drew it: TRL corrects nothing where a chance is not known.
                chances = batch.drawn[last][1] and [None] * len(ids)
                batch.drawn[last] = ids, chances
                shown.add(last)
        self.plan.log.shown = shown

    def _written(self, completion: str) -> list[int]:
        """Token ids that the policy would have had to draw for a completion."""
        tokenizer = self.processing_class
        text = self.plan.log.chat.rest(completion)
        asked = tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*asked, tokenizer.eos_token_id]

    def _judged(self, rows: list[dict], number: int) -> tuple[list, list[bool]]:
        ids, logprobs = self.drawn(rows, number)
        golds = [row["label"] for row in rows]
        right = self.plan.log.judge.right(self._texts(ids), golds)
        empty = logprobs or [None] * len(ids)
        return list(zip(ids, empty, strict=True)), right

    def drawn(self, rows: list[dict], number: int = 0) -> tuple[list, list | None]:
        """Draw a completion for each row: token ids, and log-probabilities by vLLM."""
        asked = self._tokenize_prompts([row["prompt"] for row in rows])
        return self._draw(number, *asked)

    def prepared(self, rows: list[dict]) -> dict:
        """Draw, pay and encode the completions of one step, as its loss needs them."""
        return self._prepare_inputs(rows)

    def paid(self, rows: list[dict], ids: list) -> torch.Tensor:
        """Rewards of completions (n, parts); nothing of it goes into the log."""
        asked = [row["prompt"] for row in rows]
        found = self._calculate_rewards(rows, asked, self._texts(ids), ids)
        self._pending_metrics.clear()
        return found

    def _texts(self, ids: list) -> list[str]:
        said = self.processing_class.batch_decode(ids, skip_special_tokens=True)
        return [self.plan.log.chat.whole(text) for text in said]

    def _tokenize_prompts(self, prompts: list[str]):
        # A rendered chat holds its own first token; the parent adds a second one.
        asked = self.processing_class(text=prompts, add_special_tokens=False)
        return asked["input_ids"], None, {}

    def _generate_single_turn(self, prompt_ids, *args, **kwargs):
        if self._ready is None:
            return self._draw(0, prompt_ids, *args, **kwargs)
        drawn, self._ready = self._ready, None
        ids, logprobs = (list(values) for values in zip(*drawn, strict=True))
        return ids, None if logprobs[0] is None else logprobs

    def _draw(self, number: int, prompt_ids, *args, **kwargs):
        begin = time.perf_counter()
        drawn = self._drawn(number, prompt_ids, *args, **kwargs)
        speed = sum(map(len, drawn[0])) / (time.perf_counter() - begin)
        self._metrics["train"]["drawn_a_second"].append(speed)
        return drawn

    def _drawn(self, number: int, prompt_ids, *args, **kwargs):
        if self.use_vllm or not self.plan.settings.share_prompts:
            return super()._generate_single_turn(prompt_ids, *args, **kwargs)
        self.model.eval()
        with whole(self.model):
            drawn = sample(
                self.model,
                prompt_ids,
                self.processing_class,
                self.max_completion_length,
                self.temperature,
                self.args.top_p,
                self._numbers(number, len(prompt_ids)),
            )
        self.model.train()
        return drawn, None

    def _numbers(self, number: int, rows: int) -> torch.Tensor:
        """Uniform numbers of this process's rows, among those of all."""
        rank, parts = self.accelerator.process_index, self.accelerator.num_processes
        settings, step = self.plan.settings, self.state.global_step
        key = (settings.seed, step, number)
        if number:  # each process replaces as many groups as it has to
            key, rank, parts = (*key[:2], number * parts + rank), 0, 1
        numbers = uniform(*key, rows * parts, self.max_completion_length)
        return numbers[rank * rows : (rank + 1) * rows]

    def _compute_loss(self, model, inputs):
        live = inputs["advantages"] != 0
        if self.beta or self._entropy_bonus_enabled:
            live = torch.ones_like(live)
        live[0] |= not live.any()  # something has to carry a gradient
        self._live = live
        loss = super()._compute_loss(model, inputs)
        self._live = None
        return loss

    def _full_logits_logps(
        self, model, input_ids, attention_mask, logits_to_keep, *args, **kwargs
    ):
        given = (input_ids, attention_mask, logits_to_keep)
        if not self._shares:
            return super()._full_logits_logps(model, *given, *args, **kwargs)
        entropy = kwargs.get("compute_entropy", False)
        inner = self.accelerator.unwrap_model(model)
        if inner is model:
            return self._shared_logps(model, *given, entropy)
        # A distributed wrapper counts its calls: enter it once.
        return _ForwardRedirection()(
            model, inner, self._shared_logps, inner, *given, entropy
        )

    def _shared_logps(self, model, ids, mask, width: int, entropy: bool):
        """Log-probabilities, and entropies where asked for, of completions.

        Rows without an advantage add nothing to the gradient: only their
        entropy is measured.
        """
        logps = torch.zeros(len(ids), width, device=ids.device)
        entropies = torch.zeros(len(ids), width, device=ids.device)
        learning, found = torch.is_grad_enabled(), []
        live = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
        if learning and self._live is not None:
            live = self._live
        for chosen, gradient in ((live, learning), (~live, False)):
            rows = chosen.nonzero()[:, 0]
            if len(rows):
                with torch.set_grad_enabled(gradient):
                    found += self._parts(model, ids, mask, width, rows, entropy)
        for rows, said, spread in found:
            logps[rows, : said.shape[1]] = said.float()
            if entropy:
                entropies[rows, : said.shape[1]] = spread.float()
        return logps, entropies if entropy else None, None

    def _parts(self, model, ids, mask, width, rows, entropy) -> list:
        start, parts = ids.shape[1] - width, []
        for part, logits in logits_by_length(model, ids, mask, width, rows):
            end = start + logits.shape[1]
            said, seen = ids[part, start:end], mask[part, start:end]
            given = {"temperature": self.temperature, "row_mask": seen}
            if not entropy:
                parts.append((part, selective_log_softmax(logits, said, **given), None))
                continue
            bonus = self._entropy_bonus_enabled
            chosen, spread = selective_log_softmax_and_entropy(
                logits, said, entropy_requires_grad=bonus, **given
            )
            parts.append((part, chosen, spread))
        return parts


class _Engine:
    """What TRL asks of its vLLM, answered by the engine here or by the server."""

    def __init__(self, engine, model, args, end: int):
        self.engine, self.model, self.args, self.end = engine, model, args, end

    @classmethod
    def of(cls, model, args, tokenizer):
        """What draws where arguments ask for vLLM; None where TRL's own is right."""
        if not args.use_vllm or hasattr(model, "vllm_engine"):  # Unsloth has its own
            return None
        if args.vllm_mode == "server":
            return cls(Server(), model, args, tokenizer.eos_token_id)
        rows = args.per_device_train_batch_size * args.steps_per_generation
        given = args.vllm_max_model_length, args.vllm_gpu_memory_utilization
        engine = engine_of(model, *given, max(rows, ROWS))
        if engine is None:
            raise UserError(
                found="a vLLM engine of another model in this process",
                expected="one model: vLLM holds one engine a process",
                do="restart the notebook, or set rollouts=transformers",
            )
        return cls(engine, model, args, tokenizer.eos_token_id)

    def sync_weights(self) -> None:
        with whole(self.model):
            self.engine.sync(self.model)

    def generate(self, prompts, images, num_generations, profiler=None):
        """Ids of prompts and completions, log-probabilities; as TRL wants them."""
        args = self.args
        given = args.max_completion_length, args.temperature, args.top_p
        ids, chances = self.engine.draw(prompts, *given, self.end)
        return prompts, ids, [[[chance] for chance in row] for row in chances], None
