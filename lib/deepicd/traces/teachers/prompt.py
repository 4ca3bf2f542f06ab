"""The prompt of a language-model teacher: note, tabular list entry, rules.

Two modes. `oracle`: the gold code is given with its entry of the tabular list, and
the teacher reasons as if it were unknown. `plain`: the code is not given; what is
right is kept (rejection sampling).
"""

from deepicd.common.parameters import choice
from deepicd.tasks.format import escape
from deepicd.tasks.prompts import build_messages

MODES = ("oracle", "plain")
_LISTED = 8  # entries of one kind that the prompt shows

_INSTRUCTION = """\
You teach clinical coders. Write the reasoning by which a careful coder gets from an \
admission note to the principal diagnosis of the stay, one ICD-10-CM code.

Rules
1. Only what the note says at admission counts. Quote the findings that matter word \
for word in double quotes, each quote at most ten words, at least two quotes.
2. Go from the chapter to the three-character category, then say which quoted finding \
tells the code from its siblings; where the note is silent, say what is missing.
3. The entry below the note is for you alone. Reason as if the code were unknown: no \
word of a code, answer or entry that you were shown, and no look ahead to the \
hospital course.
4. Name the code once, in the last sentence of the reasoning. Do not name codes that \
you do not accept.
5. Between 60 and 250 words. No lists, no repetition.

Format, nothing before or after it:
<think>
the reasoning
</think>
<diagnosis>the code</diagnosis>"""


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


def oracle_messages(
    note: str, code: str, tree, mode: str = "oracle", instruction: str = "full"
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
        return build_messages(note, style="reasoning", instruction=instruction)
    content = (
        f"Admission note\n---\n{escape(note)}\n---\n\n"
        f"Entry of the tabular list, for you alone\n{escape(tabular_entry(code, tree))}"
    )
    return [
        {"role": "system", "content": _INSTRUCTION},
        {"role": "user", "content": content},
    ]
