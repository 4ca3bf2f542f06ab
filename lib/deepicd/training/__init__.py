"""From a base model to a policy: SFT, RFT, GRPO, DPO, and sampling."""

from deepicd.common.faces import face

HOMES = {
    "predict": "models.generate",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
