"""Learning the guard by content from the study's own summaries: no labels are needed.

In a summary whose headers are all written out, every line's section is known. For each
kept section its lines are told from those that would run into it if the headers after
it were gone. Nothing leaves the machine; it takes seconds.
"""

import math
import random
import re
from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
import pandas as pd
from scipy.sparse import vstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from deepicd.data.sections.content_guard import (
    EARLY,
    GUARDED,
    HISTORY,
    Guard,
    Model,
    lines,
    strongest,
)
from deepicd.data.sections.names import KEPT
from deepicd.data.sections.splitting import Section, split_sections

ENOUGH = 40  # well-headed summaries without which nothing is learned
LEARNED = 200  # summaries that are learned from; those after them set the limits
MOST = 800
TRIED = 150  # summaries that the trade-off is measured on
MAY_LOSE = 0.0005
_NEEDED = {
    "history_of_present_illness",
    "physical_exam",
    "brief_hospital_course",
    "discharge_diagnosis",
}
_FAR = 0.2  # weight of a line that would hardly run into a section
_LEAST = 2.0  # nats: odds of seven to one, however well intact summaries are told
_SAME = {"medications_on_admission": "discharge_medications"}  # read alike


def well_headed(sections: list[Section]) -> bool:
    """Whether every header is written out and the usual ones are there."""
    return not any(s.doubt for s in sections) and _NEEDED <= {s.name for s in sections}


