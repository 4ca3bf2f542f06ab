"""The first task: the first-listed ICD-10-CM diagnosis at the end of the stay."""

from deepicd.icd.tree import LEVELS
from deepicd.tasks.task import Task

_FULL = {
    "reasoning": (
        "You are an experienced clinical coder. Read the admission note and predict "
        "the principal diagnosis of the hospital stay. First reason step by step "
        "between <think> and </think>: quote the findings that matter, go from the "
        "ICD-10-CM chapter to the category, and say what separates the code from its "
        "siblings. Then give exactly one ICD-10-CM code between <diagnosis> and "
        "</diagnosis>, and nothing after it."
    ),
    "code_only": (
        "You are an experienced clinical coder. Read the admission note and predict "
        "the principal diagnosis of the hospital stay. Give exactly one ICD-10-CM "
        "code between <diagnosis> and </diagnosis>, and nothing else."
    ),
    "answer_first": (
        "You are an experienced clinical coder. Read the admission note and predict "
        "the principal diagnosis of the hospital stay. First give exactly one "
        "ICD-10-CM code between <diagnosis> and </diagnosis>. Then justify it "
        "between <think> and </think>, quoting the findings that matter."
    ),
}
_BRIEF = {
    "reasoning": "Think, then give the ICD-10-CM code.",
    "code_only": "Give the ICD-10-CM code.",
    "answer_first": "Give the ICD-10-CM code, then explain.",
}

PRINCIPAL_DIAGNOSIS = Task(
    name="principal_diagnosis",
    levels=LEVELS,
    shown=("chapter", "category", "full"),
    instructions={"full": _FULL, "brief": _BRIEF},
    tag="diagnosis",
)
