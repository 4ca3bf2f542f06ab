"""From the knowledge base to the probability of everything a note can say."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from deepicd.data.synthetic.knowledge import Entry, Knowledge, Variable, spread

IMPOSSIBLE = -1000.0


@dataclass(frozen=True)
class Style:
    """How talkative notes are. `said`: share of the present findings that the
    note mentions; `pertinent`: share of the absent findings listed for the
    category that it denies; `routine`: factor on the denial rates of `common`."""

    said: float
    pertinent: float
    routine: float


STYLES = {"brief": Style(0.90, 0.16, 2.0), "full": Style(0.97, 0.60, 6.0)}


def columns_of(variables: tuple[Variable, ...]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [
        (v, option)
        for v, variable in enumerate(variables)
        for option in (*range(len(variable.options)), *((-1,) if variable.no else ()))
    ]
    table = np.array(pairs)
    return table[:, 0], table[:, 1]


def _shares(variable: Variable, value) -> np.ndarray:
    """Probability of each option in each band, shape (options, 3)."""
    if variable.names == ("said",):
        return np.broadcast_to(np.asarray(value, dtype=float), (1, 3))
    shares = spread(value, variable.names, variable.rest)
    return np.array([[shares.get(name, 0.0)] * 3 for name in variable.names])


def _said(variable: Variable, shares: np.ndarray, said: float, deny: float):
    """Probability of each column: options said, then the denial; (columns, 3)."""
    if variable.always:
        return shares / shares.sum(axis=0)
    spoken = shares * said
    if not variable.no:
        return spoken
    return np.vstack([spoken, (1.0 - shares.sum(axis=0)) * deny])


def _silent_for(variable: Variable, sex: str) -> bool:
    return bool(variable.sex) and variable.sex != sex


def _row(variables, entry: Entry | None, sex: str, style: Style, difficulty: float):
    """Column probabilities of one code (None: a code that lists nothing)."""
    listed, telling, scope = (
        (entry.listed, entry.telling, entry.scope)
        if entry
        else ({}, frozenset(), frozenset())
    )
    parts = []
    for variable in variables:
        value = listed.get(variable.key)
        shares = (
            np.array(variable.background) if value is None else _shares(variable, value)
        )
        if _silent_for(variable, sex):
            parts.append(np.zeros((len(variable.options) + bool(variable.no), 3)))
            continue
        said = 1.0 - difficulty if variable.key in telling else style.said
        deny = min(0.9, variable.deny * style.routine)
        if variable.key in scope:
            deny = max(deny, style.pertinent)
        parts.append(_said(variable, shares, said, deny))
    return parts


def probabilities_of(knowledge: Knowledge, sex: str, style: Style, difficulty: float):
    """Column probabilities, shape (codes, 3 bands, columns)."""
    variables = knowledge.variables
    silent = [v for v in variables if not v.always]
    common = dict(
        zip(
            (v.key for v in silent),
            _row(silent, None, sex, style, difficulty),
            strict=True,
        )
    )
    rows = []
    for entry in knowledge.entries:
        own = [
            v
            for v in variables
            if v.always or v.key in entry.listed or v.key in entry.scope
        ]
        mine = dict(
            zip(
                (v.key for v in own),
                _row(own, entry, sex, style, difficulty),
                strict=True,
            )
        )
        parts = [mine.get(v.key, common.get(v.key)) for v in variables]
        rows.append(np.vstack(parts).T)
    return np.stack(rows)


def logs_of(probability, variable_of, always):
    """Split into the log-probability of silence and what each column adds."""
    starts = np.flatnonzero(np.diff(variable_of, prepend=-1))
    silence = 1.0 - np.add.reduceat(probability, starts, axis=-1)
    silence = np.where(always, 1.0, np.clip(silence, 1e-12, 1.0))
    with np.errstate(divide="ignore"):
        spoken = np.log(probability)
    added = np.maximum(spoken, IMPOSSIBLE) - np.log(silence)[..., variable_of]
    quantum = 2.0**20
    quiet = np.round(np.log(silence) * quantum) / quantum
    return quiet.sum(axis=-1), np.round(added * quantum) / quantum, quiet


def hushes_of(variables, of, option) -> tuple[np.ndarray, np.ndarray]:
    where = {variable.key: v for v, variable in enumerate(variables)}
    table = np.zeros((len(of), len(variables)))
    for column, (v, o) in enumerate(zip(of, option, strict=True)):
        if o >= 0 and variables[v].hush:
            for key in variables[v].hush[o]:
                if key in where:
                    table[column, where[key]] = 1.0
    hushing = np.flatnonzero(table.any(axis=1))
    return hushing, sparse.csr_array(table[hushing].astype(np.int8))


@dataclass(frozen=True)
class Possible:
    """The columns with a probability above zero, per sex and state, padded.

    `place` says which of the `variables` uniform numbers of a note decides about
    a column: it is said when the number lies in [`low`, `high`).
    """

    column: np.ndarray
    place: np.ndarray
    low: np.ndarray
    high: np.ndarray
    variables: int


def possible(probability: np.ndarray, of: np.ndarray) -> Possible:
    """Pack the table: most codes say nothing about most variables."""
    above = probability > 0
    width = int(above.sum(axis=-1).max())
    shape = (*probability.shape[:2], width)
    column, place = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    low, high = np.full(shape, 2.0), np.full(shape, 2.0)
    for at in np.ndindex(shape[:2]):
        own = np.flatnonzero(above[at])
        new = np.diff(of[own], prepend=-1) != 0
        top = np.cumsum(probability[at][own])
        bottom = top - probability[at][own]
        start = bottom[new][np.cumsum(new) - 1]
        column[at][: len(own)], place[at][: len(own)] = own, np.cumsum(new) - 1
        low[at][: len(own)], high[at][: len(own)] = bottom - start, top - start
    return Possible(column, place, low, high, int(place.max()) + 1)
