"""Best of N: which of several drawn answers to choose, what it gains and what it costs.

Every rule chooses one readable answer to a note, and the answer is judged at every
level. N answers are disjoint blocks of those that were drawn, and their mean counts,
so that a rule is not judged by one lucky draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepicd.evaluation.abstaining import answered_share, curve, patients_of
from deepicd.evaluation.answer_scores import SCORES
from deepicd.evaluation.calibration import mean_interval
from deepicd.evaluation.counts import roll_up
from deepicd.evaluation.strata import frequency_band
from deepicd.evaluation.systems import DESCRIBED, SCORED, described

#: Every rule; the first one is no choice, the last one knows the answer.
RULES = ("one", "majority", *SCORES, "weighted", "ceiling")
#: Rules whose certainty may tell when to answer, by what they are called there.
SIGNS = {
    "majority": "agreement",
    "weighted": "PRM-weighted agreement",
    "last": "PRM, last step",
    "outcome": "outcome model",
}
SURE = (0.5, 0.8)  # agreement below which, and from which on


@dataclass(frozen=True)
class Drawn:
    """Equally many drawn answers to each note, as arrays of shape (notes, answers).

    Attributes
    ----------
    notes : DataFrame
        Admissions of these notes, index 0…m-1.
    codes : array of int
        The same number for the same code; -1 where none could be read.
    scores : dict of str to array
        By name of `SCORES`.
    right : dict of str to array of bool
        By level.
    greedy : dict of str to array of bool, shape (notes,)
        Whether the greedy answer is right, by level; empty where there is none.
    tokens : float
        Mean tokens of an answer.
    """

    notes: pd.DataFrame
    codes: np.ndarray
    scores: dict
    right: dict
    greedy: dict
    tokens: float

    @property
    def size(self) -> int:
        """Answers a note."""
        return self.codes.shape[1]

    @property
    def patients(self) -> np.ndarray:
        """Patient of each note."""
        return patients_of(self.notes["note_id"], self.notes.set_index("note_id"))


def drawn(scored: pd.DataFrame, admissions: pd.DataFrame, space, tokenizer) -> Drawn:
    """Put scored answers in order.

    Parameters
    ----------
    scored : DataFrame
        Of `score_answers`, with column sample: 0 is greedy, the others are drawn.
    admissions : DataFrame
    space : LabelSpace
    tokenizer : PreTrainedTokenizerBase
        Of the model that wrote them: counts what they cost.
    """
    scored = scored.sort_values(["note_id", "sample"], kind="stable")
    own, first = scored[scored["sample"] > 0], scored[scored["sample"] == 0]
    most = own.groupby("note_id").size().min()
    own = own[own.groupby("note_id").cumcount() < most]
    note_ids = own["note_id"].unique()
    notes = admissions.set_index("note_id").loc[note_ids].reset_index()
    shape = (len(note_ids), int(most))
    first = first.set_index("note_id")["code"].reindex(note_ids)
    right, greedy = {}, {}
    for level in space.levels:
        gold = roll_up(notes["label"], level, space)
        at = roll_up(own["code"], level, space).reshape(shape)
        right[level] = at == gold[:, None]
        greedy[level] = roll_up(first, level, space) == gold
    numbers = pd.factorize(own["code"])[0].reshape(shape)
    scores = {s: own[s].to_numpy(float).reshape(shape) for s in SCORES if s in own}
    ids = tokenizer(own["completion"].fillna("").tolist())["input_ids"]
    mean = float(np.mean([len(one) + 1 for one in ids]))
    return Drawn(notes, numbers, scores, right, greedy if len(first) else {}, mean)


def choose(answers: Drawn, rule: str, n: int) -> np.ndarray:
    """The answer that a rule takes of each block of n, by its number.

    Parameters
    ----------
    answers : Drawn
    rule : str
        One of `RULES` but "ceiling". Of equals the first drawn one is taken.
    n : int

    Returns
    -------
    array of int, shape (notes, blocks)
        A block in which nothing could be read gives its first answer, which is wrong.
    """
    blocks = answers.size // n
    codes = answers.codes[:, : blocks * n].reshape(-1, blocks, n)
    if rule == "one":
        value = np.zeros(codes.shape)
    elif rule in ("majority", "weighted"):
        weight = np.ones(codes.shape)
        if rule == "weighted":
            weight = answers.scores["last"][:, : blocks * n].reshape(codes.shape)
        value = _votes(codes, weight)
    else:
        value = answers.scores[rule][:, : blocks * n].reshape(codes.shape)
    if rule != "one":
        value = np.where(codes < 0, -np.inf, value)
    return value.argmax(-1) + n * np.arange(blocks)


def _votes(codes: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weight behind the code of each answer, among those of the last axis."""
    alike = codes[..., :, None] == codes[..., None, :]
    return (alike * weight[..., None, :]).sum(-1)


