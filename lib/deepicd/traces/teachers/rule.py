"""The rule teacher: quotes the note, walks the tree, names the code last.

It reads the note, the gold code, the tree and statistics of the training split;
never how a synthetic note was made. So it works for any source.
"""

import hashlib
import random
from collections.abc import Iterator

import pandas as pd

from deepicd.common.parameters import choice
from deepicd.icd import titles
from deepicd.traces.teachers.frames import CHAPTERS, FRAMES, as_noun
from deepicd.traces.teachers.records import Answer, Request
from deepicd.traces.teachers.telling_phrases import SIBLING_Z, Evidence, EvidenceFinder

_CHUNK = 2000  # notes read at once
_WEAK = 1.28  # one-sided 10 %: a weaker phrase is quoted only where there is no other


class RuleTeacher:
    """Write reasoning from phrases that are characteristic in the training split.

    Parameters
    ----------
    tree : deepicd.icd.IcdTree
    top : int, default 2
        Phrases quoted for chapter and category (one more tells siblings apart).
    length : {"short", "long"}
        "short" for a small student (some 40 tokens); "long" reads as full sentences.
    min_notes : int, default 3
        Training notes a phrase must stand in.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> train = pd.DataFrame({
    ...     "note": ["Crushing chest pain today."] * 4 + ["Wheeze and cough."] * 4,
    ...     "label": ["I21.11"] * 4 + ["J44.1"] * 4})
    >>> teacher = RuleTeacher(load_tree()).fit(train)
    >>> trace = teacher.write(train.head(1), seed=0)[0]
    >>> '"' in trace and trace.rstrip(".").endswith("I21.11")
    True
    """

    name = "rule"

    def __init__(self, tree, top: int = 2, length: str = "short", min_notes: int = 3):
        choice("trace length", length, tuple(FRAMES))
        self.tree, self.top, self.length = tree, top, length
        self.finder = EvidenceFinder(tree, min_notes)
        self._known_facts: dict[str, dict[str, str]] = {}

    def fit(self, train: pd.DataFrame) -> "RuleTeacher":
        """Learn which phrases are characteristic; see `EvidenceFinder.fit`."""
        self.finder.fit(train)
        return self

    def write(self, frame: pd.DataFrame, seed: int = 0, attempt: int = 0) -> list[str]:
        """Write one trace a note.

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns note, label; note_id where there is one (else the row number
            seeds the wording).
        seed : int
        attempt : int
            A later attempt chooses other phrases, in a long trace other words too.

        Returns
        -------
        list of str
            In the order of the frame; the code stands last in each.
        """
        names = frame["note_id"] if "note_id" in frame.columns else range(len(frame))
        names, traces = list(names), []
        for start in range(0, len(frame), _CHUNK):
            part = frame.iloc[start : start + _CHUNK]
            evidence = self.finder.find(part)
            rows = zip(names[start:], part["label"], evidence, strict=False)
            for name, code, items in rows:
                rng = _generator(seed, attempt, name)
                traces.append(self._compose(code, items, rng, attempt))
        return traces

    def answer(self, requests: list[Request], seed: int = 0) -> Iterator[Answer]:
        """Answer requests, as each teacher does; see `teachers.records`."""
        by_attempt: dict[int, list[Request]] = {}
        for request in requests:
            by_attempt.setdefault(request.attempt, []).append(request)
        for attempt, group in by_attempt.items():
            traces = self.write(pd.DataFrame(group), seed, attempt)
            for request, trace in zip(group, traces, strict=True):
                yield Answer(request.note_id, attempt, trace, request.label)

    def lead(self, code: str, quotes: list[str], name="") -> str:
        """Write the trace that leads from given quotes to a code.

        Two quotes open it, a third one tells the code from its siblings. Nothing
        that was learned by `fit` is used.

        Parameters
        ----------
        code : str
        quotes : list of str
            At least one, the most telling first.
        name : hashable
            Seeds the wording of a long trace.

        Examples
        --------
        >>> from deepicd.icd import load_tree
        >>> teacher = RuleTeacher(load_tree())
        >>> said = teacher.lead("I21.11", ["ST elevation in II", "chest pain"], 1)
        >>> print(said.replace(". ", ".\\n"))
        "ST elevation in II", "chest pain": circulatory (9).
        I21, acute myocardial infarction; ST elevation involving right coronary artery.
        Code I21.11.
        """
        evidence = _join([f'"{q}"' for q in quotes[:2]], self.length)
        telling = f'"{quotes[2]}"' if len(quotes) > 2 else ""
        return self._said(code, evidence, telling, _generator(0, 0, name))

    def _said(self, code: str, evidence: str, telling: str, rng) -> str:
        """Words of a code from what is quoted; `telling` may be empty."""
        facts = self._facts_of(code) | {"evidence": evidence, "quote": telling}
        return self._lead(facts, "sibling" if telling else "detail", rng)

    def _compose(self, code, items, rng, attempt) -> str:
        facts = dict(self._facts_of(code))
        facts["evidence"], telling = self._evidence(items, rng, attempt)
        undivided = facts["code3"] == code
        told = "" if undivided else self._tell(code, items, telling, facts)
        return self._lead(facts, told, rng)

    def _lead(self, facts, told: str, rng) -> str:
        """Put the frames together; `told` is that of what tells siblings apart."""
        frames, undivided = FRAMES[self.length], facts["code3"] == facts["code"]
        parts = ["open", "single"] if undivided else ["open", "category", told]
        text = [rng.choice(frames[p]).format(**facts) for p in [*parts, "close"]]
        return _assemble(text, undivided, self.length)

    def _facts_of(self, code: str) -> dict[str, str]:
        if code not in self._known_facts:
            self._known_facts[code] = self._facts(code)
        return self._known_facts[code]

    def _evidence(self, items, rng, attempt) -> tuple[str, Evidence | None]:
        """Quotes in a row, and what tells the code from its siblings beside them."""
        telling = [e for e in items if e.sibling > SIBLING_Z]
        telling = max(telling, key=lambda e: e.sibling, default=None)
        quotes = self._choose(items, telling, rng, attempt)
        if telling and not quotes:
            quotes, telling = [telling], None
        rng.shuffle(quotes)
        return _join([f'"{q.text}"' for q in quotes], self.length), telling

    def _choose(self, items, telling, rng, attempt) -> list[Evidence]:
        """The strongest phrases that share no word with one another."""
        ranked = sorted(items, key=lambda e: -e.disease)
        if attempt:
            head = ranked[: 4 * self.top]
            rng.shuffle(head)
            ranked = head + ranked[4 * self.top :]
        chosen, used = [], _words(telling.text) if telling else set()
        for item in ranked:
            if chosen and item.disease < _WEAK:
                continue
            if len(chosen) < self.top and not used & _words(item.text):
                chosen.append(item)
                used |= _words(item.text)
        return chosen

    def _tell(self, code, items, telling, facts) -> str:
        """Fill in what tells the code from its siblings; names the frame to use."""
        other, marks = self.finder.alternative(code)
        if other is None:
            return "detail"
        title = titles.distinct_title(self.tree.title(other), facts["category_title"])
        facts["other"] = as_noun(title)
        facts["other_upper"] = titles.upper_first(facts["other"])
        if telling:
            facts["quote"] = f'"{telling.text}"'
            return "sibling"
        here = {e.phrase for e in items}
        absent = [self.finder.surface(m) for m in marks if m not in here]
        absent = [p for p in absent if not _words(p) <= _words(facts["category"])]
        if absent:
            facts["missing"] = titles.lower_first(absent[0])
            return "missing"
        return "detail"

    def _facts(self, code: str) -> dict[str, str]:
        path, title = self.tree.path(code), self.tree.title
        category = title(path[2])
        detail = titles.distinct_title(title(code), category)
        return {
            "number": path[0],
            "chapter": CHAPTERS.get(path[0], path[0]),
            "chapter_title": _plain(title(path[0])),
            "block": path[1],
            "block_title": _plain(title(path[1])),
            "code3": path[2],
            "code": code,
            "category_title": titles.lower_first(category),
            "category": titles.shorten(category),
            "Category": titles.upper_first(titles.shorten(category)),
            "detail": detail,
            "detail_noun": as_noun(detail),
        }


def _plain(title: str) -> str:
    """A title without its range of codes in brackets."""
    return title.split(" (", 1)[0]


def _generator(seed: int, attempt: int, name) -> random.Random:
    key = hashlib.blake2b(f"{seed}|{attempt}|{name}".encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(key, "big"))


def _words(text: str) -> set[str]:
    return set(text.lower().split())


def _join(quotes: list[str], length: str) -> str:
    if not quotes:
        return "the note as a whole"
    if length == "short" or len(quotes) < 2:
        return ", ".join(quotes)
    return ", ".join(quotes[:-1]) + " and " + quotes[-1]


def _assemble(parts: list[str], undivided: bool, length: str) -> str:
    if length == "long":
        return "".join(parts)
    body = parts[1] + ("." if undivided else parts[2])
    return " ".join([parts[0], body, parts[-1]])
