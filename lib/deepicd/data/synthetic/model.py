"""The probability model of the synthetic corpus: sampling and exact posterior.

Hidden state: principal code and age band. Observed: sex and, per variable, one of
its options, a denial, or silence. Variables are independent given sex, code and
band, so the posterior over the codes is a sum of logarithms (naive Bayes with the
true parameters), summed over the bands, which the text does not show.

Log-probabilities are rounded to multiples of 2**-20: their sums are exact in
double precision, hence the same on every platform and in every order.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import sparse

from deepicd.data.synthetic.knowledge import BANDS, Entry, Knowledge
from deepicd.data.synthetic.rates import (
    IMPOSSIBLE,
    STYLES,
    Possible,
    columns_of,
    hushes_of,
    logs_of,
    possible,
    probabilities_of,
)

AGES = np.arange(BANDS[0][0], BANDS[-1][1] + 1)
TAIL_EXPONENT = 0.9
SEXES = ("F", "M")


@dataclass(frozen=True, eq=False)
class Model:
    """Tables over sex (2), state (codes x bands) and column (what can be said).

    `column_variable` and `column_option` say what a column means; option -1 is
    the denial. `probability` (sex, state, column); what is left of a variable is
    silence. `base` (sex, state) is the log-probability of saying nothing at all;
    `evidence` (sex, columns + variables, state) what a column adds, then what a
    hushed variable takes back. `hushing` lists the columns that hush, `hush` (those
    columns x variables) says what. `can` is `probability` without its zeros, for
    sampling.
    """

    knowledge: Knowledge
    column_variable: np.ndarray
    column_option: np.ndarray
    probability: np.ndarray
    base: np.ndarray
    evidence: np.ndarray
    hushing: np.ndarray
    hush: np.ndarray
    prior: np.ndarray
    female: np.ndarray
    ages: np.ndarray
    bands: np.ndarray
    can: Possible

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(entry.code for entry in self.knowledge.entries)


def rank_prior(entries: tuple[Entry, ...], exponent: float) -> np.ndarray:
    """Turn the order of the weights into Zipf frequencies.

    Only the order of the weights in the files counts, so the long tail keeps its
    shape when the knowledge base grows.
    """
    order = sorted(range(len(entries)), key=lambda i: (-entries[i].weight, i))
    share = np.empty(len(entries))
    share[order] = np.arange(1, len(entries) + 1, dtype=float) ** -exponent
    return share / share.sum()


def _age_table(entry: Entry) -> np.ndarray:
    mode, low, high = entry.age
    rising = (AGES - low + 1) / (mode - low + 1)
    falling = (high - AGES + 1) / (high - mode + 1)
    share = np.clip(np.minimum(rising, falling), 0.0, None)
    return share / share.sum()


@lru_cache(maxsize=8)
def build_model(
    knowledge: Knowledge, length: str, difficulty: float, exponent: float
) -> Model:
    """Turn the knowledge base into tables.

    Parameters
    ----------
    knowledge : Knowledge
        From `load_knowledge`.
    length : str
        "brief" or "full".
    difficulty : float
        Share of the present sibling-telling findings that a note leaves out.
    exponent : float
        Steepness of the long tail.

    Returns
    -------
    Model
        Tables for sampling and for the posterior.
    """
    variables, entries = knowledge.variables, knowledge.entries
    of, option = columns_of(variables)
    always = np.array([variable.always for variable in variables])
    probability = np.stack(
        [probabilities_of(knowledge, sex, STYLES[length], difficulty) for sex in SEXES]
    ).reshape(2, len(entries) * 3, len(of))
    base, delta, quiet = logs_of(probability, of, always)
    ages = np.stack([_age_table(entry) for entry in entries])
    bands = np.stack(
        [ages[:, (AGES >= a) & (AGES <= b)].sum(axis=1) for a, b in BANDS], axis=1
    )
    female = np.array([entry.female for entry in entries])
    prior = rank_prior(entries, exponent)
    evidence = np.concatenate([delta, -quiet], axis=-1).transpose(0, 2, 1)
    return Model(
        knowledge,
        of,
        option,
        probability,
        base,
        np.ascontiguousarray(evidence),
        *hushes_of(variables, of, option),
        prior,
        female,
        ages,
        bands,
        possible(probability, of),
    )


def posterior(model: Model, sex: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Give the exact probability of each code given what the notes say.

    Parameters
    ----------
    model : Model
        The tables.
    sex : array of int, shape (n,)
        0 for F, 1 for M.
    hits : array of bool, shape (n, columns)
        What each note says.

    Returns
    -------
    array of float, shape (n, codes)
        Rows sum to one. Bayes' rule over code and age band, band summed out.
    """
    return posterior_of(model, log_prior(model)[sex] + log_likelihood(model, sex, hits))


