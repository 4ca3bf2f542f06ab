"""How a reasoning holds together: what it quotes, and whether it leads to its code."""

from collections.abc import Iterable
from typing import NamedTuple

from deepicd.tasks.answers import read_code
from deepicd.tasks.prompts import parse_completion
from deepicd.tasks.quotes import codes, locate, quotes, words


class Coherence(NamedTuple):
    """Of one reasoning.

    Attributes
    ----------
    words : int
    quotes, found : int
        Quoted pieces, and those that stand in the note.
    quoted : int
        Words in quotes that stand in the note.
    codes, on_path : int
        Codes that it names, and those at or above the answered code.
    """

    words: int
    quotes: int
    found: int
    quoted: int
    codes: int
    on_path: int


def coherence(thought: str, note: str, code: str | None, tree) -> Coherence:
    """Read one reasoning against its note and the code that it ends in.

    Parameters
    ----------
    thought : str
        Text inside `<think>`.
    note : str
        Admission note.
    code : str or None
        The answered code.
    tree : LabelSpace

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> said = '"Chest pain" and "fever": infarction, I21, not I20. So I21.9.'
    >>> coherence(said, "Crushing chest pain.", "I21.9", load_tree())
    Coherence(words=10, quotes=2, found=1, quoted=2, codes=3, on_path=2)
    """
    said = [quote.text for quote in quotes(thought)]
    found = [quote for quote in said if locate(quote, note)]
    named = [span.text for span in codes(thought, tree)]
    path = set(tree.path(code)) if code else set()
    return Coherence(
        words=len(words(thought)),
        quotes=len(said),
        found=len(found),
        quoted=sum(len(words(quote)) for quote in found),
        codes=len(named),
        on_path=sum(one in path for one in named),
    )


def shares(completions: list[str], notes: Iterable[str], style: str, tree) -> dict:
    """Coherence of many completions; a share of nothing is left out.

    Returns
    -------
    dict of str to float
        quotes_found (of all quotes), quoted_words (of the words of the reasoning),
        codes_on_path (of the codes named).

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> said = '<think>"Chest pain": I21.</think><diagnosis>I21.9</diagnosis>'
    >>> shares([said], ["Crushing chest pain."], "reasoning", load_tree())
    {'quotes_found': 1.0, 'quoted_words': 0.666..., 'codes_on_path': 1.0}
    """
    read = []
    for text, note in zip(completions, notes, strict=True):
        parsed = parse_completion(text, style, tree.tag)
        code = read_code(parsed.answer, tree) if parsed.answer else None
        read.append(coherence(parsed.think or "", note, code, tree))
    total = Coherence(*map(sum, zip(*read, strict=True)))
    pairs = {
        "quotes_found": (total.found, total.quotes),
        "quoted_words": (total.quoted, total.words),
        "codes_on_path": (total.on_path, total.codes),
    }
    return {name: a / b for name, (a, b) in pairs.items() if b}
