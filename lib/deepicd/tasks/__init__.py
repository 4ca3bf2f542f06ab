"""What is asked of a note, what counts as an answer, and when it is right."""

from deepicd.common.faces import face

HOMES = {
    "LabelSpace": "task",
    "Labels": "task",
    "PRINCIPAL_DIAGNOSIS": "principal_diagnosis",
    "TASKS": "known",
    "Task": "task",
    "get_task": "known",
    "parse_completion": "format",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
