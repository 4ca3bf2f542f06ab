"""From the raw text of an answer to a label of the space, or to None."""

import re
import unicodedata
from functools import lru_cache

_WORD = re.compile(r"[A-Z]{3}")
_SIGN = re.compile(r"[0-9A-Z~]")
# Mark or number of a list item.
_ITEM = re.compile(r"[\s*-]*[(#]?(?:[0-9]{1,2}\s?[-:]|(?:[0-9]{1,2}|[A-E])[.)]{1,2})")
# How an answer turns the code down ("§"): wherever the words stand, right before the
# code, or as the last word.
_DENIED = re.compile(
    r"\b(?:NOT|NOR|NEITHER|NEVER|CANNOT|UNLIKELY|IMPROBABLE|IMPOSSIBLE|INCORRECT"
    r"|WRONG|FALSE|RUL(?:E[SD]?|ING)[ -]OUT|R/O|EXCLUD(?:E[SD]?|ING)"
    r"|REJECT(?:S|ED|ING)?|REFUTE[SD]?|DEN(?:Y|IES|IED)|INSTEAD OF|RATHER THAN"
    r"|OTHER THAN|ANYTHING BUT|NEGATIVE FOR|LESS LIKELY|(?:IS|WAS|DOES|DID)NT"
    r"|NO (?:EVIDENCE|SIGNS?|INDICATION|LONGER))\b|N'T\b|\?|<(?:S|DEL|STRIKE)>"
    r"|^\W*NO\b|\b(?:NO|NON|WITHOUT|EXCEPT|UNLESS|AGAINST)\b[^\w§]*"
    r"(?:(?:AN?|THE|CODE|ICD\S*)[^\w§]+)*§|(?:!|!= ?|<> ?)§"
    r"|\b(?:NO|ABSENT|NEGATIVE|OUT)[^\w§]*$"
)
_NEXT_WORD = re.compile(r"\W+\w+")
_UNSPECIFIED = re.compile(r"\bNOT (?:ELSEWHERE|OTHERWISE)\b")
_DENYING_SIGN = re.compile(r"\b(?:NOT|NO|CROSS MARK|BALLOT X|MULTIPLICATION X)\b")
_DOUBTING_SIGN = re.compile(r"QUESTION|INTERROBANG")
_WRITTEN = dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")
_WRITTEN |= {"\u2212": "-", "\ufffd": "~"}
_BRACKETS = ("Ps", "Pe", "Pi", "Pf")
#: Longer answers are not read: a code and its title need far less.
LONGEST_ANSWER = 400


def read_code(answer: str | None, tree) -> str | None:
    """Read the one code that an answer names.

    Generous about case, dots, white space, a leading "ICD-10:" or list number, a
    title before or after the code, and marks around it, full-width and typographic
    ones too. Strict about meaning: two different codes, a code that does not exist or
    is turned down ("not I10", "I10 is ruled out", "I10?"), look-alike letters or
    invisible characters give None.

    Parameters
    ----------
    answer : str or None
        Raw answer, as in `Parsed.answer`.
    tree : LabelSpace
        Such as `deepicd.icd.IcdTree`. Words around a label are read where the space
        says how a label is `written`; else an answer is a label alone.

    Returns
    -------
    str or None
        The code as the catalogue writes it.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> tree = load_tree()
    >>> read_code("1. \u201cI21.11\u201d - STEMI of right coronary artery", tree)
    'I21.11'
    >>> read_code("i 2111", tree), read_code("I21.11, I21.19", tree)
    ('I21.11', None)
    >>> read_code("I21.11 is ruled out", tree) is None
    True
    """
    if not isinstance(answer, str) or len(answer) > LONGEST_ANSWER:
        return None
    code = tree.normalise(answer)
    if code is not None or tree.written is None:
        return code
    return _read_words(answer, tree)


def _read_words(answer: str, tree) -> str | None:
    text = _plain(answer).upper()
    item = _ITEM.match(text)
    text = text[item.end() :] if item else text
    words = list(tree.written.finditer(text))
    known = [word for word in words if tree.normalise(word[0])]
    if not known:
        return None
    code = tree.normalise(known[0][0])
    before, after = text[: known[0].start()], text[known[0].end() :]
    title = _plain(tree.title(code)).upper()
    if _bare(after) == _bare(title):  # it may hold words that look like codes
        words, after = [w for w in words if w.end() <= known[0].start()], ""
    if any(_other(word[0], code, tree) for word in words):
        return None
    if _denied(f"{before}§{after}", title):
        return None
    rest = before + after
    return code if _WORD.search(rest) or not _SIGN.search(rest) else None


def _bare(text: str) -> str:
    return text.strip(" \t\n-:,;.()[]\"'")


def _other(word: str, code: str, tree) -> bool:
    """Whether a word names another code, or a dotted one that does not exist."""
    found = tree.normalise(word)
    return found != code if found else "." in word


def _denied(text: str, title: str) -> bool:
    """Whether words turn the code down that are not of its own title."""
    text = _UNSPECIFIED.sub(" ", text.replace(title, " "))
    for found in _DENIED.finditer(text):
        follows = _NEXT_WORD.match(text, found.end())
        if not follows or found[0] + follows[0] not in title:
            return True
    return False


def _plain(text: str) -> str:
    """Text with marks in ASCII, and "~" for every other sign outside it."""
    if text.isascii() and text.isprintable():
        return text
    out = []
    for i, sign in enumerate(text):
        # Between a sign and a digit a mark is part of a word, such as another dot.
        inside = text[i - 1 : i].isalnum() and text[i + 1 : i + 2].isdigit()
        out.append(_in_ascii(sign, inside))
    return "".join(out)


@lru_cache(maxsize=4096)
def _in_ascii(sign: str, inside: bool) -> str:
    if sign.isascii():
        return sign if sign.isprintable() or sign.isspace() else "~"
    kind, name = unicodedata.category(sign), unicodedata.name(sign, "")
    if kind[0] not in "PSZ" or (inside and kind not in _BRACKETS):
        return "~"
    if sign in _WRITTEN or kind == "Pd":
        return _WRITTEN.get(sign, "-")
    if _DENYING_SIGN.search(name):
        return " NOT "
    if _DOUBTING_SIGN.search(name):
        return "?"
    same = unicodedata.normalize("NFKC", sign)
    if len(same) > 1 or not same.isascii():
        return " "
    return "~" if same.isalnum() else same
