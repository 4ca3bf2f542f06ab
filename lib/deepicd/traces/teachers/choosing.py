"""Teachers: who writes the reasoning that the student learns from."""

from deepicd.common.parameters import unknown
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.task import Task
from deepicd.traces.teachers.levels import LevelTeacher
from deepicd.traces.teachers.openai import OpenAITeacher
from deepicd.traces.teachers.prompt import oracle_messages, tabular_entry
from deepicd.traces.teachers.records import Answer, Request, Teacher
from deepicd.traces.teachers.replay import ReplayTeacher
from deepicd.traces.teachers.rule import RuleTeacher
from deepicd.traces.teachers.student import StudentTeacher
from deepicd.traces.teachers.vllm import VllmTeacher

TEACHERS = ("rule", "openai", "vllm", "student", "replay")


def open_teacher(
    name: str,
    tree,
    train=None,
    model: str = "",
    base_url: str = "",
    acknowledge_remote: bool = False,
    api_key_variable: str = "",
    mode: str = "oracle",
    length: str = "short",
    replay_from: str = "",
    instruction: str = "full",
    task: Task = PRINCIPAL_DIAGNOSIS,
) -> Teacher:
    """Make a teacher by its name, with what that teacher needs of the settings.

    Parameters
    ----------
    name : {"rule", "openai", "vllm", "student", "replay"}
    tree : deepicd.icd.IcdTree
    train : pandas.DataFrame
        Notes and codes that the rule teacher learns phrases from.
    model, base_url, acknowledge_remote, api_key_variable, mode
        Of the language-model teachers.
    length : {"short", "long"}
        Of the rule teacher's traces.
    replay_from : str
        File with stored answers.
    instruction : {"full", "brief"}
        Of the prompt of "student" and of mode "plain".
    task : Task
        What is asked; `tree` is its space.

    Raises
    ------
    UserError
        For an unknown name, or a setting that the teacher cannot use.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> open_teacher("openai", load_tree(), model="m",
    ...              base_url="http://127.0.0.1:8000/v1").name
    'openai'
    """
    if name == "rule":
        return rule_teacher(task)(tree, length=length).fit(train)
    if name == "openai":
        return OpenAITeacher(
            tree,
            model,
            base_url,
            acknowledge_remote,
            api_key_variable,
            mode,
            instruction,
            task=task,
        )
    if name == "vllm":
        return VllmTeacher(tree, model, mode, instruction, task=task)
    if name == "student":
        return StudentTeacher(tree, model, instruction, task=task)
    if name == "replay":
        return ReplayTeacher.from_file(replay_from)
    raise unknown("teacher", name, TEACHERS, "set teacher={}")


def rule_teacher(task: Task) -> type[RuleTeacher]:
    """The rule teacher whose words fit the labels of a task.

    Examples
    --------
    >>> from deepicd.tasks import get_task
    >>> rule_teacher(get_task("length_of_stay")).__name__
    'LevelTeacher'
    """
    return RuleTeacher if task.tabular else LevelTeacher


__all__ = [
    "TEACHERS",
    "Answer",
    "OpenAITeacher",
    "ReplayTeacher",
    "Request",
    "RuleTeacher",
    "StudentTeacher",
    "Teacher",
    "VllmTeacher",
    "open_teacher",
    "rule_teacher",
    "oracle_messages",
    "tabular_entry",
]
