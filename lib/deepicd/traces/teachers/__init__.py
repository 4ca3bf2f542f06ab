"""Teachers: who writes the reasoning that the student learns from."""

from deepicd.common.faces import face

HOMES = {
    "Answer": "records",
    "OpenAITeacher": "openai",
    "ReplayTeacher": "replay",
    "Request": "records",
    "RuleTeacher": "rule",
    "StudentTeacher": "student",
    "TEACHERS": "choosing",
    "Teacher": "records",
    "VllmTeacher": "vllm",
    "open_teacher": "choosing",
    "rule_teacher": "choosing",
    "oracle_messages": "prompt",
    "tabular_entry": "prompt",
}
__getattr__, __dir__, __all__ = face(__name__, HOMES)
