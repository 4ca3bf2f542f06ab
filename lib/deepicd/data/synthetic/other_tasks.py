"""The other tasks put to the notes, and the best possible answer to each.

Hidden behind a note are whether its stay was coded in ICD-9, the code, the age band
and the grade of the comorbidities. The note gives their exact probability; every task
has a probability of its labels given them; the answer follows by summing over them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

import numpy as np
import pyarrow as pa

from deepicd.data.synthetic.groups import GRADES, grades_of, members, titles_of
from deepicd.data.synthetic.knowledge import BANDS, Entry
from deepicd.data.synthetic.model import Model, log_prior, older_prior
from deepicd.data.synthetic.outcomes import (
    came_urgently,
    death_share,
    length_shares,
    unit_shares,
)
from deepicd.data.synthetic.tables import Admission
from deepicd.data.synthetic.trajectory import READMITTED
from deepicd.tasks.drg import DRG, Drgs
from deepicd.tasks.known import TASKS, get_task
from deepicd.tasks.length_of_stay import LENGTH_OF_STAY, bin_of, bins_of
from deepicd.tasks.mortality import DIES, MORTALITY, SURVIVES, Survival
from deepicd.tasks.principal_diagnosis import PRINCIPAL_DIAGNOSIS
from deepicd.tasks.procedure import PROCEDURE, Procedures
from deepicd.tasks.routing import ROUTING, SERVICE, Services, Units
from deepicd.tasks.task import LabelSpace

ASKED = (*(name for name in TASKS if name != PRINCIPAL_DIAGNOSIS.name), SERVICE.name)
LAST = 1 - READMITTED  # share of usable stays that no later one of the patient follows
_KINDS = (False, True)  # coded in ICD-9


def state_shares(model: Model, sex, hits, seen, older, prior=None) -> np.ndarray:
    """Exact probability of what is hidden behind each note.

    Parameters
    ----------
    model : Model
    sex : array of int, shape (n,)
    hits : array of bool, shape (n, columns)
    seen : array, shape (n, codes x bands)
        From `model.log_likelihood`.
    older : float or array, shape (n,)
        Stays coded in ICD-9, per other one.
    prior : array, shape (n, codes x bands), optional
        Log-probability of code and age band where a stay is not coded in ICD-9.
        Default: `model.log_prior`.

    Returns
    -------
    array, shape (n, 2 x codes x bands x grades)
        Rows sum to one; kinds of coding first.
    """
    prior = log_prior(model)[sex] if prior is None else prior
    both = np.stack([seen + prior, seen + older_prior(model)[sex]], 1)
    weight = np.exp(both - both.max(axis=(1, 2), keepdims=True))
    weight[:, 1] *= np.reshape(older, (-1, 1))
    weight /= weight.sum(axis=(1, 2), keepdims=True)
    graded = grades_of(model).shares(hits)
    weight = weight.reshape(len(sex), len(_KINDS), -1, len(BANDS), 1)
    return (weight * graded[:, None, :, None, :]).reshape(len(sex), -1)


@dataclass(frozen=True)
class Question:
    """A task put to the notes of the corpus.

    Attributes
    ----------
    space : LabelSpace
    labels : tuple of str
    shares : array, shape (2 x codes x bands x grades, labels)
        Probability of each label given what is hidden; rows below one: the stay may
        have no label and be out of the cohort.
    gold : callable
        From a stay to its label; None where it is out of the cohort.
    """

    space: LabelSpace
    labels: tuple[str, ...]
    shares: np.ndarray
    gold: Callable[[Admission], str | None]

    @cached_property
    def levels(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Nodes of each level and aspect, and which labels lie below each."""
        found = {}
        for level in (*self.space.levels, *self.space.aspects):
            of = np.array([self.space.at(one, level) for one in self.labels], object)
            nodes = np.array(sorted(set(of)), dtype=object)
            found[level] = nodes, (of[:, None] == nodes).astype(float)
        return found

    def answers(self, ids: list[str], stays: list[Admission], state) -> pa.Table:
        """The best answer to each note that has a label, at each level.

        Parameters
        ----------
        ids : list of str, length n
            Names of the notes.
        stays : list of Admission, length n
        state : array, shape (n, hidden)
            From `state_shares`.

        Returns
        -------
        pyarrow.Table
            note_id, label (the true one), p_gold; for each level its most probable
            node and the probability. Where labels have an order also `middle`, the
            answer that is fewest steps off, and `shares`, the probability of each
            label.
        """
        gold = [self.gold(stay) for stay in stays]
        keep = [i for i, label in enumerate(gold) if label is not None]
        share = state[keep] @ self.shares
        share /= share.sum(axis=1, keepdims=True)
        true = [self.labels.index(gold[i]) for i in keep]
        columns = {
            "note_id": [ids[i] for i in keep],
            "label": [gold[i] for i in keep],
            "p_gold": share[np.arange(len(keep)), true].round(6),
        }
        for level, (nodes, below) in self.levels.items():
            sums = share @ below
            columns[level] = nodes[sums.argmax(axis=1)]
            columns[f"p_{level}"] = sums.max(axis=1).round(6)
        if self.space.order:
            middle = (np.cumsum(share, axis=1)[:, :-1] < 0.5).sum(axis=1)
            columns["middle"] = np.array(self.labels, dtype=object)[middle]
            columns["shares"] = list(share.round(6))
        return pa.table(columns)