def right_of(answers: Drawn, rule: str, n: int, level: str) -> np.ndarray:
    """Share of blocks of n in which the chosen answer is right, for each note."""
    right = answers.right[level]
    if rule == "ceiling":
        blocks = answers.size // n
        return right[:, : blocks * n].reshape(-1, blocks, n).any(-1).mean(-1)
    return np.take_along_axis(right, choose(answers, rule, n), 1).mean(1)


def sizes(answers: Drawn) -> list[int]:
    """Powers of two up to the number of drawn answers.

    Examples
    --------
    >>> sizes(Drawn(None, np.zeros((1, 6)), {}, {}, {}, 9.0))
    [1, 2, 4]
    """
    return [2**i for i in range(answers.size.bit_length())]


def rules_of(answers: Drawn) -> list[str]:
    """Rules whose scores are there."""
    lacking = [s for s in SCORES if s not in answers.scores]
    lacking += ["weighted"] if "last" in lacking else []
    return [rule for rule in RULES if rule not in lacking]


def accuracy_table(
    answers: Drawn, levels: Sequence[str], n_boot: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Accuracy of every rule against N, with what the answers cost.

    Returns
    -------
    DataFrame
        Columns rule, n, level, value, low, high, notes, tokens (drawn for a note).
    """
    rows = []
    for level in levels:
        cases = [(rule, n) for rule in rules_of(answers) for n in sizes(answers)]
        for rule, n in cases:
            one = mean_interval(
                right_of(answers, rule, n, level), answers.patients, n_boot, seed
            )
            cost = n * answers.tokens
            rows.append((rule, n, level, one.value, one.low, one.high, one.n, cost))
    names = ["rule", "n", "level", "value", "low", "high", "notes", "tokens"]
    return pd.DataFrame(rows, columns=names)


def gains_table(
    answers: Drawn,
    levels: Sequence[str],
    ns: Sequence[int],
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Every rule minus the greedy answer and minus the majority, note by note.

    Returns
    -------
    DataFrame
        Columns a, b, answers (N), level and `systems.DESCRIBED`.
    """
    rows = []
    named = [rule for rule in rules_of(answers) if rule not in ("one", "ceiling")]
    for level in levels:
        for n in ns:
            base = {"majority": right_of(answers, "majority", n, level)}
            base |= {"greedy": answers.greedy[level]} if answers.greedy else {}
            for rule in named:
                own = right_of(answers, rule, n, level)
                for b in [b for b in base if b != rule]:
                    gap = own - base[b].astype(float)
                    found = mean_interval(gap, answers.patients, n_boot, seed, True)
                    rows.append((rule, b, n, level, *described(found)))
    return pd.DataFrame(rows, columns=["a", "b", "answers", "level", *DESCRIBED])


def agreement(answers: Drawn, weight: np.ndarray | None = None) -> np.ndarray:
    """Share of all drawn answers behind the commonest code, or of their weight.

    Parameters
    ----------
    weight : array, shape (notes, answers), optional
        Of each answer, 0 to 1; 1 for all by default.
    """
    weight = np.ones(answers.codes.shape) if weight is None else weight
    votes = _votes(answers.codes, weight)
    return np.where(answers.codes < 0, 0.0, votes).max(-1) / answers.size


def _confident(answers: Drawn, level: str):
    """By each sign of certainty: whether the answer it goes with is right."""
    n, table = answers.size, {"majority": agreement(answers)}
    if "last" in answers.scores:
        last = answers.scores["last"]
        table |= {"weighted": agreement(answers, last)}
        table |= {
            s: np.where(answers.codes < 0, 0, answers.scores[s]).max(1)
            for s in ("last", "outcome")
            if s in answers.scores
        }
    for rule, sure in table.items():
        right = right_of(answers, rule, n, level) > 0.5
        columns = {"agreement": sure, "right": right, "patient": answers.patients}
        yield SIGNS[rule], pd.DataFrame(columns)


def risk_by_confidence(answers: Drawn, levels: Sequence[str]) -> pd.DataFrame:
    """Error among the answered notes, from the surest on, by sign of certainty.

    Agreement of the answers for the majority, its weight for the weighted one, the
    probability of the chosen answer else.

    Returns
    -------
    DataFrame
        As of `abstaining.risk_coverage`; system is the sign, in steps of 0.02.
    """
    rows = [
        (rule, level, *point, len(part))
        for level in levels
        for rule, part in _confident(answers, level)
        for point in curve(
            part.assign(agreement=part["agreement"].mul(50).round() / 50)
        )
    ]
    names = ["system", "level", "agreement", "coverage", "risk", "n"]
    return pd.DataFrame(rows, columns=names)


def automated(
    answers: Drawn,
    levels: Sequence[str],
    error: float,
    n_boot: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Largest share of notes answered with at most this error, by sign of certainty.

    Returns
    -------
    DataFrame
        As of `abstaining.automated_share`.
    """
    rows = [
        (rule, level, *answered_share(part, error, n_boot, seed), len(part))
        for level in levels
        for rule, part in _confident(answers, level)
    ]
    return pd.DataFrame(rows, columns=["system", "level", "value", "low", "high", "n"])


def as_metrics(curves, chosen, steps, system: str, seed: int) -> pd.DataFrame:
    """All scores of ranking and verifying in the columns of `systems.metrics_table`."""
    ranked = curves.assign(
        metric="best_of_" + curves["n"].astype(str) + "_" + curves["rule"],
        n=curves["notes"],
        stratum=curves["panel"],
    )
    told = steps[steps["what"] != "calibration"]
    told = told.assign(
        metric="step_" + told["what"],
        level=told["kind"].fillna("all"),
        stratum=told["source"],
    )
    seen = chosen.assign(
        metric="gold_chosen_" + chosen["score"], level="all", stratum=chosen["fault"]
    )
    table = pd.concat([ranked, told, seen], ignore_index=True)
    table = table.assign(system=system, seed=str(seed), label_set="")
    return table[SCORED]


def harm_table(
    answers: Drawn,
    rule: str,
    train_codes: Sequence[str],
    level: str,
    n_boot: int = 1000,
    seed: int = 0,
    minimum: int = 10,
) -> pd.DataFrame:
    """Where a rule wins and loses notes against the majority of all drawn answers.

    Returns
    -------
    DataFrame
        Columns stratum (agreement of the answers; frequency of the label in training),
        notes, won and lost (notes), value, low, high, clear: the difference. Strata of
        fewer than `minimum` notes are left out.
    """
    n = answers.size
    gap = right_of(answers, rule, n, level) - right_of(answers, "majority", n, level)
    alike = agreement(answers)
    words = [f"agreement below {SURE[0]:.0%}", f"agreement {SURE[0]:.0%} and more"]
    words += [f"agreement from {SURE[1]:.0%} on"]
    band = frequency_band(answers.notes["label"], train_codes)
    strata = [("all notes", np.ones(len(gap), bool))]
    strata += [(words[i], np.digitize(alike, SURE) == i) for i in range(3)]
    strata += [(f"frequency: {name}", band == name) for name in sorted(set(band))]
    rows = []
    for name, mask in strata:
        if mask.sum() >= minimum:
            own, groups = gap[mask], answers.patients[mask]
            one = mean_interval(own, groups, n_boot, seed, True)
            counts = int(mask.sum()), int((own > 0).sum()), int((own < 0).sum())
            rows.append((name, *counts, one.value, one.low, one.high, one.clear))
    names = ["stratum", "notes", "won", "lost", "value", "low", "high", "clear"]
    return pd.DataFrame(rows, columns=names)
