"""A base model that has read: other hospitals, the catalogue, questions to notes."""

from deepicd.common.faces import face

HOMES = {
    "PretrainSettings": "training",
    "documents": "texts",
    "held_out": "training",
    "questions": "reading",
    "read_right": "training",
    "train": "training",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
