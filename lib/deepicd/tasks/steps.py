"""A reasoning in steps: evidence, chapter, category, what tells siblings apart, code.

A completion is cut where its own structure changes: at ends of sentences and
semicolons, and between what it quotes and what it names.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from deepicd.tasks.format import readable
from deepicd.tasks.quotes import codes, quotes, sentences

KINDS = ("evidence", "chapter", "category", "sibling", "code")
_CHAPTER = re.compile(r"\bchapter (\d{1,2})\b|\((\d{1,2})\)", re.I)
_CLAUSE = re.compile(r";\s")


class Step(NamedTuple):
    """A step of a completion: its kind and its characters from start to end."""

    kind: str
    start: int
    end: int


class _Mark(NamedTuple):
    start: int
    end: int
    kind: str


def cut(completion: str, space) -> list[Step]:
    """Cut a completion into steps.

    A clause is of the kind of what it names: a chapter, a category (or another node
    above the labels), a code. Quotes are evidence, or behind a category what tells its
    siblings apart; a clause that names nothing is what its place says. The answer, and
    the sentence before it that names a code, are the last step.

    Parameters
    ----------
    completion : str
        Need not be well-formed.
    space : LabelSpace

    Returns
    -------
    list of Step
        In reading order; all white space and tags but those of the answer lie between
        steps.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> said = ('<think>"Tall T", "pain": circulatory (9). Infarction, I21; '
    ...         '"aVF" points to the inferior wall. So I21.19.</think>'
    ...         '<diagnosis>I21.19</diagnosis>')
    >>> for kind, start, end in cut(said, load_tree()):
    ...     print(f"{kind:9}", said[start:end])
    evidence  "Tall T", "pain"
    chapter   : circulatory (9).
    category  Infarction, I21;
    sibling   "aVF" points to the inferior wall.
    code      So I21.19.</think><diagnosis>I21.19</diagnosis>
    """
    found: list[Step] = []
    for start, end, answered in _regions(completion, space.tag):
        if not answered:
            found += _clauses(completion, start, end, space, found)
        elif found and found[-1].kind == "code":
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(Step("code", start, end))
    return found


def chapters(text: str, space) -> list[tuple[str, int, int]]:
    """Chapters named in a text by their number, with their characters.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> chapters("Chapter 9, not respiratory (10).", load_tree())
    [('9', 0, 9), ('10', 27, 31)]
    """
    if "chapter" not in space.levels:
        return []
    return [(m[1] or m[2], *m.span()) for m in _CHAPTER.finditer(text)]


def _regions(text: str, tag: str):
    """Pieces between tags: start, end, and whether it is an answer, with its tag."""
    tags = [*re.finditer(rf"</?(?:think|{tag})>", text), None]
    start, opened = 0, ""
    for found in tags:
        end = found.start() if found else len(text)
        answered = opened == f"<{tag}>"
        if readable(text[start:end]):
            yield start, (found.end() if found and answered else end), answered
        if found:
            start, opened = found.end(), found.group()


def _clauses(text: str, start: int, end: int, space, before: list[Step]):
    """Steps of a piece of reasoning."""
    inside, marks = text[start:end], _marks(text[start:end], space)
    cuts = [0, *_borders(inside, marks), len(inside)]
    reached, found = {step.kind for step in before if step.kind != "code"}, []
    for left, right in pairwise(cuts):
        if not readable(inside[left:right]):
            continue
        named = [m.kind for m in marks if left <= m.start < right]
        kind = named[-1] if named else _by_place(reached)
        if kind == "evidence" and "category" in reached:
            kind = "sibling"
        reached.add(kind)
        said = inside[left:right]
        left += len(said) - len(said.lstrip())
        found.append(Step(kind, start + left, start + left + len(said.strip())))
    return found


def _by_place(reached: set[str]) -> str:
    if "category" in reached:
        return "sibling"
    return "category" if "chapter" in reached else "evidence"


def _marks(text: str, space) -> list[_Mark]:
    """Quotes, and chapters and labels named outside of them, in order."""
    found = [_Mark(q.start - 1, q.end + 1, "evidence") for q in quotes(text)]
    named = [_Mark(a, b, "chapter") for _, a, b in chapters(text, space)]
    named += [
        _Mark(s.start, s.end, "code" if space.is_billable(s.text) else "category")
        for s in codes(text, space)
    ]
    quoted = list(found)
    found += [m for m in named if not any(q.start <= m.start < q.end for q in quoted)]
    return sorted(found)


def _borders(text: str, marks: list[_Mark]) -> list[int]:
    """Where steps begin: behind sentences and clauses, and between unlike marks."""
    places = {span.start for span in sentences(text)[1:]}
    places |= {m.end() for m in _CLAUSE.finditer(text)}
    quoted = [m for m in marks if m.kind == "evidence"]
    places = {p for p in places if not any(q.start < p < q.end for q in quoted)}
    for one, two in pairwise(marks):
        apart = not any(one.end <= p <= two.start for p in places)
        if one.kind != two.kind and apart:
            places.add(two.start if two.kind == "evidence" else one.end)
    return sorted(places)
