"""Chat messages in, answers out: the one place that knows the answer format.

A completion is `<think>` reasoning `</think>` and then, in the tag of its task,
`<diagnosis>` one code `</diagnosis>`. Its structure is read strictly
(`parse_completion`); the code inside is read generously (`read_code`), because
how a code is typed is not what is being learnt.
"""

from collections.abc import Sequence

from deepicd.common.errors import UserError
from deepicd.common.parameters import choice
from deepicd.tasks.answers import read_code
from deepicd.tasks.format import (
    END_THINK,
    STYLES,
    THINK,
    Parsed,
    count_pairs,
    escape,
    form,
    parse_completion,
    quick_answer,
    readable,
)
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task

__all__ = [
    "STYLES",
    "Parsed",
    "build_messages",
    "count_pairs",
    "escape",
    "format_completion",
    "parse_completion",
    "quick_answer",
    "read_code",
    "read_thought",
    "readable",
]


def build_messages(
    note: str,
    style: str = "reasoning",
    instruction: str = "full",
    shots: Sequence[tuple[str, str]] = (),
    special: Sequence[str] = (),
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> list[dict[str, str]]:
    """Make the chat messages that ask for the answer of a task.

    The instruction comes first and is the same for every note, so that an
    inference engine can share its prefix; the note comes last.

    Parameters
    ----------
    note : str
        Admission note. Answer tags and control tokens inside it are escaped.
    style : {"reasoning", "code_only", "answer_first"}
        Format of the answer.
    instruction : {"full", "brief"}
        `brief` spends a dozen tokens, for small models trained from scratch.
    shots : sequence of (note, completion)
        Worked examples: each is a turn of the user and one of the assistant, before
        the note that is asked about.
    special : sequence of str
        Special tokens of the model's tokenizer, escaped in notes too.
    task : Task
        What is asked.

    Returns
    -------
    list of dict
        Turns with "role" and "content"; without examples, one of the user.

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
    choice("style", style, STYLES)
    choice("instruction", instruction, tuple(task.instructions))
    turns = []
    for read, said in shots:
        turns += [("user", escape(read, special, task.tag)), ("assistant", said)]
    turns.append(("user", escape(note, special, task.tag)))
    turns[0] = ("user", f"{task.instructions[instruction][style]}\n\n{turns[0][1]}")
    return [{"role": role, "content": content} for role, content in turns]


def format_completion(
    trace: str, code: str, style: str = "reasoning", tag: str = PRINCIPAL_DIAGNOSIS.tag
) -> str:
    """Write a completion the way the model is asked to.

    Parameters
    ----------
    trace : str
        Reasoning; ignored for `code_only`. Answer tags and control tokens inside it
        are escaped.
    code : str
        The code, dotted, or another label.
    style : {"reasoning", "code_only", "answer_first"}
    tag : str
        Of the answer: `Task.tag`.

    Raises
    ------
    UserError
        For an unknown style, or a trace without a letter or digit where the style asks
        for one.

    Examples
    --------
    >>> print(format_completion("ST elevation in II, III.", "I21.11"))
    <think>
    ST elevation in II, III.
    </think>
    <diagnosis>I21.11</diagnosis>
    """
    choice("style", style, STYLES)
    answer = code.join(form(tag).answer)
    if style == "code_only":
        return answer
    if not readable(trace):
        raise UserError("an empty trace", "reasoning text", "use style='code_only'")
    think = f"{THINK}\n{escape(trace.strip(), tag=tag)}\n{END_THINK}"
    return f"{think}\n{answer}" if style == "reasoning" else f"{answer}\n{think}"


def read_thought(text: str, tag: str = PRINCIPAL_DIAGNOSIS.tag) -> str:
    """Reasoning of a well-formed completion of any style; else an empty text.

    Examples
    --------
    >>> read_thought("<diagnosis>I10</diagnosis><think>BP 190/110</think>")
    'BP 190/110'
    """
    for style in STYLES:
        thought = parse_completion(text, style, tag).think
        if thought:
            return thought
    return ""
