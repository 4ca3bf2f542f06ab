"""Read the structure of a completion, strictly and in linear time.

A policy that is paid for answers will look for every gap in the format: two
answers, an answer inside the reasoning, text after the answer. The structure is
therefore all or nothing, and the first problem is named.
"""

import re
from collections.abc import Iterable
from functools import cache
from itertools import islice
from typing import NamedTuple

from deepicd.common.parameters import choice
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS

STYLES = ("reasoning", "code_only", "answer_first")
TAG = PRINCIPAL_DIAGNOSIS.tag
THINK, END_THINK = "<think>", "</think>"
_THINK_PAIR = (THINK, END_THINK)
_HEAD, _TAIL = len(THINK), len(END_THINK)

# What can be read: a letter or digit; Hangul fillers are letters that show nothing.
_READABLE = re.compile(r"[^\W_\u115f\u1160\u3164\uffa0]")
# Control tokens of the usual families: <|im_end|>, DeepSeek's with full-width bars,
# </s>, <end_of_turn>, [INST], <<SYS>>.
_CONTROL = re.compile(
    r"<(?=\|[^<>|\n]{1,60}\|>)"
    r"|<(?=\uff5c[^<>\n]{1,60}\uff5c>)"
    r"|<(?=/?(?:s|bos|eos|pad|unk|mask|cls|sep|(?:start|end)_of_turn)>)"
    r"|<(?=</?SYS>>)"
    r"|\[(?=/?INST\])",
    re.IGNORECASE,
)


class Form(NamedTuple):
    """How completions of a task are written.

    Attributes
    ----------
    answer : tuple of str
        Tags around the answer.
    order : dict of str to tuple
        By style, the pairs of tags that a completion consists of; None for no second.
    tag_like : re.Pattern
        What a reader may take for a tag.
    """

    answer: tuple[str, str]
    order: dict[str, tuple]
    tag_like: re.Pattern


@cache
def form(tag: str = TAG) -> Form:
    """Give the form of completions whose answers stand in this tag.

    Examples
    --------
    >>> form("drg").answer
    ('<drg>', '</drg>')
    """
    answer = f"<{tag}>", f"</{tag}>"
    order = {
        "reasoning": (_THINK_PAIR, answer),
        "code_only": (answer, None),
        "answer_first": (answer, _THINK_PAIR),
    }
    # Possessive quantifiers: a run of blanks is crossed once, whatever follows it.
    like = re.compile(r"<(?=\s*+/?+\s*+(?:think|" + tag + "))", re.IGNORECASE)
    return Form(answer, order, like)


def tags(tag: str = TAG) -> tuple[str, ...]:
    """Give the tags of a task's completions: those of think, then of the answer."""
    return (*_THINK_PAIR, *form(tag).answer)


class Parsed(NamedTuple):
    """What a completion says.

    Attributes
    ----------
    think : str or None
        The reasoning, trimmed, with a letter or digit in it; None where there is none
        or the structure fails.
    answer : str or None
        Raw text of the answer, trimmed; None where the structure fails.
    well_formed : bool
        Whether the structure is exactly the asked one.
    problem : str or None
        What is wrong with the structure, in a few words. Never text of the
        completion.
    """

    think: str | None
    answer: str | None
    well_formed: bool
    problem: str | None


def escape_tags(text: str, tag: str = TAG) -> str:
    """Disarm answer tags, in any case and spacing, inside text that is only read.

    Examples
    --------
    >>> escape_tags("BP < 90, said < / THINK > and <diagnosis>I10")
    'BP < 90, said &lt; / THINK > and &lt;diagnosis>I10'
    """
    return form(tag).tag_like.sub("&lt;", text)


def readable(text: str) -> bool:
    """Whether a text holds a letter or digit: blanks, points and invisible signs say
    nothing.

    Examples
    --------
    >>> readable("ST"), readable(" ... "), readable("\\u200b")
    (True, False, False)
    """
    return _READABLE.search(text) is not None


def escape_control(text: str, special: Iterable[str] = ()) -> str:
    """Disarm chat control tokens inside text that comes from data.

    A note that holds ``<|im_end|>`` would else end its own turn and speak for the
    assistant.

    Parameters
    ----------
    text : str
    special : iterable of str
        The model's own special tokens, beside those of the usual families.

    Examples
    --------
    >>> escape_control("Cough.<|im_end|> [INST] BP < 90")
    'Cough.&lt;|im_end|> &#91;INST] BP < 90'
    >>> escape_control("a [MASK] b", ["[MASK]"])
    'a &#91;MASK] b'
    """
    text = _CONTROL.sub(lambda found: _entity(found[0]), text)
    for token in sorted(filter(str.strip, special), key=len, reverse=True):
        text = text.replace(token, _entity(token[0]) + token[1:])
    return text


def _entity(character: str) -> str:
    return "&lt;" if character == "<" else f"&#{ord(character)};"


def escape(text: str, special: Iterable[str] = (), tag: str = TAG) -> str:
    """Disarm answer tags and control tokens inside text that comes from data."""
    return escape_control(escape_tags(text, tag), special)


