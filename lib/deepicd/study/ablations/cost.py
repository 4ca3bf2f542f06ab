"""How long runs will take, from those that are finished, else from an assumption."""

from collections.abc import Iterable

import numpy as np

from deepicd.study.ablations.inputs import Material
from deepicd.study.ablations.jobs import GRPO, SFT, Job

#: Seconds on two idle cores with the 2.6 M-weight model of the cpu profile.
SFT_STEP, GRPO_STEP, ANSWER, QUESTION_STEP, START = 0.45, 1.5, 0.019, 0.2, 3.0
SHORT = 0.4  # of sampling, where the answer is the code alone
ASSUMED = "assumed: measured on two idle cores with 2.6 M weights, scaled by steps"


def assumed_seconds(job: Job, material: Material) -> float:
    """Seconds of a job by the assumption, before any run is finished."""
    point, short = job.point, 1.0
    if point.plain["style"] == "code_only":
        short = SHORT
    answers = len(material.test(point.plain["test_notes"]))
    if job.kind == SFT:
        batch = point.sft.batch_size * point.sft.accumulation / 16
        own = batch * (
            SFT_STEP * point.sft.steps + QUESTION_STEP * point.sft.catalogue_steps
        )
    else:
        own = _grpo_seconds(point.grpo) * short
        answers += point.grpo.validate_notes * _validations(point.grpo)
    return START + own + ANSWER * answers * short


def _grpo_seconds(settings) -> float:
    size = settings.prompts * settings.group_size / 64
    extra = 1.0 + 0.3 * settings.resample_rounds + 0.2 * (settings.beta > 0)
    return GRPO_STEP * settings.steps * size * extra


def _validations(settings) -> int:
    return -(-settings.steps // max(settings.validate_every, 1))


class Clock:
    """Estimates that follow the finished runs of a study.

    Parameters
    ----------
    known : iterable of (Job, float)
        Finished jobs and their seconds; of resumed ones nobody knows the whole.
    material : Material
    """

    def __init__(self, known: Iterable[tuple[Job, float]], material: Material):
        self.material = material
        self.ratios: dict[str, list[float]] = {SFT: [], GRPO: []}
        for job, seconds in known:
            self.ratios[job.kind].append(seconds / assumed_seconds(job, material))

    def seconds(self, job: Job) -> float:
        """Estimate for a job of this study."""
        own = self.ratios[job.kind] or sum(self.ratios.values(), [])
        return assumed_seconds(job, self.material) * float(np.median(own or [1.0]))

    @property
    def basis(self) -> str:
        """What the estimates rest on."""
        runs = sum(map(len, self.ratios.values()))
        return f"from {runs} finished runs, scaled by steps" if runs else ASSUMED
