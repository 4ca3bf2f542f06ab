"""What a completion earns: pure functions that return their parts."""

from deepicd.rewards.checks import PARTS
from deepicd.rewards.named import SPECS, get_spec
from deepicd.rewards.scoring import RewardBreakdown, Scorer, score
from deepicd.rewards.spec import RewardSpec
from deepicd.rewards.trl import trl_reward_functions

__all__ = [
    "PARTS",
    "SPECS",
    "RewardBreakdown",
    "RewardSpec",
    "Scorer",
    "get_spec",
    "score",
    "trl_reward_functions",
]
