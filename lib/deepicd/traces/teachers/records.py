"""What goes to a teacher and what comes back: the same records for each teacher."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.prompts import parse_completion


@dataclass(frozen=True)
class Request:
    """One question to a teacher: explain this label from this note.

    Attributes
    ----------
    note_id : str
    note : str
        Admission note.
    label : str
        Gold code, dotted, or another label.
    attempt : int
        0 for the first try.
    """

    note_id: str
    note: str
    label: str
    attempt: int = 0


@dataclass(frozen=True)
class Answer:
    """What a teacher said to one request.

    Attributes
    ----------
    note_id, attempt
        Of the request.
    trace : str
        The reasoning, without tags.
    answer : str or None
        The code as the teacher wrote it.
    problem : str or None
        What is wrong with the form of the answer, or with the request itself.
    prompt_tokens, completion_tokens : int
        0 where nothing was counted.
    failed : bool
        The request itself failed (server gone, time out). Such an answer is never
        stored, so the next run asks again.

    Examples
    --------
    >>> Answer("n1", 0, "Chest pain. So I21.11.", "I21.11").as_dict()["attempt"]
    0
    """

    note_id: str
    attempt: int
    trace: str
    answer: str | None
    problem: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failed: bool = False

    def as_dict(self) -> dict:
        """Give the fields as a dictionary for storage."""
        return asdict(self)


def read_completion(
    request: Request,
    text: str,
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    tag: str = PRINCIPAL_DIAGNOSIS.tag,
) -> Answer:
    """Make an answer from the text that a model wrote.

    Examples
    --------
    >>> request = Request("n1", "Cough.", "J44.1")
    >>> read_completion(request, "<think>a</think><diagnosis>J44.1</diagnosis>").answer
    'J44.1'
    >>> read_completion(request, "no tags").problem
    'no think'
    """
    # Half a surrogate pair, as some servers send it, cannot be stored.
    parsed = parse_completion(text.encode("utf-8", "replace").decode(), tag=tag)
    return Answer(
        request.note_id,
        request.attempt,
        parsed.think or "",
        parsed.answer,
        parsed.problem,
        prompt_tokens,
        completion_tokens,
    )


class Teacher(Protocol):
    """Anything that answers requests.

    Answers may come in any order, each as soon as it is there, so that the caller
    can store it; one answer a request, also where a request failed for good.
    """

    name: str

    def answer(self, requests: list[Request], seed: int) -> Iterator[Answer]:
        """Answer each request once."""
        ...
