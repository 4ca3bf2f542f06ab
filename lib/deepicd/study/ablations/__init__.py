"""Ablations: grids of small runs, each kept for reuse under the hash of all it uses.

A section is a question with variants (`questions`, `grids.yaml`); a variant with a
seed is a point (`points`); a point is an SFT and a GRPO run (`jobs`, `one_run`), done
once and shared (`study`, `workers`); answers come from the runs' predictions
(`comparison`, `verdicts`). `python -m deepicd.study.ablations` runs grids alone.
"""

from deepicd.common.faces import face

HOMES = {
    "Changes": "questions",
    "Question": "one_question",
    "Section": "questions",
    "Study": "study",
    "ask": "one_question",
    "fit_law": "comparison",
    "grid": "points",
    "kept_of": "kept_runs",
    "load_sections": "questions",
    "save_differences": "one_question",
    "save_reference": "kept_answers",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
