"""From the raw text of an answer to a code of the catalogue, or to None."""

import re

# A code-like word: a letter, two places with a digit among them, an extension.
# "~" stands for any character outside ASCII: a look-alike or invisible letter
# next to a code makes it another word.
_CODE = re.compile(
    r"(?<![0-9A-Z.~])(?=[A-Z]{1,2}[0-9])"
    r"[A-Z][0-9A-Z]{2}(?:\.[0-9A-Z]{1,4}|[0-9A-Z]{1,4})?"
    r"(?![0-9A-Z~?]|\.[0-9A-Z])"
)
_WORD = re.compile(r"[A-Z]{3}")
_PLAIN = {ord(c): "-" for c in "\u2010\u2011\u2012\u2013\u2014"} | {0xA0: " "}
#: Longer answers are not read: a code and its title need far less.
LONGEST_ANSWER = 400


def read_code(answer: str | None, tree) -> str | None:
    """Read the one code that an answer names.

    Generous about case, dots, white space, a leading "ICD-10:" and a title after
    the code. Strict about meaning: two different codes, a code that does not
    exist, look-alike letters or invisible characters give None.

    Parameters
    ----------
    answer : str or None
        Raw answer, as in `Parsed.answer`.
    tree : deepicd.icd.IcdTree

    Returns
    -------
    str or None
        The code as the catalogue writes it.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> tree = load_tree()
    >>> read_code("I21.11 - STEMI of right coronary artery", tree)
    'I21.11'
    >>> read_code("i 2111", tree), read_code("I21.11, I21.19", tree)
    ('I21.11', None)
    """
    if not isinstance(answer, str) or len(answer) > LONGEST_ANSWER:
        return None
    code = tree.normalise(answer)
    return code if code is not None else _read_words(answer, tree)


def _read_words(answer: str, tree) -> str | None:
    text = answer.translate(_PLAIN).encode("ascii", "replace").decode()
    text = _mark(answer.translate(_PLAIN), text).upper()
    words = list(_CODE.finditer(text))
    if not words:
        return None
    code = tree.normalise(words[0][0])
    if code is None:
        return None
    before, after = text[: words[0].start()], text[words[0].end() :]
    if _titled(code, after, tree):
        return None if _WORD.search(before.replace("ICD", "")) else code
    if any(_other(word[0], code, tree) for word in words[1:]):
        return None
    rest = before + after
    return code if _WORD.search(rest) or not re.search(r"[0-9A-Z~]", rest) else None


def _mark(original: str, ascii_text: str) -> str:
    """Write "~" where a character outside ASCII was replaced."""
    if original.isascii():
        return ascii_text
    return "".join(c if c.isascii() else "~" for c in original)


def _titled(code: str, after: str, tree) -> bool:
    """Whether the rest is the code's own title, which may hold code-like words."""
    return after.strip(" \t\n-:,;.()").casefold() == tree.title(code).casefold()


def _other(word: str, code: str, tree) -> bool:
    """Whether a word names another code, or a dotted one that does not exist."""
    found = tree.normalise(word)
    return found != code if found else "." in word
