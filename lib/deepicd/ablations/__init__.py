"""Ablations: grids of small runs, each kept for reuse under the hash of all it uses.

A section is a question with variants (`sections`, `grids.yaml`); a variant with a
seed is a point (`points`); a point is an SFT and a GRPO run (`jobs`, `runs`), done
once and shared (`study`, `execute`); answers come from the runs' predictions
(`comparison`, `law`, `telling`). `python -m deepicd.ablations` runs grids alone.
"""

from deepicd.ablations.explore import explore, export, show_note, what_changed
from deepicd.ablations.kept import KEPT
from deepicd.ablations.law import Law, fit_law
from deepicd.ablations.points import changed, grid
from deepicd.ablations.question import Question, ask, save_differences
from deepicd.ablations.reference import save_reference
from deepicd.ablations.sections import Changes, Section, load_sections
from deepicd.ablations.study import Study

__all__ = [
    "KEPT",
    "Changes",
    "Law",
    "Question",
    "Section",
    "Study",
    "ask",
    "changed",
    "explore",
    "export",
    "fit_law",
    "grid",
    "load_sections",
    "save_differences",
    "save_reference",
    "show_note",
    "what_changed",
]