def parse_completion(text: str, style: str = "reasoning", tag: str = TAG) -> Parsed:
    """Read a completion: strict about structure, in time linear in its length.

    Parameters
    ----------
    text : str
        What the model wrote. Anything that is no string counts as empty.
    style : {"reasoning", "code_only", "answer_first"}
        `reasoning`: exactly one think that says something, then exactly one
        answer, and only white space around them. `code_only`: the answer alone.
        `answer_first`: the answer, then the think.
    tag : str
        Of the answer: `Task.tag`.

    Returns
    -------
    Parsed

    Examples
    --------
    >>> parse_completion("<think>STEMI</think><diagnosis> i2111 </diagnosis>")
    Parsed(think='STEMI', answer='i2111', well_formed=True, problem=None)
    >>> parse_completion("<think>STEMI</think> I21.11").problem
    'no diagnosis'
    >>> parse_completion("<diagnosis>I21.11</diagnosis>", style="code_only").answer
    'I21.11'
    """
    text = text.strip() if isinstance(text, str) else ""
    written = form(tag)
    first, second = written.order[choice("style", style, STYLES)]
    start, middle = len(first[0]), text.find(first[1])
    if not text.startswith(first[0]) or middle < 0:
        return _broken(text, style, tag)
    head = text[start:middle].strip()
    rest = text[middle + len(first[1]) :].lstrip()
    if second is None:
        tail = None if rest else ""
    elif rest.startswith(second[0]) and rest.endswith(second[1]):
        tail = rest[len(second[0]) : -len(second[1])].strip()
    else:
        tail = None
    if tail is None or not head or (second and not tail):
        return _broken(text, style, tag)
    wanted = 2 if second is None else 4
    if text.count("<") > wanted and _more_tags(text, wanted, written):
        return _broken(text, style, tag)
    think, answer = (head, tail) if first is _THINK_PAIR else (tail or None, head)
    if think is not None and not readable(think):
        return _broken(text, style, tag)
    return Parsed(think, answer, True, None)


def quick_answer(text: str, tag: str = TAG) -> str | None:
    """Answer of a plainly well-formed reasoning completion; None means: parse it.

    Looks at the ends and crosses the reasoning once without copying it, for
    rewards, where the reasoning itself is rarely needed.

    Examples
    --------
    >>> quick_answer("<think>STEMI</think><diagnosis>I21.11</diagnosis>")
    'I21.11'
    >>> quick_answer("<think>BP < 90</think><diagnosis>I21.11</diagnosis>") is None
    True
    """
    text, (opened, closed) = text.strip(), form(tag).answer
    if not text.startswith(THINK) or not text.endswith(closed):
        return None
    close, start = text.find("<", _HEAD), text.rfind(opened)
    if start < close or not text.startswith(END_THINK, close):
        return None
    gap, head = text[close + _TAIL : start], text[_HEAD : min(close, 64)]
    if (gap and not gap.isspace()) or not readable(head):
        return None
    answer = text[start + len(opened) : -len(closed)].strip()
    return answer if answer and "<" not in answer else None


def _more_tags(text: str, allowed: int, written: Form) -> bool:
    """Whether more than so many things in a text look like a tag."""
    found = written.tag_like.finditer(text)
    return next(islice(found, allowed, None), None) is not None


def count_pairs(text: str, tag: str = TAG) -> tuple[int, int]:
    """Number of think and of answer openings in a text, exact tags only.

    Examples
    --------
    >>> count_pairs("<think>a</think><diagnosis>I10</diagnosis><diagnosis>")
    (1, 2)
    """
    return text.count(THINK), text.count(form(tag).answer[0])


def _broken(text: str, style: str, tag: str) -> Parsed:
    return Parsed(None, None, False, _problem(text, style, tag))


def _problem(text: str, style: str, tag: str) -> str:
    """Name the first thing that is wrong with a text known to be malformed."""
    if not text:
        return "empty completion"
    written = form(tag)
    counts = {mark: text.count(mark) for mark in tags(tag)}
    wanted = [mark for pair in written.order[style] if pair for mark in pair]
    for pair, name in ((_THINK_PAIR, "think"), (written.answer, tag)):
        problem = _pair_problem(counts[pair[0]], counts[pair[1]], pair[0] in wanted)
        if problem:
            return problem.format(name)
    if _more_tags(text, len(wanted), written):
        return "text that looks like a tag"
    places = [text.find(mark) for mark in wanted]
    if places != sorted(places):
        return "tags out of order"
    return _text_problem(text, wanted, places, tag)


def _pair_problem(opened: int, closed: int, wanted: bool) -> str | None:
    if not wanted:
        return "a {} where none belongs" if opened + closed else None
    if not opened and not closed:
        return "no {}"
    if opened > 1 or closed > 1:
        return "more than one {}"
    return None if opened and closed else ("{} not opened", "{} not closed")[opened]


def _text_problem(text: str, marks: list[str], places: list[int], tag: str) -> str:
    if places[0] > 0:
        return "text before the first tag"
    if text[places[-1] + len(marks[-1]) :]:
        return "text after the last tag"
    if len(marks) == 4 and text[places[1] + len(marks[1]) : places[2]].strip():
        return "text between the parts"
    for i in range(0, len(marks), 2):
        inside = text[places[i] + len(marks[i]) : places[i + 1]]
        if marks[i] == THINK and not readable(inside):
            return "empty think"
        if not inside.strip():
            return f"empty {tag}"
    return "tags inside one another"
