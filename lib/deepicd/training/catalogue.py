"""Questions and answers from the official tables: knowledge before traces.

A small model can only answer codes it has met. These records teach it the catalogue:
what a code is called, what its entry includes and excludes, and where it stands.
They hold nothing of any patient.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import pandas as pd

from deepicd.common.errors import UserError
from deepicd.common.parameters import choice
from deepicd.icd.exclusions import excludes_each_other
from deepicd.icd.titles import distinct_title, lower_first
from deepicd.tasks.prompts import format_completion

#: Columns of the table; `label` is missing where the answer is no single code.
COLUMNS = [
    "question_id",
    "kind",
    "about",
    "prompt",
    "completion",
    "trace",
    "answer",
    "label",
]
_LISTED = 12  # children or excludes that one answer holds
_PLACE = re.compile(r"\s*\([A-Z]\d[0-9A-Z][^()]*\)")
_CODE_FOR = (
    "Which ICD-10-CM code is this: {}?",
    "Give the ICD-10-CM code for: {}.",
    "{}: which code?",
)
_TITLE_OF = ("What is {}?", "Title of ICD-10-CM {}?", "What does code {} stand for?")


def build_questions(
    tree,
    codes: Iterable[str] | None = None,
    seed: int = 0,
    kinds: Iterable[str] | None = None,
    style: str = "reasoning",
) -> pd.DataFrame:
    """Turn entries of the catalogue into prompts and completions.

    Parameters
    ----------
    tree : deepicd.icd.IcdTree
    codes : iterable of str, optional
        Ask about these codes only, for example `neighbourhood(train_codes, tree)`;
        the whole release by default.
    seed : int
        Of the wording and the order of the rows.
    kinds : iterable of str, optional
        Of `KINDS`; all by default.
    style : {"reasoning", "code_only", "answer_first"}
        Format of the answers that are a code.

    Returns
    -------
    pandas.DataFrame
        One row a question, shuffled:

        - `question_id`: kind, code and a number; unique.
        - `kind`: one of `KINDS`.
        - `about`: the code that the question is about.
        - `prompt`: text of the user's turn.
        - `completion`: text of the answer's turn, without an end token. Where the
          answer is a code it has the format of every other completion
          (`tasks.prompts.format_completion`); else it is plain text without tags.
        - `trace`: the reasoning of an answer that is a code; "" else.
        - `answer`: the bare answer.
        - `label`: the answer where it is a code of the tree, else missing.

    Raises
    ------
    UserError
        For an unknown kind or code.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> table = build_questions(load_tree(), ["I21.11"], kinds=["title_to_code"])
    >>> print(table["completion"].iloc[0])
    <think>
    Chapter 9, block I20-I25, category I21 (acute myocardial infarction).
    </think>
    <diagnosis>I21.11</diagnosis>
    """
    chosen = _known_kinds(kinds)
    rows = []
    for code in _known_codes(tree, codes):
        for kind in chosen:
            rng = random.Random(f"{seed}|{kind}|{code}")
            for number, item in enumerate(KINDS[kind](code, tree, rng)):
                row_id = f"{kind}-{code}-{number}"
                rows.append((row_id, kind, code, *_finish(item, tree, style)))
    random.Random(seed).shuffle(rows)
    return pd.DataFrame(rows, columns=COLUMNS)


def _known_kinds(kinds) -> list[str]:
    chosen = list(KINDS if kinds is None else kinds)
    return [choice("kind", kind, tuple(KINDS)) for kind in chosen]


def _known_codes(tree, codes) -> list[str]:
    if codes is None:
        return tree.codes()
    found = {code: tree.normalise(code) for code in codes}
    unknown = [code for code, name in found.items() if name is None]
    if unknown:
        raise UserError(
            found=f"code {unknown[0]!r}",
            expected="codes of the tree",
            do="load the tree with the catalogue of the source (extra_codes)",
        )
    return sorted(set(found.values()))


def neighbourhood(codes: Iterable[str], tree) -> list[str]:
    """Codes, the codes above them, their siblings and their children; sorted.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> neighbourhood(["I21.11"], load_tree())
    ['I21', 'I21.1', 'I21.11', 'I21.19']
    """
    found = set()
    for code in codes:
        path = tree.path(code)
        found.update(path[2:])
        if len(path) > 3:
            found.update(tree.siblings(code))
        found.update(tree.children(code))
    return sorted(found)


def _finish(item: tuple, tree, style: str) -> tuple:
    """Prompt, completion, trace, answer and code of one question."""
    prompt, answer, trace = item
    code = tree.normalise(answer) if trace else None
    completion = format_completion(trace, code, style) if code else answer
    return prompt, completion, trace if code else "", answer, code


def _way(code: str, tree) -> str:
    """From the chapter to the category, in one sentence."""
    path = tree.path(code)
    category = lower_first(tree.title(path[2]))
    return f"Chapter {path[0]}, block {path[1]}, category {path[2]} ({category})."


def _title_to_code(code, tree, rng) -> Iterator[tuple]:
    if tree.title(code) in _shared_titles(tree):
        return
    yield rng.choice(_CODE_FOR).format(tree.title(code)), code, _way(code, tree)


@lru_cache(maxsize=4)
def _shared_titles(tree) -> frozenset[str]:
    """Titles of more than one code: they cannot be asked for a code."""
    counts = Counter(tree.title(code) for code in tree.codes())
    return frozenset(title for title, count in counts.items() if count > 1)


def _distinct(codes: list[str], above: str, tree) -> list[str]:
    """What each of some siblings' titles adds; whole titles where that is the same."""
    titles = [tree.title(code) for code in codes]
    short = [distinct_title(title, tree.title(above)) for title in titles]
    seen = Counter(short)
    return [
        f"{code} {text if seen[text] == 1 else lower_first(title)}"
        for code, text, title in zip(codes, short, titles, strict=True)
    ]


