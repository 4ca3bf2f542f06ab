"""GRPO: sampling groups of completions and learning from their rewards."""

from deepicd.common.faces import face

HOMES = {
    "GrpoSettings": "settings",
    "Judge": "rollout_log",
    "arguments": "settings",
    "make_trainer": "grpo",
    "prompt_set": "grpo",
    "rows_a_pass": "settings",
    "train": "grpo",
    "training_notes": "grpo",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
