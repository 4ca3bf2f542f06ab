"""From documents to token ids: what is learned of a text, and of a chat.

Of a chat the answers are learned, and the first turn: it holds the note, so that notes
are read as well as asked about.
"""

from deepicd.training.models.tokenizer import TURN_END, TURN_START


def encode(turns, tokenizer, limit: int):
    """Token ids and labels of one document.

    Parameters
    ----------
    turns : list of (str, str)
        Role and text; see `texts.documents`.
    tokenizer : PreTrainedTokenizerBase
        Of the family made here.
    limit : int
        Most tokens; a text is cut there, a chat ends before the turn that would
        cross it.

    Returns
    -------
    (list of int, list of int)
        Ids, and labels with -100 on what is not learned.
    """
    if turns[0][0] == "text":
        found = tokenizer(turns[0][1] + tokenizer.pad_token)["input_ids"][:limit]
        return found, list(found)
    pieces = [piece for turn in turns for piece in _pieces(*turn)]
    parts = iter(tokenizer(pieces)["input_ids"])  # one call is far cheaper than many
    ids: list[int] = []
    labels: list[int] = []
    for (role, _), before, said, after in zip(turns, parts, parts, parts, strict=True):
        if len(ids) + len(before) + len(said) + len(after) > limit:
            break
        learned = said if role == "assistant" or not ids else [-100] * len(said)
        ids += before + said + after
        labels += [-100] * len(before) + learned + [-100] * len(after)
    return ids, labels


def _pieces(role: str, text: str) -> tuple[str, str, str]:
    """What opens a turn, what is said, what closes it; an answer is opened before."""
    opened = "" if role == "assistant" else f"{TURN_START}{role}\n"
    closed = f"\n{TURN_START}assistant\n" if role == "user" else "\n"
    return opened, f"{text}{TURN_END}", closed


def opening(turns, tokenizer) -> list[int]:
    """Token ids of a chat up to where its last answer begins."""
    *before, _ = turns
    ids, _ = encode(before, tokenizer, 10**9)
    return ids
