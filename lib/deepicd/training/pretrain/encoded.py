"""From documents to token ids: texts are learned whole, of chats the answers."""

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
    ids: list[int] = []
    labels: list[int] = []
    for role, text in turns:
        if role == "text":
            found = tokenizer(text + tokenizer.pad_token)["input_ids"][:limit]
            return found, list(found)
        opened = "" if role == "assistant" else f"{TURN_START}{role}\n"
        closed = f"\n{TURN_START}assistant\n" if role == "user" else "\n"
        said = tokenizer(f"{text}{TURN_END}")["input_ids"]
        before = tokenizer(opened)["input_ids"] if opened else []
        after = tokenizer(closed)["input_ids"]
        if len(ids) + len(before) + len(said) + len(after) > limit:
            break
        ids += before + said + after
        learned = said if role == "assistant" else [-100] * len(said)
        labels += [-100] * len(before) + learned + [-100] * len(after)
    return ids, labels


def opening(turns, tokenizer) -> list[int]:
    """Token ids of a chat up to where its last answer begins."""
    *before, _ = turns
    ids, _ = encode(before, tokenizer, 10**9)
    return ids
