"""The tasks that have a name. Another one: add it here."""

from collections.abc import Iterable

from deepicd.common.parameters import unknown
from deepicd.tasks.length_of_stay import LENGTH_OF_STAY
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task

TASKS: dict[str, Task] = {
    task.name: task for task in (PRINCIPAL_DIAGNOSIS, LENGTH_OF_STAY)
}


def get_task(name: str) -> Task:
    """Give a task by its name.

    Raises
    ------
    UserError
        For a name that nobody knows; tells the nearest.

    Examples
    --------
    >>> get_task("principal_diagnosis").tag
    'diagnosis'
    """
    if name not in TASKS:
        raise unknown("task", name, TASKS, "--task {}")
    return TASKS[name]


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
    return tuple(dict.fromkeys(task.levels[0] for task in TASKS.values()))


def shown_levels(present: Iterable[str]) -> tuple[str, ...]:
    """Of the levels in a table those that its task shows, from coarse to fine.

    Levels of no known task are all shown, in their order; "all" is no level.

    Examples
    --------
    >>> shown_levels(["full", "chapter", "block", "all"]), shown_levels(["unit", "all"])
    (('chapter', 'full'), ('unit',))
    """
    present = tuple(level for level in dict.fromkeys(present) if level != "all")
    for task in TASKS.values():
        if set(present) <= set(task.levels):
            return tuple(level for level in task.shown if level in present)
    return present
