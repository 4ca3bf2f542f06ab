"""Replace groups that teach nothing by groups of other prompts.

A group of which every completion is right, or every one wrong, says nothing about
what to do better. It is judged by raw correctness, not by the shaped reward, whose
small differences within an all-wrong group would hide it (DAPO, Yu et al. 2025).
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from deepicd.tasks.correct import useless


@dataclass
class Batch:
    """Rows, completions and whether they are right, group after group.

    Attributes
    ----------
    rows : list of dict
        Dataset rows; a group repeats its row.
    drawn : list
        One entry a completion, as `draw` gave it.
    right : list of bool
    """

    rows: list[dict]
    drawn: list
    right: list[bool]


@dataclass
class Refilled(Batch):
    """A batch after resampling, with what it cost.

    Attributes
    ----------
    extra : int
        Completions drawn beyond those of the batch.
    useless_first : float
        Share of useless groups at the first draw.
    discarded : list of Batch
        Groups that were drawn and not kept.
    """

    extra: int = 0
    useless_first: float = 0.0
    discarded: list[Batch] = field(default_factory=list)


def refill(
    rows: list[dict],
    group_size: int,
    rounds: int,
    draw: Callable[[list[dict], int], tuple[list, list[bool]]],
    spare: Callable[[int, int, list[dict]], list[dict]],
) -> Refilled:
    """Draw completions and replace useless groups, up to `rounds` times.

    Parameters
    ----------
    rows : list of dict
        The batch: each row `group_size` times.
    draw : callable
        Rows and number of the draw → completions and whether they are right.
    spare : callable
        How many, number of the draw, rows in use → other rows.

    Returns
    -------
    Refilled

    Examples
    --------
    >>> def draw(rows, number):
    ...     return [r["x"] for r in rows], [i % 2 == 0 and r["x"] > 0
    ...                                     for i, r in enumerate(rows)]
    >>> found = refill([{"x": 0}] * 2, 2, 3, draw, lambda n, k, used: [{"x": k}] * n)
    >>> found.rows[0], found.extra, found.useless_first
    ({'x': 1}, 2, 1.0)
    """
    drawn, right = draw(rows, 0)
    flags = useless(right, group_size)
    batch = Refilled(list(rows), list(drawn), list(right))
    batch.useless_first = sum(flags) / len(flags)
    for number in range(1, rounds + 1):
        places = [i for i, flag in enumerate(flags) if flag]
        if not places:
            break
        fresh = spare(len(places), number, batch.rows)
        repeated = [row for row in fresh for _ in range(group_size)]
        drawn, right = draw(repeated, number)
        batch.extra += len(repeated)
        for place, start in zip(
            places, range(0, len(repeated), group_size), strict=True
        ):
            group = slice(start, start + group_size)
            old = Batch(repeated[group], drawn[group], right[group])
            if not useless(right[group], group_size)[0]:
                old = _swap(batch, place * group_size, old)
                flags[place] = False
            batch.discarded.append(old)
    return batch


def _swap(batch: Batch, start: int, new: Batch) -> Batch:
    """Put a group in place of another; give the other."""
    group = slice(start, start + len(new.rows))
    old = Batch(batch.rows[group], batch.drawn[group], batch.right[group])
    batch.rows[group], batch.drawn[group] = new.rows, new.drawn
    batch.right[group] = new.right
    return old
