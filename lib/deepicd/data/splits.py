"""Train, validation and test: by patient, stratified by category, publishable.

Every random choice hangs on a hash of the seed and an identifier, so that the result
does not depend on the order of rows.
"""

import hashlib
import hmac
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from deepicd.common.errors import UserError

SPLITS = ("train", "val", "test")
SALT = "deepicd"  # of published splits, where no other is given


def assign(
    frame: pd.DataFrame,
    seed: int = 0,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
    min_train: int = 1,
) -> pd.Series:
    """Split admissions by patient, stratified by category.

    Categories are served from the rarest to the most frequent, and each patient goes
    where that category lacks most (iterative stratification, Sechidis et al. 2011).
    Before that, `min_train` patients of every code go to train, because a label that
    training never shows cannot be learned; a code of one patient is therefore always
    in train. Where a code has more than one patient, one patient with several codes
    may still bring a code to two splits.

    Parameters
    ----------
    frame : DataFrame
        `subject_id`, `label`, `category`; one row per admission.
    seed : int
        Another seed gives another split.
    fractions : tuple of float
        Of admissions, for train, val and test.
    min_train : int
        Patients of each code in train before one may go to val or test.

    Returns
    -------
    Series
        "train", "val" or "test" for each row of `frame`.

    Raises
    ------
    UserError
        For fractions that do not sum to 1.

    Examples
    --------
    >>> frame = pd.DataFrame({"subject_id": [str(i) for i in range(10)],
    ...                       "label": "I21.4", "stratum": "I21"})
    >>> assign(frame).value_counts().to_dict()
    {'train': 7, 'test': 2, 'val': 1}
    """
    _check(fractions)
    patients = _Patients(frame, seed)
    chosen = patients.first_of_each_code(min_train)
    taken = {split: Counter() for split in SPLITS}
    for patient in chosen:
        taken["train"].update(patients.categories[patient])
    total = Counter(frame["stratum"])
    split_of = dict.fromkeys(chosen, "train")
    for category in sorted(total, key=lambda c: (total[c], c)):
        for patient in patients.by_category[category]:
            if patient in split_of:
                continue
            needs = [
                share * total[category] - taken[split][category]
                for split, share in zip(SPLITS, fractions, strict=True)
            ]
            overall = (
                [
                    share * len(frame) - sum(taken[split].values())
                    for split, share in zip(SPLITS, fractions, strict=True)
                ]
                if len(set(needs)) < len(needs)
                else (0, 0, 0)
            )
            best = max(range(3), key=lambda i: (needs[i], overall[i]))
            split_of[patient] = SPLITS[best]
            taken[SPLITS[best]].update(patients.categories[patient])
    return frame["subject_id"].map(split_of)


def _check(fractions) -> None:
    if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UserError(
            found=f"fractions {tuple(fractions)}",
            expected="three shares for train, val and test that sum to 1",
            do="use 0.7, 0.1, 0.2",
        )


class _Patients:
    """Patients in a seeded order, with their categories and codes."""

    def __init__(self, frame: pd.DataFrame, seed: int):
        ids = frame["subject_id"].unique()
        self.order = sorted(ids, key=lambda i: _hash(f"{seed}:split:{i}"))
        self.categories: dict[str, list[str]] = defaultdict(list)
        self.codes: dict[str, list[str]] = defaultdict(list)
        rows = zip(frame["subject_id"], frame["stratum"], frame["label"], strict=True)
        for subject, category, code in rows:
            self.categories[subject].append(category)
            self.codes[subject].append(code)
        self.by_category: dict[str, list[str]] = defaultdict(list)
        for patient in self.order:
            for category in dict.fromkeys(self.categories[patient]):
                self.by_category[category].append(patient)

    def first_of_each_code(self, min_train: int) -> list[str]:
        """Choose patients so that every code is in train `min_train` times."""
        have: Counter = Counter()
        carriers = Counter(c for codes in self.codes.values() for c in set(codes))
        chosen = {}
        rare_first = sorted(
            self.order, key=lambda p: min(carriers[c] for c in self.codes[p])
        )
        for patient in rare_first:
            codes = set(self.codes[patient])
            if any(have[code] < min_train for code in codes):
                chosen[patient] = None
                have.update(codes)
        return list(chosen)


