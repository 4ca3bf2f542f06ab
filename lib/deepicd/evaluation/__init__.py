"""How good and how sure: scores, intervals, comparisons, baselines."""

from deepicd.common.faces import face

HOMES = {
    "evaluate": "metrics",
    "paired_bootstrap": "intervals",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
