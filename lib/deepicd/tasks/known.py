"""The tasks that have a name. Another one: add it here."""

import copyreg
from collections.abc import Callable, Iterable
from functools import cache

from deepicd.common.parameters import unknown
from deepicd.tasks.drg import DRG, DRG_APR
from deepicd.tasks.length_of_stay import LENGTH_OF_STAY, of_bounds
from deepicd.tasks.mortality import MORTALITY
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.procedure import PROCEDURE
from deepicd.tasks.routing import ROUTING, SERVICE
from deepicd.tasks.task import Task

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        PRINCIPAL_DIAGNOSIS,
        DRG,
        PROCEDURE,
        LENGTH_OF_STAY,
        ROUTING,
        MORTALITY,
    )
}
#: Other readings of the same tables.
FURTHER: tuple[Task, ...] = (DRG_APR, SERVICE)
_ALL = (*TASKS.values(), *FURTHER)
#: What may stand behind the name of a task and a hyphen, and makes another of it.
VARIANTS: dict[str, Callable[[str], Task]] = {LENGTH_OF_STAY.name: of_bounds}

#: Asked where nothing else is said; folders of its runs do not name it.
DEFAULT = PRINCIPAL_DIAGNOSIS


@cache
def get_task(name: str) -> Task:
    """Give a task by its name; behind a hyphen may stand what makes it another.

    Raises
    ------
    UserError
        For a name that nobody knows; tells the nearest.

    Examples
    --------
    >>> get_task("principal_diagnosis").tag
    'diagnosis'
    >>> get_task("length_of_stay-1-2").space(None).order
    ('up to 1 days', 'up to 2 days', 'over 2 days')
    """
    known = {task.name: task for task in _ALL}
    first, hyphen, rest = name.partition("-")
    if hyphen and first in VARIANTS:
        return VARIANTS[first](rest)
    if name not in known:
        raise unknown("task", name, known, "--task {}")
    return known[name]


# Another process is handed the name: the functions of a task cannot be.
copyreg.pickle(Task, lambda task: (get_task, (task.name,)))


def coarse_and_finest(present: Iterable[str]) -> tuple[str, str]:
    """Of the levels in a table the one that figures zoom out to, and the finest.

    Examples
    --------
    >>> coarse_and_finest(["chapter", "full", "category"]), coarse_and_finest(["unit"])
    (('category', 'full'), ('unit', 'unit'))
    """
    levels = shown_levels(present)
    return levels[-2:][0], levels[-1]


def node_name(table) -> str:
    """What the nodes of a table are called: its level, or "node" where it tells none.

    Examples
    --------
    >>> import pandas as pd
    >>> node_name(pd.DataFrame({"level": ["chapter"]})), node_name(pd.DataFrame())
    ('chapter', 'node')
    """
    told = "level" in table and len(table)
    return str(table["level"].iloc[0]) if told else "node"


def top_levels() -> tuple[str, ...]:
    """Coarsest level of each task: nodes there are strata, named "chapter: 9".

    Examples
    --------
    >>> "chapter" in top_levels()
    True
    """
    return tuple(dict.fromkeys(task.levels[0] for task in _ALL))


def shown_levels(present: Iterable[str]) -> tuple[str, ...]:
    """Of the levels in a table those that its task shows, from coarse to fine.

    Levels of no known task are all shown, in their order; "all" is no level.

    Examples
    --------
    >>> shown_levels(["full", "chapter", "block", "all"]), shown_levels(["unit", "all"])
    (('chapter', 'full'), ('unit',))
    """
    present = tuple(level for level in dict.fromkeys(present) if level != "all")
    for task in _ALL:
        if set(present) <= {*task.levels, *task.shown}:
            return tuple(level for level in task.shown if level in present)
    return present
