"""Which of the possible headers are real, and what an ambiguous one stands for.

A summary has a usual order. A header counts where that order allows it, so that
pathology text (`___ DIAGNOSIS:`) opens no section, a second exam is the discharge's,
and `___ History:` after the past history is the social one.
"""

from deepicd.sections.judges import JUDGES
from deepicd.sections.lines import Candidate
from deepicd.sections.names import RANK
from deepicd.sections.reader import EXAM, RESULTS, Mark, Reader


def resolve(text: str, candidates: list[Candidate]) -> list[Mark]:
    """Walk through the candidates in order and keep the real headers.

    Parameters
    ----------
    text : str
        The summary.
    candidates : list of Candidate
        From `find_headers`.

    Returns
    -------
    list of Mark
        By position.
    """
    reader = Reader(text, *_ahead(candidates))
    body = 0
    for number, candidate in enumerate(candidates):
        if candidate.start < body:
            continue
        header = candidate.header
        if header.plain and (header.rank > EXAM or reader.reached < RESULTS):
            name = header.name
        else:
            reader.at = number
            name = JUDGES[header.kind](reader, candidate)
        if name:
            body = reader.accept(candidate, name)
    return reader.marks


def _ahead(candidates: list[Candidate]):
    """Look ahead once.

    Gives the sections that have a sure header, those that have one before the
    results, the rank of the next sure header after each candidate, and the last
    medication list.
    """
    full, early, ranks, rank, last = set(), set(), [], len(RANK), -1
    for number in range(len(candidates) - 1, -1, -1):
        header = candidates[number].header
        ranks.append(rank)
        if header.late:
            early.clear()
        if header.sure:
            rank = header.rank
            full.add(header.name)
            if not header.late:
                early.add(header.name)
        if last < 0 and header.list and candidates[number].line_start:
            last = number
    ranks.reverse()
    return full, early, ranks, last
