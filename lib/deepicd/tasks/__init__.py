"""What is asked of a note, what counts as an answer, and when it is right."""

from deepicd.common.faces import face

HOMES = {}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