def _code_to_title(code, tree, rng) -> Iterator[tuple]:
    yield rng.choice(_TITLE_OF).format(code), tree.title(code), ""


def _inclusion_to_code(code, tree, rng) -> Iterator[tuple]:
    for term in tree.inclusion_terms(code):
        trace = f"{_way(code, tree)} {code} is {lower_first(tree.title(code))}."
        yield rng.choice(_CODE_FOR).format(term), code, trace


def _parent(code, tree, rng) -> Iterator[tuple]:
    path = tree.path(code)
    asked = f"Which code stands directly above {code}?"
    if len(path) > 3:
        yield asked, path[-2], f"{code} is one of the codes of {path[-2]}."
    else:
        text = f"Block {path[1]}, {_PLACE.sub('', tree.title(path[1]))}"
        yield f"In which block is category {code}?", text, ""


def _children(code, tree, rng) -> Iterator[tuple]:
    below = tree.children(code)
    if below:
        listed = _distinct(below, code, tree)[:_LISTED]
        more = f"; and {len(below) - _LISTED} more" if len(below) > _LISTED else ""
        yield f"How is {code} divided?", "; ".join(listed) + more, ""


def _sibling(code, tree, rng) -> Iterator[tuple]:
    others = tree.siblings(code) if len(tree.path(code)) > 3 else []
    if others:
        pair = [code, rng.choice(others)]
        says = _distinct(pair, tree.path(code)[-2], tree)
        yield f"What tells {pair[0]} from {pair[1]}?", "; ".join(says), ""


def _excludes(code, tree, rng) -> Iterator[tuple]:
    for number, listed in ((1, tree.excludes1(code)), (2, tree.excludes2(code))):
        if listed:
            yield (
                f"What does Excludes{number} of {code} name?",
                "; ".join(listed[:_LISTED]),
                "",
            )


def _together(code, tree, rng) -> Iterator[tuple]:
    """May two codes stand together? One pair that may not, one that may."""
    if not tree.excludes1(code):
        return
    named = [
        tree.normalise(c)
        for text in tree.excludes1(code)
        for c in re.findall(r"[A-Z]\d[0-9A-Z](?:\.[0-9A-Z]+)?", text)
    ]
    named = [c for c in named if c and excludes_each_other(code, c, tree)]
    if named:
        other = rng.choice(named)
        text = f"No. Excludes1 of {code} names {other}."
        yield f"May {code} and {other} be coded together?", text, ""
    other = rng.choice(tree.categories())
    if other != code and not excludes_each_other(code, other, tree):
        text = "Yes. No Excludes1 note names the other."
        yield f"May {code} and {other} be coded together?", text, ""


#: Kinds of questions by name: (code, tree, rng) → (prompt, answer, trace), …
KINDS: dict[str, Callable] = {
    "title_to_code": _title_to_code,
    "code_to_title": _code_to_title,
    "inclusion_to_code": _inclusion_to_code,
    "parent": _parent,
    "children": _children,
    "sibling": _sibling,
    "excludes": _excludes,
    "together": _together,
}
