"""Stop a run that has broken, and say in plain words what broke."""

from pathlib import Path

from transformers import TrainerCallback

from deepicd.common.errors import UserError
from deepicd.training.grpo.settings import GrpoSettings

ADVICE = {
    "entropy fell": "the policy says one thing only: lower the learning rate, raise "
    "the temperature or entropy_bonus, or set beta above 0",
    "entropy rose": "the policy forgets its language: lower the learning rate, or "
    "set beta above 0",
    "spread vanished": "all completions earn the same: set resample_rounds, or choose "
    "another reward",
    "format broke": "the policy leaves the answer format: lower the learning rate, "
    "or set beta above 0",
}


def diagnose(logs: list[dict], settings: GrpoSettings) -> tuple[str, str] | None:
    """Name what is broken in the newest logs, if anything is.

    Parameters
    ----------
    logs : list of dict
        Logged values in time order: entropy, reward_std, sampled_well_formed.
    settings : GrpoSettings
        The bounds, fields ``guard_…``.

    Returns
    -------
    (str, str) or None
        A key of `ADVICE` and the numbers, when the last `guard_patience` logs all
        show the same trouble.

    Examples
    --------
    >>> logs = [{"entropy": 0.7}] + [{"entropy": 0.001}] * 5
    >>> diagnose(logs, GrpoSettings())
    ('entropy fell', 'entropy 0.001 nats a token, first 0.7')
    """
    patience = settings.guard_patience
    if patience == 0 or len(logs) <= patience:
        return None
    recent = [_troubles(logs[: len(logs) - i], settings) for i in range(patience)]
    for name, words in recent[0].items():
        if all(name in troubles for troubles in recent):
            return name, words
    return None


def _troubles(logs: list[dict], settings: GrpoSettings) -> dict[str, str]:
    last, found = logs[-1], {}
    entropy, first = last.get("entropy"), logs[0].get("entropy")
    words = f"entropy {entropy:.3g} nats a token, first {first:.3g}" if entropy else ""
    if entropy is not None and entropy < settings.guard_entropy:
        found["entropy fell"] = words or "entropy 0 nats a token"
    if entropy and first and entropy > max(3 * first, settings.guard_entropy_high):
        found["entropy rose"] = words
    spread = last.get("reward_std")
    learned = last.get("sampled_accuracy_full", 0.0) > 0.99
    if spread is not None and spread < settings.guard_spread and not learned:
        found["spread vanished"] = f"standard deviation of the rewards {spread:.3g}"
    formed = [
        log["sampled_well_formed"] for log in logs if "sampled_well_formed" in log
    ]
    if formed and formed[-1] < settings.guard_format * max(formed):
        found["format broke"] = (
            f"{formed[-1]:.0%} of the answers well-formed, {max(formed):.0%} at best"
        )
    return found


class CollapseGuard(TrainerCallback):
    """Stops training when `diagnose` finds the run broken.

    It reads ``state.log_history``, which a checkpoint stores, so a resumed run
    stops at the same step. The last checkpoint before the stop is kept.
    """

    def __init__(self, settings: GrpoSettings):
        self.settings = settings

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Look at the newest log; raise `UserError` where the run is broken."""
        found = diagnose([e for e in state.log_history if "reward" in e], self.settings)
        if found is None:
            return
        name, words = found
        steps = [int(p.name.split("-")[1]) for p in Path(args.output_dir).glob("ch*-*")]
        kept = f"checkpoint-{max(steps)} is kept" if steps else "no checkpoint yet"
        raise UserError(
            found=f"GRPO collapsed by step {state.global_step} ({name}): {words}; "
            f"{kept}",
            expected=f"no such trouble in {self.settings.guard_patience} logs in a row "
            "(bounds: the settings guard_…; guard_patience=0 goes on regardless)",
            do=ADVICE[name],
        )