def learn_guard(texts: Iterable[str], may_lose: float = MAY_LOSE) -> Guard | None:
    """Learn what the lines of each section read like, and from when to cut.

    Parameters
    ----------
    texts : iterable of str
        Summaries; the first `MOST` well-headed ones among them are used.
    may_lose : float
        Share of each section's words that may be cut from intact summaries that were
        not learned from. A larger share leaks less where headers are destroyed.

    Returns
    -------
    Guard or None
        None where fewer than `ENOUGH` summaries are well-headed.

    Examples
    --------
    >>> learn_guard(["Chief Complaint: cough"]) is None
    True
    """
    known = _well_headed(texts)
    if len(known) < ENOUGH:
        return None
    size = min(LEARNED, len(known) // 2)
    return with_limits(_learned(known[:size]), known[size:], may_lose)


def _well_headed(texts: Iterable[str]) -> list[list[Section]]:
    return list(islice(filter(well_headed, map(split_sections, texts)), MOST))


def trade_off(texts: Iterable[str], guard: Guard) -> pd.DataFrame:
    """Measure what is lost and what leaks at many limits, and at those in use.

    Parameters
    ----------
    texts : iterable of str
        Summaries; of the well-headed ones those are taken that were not learned from.
        What is lost is counted in them as they are, and after one to three of their
        headers are gone; what leaks only then.
    guard : Guard
        From `learn_guard` of the same texts.

    Returns
    -------
    DataFrame
        `limit` (infinite: no guard; missing: those in use), `lost` and `lost_gone`
        (shares of the admission's words, all headers there and some gone), `leaking`
        (share of the summaries, some headers gone).
    """
    known = _well_headed(texts)
    known = known[min(LEARNED, len(known) // 2) :][:TRIED]
    draw = random.Random(1)
    broken = [_headers_gone(sections, draw) for sections in known]
    rows = []
    for limit in (*_LIMITS, None):
        models = guard.models
        if limit is not None:
            models = {n: m._replace(limit=limit) for n, m in models.items()}
        tried = Guard(models)
        whole, gone = (
            pd.DataFrame([_fate(sections, tried) for sections in those])
            for those in (known, broken)
        )
        lost, lost_gone = (f["lost"].sum() / f["words"].sum() for f in (whole, gone))
        rows.append((limit, lost, lost_gone, (gone["leaked"] > 0).mean()))
    return pd.DataFrame(rows, columns=["limit", "lost", "lost_gone", "leaking"])


_LIMITS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, math.inf)


def _headers_gone(sections: list[Section], draw: random.Random) -> list[Section]:
    """Take one to three headers away: what remains, section by section."""
    gone = draw.sample(range(len(sections)), draw.randint(1, 3))
    return [_bare(s) if place in gone else s for place, s in enumerate(sections)]


def _fate(sections: list[Section], guard: Guard) -> dict[str, int]:
    """Count the words of the admission, those lost, and the later ones that are kept.

    What stands in the section of another part of the admission counts as kept.
    """
    text = "".join(section.text for section in sections)
    kept = np.zeros(len(text), bool)
    for section in split_sections(text, guard):
        kept[section.body_start : section.end] = section.kept
    at, fate = 0, {"words": 0, "lost": 0, "leaked": 0}
    for section in sections:
        begin, end = at + section.body_start - section.start, at + len(section.text)
        starts = [word.start() for word in _WORD.finditer(text, begin, end)]
        if section.kept:
            fate["words"] += len(starts)
            fate["lost"] += len(starts) - int(kept[starts].sum())
        else:
            fate["leaked"] += int(kept[starts].sum())
        at = end
    return fate


_WORD = re.compile(r"\w+")


def _learned(known: list[list[Section]]) -> Guard:
    """Fit one model a section: near lines are those that would run into it."""
    rows = [line for sections in known for s in sections for line in _lines([s])]
    vectors = TfidfVectorizer(analyzer=list, norm=None, min_df=2, dtype=np.float32)
    far = vectors.fit_transform([words for _, words in rows])
    draw, models = random.Random(0), {}
    for name in GUARDED:
        near = [line for sections in known for line in _run_on(sections, name, draw)]
        names = np.array([section for section, _ in [*near, *rows]])
        foreign = np.isin(names, HISTORY if name in EARLY else KEPT) ^ (name in KEPT)
        weight = np.where(np.arange(len(names)) < len(near), 1.0, _FAR)
        weight[names == _SAME.get(name)] = 0.0
        if near and foreign.any():
            seen = vstack([vectors.transform([words for _, words in near]), far])
            models[name] = _model(vectors, seen, foreign, weight)
    return Guard(models)


def _lines(sections: list[Section], header: Callable[[], bool] = lambda: True):
    """Give section and words of every line of sections that stand in one text."""
    texts = [s.text if header() else "\n" + s.body for s in sections]
    ends = np.cumsum([len(text) for text in texts])
    for at, _, words in lines("".join(texts)):
        yield sections[int(np.searchsorted(ends, at, side="right"))].name, words


def _run_on(sections: list[Section], name: str, draw: random.Random):
    """Give the lines of a section and of what follows, as if headers were gone."""
    for place, section in enumerate(sections):
        if section.name == name:
            joined = [_bare(section), *sections[place + 1 : place + 3]]
            without = iter([True])
            yield from _lines(joined, lambda w=without: next(w, draw.random() < 0.5))


def _bare(section: Section) -> Section:
    """Take the header off a section."""
    begin = section.body_start
    text = section.text[begin - section.start :]
    return Section(section.name, begin, section.end, text, begin, section.doubt)


def _model(vectors, seen, foreign, weight) -> Model:
    model = LogisticRegression(solver="liblinear", C=0.1, random_state=0)
    model.fit(seen, foreign, sample_weight=weight)
    weights = model.coef_[0] * vectors.idf_
    named = zip(vectors.get_feature_names_out(), weights.tolist(), strict=True)
    return Model(float(model.intercept_[0]), dict(named), math.inf)


def with_limits(guard: Guard, known: list[list[Section]], may_lose: float) -> Guard:
    """Give each model the smallest limit that cuts at most a share of its words."""
    limits = {}
    for name, model in guard.models.items():
        bodies = [
            _bare(s).text for sections in known for s in sections if s.name == name
        ]
        cuts = [(strongest(model, body), body) for body in bodies]
        words = [(said, len(body[a:b].split())) for (said, a, b), body in cuts]
        most = may_lose * sum(len(body.split()) for body in bodies)
        limits[name] = model._replace(limit=_limit(words, most))
    return Guard(limits)


def _limit(cuts: list[tuple[float, int]], most: float) -> float:
    """Find the evidence above which runs of lines hold at most so many words.

    Examples
    --------
    >>> _limit([(9.0, 5), (7.0, 20), (2.0, 30)], most=10)
    7.0
    """
    lost = 0
    for said, words in sorted(cuts, reverse=True):
        lost += words
        if lost > most:
            return max(said, _LEAST)
    return _LEAST
