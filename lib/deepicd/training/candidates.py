"""Candidates by retrieval: a first stage proposes codes, the language model chooses.

Four rankers read a note: the words it shares with the titles of codes, with the terms
of each code's training notes, with its nearest training notes; and a small embedding
in which notes were drawn to the titles of their codes (contrastive training). Their
ranks are put together by reciprocal rank fusion (Cormack et al. 2009).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from torch import nn
from torch.nn import functional

from deepicd.common.errors import UserError
from deepicd.icd.titles import shorten, titles_on_path

RANKERS = ("titles", "terms", "neighbours", "contrast")
HEADER = "POSSIBLE CODES:"
NEAREST, FOLDS, FUSION = 15, 5, 1
DIMENSIONS, EPOCHS, BATCH, TEMPERATURE = 128, 12, 64, 0.07


class Retriever:
    """Ranks codes for a note; fitted on training notes and titles.

    Parameters
    ----------
    notes, labels : sequences of str
        Training notes and their codes.
    tree : deepicd.tasks.task.LabelSpace
        Gives titles.
    seed : int
        Of the embedding's weights and order.
    others : sequence of str
        Codes without training notes that may be proposed, too; their titles speak.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> finder = Retriever(["crushing chest pain", "cough and fever"] * 2,
    ...                    ["I21.9", "J18.9"] * 2, load_tree())
    >>> finder.propose(["chest pain at rest"], 1)
    [['I21.9']]
    """

    def __init__(
        self,
        notes: Sequence[str],
        labels: Sequence[str],
        tree,
        seed: int = 0,
        others: Sequence[str] = (),
    ):
        labels = np.array(list(labels), dtype=str)
        seen, numbers = np.unique(labels, return_inverse=True)
        self.codes = [*seen.tolist(), *sorted(set(others) - set(seen))]
        told = [titles_on_path(code, tree) for code in self.codes]
        self.words = TfidfVectorizer(
            ngram_range=(1, 2),
            min_df=1 if len(notes) < 50 else 2,
            sublinear_tf=True,
            max_features=10_000,
            dtype=np.float32,
        ).fit([*notes, *told])
        read, self.titles = self.words.transform(notes), self.words.transform(told)
        shape = (len(self.codes), len(numbers))
        self.of_code = sparse.csr_matrix(
            (np.ones(len(numbers), np.float32), (numbers, np.arange(len(numbers)))),
            shape,
        )
        self.terms = normalize(self.of_code @ read)
        near = min(NEAREST, len(numbers))
        self.neighbours = NearestNeighbors(n_neighbors=near, metric="cosine").fit(read)
        self.table = contrastive_table(read, numbers, self.titles[: len(seen)], seed)

    def scores(self, notes: Sequence[str]) -> dict[str, np.ndarray]:
        """Of each ranker, shape (notes, codes); 0 where nothing speaks for a code."""
        read = self.words.transform(notes)
        votes = 1 - self.neighbours.kneighbors_graph(read, mode="distance").toarray()
        votes[votes == 1] = 0  # no neighbour
        near = [embedded(x, self.table).numpy() for x in (read, self.titles)]
        return {
            "titles": (read @ self.titles.T).toarray(),
            "terms": (read @ self.terms.T).toarray(),
            "neighbours": votes @ self.of_code.T,
            "contrast": near[0] @ near[1].T + 1,
        }

    def fused(self, notes: Sequence[str]) -> np.ndarray:
        """Reciprocal ranks of all rankers together, shape (notes, codes)."""
        return sum(_reciprocal(found) for found in self.scores(notes).values())

    def propose(self, notes: Sequence[str], k: int) -> list[list[str]]:
        """The k best codes for each note, the best first."""
        order = np.argsort(-self.fused(notes), axis=1, kind="stable")[:, :k]
        return [[self.codes[i] for i in row] for row in order]


def _reciprocal(scores: np.ndarray) -> np.ndarray:
    """1 / (FUSION + rank from 1), and 0 where nothing speaks for a code."""
    ranks = np.argsort(np.argsort(-scores, axis=1, kind="stable"), axis=1)
    return np.where(scores > 0, 1 / (FUSION + 1 + ranks), 0)


def contrastive_table(
    notes: sparse.csr_matrix, numbers: np.ndarray, titles: sparse.csr_matrix, seed: int
) -> torch.Tensor:
    """Word vectors in which notes lie near the titles of their codes.

    One table embeds both as weighted sums of word vectors. Every note is drawn to its
    own title and pushed from those of all other codes (InfoNCE).

    Parameters
    ----------
    notes, titles : sparse matrices, shape (texts, words)
        TF-IDF.
    numbers : array of int
        Row of `titles` of each note.
    seed : int

    Returns
    -------
    torch.Tensor, shape (words, `DIMENSIONS`)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        table = nn.Parameter(torch.randn(notes.shape[1], DIMENSIONS) / DIMENSIONS**0.5)
    optimiser = torch.optim.Adam([table], lr=5e-3)
    gold, generator = torch.as_tensor(numbers), np.random.default_rng(seed)
    for _ in range(EPOCHS):
        for rows in np.array_split(
            generator.permutation(len(numbers)), -(-len(numbers) // BATCH)
        ):
            near = embedded(notes[rows], table) @ embedded(titles, table).T
            loss = functional.cross_entropy(near / TEMPERATURE, gold[rows])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    return table.detach()


def embedded(texts: sparse.csr_matrix, table: torch.Tensor) -> torch.Tensor:
    """Vectors of unit length: sums of word vectors weighted by TF-IDF."""
    words, starts = (
        torch.as_tensor(x, dtype=torch.long) for x in (texts.indices, texts.indptr[:-1])
    )
    weights = torch.as_tensor(texts.data)
    found = functional.embedding_bag(
        words, table, starts, mode="sum", per_sample_weights=weights
    )
    return functional.normalize(found, dim=1)


def with_candidates(admissions: pd.DataFrame, tree, k: int) -> pd.DataFrame:
    """Add the column `asked`: each note and the k codes proposed for it.

    For training notes codes are proposed from those of other patients, as it will be
    for new notes; the others see all training notes.

    Parameters
    ----------
    admissions : pandas.DataFrame
        Columns note, label, split, subject_id.
    tree : deepicd.tasks.task.LabelSpace
    k : int
        0: the table as it is, and prompts as without candidates.

    Raises
    ------
    UserError
        Where k is negative.
    """
    if k < 0:
        raise UserError(f"candidates {k}", "0 (none) or more", "--set candidates=5")
    if k == 0:
        return admissions
    train = np.flatnonzero(admissions["split"] == "train")
    rest = np.flatnonzero(admissions["split"] != "train")
    patients = admissions["subject_id"].to_numpy()[train]
    folds = GroupKFold(min(FOLDS, len(set(patients)))).split(train, groups=patients)
    parts = [(train[kept], train[out]) for kept, out in folds] + [(train, rest)]
    asked = pd.Series("", admissions.index, dtype=object)
    for kept, out in parts:
        new = admissions["note"].iloc[out].tolist()
        asked.iloc[out] = ask_all(new, admissions.iloc[kept], tree, k)
    return admissions.assign(asked=asked)


def ask_all(notes: Sequence[str], cases: pd.DataFrame, tree, k: int) -> list[str]:
    """Notes, each with the k codes that cases (columns note, label) propose for it."""
    if not len(notes):
        return []
    found = Retriever(cases["note"], cases["label"], tree).propose(notes, k)
    pairs = zip(notes, found, strict=True)
    return [ask_among(note, codes, tree) for note, codes in pairs]


def ask_among(note: str, codes: Sequence[str], tree) -> str:
    """A note and below it the codes to choose among, with short titles.

    Examples
    --------
    >>> from deepicd.icd import load_tree
    >>> print(ask_among("Chest pain.", ["I21.4", "R07.9"], load_tree()))
    Chest pain.
    <BLANKLINE>
    POSSIBLE CODES:
    I21.4 Non-ST elevation myocardial infarction
    R07.9 chest pain
    """
    lines = [f"{code} {shorten(tree.title(code))}" for code in codes]
    return "\n".join([f"{note.rstrip()}\n", HEADER, *lines])