@lru_cache(maxsize=8)
def questions(
    model: Model, names: tuple[str, ...] = ASKED, last: float = LAST
) -> dict[str, Question]:
    """Tasks but the diagnosis, by name, with the probability of their answers.

    Tasks that the corpus has no labels for are left out. `last`: see `LAST`.
    """
    made = {
        DRG.name: _drg,
        PROCEDURE.name: _procedure,
        ROUTING.name: _routing,
        SERVICE.name: _service,
        MORTALITY.name: partial(_mortality, last=last),
    }
    found = {}
    for name in names:
        if name in made:
            found[name] = made[name](model)
        elif name.partition("-")[0] == LENGTH_OF_STAY.name:
            found[name] = _length(model, get_task(name).space(None))
    return {name: one for name, one in found.items() if len(one.labels)}


def _asked(model: Model, space, labels, law: Callable, gold) -> Question:
    """Fill the table of probabilities from a law.

    The law gives label to probability for a code, whether the stay is coded in ICD-9,
    the number of the age band and the grade.
    """
    entries, place = model.knowledge.entries, {one: i for i, one in enumerate(labels)}
    shape = (len(_KINDS), len(entries), len(BANDS), len(GRADES), len(place))
    shares = np.zeros(shape)
    for kind, code, band, grade in np.ndindex(shape[:-1]):
        for label, share in law(entries[code], _KINDS[kind], band, grade).items():
            shares[kind, code, band, grade, place[label]] = share
    return Question(space, tuple(labels), shares.reshape(-1, len(place)), gold)


def _drg(model: Model) -> Question:
    titles = titles_of(model.knowledge)

    def law(entry: Entry, older: bool, band: int, grade: int) -> dict:
        return {members(entry)[grade][0]: 1.0}

    return _asked(model, Drgs(titles), titles, law, lambda stay: stay.drg[0])


def _procedure(model: Model) -> Question:
    """Stays coded in ICD-9 have no procedure in ICD-10-PCS."""
    done = [e.procedure for e in model.knowledge.entries if e.procedure]
    titles = dict(sorted(done))

    def law(entry: Entry, older: bool, band: int, grade: int) -> dict:
        return {entry.procedure[0]: 1.0} if entry.procedure and not older else {}

    def gold(stay: Admission) -> str | None:
        return stay.entry.procedure[0] if law(stay.entry, stay.icd9, 0, 0) else None

    return _asked(model, Procedures(titles), titles, law, gold)


def _length(model: Model, space) -> Question:
    bins = bins_of(space.bounds)

    def law(entry: Entry, older: bool, band: int, grade: int) -> dict:
        return dict(zip(bins, length_shares(entry, grade, space.bounds), strict=True))

    def gold(stay: Admission) -> str:
        return bin_of(stay.minutes / 1440, space.bounds)

    return _asked(model, space, bins, law, gold)


def _routing(model: Model) -> Question:
    """Only who came through the emergency department is in the cohort."""
    entries = [e for e in model.knowledge.entries if came_urgently(e)]
    space = Units({unit for e in entries for unit in unit_shares(e, 0)})

    def law(entry: Entry, older: bool, band: int, grade: int) -> dict:
        return unit_shares(entry, grade) if came_urgently(entry) else {}

    def gold(stay: Admission) -> str | None:
        return stay.unit if came_urgently(stay.entry) else None

    return _asked(model, space, space.labels, law, gold)


def _service(model: Model) -> Question:
    space = Services(e.service for e in model.knowledge.entries)

    def law(entry: Entry, older: bool, band: int, grade: int) -> dict:
        return {entry.service: 1.0}

    return _asked(model, space, space.labels, law, lambda stay: stay.entry.service)


def _mortality(model: Model, last: float) -> Question:
    """Who dies is not admitted again; stays coded in ICD-9 are all the last ones."""

    def law(entry: Entry, older: bool, band: int, grade: int) -> dict:
        dies = death_share(entry, band == len(BANDS) - 1) * (1.0 if older else last)
        return {SURVIVES: 1 - dies, DIES: dies}

    def gold(stay: Admission) -> str:
        return DIES if stay.died else SURVIVES

    return _asked(model, Survival(), (SURVIVES, DIES), law, gold)
