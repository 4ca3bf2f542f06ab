"""Stages: what a notebook needs of them. The runner is `python -m deepicd.stages`.

Only the light part is imported here, so that a notebook starts fast and an edit
of the runner does not make finished stages run again.
"""

from deepicd.stages.handle import Run, open_run

__all__ = ["Run", "open_run"]