def sft_ranks(frame: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """Number the training rows so that smaller training sets are prefixes.

    Parameters
    ----------
    frame : DataFrame
        `note_id`, `split`.
    seed : int
        Another seed gives another order.

    Returns
    -------
    ndarray of int64
        0, 1, ... over train rows, -1 elsewhere.

    Examples
    --------
    >>> frame = pd.DataFrame({"note_id": ["a", "b", "c"],
    ...                       "split": ["train", "test", "train"]})
    >>> sorted(sft_ranks(frame).tolist())
    [-1, 0, 1]
    """
    train = (frame["split"] == "train").to_numpy()
    keys = np.array([_hash(f"{seed}:sft:{i}") for i in frame["note_id"]], dtype=object)
    ranks = np.full(len(frame), -1, dtype=np.int64)
    where = np.flatnonzero(train)
    ranks[where[np.argsort(keys[where], kind="stable")]] = np.arange(len(where))
    return ranks


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def salted(identifier: str, salt: str) -> str:
    """Hash an identifier with a salt (HMAC-SHA256, 32 hexadecimal digits).

    Examples
    --------
    >>> salted("10001", "a") == salted("10001", "b")
    False
    """
    return hmac.new(salt.encode(), str(identifier).encode(), "sha256").hexdigest()[:32]


def publish(frame: pd.DataFrame, salt: str = SALT) -> pd.DataFrame:
    """Give a split without identifiers, sorted by hash: `id_hash, split, sft_rank`.

    Whoever holds the data and the salt finds the rows again (`from_published`);
    whoever holds neither learns nothing but counts. Keep the salt out of public
    places if the identifiers can be guessed.

    Examples
    --------
    >>> frame = pd.DataFrame({"note_id": ["a"], "split": ["train"], "sft_rank": [0]})
    >>> list(publish(frame, "pepper"))
    ['id_hash', 'split', 'sft_rank']
    """
    hashes = [salted(i, salt) for i in frame["note_id"]]
    out = frame[["split", "sft_rank"]].assign(id_hash=hashes)
    columns = ["id_hash", "split", "sft_rank"]
    return out.sort_values("id_hash")[columns].reset_index(drop=True)


def from_published(note_ids: pd.Series, published: pd.DataFrame, salt: str):
    """Find the rows of a published split: a frame `note_id, split, sft_rank`.

    Raises
    ------
    UserError
        If no row is found: another salt, or other data.

    Examples
    --------
    >>> frame = pd.DataFrame({"note_id": ["a"], "split": ["test"], "sft_rank": [-1]})
    >>> from_published(frame["note_id"], publish(frame, "x"), "x")["split"].tolist()
    ['test']
    """
    keys = pd.DataFrame(
        {"note_id": list(note_ids), "id_hash": [salted(i, salt) for i in note_ids]}
    )
    found = keys.merge(published, on="id_hash", how="inner")
    if found.empty:
        raise UserError(
            found=f"none of {len(keys):,} notes in the published split",
            expected="the notes and the salt that the split was made with",
            do="use the same version of the data, and the salt of whoever published",
        )
    return found[["note_id", "split", "sft_rank"]]


def read_split(path: str | Path, note_ids: pd.Series, salt: str = SALT) -> pd.DataFrame:
    """Read an external split file: CSV with `split` and `note_id` or `id_hash`.

    Parameters
    ----------
    path : path-like
        The file.
    note_ids : Series
        The notes of this run.
    salt : str
        The salt, for a published file.

    Returns
    -------
    DataFrame
        `note_id, split`.

    Raises
    ------
    UserError
        For a missing file or column, unknown split names, or no common note.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            found=f"no split file at {path}",
            expected="a CSV file",
            do="check the parameter split_file",
        )
    frame = pd.read_csv(path, dtype=str)
    unknown = set(frame.get("split", ["(no column split)"])) - set(SPLITS)
    if unknown or not {"note_id", "id_hash"} & set(frame):
        raise UserError(
            found=f"columns {', '.join(frame)} with splits "
            f"{', '.join(sorted(map(str, unknown))[:5]) or 'as they should be'}",
            expected="the columns split (train, val, test) and note_id or id_hash",
            do=f"correct {path.name}",
        )
    if "id_hash" in frame:
        return from_published(note_ids, frame.assign(sft_rank=-1), salt)
    return frame[frame["note_id"].isin(set(note_ids))][["note_id", "split"]]


def overlap(frame: pd.DataFrame) -> int:
    """Count the patients that are in more than one split.

    Examples
    --------
    >>> overlap(pd.DataFrame({"subject_id": ["1", "1"], "split": ["train", "test"]}))
    1
    """
    return int((frame.groupby("subject_id")["split"].nunique() > 1).sum())
