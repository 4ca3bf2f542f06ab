"""Which of the possible headers are real, and what an ambiguous one stands for.

A summary has a usual order. A header counts where that order allows it, so that
pathology text (`___ DIAGNOSIS:`) opens no section, a second exam is the discharge's,
and `___ History:` after the past history is the social one.
"""

from deepicd.sections.judges import JUDGES
from deepicd.sections.lines import Candidate
from deepicd.sections.names import RANK
from deepicd.sections.reader import EXAM, RESULTS, Mark, Reader


def resolve(text: str, candidates: list[tuple]) -> list[Mark]:
    """Walk through the candidates in order and keep the real headers.

    Parameters
    ----------
    text : str
        The summary.
    candidates : list of tuple
        The fields of `Candidate`, from `find_all`.

    Returns
    -------
    list of Mark
        By position.
    """
    reader = Reader(text, *_ahead(candidates))
    body = 0
    for number, candidate in enumerate(candidates):
        start, after, header, _, first = candidate
        if start < body:
            continue
        _, kind, _, name, rank, _, _, _, plain = header
        if not plain or rank <= EXAM and reader.reached >= RESULTS:
            reader.at = number
            judged = JUDGES[kind](reader, Candidate(*candidate))
            if judged is None:
                continue
            if judged != name:
                name, rank = judged, RANK[judged]
        reader.accept(start, after, header, first, name, rank)
        body = after
    return reader.marks


def _ahead(candidates: list[tuple]):
    """Look ahead once.

    Gives the sections that have a sure header, those that have one before the
    results, the rank of the next sure header after each candidate, and the last
    medication list.
    """
    full, early, ranks, following, last = set(), set(), [], len(RANK), -1
    number = len(candidates)
    for _, _, header, _, first in reversed(candidates):
        number -= 1
        _, _, _, name, rank, sure, late, medications, _ = header
        ranks.append(following)
        if late:
            early.clear()
        if sure:
            following = rank
            full.add(name)
            if not late:
                early.add(name)
        if last < 0 and medications and first:
            last = number
    ranks.reverse()
    return full, early, ranks, last
