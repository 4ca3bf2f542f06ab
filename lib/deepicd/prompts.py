"""Chat messages in, answers out: the one place that knows the answer format.

A completion is `<think>` reasoning `</think>` and then
`<diagnosis>` one code `</diagnosis>`. Its structure is read strictly
(`parse_completion`); the code inside is read generously (`read_code`), because
how a code is typed is not what is being learnt.
"""

from deepicd.answers import read_code
from deepicd.completions import (
    ANSWER,
    END_ANSWER,
    END_THINK,
    STYLES,
    THINK,
    Parsed,
    check_choice,
    count_pairs,
    escape_tags,
    parse_completion,
    quick_answer,
)
from deepicd.errors import UserError

__all__ = [
    "INSTRUCTIONS",
    "STYLES",
    "Parsed",
    "build_messages",
    "count_pairs",
    "escape_tags",
    "format_completion",
    "parse_completion",
    "quick_answer",
    "read_code",
]

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
INSTRUCTIONS = {"full": _FULL, "brief": _BRIEF}


def build_messages(
    note: str, style: str = "reasoning", instruction: str = "full"
) -> list[dict[str, str]]:
    """Make the chat messages that ask for a diagnosis.

    The instruction comes first and is the same for every note, so that an
    inference engine can share its prefix; the note comes last.

    Parameters
    ----------
    note : str
        Admission note. Answer tags inside it are escaped.
    style : {"reasoning", "code_only", "answer_first"}
        Format of the answer.
    instruction : {"full", "brief"}
        `brief` spends a dozen tokens, for small models trained from scratch.

    Returns
    -------
    list of dict
        One user message with "role" and "content".

    Raises
    ------
    UserError
        For an unknown style or instruction.

    Examples
    --------
    >>> message, = build_messages("Chest pain.", instruction="brief")
    >>> message["role"], message["content"].split("\\n\\n")
    ('user', ['Think, then give the ICD-10-CM code.', 'Chest pain.'])
    """
    check_choice("style", style, STYLES)
    check_choice("instruction", instruction, tuple(INSTRUCTIONS))
    content = f"{INSTRUCTIONS[instruction][style]}\n\n{escape_tags(note)}"
    return [{"role": "user", "content": content}]


def format_completion(trace: str, code: str, style: str = "reasoning") -> str:
    """Write a completion the way the model is asked to.

    Parameters
    ----------
    trace : str
        Reasoning; ignored for `code_only`. Answer tags inside it are escaped.
    code : str
        The code, dotted.
    style : {"reasoning", "code_only", "answer_first"}

    Raises
    ------
    UserError
        For an unknown style, or an empty trace where the style asks for one.

    Examples
    --------
    >>> print(format_completion("ST elevation in II, III.", "I21.11"))
    <think>
    ST elevation in II, III.
    </think>
    <diagnosis>I21.11</diagnosis>
    """
    check_choice("style", style, STYLES)
    answer = f"{ANSWER}{code}{END_ANSWER}"
    if style == "code_only":
        return answer
    if not trace.strip():
        raise UserError("an empty trace", "reasoning text", "use style='code_only'")
    think = f"{THINK}\n{escape_tags(trace.strip())}\n{END_THINK}"
    return f"{think}\n{answer}" if style == "reasoning" else f"{answer}\n{think}"
