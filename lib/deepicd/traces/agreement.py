"""Which steps of a completion agree with its note and its own answer.

What can be checked without knowing the right code: a step that quotes what the note
does not say, or names what is not on the way to the answer, is wrong in any case.
"""

from functools import lru_cache

from deepicd.icd.titles import distinct_title
from deepicd.icd.tree import IcdTree
from deepicd.tasks import quotes
from deepicd.tasks.answers import read_code
from deepicd.tasks.prompts import read_thought
from deepicd.tasks.steps import Step
from deepicd.tasks.task import above
from deepicd.traces.step_labels import answer_span, label_steps, unquoted

_ENDS = tuple('.!?"”)')


def agreeing(
    completion: str,
    steps: list[Step],
    note: str,
    space,
    words: frozenset[str] | None = None,
) -> list[bool]:
    """Whether each step agrees with the note and with the code that is answered.

    As `label_steps` with the answer in the place of the gold code; besides, what tells
    siblings apart must not tell another one, and reasoning must not stop within a
    sentence. Nothing agrees with an answer that is no code.

    Parameters
    ----------
    completion : str
    steps : list of Step
        Of `deepicd.tasks.steps.cut`.
    note : str
    space : LabelSpace
    words : frozenset of str, optional
        As of `label_steps`.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> from deepicd.tasks.steps import cut
    >>> said = ('<think>"Chest pain", "fever": circulatory (9). I21, infarction; '
    ...         'Non-ST elevation. Code I21.11.</think><diagnosis>I21.11</diagnosis>')
    >>> steps = cut(said, load_tree())
    >>> told = agreeing(said, steps, "Crushing chest pain.", load_tree())
    >>> [step.kind for step, right in zip(steps, told, strict=True) if not right]
    ['evidence', 'sibling']
    """
    start, end = answer_span(completion, space.tag)
    code = read_code(completion[start:end], space) if end else None
    if code is None:
        return [False] * len(steps)
    right = label_steps(completion, steps, note, code, space, words)
    own, others = _details(code, space)
    for i, step in enumerate(steps):
        if step.kind == "sibling":
            said = {*quotes.words(unquoted(completion[step.start : step.end]))}
            right[i] &= own <= said or not _tells(said, own, others)
    if steps and _breaks_off(read_thought(completion, space.tag)):
        right[-1] = False
    return right


def _tells(said: set[str], own: frozenset, others: tuple[frozenset, ...]) -> bool:
    """Whether words tell another label: all of its details, or none but such."""
    if any(detail <= said for detail in others):
        return True
    return not own & said and any((detail - own) & said for detail in others)


def _breaks_off(thought: str) -> bool:
    return bool(thought) and thought.rstrip()[-1:] not in _ENDS


@lru_cache(maxsize=1024)
def _details(code: str, space) -> tuple[frozenset[str], tuple[frozenset[str], ...]]:
    """Words by which a code differs from its category, and those of each sibling.

    Titles of other spaces are no sentences: nothing is looked for in them.
    """
    node = space.at(code, above(space))
    if node is None or not isinstance(space, IcdTree):
        return frozenset(), ()
    category = space.title(node)

    def told(one: str) -> frozenset[str]:
        return frozenset(quotes.words(distinct_title(space.title(one), category)))

    own = told(code)
    beside = {told(leaf) for leaf in space.leaves(node) if leaf != code}
    return own, tuple(detail for detail in beside if detail and detail != own)
