"""How the code of a readmission hangs on the stay before it, and who can use that.

With probability `bearing` the code of a later stay is the one of the stay before, a
code of its category, or one of its line of illness (`related` in `common.yaml`); else
it is drawn given sex and age alone. Within a category or a line codes keep the
proportions that they have given sex and age, so a note without its past has the same
distribution as before, and the same best answer.
"""

from functools import lru_cache

import numpy as np

from deepicd.data.synthetic.knowledge import BANDS
from deepicd.data.synthetic.model import (
    AGES,
    IMPOSSIBLE,
    Model,
    band_of,
    log_prior,
    pick_by,
)

READMITTED = 0.14  # share of usable stays that follow another one of the patient
MOST = 0.4  # a patient's stays have to fit into a year
SAME, SIBLING = 0.5, 0.25  # of what bears; the rest stays within the line
_TINY = 1e-300


def next_shares(model: Model, bearing: float, code, sex, age) -> np.ndarray:
    """Probability of the next code, given that of the stay before.

    Parameters
    ----------
    model : Model
    bearing : float
        Share of the readmissions whose code hangs on the stay before.
    code, sex, age : array of int, shape (n,)
        Code of the stay before; 0 for F, 1 for M; years.

    Returns
    -------
    array, shape (n, codes)
        Rows sum to one where somebody of that sex and age has the code.
    """
    by_sex = np.stack([model.female, 1.0 - model.female])
    alone = _normed(model.prior * by_sex[sex] * model.ages[:, age - AGES[0]].T)
    category, line = _groups(model)
    same = np.zeros_like(alone)
    same[np.arange(len(code)), code] = 1.0
    sibling = _normed(alone * (category == category[code][:, None]))
    related = _normed(alone * (line == line[code][:, None]))
    bears = SAME * same + SIBLING * sibling + (1 - SAME - SIBLING) * related
    return bearing * bears + (1 - bearing) * alone


def _normed(share: np.ndarray) -> np.ndarray:
    return share / np.maximum(share.sum(axis=1, keepdims=True), _TINY)


@lru_cache(maxsize=4)
def _groups(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Category and line of each code; a category of no line is one of its own."""
    names = [entry.category for entry in model.knowledge.entries]
    line_of = {c: line for line, own in model.knowledge.related.items() for c in own}
    lines = [line_of.get(name, name) for name in names]
    return tuple(np.unique(own, return_inverse=True)[1] for own in (names, lines))


def follow(model: Model, bearing: float, patient, code, sex, age, draw) -> np.ndarray:
    """Draw the codes of later stays again, each given the one before.

    Parameters
    ----------
    patient : array of int, shape (n,)
        Numbers the patients; stays of one stand side by side.
    code, sex, age : array of int, shape (n,)
        From `model.sample_people`.
    draw : array, shape (n,)
        Uniform numbers.

    Returns
    -------
    array of int, shape (n,)
    """
    code = code.copy()
    turn = _turns(patient)
    for number in range(1, int(turn.max(initial=0)) + 1):
        at = np.flatnonzero(turn == number)
        shares = next_shares(model, bearing, code[at - 1], sex[at], age[at])
        code[at] = pick_by(np.cumsum(shares, axis=1), draw[at])
    return code


def _turns(patient: np.ndarray) -> np.ndarray:
    """Number the stays of each patient, from 0.

    Examples
    --------
    >>> _turns(np.array([0, 1, 1, 1, 2])).tolist()
    [0, 0, 1, 2, 0]
    """
    first = np.flatnonzero(np.diff(patient, prepend=-1))
    return np.arange(len(patient)) - first[patient]


def informed_prior(
    model: Model, bearing: float, patient, code, sex, secondary: list[list[str]]
) -> np.ndarray:
    """Log-probability of code and age band given sex and all earlier codes.

    Exact: earlier first-listed codes tell the next one and, with the secondary ones,
    the age, which the note does not show.

    Parameters
    ----------
    patient, code, sex : array of int, shape (n,)
        As of `follow`.
    secondary : list of n lists of str
        Secondary codes of each stay.

    Returns
    -------
    array, shape (n, codes x bands)
        For first stays `model.log_prior`.
    """
    found = log_prior(model)[sex]
    seen, by_sex = _listed(model), np.stack([model.female, 1.0 - model.female])
    band, turn = band_of(AGES), _turns(patient)
    in_band = (band[:, None] == np.arange(len(BANDS))).astype(float)
    weight = np.empty(len(AGES))
    for i in np.flatnonzero((turn > 0) | np.append(turn[1:] > 0, False)):
        own, s = code[i], sex[i]
        if turn[i] == 0:
            weight = model.prior[own] * by_sex[s, own] * model.ages[own]
        else:
            count = len(AGES)
            before = np.full(count, code[i - 1])
            shares = next_shares(model, bearing, before, np.full(count, s), AGES)
            joint = (weight[:, None] * shares).T @ in_band
            found[i] = _log(joint / joint.sum()).ravel()
            weight = weight * shares[:, own]
        weight = weight * np.exp(seen.logs(s, own, secondary[i]))[band]
        weight /= weight.sum()
    return found


class _Listed:
    """How likely secondary codes are, given sex, code and age band.

    Each is there independently: said in the note, or found later.
    """

    def __init__(self, model: Model):
        known, entries = model.knowledge, model.knowledge.entries
        named = [known.variables[v].code for v in model.column_variable]
        later = {code for entry in entries for code in entry.secondary}
        self.place = {c: i for i, c in enumerate(sorted({*named, *later} - {""}))}
        absent = np.ones((2, len(entries), len(BANDS), len(self.place)))
        said = model.probability.reshape(2, len(entries), len(BANDS), -1)
        for column, (name, option) in enumerate(
            zip(named, model.column_option, strict=True)
        ):
            if name and option >= 0:
                absent[..., self.place[name]] *= 1 - said[..., column]
        for row, entry in enumerate(entries):
            for name, share in entry.secondary.items():
                absent[:, row, :, self.place[name]] *= 1 - round(100 * share) / 100
            for name, at in self.place.items():
                if name.startswith(entry.category):
                    absent[:, row, :, at] = 1.0
        self.absent, self.there = _log(absent), _log(1 - absent)

    def logs(self, sex: int, code: int, listed: list[str]) -> np.ndarray:
        """Log-probability of just these codes, shape (bands,)."""
        at = [self.place[name] for name in listed]
        absent, there = self.absent[sex, code], self.there[sex, code]
        return absent.sum(axis=1) + (there[:, at] - absent[:, at]).sum(axis=1)


_listed = lru_cache(maxsize=4)(_Listed)


def _log(share: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(share), IMPOSSIBLE)
