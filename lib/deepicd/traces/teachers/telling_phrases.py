"""Which phrases of a note speak for its diagnosis, by counts of the training split."""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from deepicd.common.errors import UserError
from deepicd.tasks.clauses import NEGATIONS
from deepicd.tasks.task import above
from deepicd.traces.teachers.phrases import ClassCounts, PhraseTable, log_odds, lookup

SIBLING_Z = 1.64  # one-sided 5 %: weaker phrases do not tell siblings apart
_LENGTH_WEIGHT = np.array([0.0, 0.5, 1.0, 1.1, 1.1])
_SAME = 0.6  # a longer phrase this nearly as frequent replaces the shorter
_FINDING = 0.8  # mean weight of a phrase's sections that makes it a finding
_COMMON, _COMMON_WEIGHT = 0.2, 0.5  # a phrase of every fifth note says less
_KEPT = 40  # phrases a note that are looked at


@dataclass(frozen=True)
class Evidence:
    """One phrase of a note that speaks for its diagnosis.

    Attributes
    ----------
    text : str
        As it stands in the note, runs of white space made one blank.
    phrase : int
        Number in the phrase table.
    disease : float
        Weight for category and chapter against the rest (sum of z values).
    sibling : float
        z of the log-odds for the code against its siblings; nan without siblings.
    """

    text: str
    phrase: int
    disease: float
    sibling: float


