"""What is asked of a note: a space of labels, where labels come from, the question."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd

from deepicd.icd.tree import IcdTree


class LabelSpace(Protocol):
    """Where the labels of a task hang; `deepicd.icd.tree.IcdTree` is one.

    What reads answers, pays or scores them is given the space and needs nothing else
    of the task. A space of its own inherits this class for what follows from paths.

    Attributes
    ----------
    tag : str
        Around an answer in a completion, such as ``diagnosis``.
    levels : tuple of str
        At which answers are judged, from coarse to fine.
    shown : tuple of str
        Those that tables and figures show.
    written : re.Pattern or None
        How a label looks among other words, in capitals; None: an answer is a label
        and nothing else.
    order : tuple of str
        All labels from least to most, where they have an order: how far an answer is
        off counts.
    aspects : tuple of str
        What of a label is judged beside its place in the tree, such as its severity;
        `at` gives it like a level.
    named : re.Pattern or None
        How a label looks inside reasoning; None: as `written`, in any case.
    labels : tuple of str
        All labels, where they are few enough to list; what is near another is then
        known from them.
    """

    tag: str
    levels: tuple[str, ...]
    shown: tuple[str, ...]
    written: re.Pattern | None = None
    order: tuple[str, ...] = ()
    aspects: tuple[str, ...] = ()
    named: re.Pattern | None = None
    labels: tuple[str, ...] = ()

    def normalise(self, text: str) -> str | None:
        """The label that a text names as the space writes it; None for none."""

    def path(self, label: str) -> tuple[str, ...]:
        """Nodes from the coarsest level to the label; () where it is none."""

    def at(self, label: str, level: str) -> str | None:
        """Node of a label at a level; None where it has none."""
        return dict(zip(self.levels, self.path(label), strict=False)).get(level)

    def title(self, node: str) -> str:
        """A node in words."""

    def is_billable(self, label: str) -> bool:
        """Whether a label may be an answer as it stands."""
        return self.normalise(label) is not None

    def leaves(self, node: str) -> list[str]:
        """Labels below a node; none where the labels are not listed."""
        return [label for label in self.labels if node in self.path(label)]

    def siblings(self, label: str) -> list[str]:
        """Other labels below the node above a label; none where they are not listed."""
        above = self.path(label)[:-1]
        near = self.leaves(above[-1]) if above else self.labels
        return [other for other in near if other != label]

    def lca_depth(self, a: str, b: str) -> int:
        """Number of nodes that the paths of two labels share from the coarsest."""
        shared = 0
        for left, right in zip(self.path(a), self.path(b), strict=False):
            if left != right:
                break
            shared += 1
        return shared


def outcome_words(
    asked: str, short: str, answer: str, tag: str
) -> Mapping[str, Mapping[str, str]]:
    """Words that ask for an outcome of the stay, by length and style.

    Parameters
    ----------
    asked : str
        What is to be done with the note, such as "predict the unit".
    short : str
        What is to be given, in three words.
    answer : str
        What an answer is.
    tag : str

    Examples
    --------
    >>> outcome_words("predict the unit", "the unit", "its name", "unit")["brief"]
    {'reasoning': 'Think, then give the unit.', 'code_only': 'Give the unit.', \
'answer_first': 'Give the unit, then explain.'}
    """
    lead = f"You are an experienced physician. Read the admission note and {asked}. "
    between = f"between <{tag}> and </{tag}>"
    full = {
        "reasoning": f"{lead}First reason step by step between <think> and </think>: "
        f"quote the findings that matter. Then give exactly {answer} {between}, and "
        "nothing after it.",
        "code_only": f"{lead}Give exactly {answer} {between}, and nothing else.",
        "answer_first": f"{lead}First give exactly {answer} {between}. Then justify it "
        "between <think> and </think>, quoting the findings that matter.",
    }
    brief = {
        "reasoning": f"Think, then give {short}.",
        "code_only": f"Give {short}.",
        "answer_first": f"Give {short}, then explain.",
    }
    return {"full": full, "brief": brief}


def above(space: LabelSpace) -> str:
    """The level that is shown above the labels; theirs where there is none.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> above(load_tree())
    'category'
    """
    return [level for level in space.levels if level in space.shown][-2:][0]


class Labels(NamedTuple):
    """Labels of admissions, and why some have none.

    Attributes
    ----------
    frame : DataFrame
        Columns hadm_id, label (None where there is none), missing (the step at which
        an admission without a label is left out, else empty) and doubts (flags about
        a label that is kept, parted by semicolons).
    steps : dict of str to str
        The steps in the order of the cohort's flow, each with its reason; admissions
        without a row in `frame` are left out at the first.
    about : dict of str to str
        What each flag in doubts means.
    """

    frame: pd.DataFrame
    steps: dict[str, str]
    about: dict[str, str]


def sort_out(
    hadm_ids: pd.Series,
    label,
    wrong: Mapping[str, pd.Series],
    steps: dict[str, str],
    doubts="",
    about: dict[str, str] | None = None,
) -> Labels:
    """Labels of what rows say; a row at which something is wrong gives none.

    Parameters
    ----------
    hadm_ids : Series
        Admission of each row; of several rows of one the first counts.
    label : sequence
        Label of each row; missing where it has none.
    wrong : mapping of str to Series of bool
        Rows that are left out at each step; the first that holds counts.
    steps, about
        Of `Labels`.
    doubts : sequence of str or str
        Flags of each row.

    Examples
    --------
    >>> ids, said = pd.Series(["1", "2", "2"]), pd.Series(["a", None, None])
    >>> found = sort_out(ids, said, {"nothing": said.isna()}, {"nothing": "no word"})
    >>> found.frame[["label", "missing"]].values.tolist()
    [['a', ''], [None, 'nothing']]
    """
    missing = np.select(list(wrong.values()), list(wrong), default="")
    label = pd.Series(label, hadm_ids.index, dtype=object).where(missing == "", None)
    frame = hadm_ids.to_frame("hadm_id").assign(
        label=label, missing=missing, doubts=doubts
    )
    return Labels(frame.drop_duplicates("hadm_id"), steps, about or {})


@dataclass(frozen=True)
class Task:
    """One question that a model answers from an admission note.

    Attributes
    ----------
    name : str
        As in ``./run_all.sh --task NAME``.
    about : str
        What the labels are, in words.
    kind : class
        The `LabelSpace`, which says its tag and levels before it is opened.
    labels : callable
        From the raw tables of a source and the space to `Labels`.
    instructions : mapping of str to mapping of str to str
        Words of the question by length ("full", "brief") and style of the answer.
    reward : str
        Named reward to learn with.
    opens : callable or None
        Opens the space; takes the labels that only the data know (label to title, or
        None). None: `kind` itself.
    own : callable
        From the raw tables to the labels that only these data know, label to title.
    tells : re.Pattern or None
        What a sentence says that tells the answer, such as "admitted to the ICU".
        Notes with one are flagged, and it is taken out where asked.
    hides : str
        Fact that notes leave out which a source writes from its tables: "unit".
    unfit : tuple of str
        Checks of traces that say nothing of these labels; left out.
    told_by : tuple of str
        What would tell the label if a note said it: the "diagnosis" at discharge, the
        official "title" of the label. Looked for in notes; see
        `deepicd.data.sections.last_look`.

    Examples
    --------
    >>> from deepicd.tasks import get_task
    >>> task = get_task("principal_diagnosis")
    >>> task.finest, task.coarse, task.shown
    ('full', 'category', ('chapter', 'category', 'full'))
    """

    name: str
    about: str
    kind: type[LabelSpace]
    labels: Callable[..., Labels]
    instructions: Mapping[str, Mapping[str, str]]
    reward: str = "tree"
    opens: Callable[[Mapping[str, str] | None], LabelSpace] | None = None
    own: Callable[[object], dict[str, str]] = lambda raw: {}
    tells: re.Pattern | None = None
    hides: str = ""
    unfit: tuple[str, ...] = ("sequencing", "conflicts")
    told_by: tuple[str, ...] = ()

    def space(self, own: Mapping[str, str] | None = None) -> LabelSpace:
        """Open the space, with the labels that only the data know."""
        return (self.opens or self.kind)(own)

    def open(self, raw) -> tuple[LabelSpace, dict[str, str]]:
        """The space for the data of a source, and the labels that only they know.

        Parameters
        ----------
        raw : deepicd.data.sources.RawTables
        """
        own = self.own(raw)
        return self.space(own or None), own

    @property
    def tag(self) -> str:
        """Around an answer."""
        return self.kind.tag

    @property
    def levels(self) -> tuple[str, ...]:
        """At which answers are judged, from coarse to fine."""
        return self.kind.levels

    @property
    def shown(self) -> tuple[str, ...]:
        """Those that tables and figures show."""
        return self.kind.shown

    @property
    def tabular(self) -> bool:
        """Whether labels are ICD-10-CM codes, with the entries of the official list.

        The entries are toured, go into prompts of teachers and are asked about, any
        code of the list may be an answer, and the kept reference is of such a task. Of
        other tasks a teacher is told the way to a label in words.
        """
        return self.kind is IcdTree

    @property
    def finest(self) -> str:
        """The level of the label itself."""
        return self.levels[-1]

    @property
    def coarse(self) -> str:
        """The level above it, by which splits are stratified and figures zoom out."""
        return self.levels[-2:][0]

    @property
    def above(self) -> str:
        """The level that is shown above the labels; see `above`."""
        return above(self)
