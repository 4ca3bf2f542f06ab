"""Which of the possible headers are real, and what an ambiguous one stands for.

A summary has a usual order. A header counts where that order allows it, so that
pathology text (`___ DIAGNOSIS:`) opens no section, a second exam is the discharge's,
and `___ History:` after the past history is the social one.
"""

from deepicd.data.sections.judges import JUDGES
from deepicd.data.sections.lines import Candidate
from deepicd.data.sections.names import RANK
from deepicd.data.sections.reader import EXAM, RESULTS, Mark, Reader

_new = tuple.__new__  # half the time of a call of the class


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
    reader = Reader(text, candidates)
    end = 0
    for number, candidate in enumerate(candidates):
        start, body, header, _, _ = candidate
        if start < end:
            continue
        name, rank = header.name, header.rank
        reader.at = number
        if not header.plain or rank <= EXAM and reader.reached >= RESULTS:
            name = JUDGES[header.kind](reader, _new(Candidate, candidate))
            if name is None:
                continue
            rank = RANK[name]
        reader.accept(candidate, name, rank)
        end = body
    return reader.marks
