"""A base model that has read: other hospitals, the catalogue, questions to notes."""

from deepicd.common.faces import face

HOMES = {
    "PretrainSettings": "pretraining",
    "documents": "texts",
    "held_out": "pretraining",
    "questions": "reading",
    "read_right": "pretraining",
    "train": "pretraining",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
