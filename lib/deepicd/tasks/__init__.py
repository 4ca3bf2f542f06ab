"""What is asked of a note, what counts as an answer, and when it is right."""

from deepicd.common.faces import face

HOMES = {
    "LabelSpace": "task",
    "PRINCIPAL_DIAGNOSIS": "principal_diagnosis",
    "Task": "task",
    "parse_completion": "format",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