def posterior_of(model: Model, score: np.ndarray) -> np.ndarray:
    """`posterior` from the logarithm of prior and likelihood, (n, codes x bands)."""
    score = score - score.max(axis=1, keepdims=True)
    weight = np.exp(score).reshape(len(score), -1, len(BANDS)).sum(axis=2)
    return weight / weight.sum(axis=1, keepdims=True)


def log_likelihood(model: Model, sex: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """Log-probability of what each note says, shape (n, codes x bands)."""
    seen = np.empty((len(sex), model.base.shape[1]))
    counted = np.hstack([hits, _hushed(model, hits)])
    for s in (0, 1):
        rows = np.flatnonzero(sex == s)
        said = sparse.csr_array(counted[rows], dtype=float) @ model.evidence[s]
        seen[rows] = model.base[s] + said
    return seen


def log_prior(model: Model) -> np.ndarray:
    """Log-probability of sex, code and age band, shape (2, codes x bands)."""
    return _logs(_joint(model))


def older_prior(model: Model) -> np.ndarray:
    """The same for stays coded in ICD-9: there sex and age tell nothing of the code."""
    people = _joint(model).sum(axis=1, keepdims=True)
    return _logs(older_share(model)[None, :, None] * people)


def older_share(model: Model) -> np.ndarray:
    """Frequency of each code among stays coded in ICD-9: its category needs one."""
    has = [entry.category in model.knowledge.icd9 for entry in model.knowledge.entries]
    share = model.prior * has
    return share / share.sum()


def _joint(model: Model) -> np.ndarray:
    by_sex = np.stack([model.female, 1.0 - model.female])
    return (model.prior * by_sex)[:, :, None] * model.bands[None]


def _logs(share: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(share).reshape(2, -1), IMPOSSIBLE)


def sample_hits(model: Model, rng, sex, code, band) -> np.ndarray:
    """Draw what each note says, shape (n, columns)."""
    can, state = model.can, code * 3 + band
    draw = rng.random((len(sex), can.variables))
    draw = np.take_along_axis(draw, can.place[sex, state], axis=1)
    said = (draw >= can.low[sex, state]) & (draw < can.high[sex, state])
    note, item = np.nonzero(said)
    hits = np.zeros((len(sex), len(model.column_variable)), dtype=bool)
    hits[note, can.column[sex, state][note, item]] = True
    return hits & ~_hushed(model, hits)[:, model.column_variable]


def _hushed(model: Model, hits: np.ndarray) -> np.ndarray:
    """Which variables stay silent because of what has been said, (n, variables)."""
    hushing = sparse.csr_array(hits[:, model.hushing], dtype=np.int8)
    return (hushing @ model.hush).toarray() > 0


def sample_people(model: Model, rng, patient: np.ndarray):
    """Draw code, sex and age per admission; `patient` numbers the patients.

    The first admission of a patient draws code, then sex and age given the code;
    later ones draw the code given sex and age. Every admission so has the same
    joint distribution of code, sex and age.

    Returns
    -------
    tuple of array
        code index, sex (0 F, 1 M), age in years; one per admission.
    """
    count = len(patient)
    draw = rng.random((count, 3))
    code = pick_by(np.cumsum(model.prior)[None], draw[:, 0])
    sex = (draw[:, 1] >= model.female[code]).astype(int)
    age = AGES[pick_by(np.cumsum(model.ages, axis=1)[code], draw[:, 2])]
    first = np.zeros(count, dtype=bool)
    first[np.unique(patient, return_index=True)[1]] = True
    owner = np.flatnonzero(first)[patient]
    sex, age = sex[owner], age[owner]
    by_sex = np.stack([model.female, 1.0 - model.female])
    joint = model.prior * by_sex[sex] * model.ages[:, age - AGES[0]].T
    again = pick_by(np.cumsum(joint, axis=1) / joint.sum(axis=1)[:, None], draw[:, 0])
    return np.where(first, code, again), sex, age


def pick_by(cumulative: np.ndarray, draw: np.ndarray) -> np.ndarray:
    last = cumulative.shape[1] - 1
    return np.minimum((draw[:, None] >= cumulative).sum(axis=1), last)


def band_of(age: np.ndarray) -> np.ndarray:
    """Number the age band: 0 for 18-44, 1 for 45-64, 2 for 65 and older."""
    return np.searchsorted([BANDS[1][0], BANDS[2][0]], age, side="right")
