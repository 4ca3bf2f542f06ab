"""What a completion earns: pure functions that return their parts."""

from deepicd.common.faces import face

HOMES = {
    "PARTS": "registry",
    "Part": "registry",
    "RewardBreakdown": "scoring",
    "RewardSpec": "spec",
    "SPECIAL": "spec",
    "SPECS": "spec",
    "Scorer": "scoring",
    "Seen": "registry",
    "get_spec": "spec",
    "part": "registry",
    "score": "scoring",
    "spec_of": "spec",
    "trl_reward_functions": "trl",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
