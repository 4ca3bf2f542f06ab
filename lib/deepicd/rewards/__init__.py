"""What a completion earns: pure functions that return their parts."""

from deepicd.common.faces import face

HOMES = {
    "PARTS": "checks",
    "RewardBreakdown": "scoring",
    "RewardSpec": "spec",
    "SPECS": "named",
    "Scorer": "scoring",
    "get_spec": "named",
    "score": "scoring",
    "trl_reward_functions": "trl",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
