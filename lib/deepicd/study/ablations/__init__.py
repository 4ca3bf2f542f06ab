"""Ablations: grids of small runs, each kept for reuse under the hash of all it uses.

A section is a question with variants (`sections`, `grids.yaml`); a variant with a
seed is a point (`points`); a point is an SFT and a GRPO run (`jobs`, `runs`), done
once and shared (`study`, `execute`); answers come from the runs' predictions
(`comparison`, `law`, `telling`). `python -m deepicd.study.ablations` runs grids alone.
"""

from deepicd.common.faces import face

HOMES = {
    "Changes": "questions",
    "KEPT": "kept_runs",
    "Law": "size_law",
    "Question": "one_question",
    "Section": "questions",
    "Study": "study",
    "ask": "one_question",
    "changed": "points",
    "explore": "widgets",
    "export": "widgets",
    "fit_law": "size_law",
    "grid": "points",
    "load_sections": "questions",
    "save_differences": "one_question",
    "save_reference": "reference",
    "show_note": "widgets",
    "what_changed": "widgets",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
