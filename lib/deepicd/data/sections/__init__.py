"""Sections of a discharge summary, and what of it was known at admission."""

from deepicd.common.faces import face

HOMES = {
    "AdmissionNote": "splitting",
    "Guard": "content_guard",
    "learn_guard": "guard_learning",
    "trade_off": "guard_learning",
    "MODES": "splitting",
    "Section": "splitting",
    "TITLES": "splitting",
    "admission_note": "splitting",
    "admission_notes": "splitting",
    "split_sections": "splitting",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