class EvidenceFinder:
    """Log-odds of phrases for chapter, category and code, own note left out.

    In another space: for its coarsest level, for that above its labels, for these.

    Parameters
    ----------
    tree : LabelSpace
    min_notes : int, default 3
        Training notes a phrase must stand in.
    max_notes : int, default 20000
        Counts come from at most so many training notes, the first ones.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> train = pd.DataFrame({
    ...     "note": ["Crushing chest pain today."] * 4 + ["Wheeze and cough."] * 4,
    ...     "label": ["I21.11"] * 4 + ["J44.1"] * 4})
    >>> finder = EvidenceFinder(load_tree()).fit(train)
    >>> finder.find(train.head(1))[0][0].text
    'Crushing chest pain'
    """

    def __init__(self, tree, min_notes: int = 3, max_notes: int = 20000):
        self.tree, self.min_notes, self.max_notes = tree, min_notes, max_notes
        self._levels = tree.levels[0], above(tree), tree.levels[-1]

    def fit(self, train: pd.DataFrame) -> "EvidenceFinder":
        """Count phrases by chapter, category and code.

        Parameters
        ----------
        train : pandas.DataFrame
            Columns note, label. Where there is a column split, only its train
            rows are read.
        """
        if "split" in train.columns:
            train = train[train["split"] == "train"]
        if not len(train):
            raise UserError(
                found="no training notes",
                expected="rows of the train split",
                do="give the whole admissions table",
            )
        train = train.head(self.max_notes)
        notes, codes = train["note"].tolist(), train["label"].tolist()
        self.table = PhraseTable(min(self.min_notes, len(notes))).fit(notes)
        found = self.table.find(notes)
        n_phrases = len(self.table.phrases)
        self._seen = {_digest(note) for note in notes}
        self._chapter, self._category, self._code = (
            ClassCounts(found, self._at(codes, level), n_phrases)
            for level in self._levels
        )
        categories = self._at(self._code.names, self._levels[1])
        self._code_category = self._category.numbers(categories)
        self._alternatives: dict[str, tuple] = {}
        self._home = found.groupby("phrase")["weight"].mean().to_dict()
        firsts = found.drop_duplicates("phrase")
        places = firsts[["phrase", "note", "start", "end"]]
        self._surface = {
            phrase: " ".join(notes[note][start:end].split())
            for phrase, note, start, end in places.itertuples(index=False, name=None)
        }
        return self

    def _at(self, codes: list[str], level: str) -> list[str]:
        if level == self._levels[-1]:
            return codes
        return [self.tree.at(code, level) for code in codes]

    def find(self, frame: pd.DataFrame) -> list[list[Evidence]]:
        """Characteristic phrases of every note, strongest first (at most 40).

        Parameters
        ----------
        frame : pandas.DataFrame
            Columns note, label.
        """
        notes, codes = frame["note"].tolist(), frame["label"].tolist()
        found = self._score(self.table.find(notes), notes, codes)
        result: list[list[Evidence]] = [[] for _ in notes]
        columns = found[["note", "start", "end", "phrase", "disease", "sibling"]]
        for row, start, end, phrase, disease, sibling in columns.itertuples(
            index=False, name=None
        ):
            if len(result[row]) < _KEPT:
                text = " ".join(notes[row][start:end].split())
                result[row].append(Evidence(text, phrase, disease, sibling))
        return result

    def _score(self, found, notes, codes) -> pd.DataFrame:
        """Add weights to the phrases found and put the strongest first."""
        own = np.array([_digest(n) in self._seen for n in notes], dtype=float)
        rows, phrases = found["note"].to_numpy(), found["phrase"].to_numpy()
        chapter, category, _ = self._levels
        category = self._category.numbers(self._at(codes, category))[rows]
        chapter = self._chapter.numbers(self._at(codes, chapter))[rows]
        code, own = self._code.numbers(codes)[rows], own[rows]
        weight = _LENGTH_WEIGHT[found["words"].to_numpy()] * found["weight"].to_numpy()
        disease = self._against_all(self._category, category, phrases, own)
        disease += 0.5 * self._against_all(self._chapter, chapter, phrases, own)
        sibling = self._against_siblings(code, category, phrases, own)
        everywhere = self._code.total[phrases] > _COMMON * self._code.size.sum()
        weight = np.where(everywhere, _COMMON_WEIGHT * weight, weight)
        found = found.assign(disease=disease * weight, sibling=sibling * weight)
        found["weight"] = np.fmax(
            found["disease"], 2 * np.nan_to_num(found["sibling"], nan=0.0)
        )
        found = found[self._whole(found, category)]
        order = np.lexsort((found["first"], -found["weight"], found["note"]))
        return found.iloc[order]

    def _against_all(self, counts, classes, phrases, own) -> np.ndarray:
        """z for the class of each phrase's note against all other notes."""
        size = counts.sizes(classes)
        inside = counts.of(classes, phrases)
        own = np.minimum(own, inside)
        outside, rest = counts.total[phrases] - inside, counts.size.sum() - size
        return log_odds(inside - own, size - own, outside, rest)[1]

    def _against_siblings(self, code, category, phrases, own) -> np.ndarray:
        """z for the code against the rest of its category; nan where it is alone."""
        inside, size = self._code.of(code, phrases), self._code.sizes(code)
        rest = self._category.sizes(category) - size
        outside = self._category.of(category, phrases) - inside
        own = np.minimum(own, inside)
        z = log_odds(inside - own, size - own, outside, rest)[1]
        return np.where(rest > 0, z, np.nan)

    def _whole(self, found, category) -> np.ndarray:
        """False for "chest pain" where nearly always "crushing chest pain" stands."""
        inside = self._category.of(category, found["phrase"].to_numpy())
        key = (found["first"] * 8 + found["words"]).to_numpy()
        order = np.argsort(key)
        whole = np.ones(len(found), dtype=bool)
        for before, more in ((0, 1), (1, 1), (0, 2), (1, 2), (2, 2)):
            place = lookup(key[order], key - 8 * before + more)
            longer = inside[order[np.maximum(place, 0)]]
            whole &= ~((place >= 0) & (longer >= _SAME * inside) & (longer > 0))
        return whole

    def alternative(self, code: str) -> tuple[str | None, list[int]]:
        """The commonest sibling in training, and the phrases that mark it.

        Returns
        -------
        (str or None, list of int)
            None where training holds no sibling; phrase numbers, strongest first.
        """
        if code not in self._alternatives:
            self._alternatives[code] = self._find_alternative(code)
        return self._alternatives[code]

    def _find_alternative(self, code):
        category = self._category.numbers(self._at([code], self._levels[1]))[0]
        mates = np.flatnonzero(self._code_category == category)
        mates = [m for m in mates if self._code.names[m] != code]
        if not mates:
            return None, []
        other = max(mates, key=lambda m: (self._code.size[m], self._code.names[m]))
        phrases, inside = self._code.row(other)
        own = self._code.numbers([code])
        outside = self._code.of(np.repeat(own, len(phrases)), phrases)
        size = self._code.sizes(own)[0]
        z = log_odds(inside, self._code.size[other], outside, size)[1]
        words = np.array([self.table.phrases[p].count(" ") + 1 for p in phrases])
        z = z * _LENGTH_WEIGHT[words]
        order = np.argsort(-z, kind="stable")[:20]
        kept = [i for i in order if z[i] > SIBLING_Z and self._may_lack(phrases[i])]
        counts = {self.table.phrases[phrases[i]]: inside[i] for i in kept}
        marks = [
            int(phrases[i])
            for i in kept
            if not _part_of_another(self.table.phrases[phrases[i]], counts)
        ]
        return self._code.names[other], marks

    def _may_lack(self, phrase: int) -> bool:
        """Whether "no <phrase>" reads well: a finding, no negation, no small word."""
        words = self.table.phrases[phrase].split()
        if self._home[phrase] < _FINDING:
            return False
        return not NEGATIONS & set(words) and (len(words) > 1 or len(words[0]) > 5)

    def surface(self, phrase: int) -> str:
        """A phrase as it first stood in a training note."""
        return self._surface[phrase]


def _part_of_another(phrase: str, counts: dict[str, float]) -> bool:
    """Whether a longer phrase, nearly as frequent, holds this one."""
    return any(
        phrase != other
        and f" {phrase} " in f" {other} "
        and count >= _SAME * counts[phrase]
        for other, count in counts.items()
    )


def _digest(note: str) -> bytes:
    return hashlib.blake2b(note.encode(), digest_size=8).digest()
