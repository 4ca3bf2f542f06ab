"""The prompt of a language-model teacher: note, entry of the answer, rules.

Two modes. `oracle`: the gold code is given with its entry of the tabular list (another
label with its place among the others), and the teacher reasons as if it were unknown.
`plain`: the answer is not given; what is right is kept (rejection sampling).
"""

from deepicd.common.parameters import choice
from deepicd.tasks.format import escape
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.prompts import build_messages
from deepicd.tasks.task import Task

MODES = ("oracle", "plain")
_LISTED = 8  # entries of one kind that the prompt shows

_INSTRUCTION = """\
You teach {readers}. Write the reasoning by which a careful {reader} gets from an \
admission note to {goal}.

Rules
1. Only what the note says at admission counts. Quote the findings that matter word \
for word in double quotes, each quote at most ten words, at least two quotes.
2. {way}; where the note is silent, say what is missing.
3. The entry below the note is for you alone. Reason as if the {answer} were unknown: \
no word of a code, answer or entry that you were shown, and no look ahead to the \
hospital course.
4. Name the {answer} once, in the last sentence of the reasoning. Do not name \
{answer}s that you do not accept.
5. Between 60 and 250 words. No lists, no repetition.

Format, nothing before or after it:
<think>
the reasoning
</think>
<{tag}>the {answer}</{tag}>"""
_CODING = {
    "readers": "clinical coders",
    "reader": "coder",
    "goal": "the principal diagnosis of the stay, one ICD-10-CM code",
    "way": "Go from the chapter to the three-character category, then say which quoted "
    "finding tells the code from its siblings",
    "answer": "code",
}
_OTHER = {"readers": "physicians", "reader": "physician", "answer": "answer"}
_WAY = "Go from {} to {}, then say which quoted finding tells the answer from others"


def tabular_entry(code: str, tree) -> str:
    """What the official tabular list says about a code, as text.

    Parameters
    ----------
    code : str
        Dotted code.
    tree : deepicd.icd.IcdTree

    Returns
    -------
    str
        Title, place, inclusion terms, excludes, sequencing and siblings; an entry
        of an ancestor holds for the code too.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> print(tabular_entry("I10", load_tree()).splitlines()[0])
    Code: I10, Essential (primary) hypertension
    """
    path = tree.path(code)
    lines = [f"Code: {code}, {tree.title(code)}"]
    lines += [f"Chapter {path[0]}: {tree.title(path[0])}"]
    lines += [f"Above it: {name}, {tree.title(name)}" for name in path[1:-1]]
    below = [name for name in path[2:] if name in tree]
    kinds = (
        ("Also called", tree.inclusion_terms, [code]),
        ("Includes", tree.includes, below),
        ("Excludes1 (never together)", tree.excludes1, below),
        ("Excludes2 (not part of it)", tree.excludes2, below),
        ("Code first", tree.code_first, [code]),
        ("Use additional code", tree.use_additional_code, [code]),
        ("Code also", tree.code_also, [code]),
    )
    for kind, read, names in kinds:
        entries = list(dict.fromkeys(text for name in names for text in read(name)))
        if entries:
            lines.append(f"{kind}: {'; '.join(entries[:_LISTED])}")
    siblings = [f"{s} {tree.title(s)}" for s in tree.siblings(code)[:_LISTED]]
    if siblings and len(path) > 3:
        lines.append(f"Siblings: {'; '.join(siblings)}")
    return "\n".join(lines)


def entry(label: str, space) -> str:
    """A label in words, with what stands above it and beside it.

    Examples
    --------
    >>> from deepicd.tasks import get_task
    >>> print(entry("up to 3 days", get_task("length_of_stay").space(None)))
    Answer: up to 3 days
    Above it (half): at most 7 days
    Other answers: up to 7 days
    """
    path = space.path(label)
    lines = [f"Answer: {_told(label, space)}"]
    lines += [
        f"Above it ({level}): {_told(node, space)}"
        for level, node in zip(space.levels, path[:-1], strict=False)
    ]
    others = [_told(other, space) for other in space.siblings(label)[:_LISTED]]
    lines += [f"Other answers: {'; '.join(others)}"] if others else []
    return "\n".join(lines)


def _told(node: str, space) -> str:
    title = space.title(node)
    return node if title == node else f"{node}, {title}"


def _instruction(task: Task) -> str:
    if task.tabular:
        return _INSTRUCTION.format(**_CODING, tag=task.tag)
    way = _WAY.format(task.levels[0], task.finest)
    return _INSTRUCTION.format(**_OTHER, goal=task.about, way=way, tag=task.tag)


def oracle_messages(
    note: str,
    code: str,
    tree,
    mode: str = "oracle",
    instruction: str = "full",
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> list[dict[str, str]]:
    """Chat messages that ask a language model for one trace.

    The instruction is the same for every note and comes first, so that an engine
    with prefix caching reads it once.

    Parameters
    ----------
    note : str
        Admission note; answer tags inside it are escaped.
    code : str
        Gold code; not used in mode "plain".
    tree : deepicd.icd.IcdTree
    mode : {"oracle", "plain"}
    instruction : {"full", "brief"}
        Of mode "plain": "brief" for a student that was trained with it.
    task : Task
        What is asked; `tree` is its space.

    Raises
    ------
    UserError
        For an unknown mode.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> [m["role"] for m in oracle_messages("Cough.", "J44.1", load_tree())]
    ['system', 'user']
    """
    if choice("prompt_mode", mode, MODES) == "plain":
        return build_messages(note, "reasoning", instruction, task=task)
    known, read = "Entry of the tabular list", tabular_entry
    if not task.tabular:
        known, read = "The answer", entry
    content = (
        f"Admission note\n---\n{escape(note, tag=task.tag)}\n---\n\n"
        f"{known}, for you alone\n{escape(read(code, tree), tag=task.tag)}"
    )
    return [
        {"role": "system", "content": _instruction(task)},
        {"role": "user", "content": content},
    ]
