"""The parts of a reward as reward functions for TRL's GRPOTrainer."""

from collections.abc import Callable

from deepicd.common.errors import UserError
from deepicd.icd.load import load_tree
from deepicd.icd.tree import IcdTree
from deepicd.rewards.scoring import RewardBreakdown, Scorer
from deepicd.rewards.spec import RewardSpec, get_spec
from deepicd.tasks.evidence import Background

RewardFunction = Callable[..., list[float]]


class BatchScores:
    """Scores of the batch at hand, computed once and shared by the parts."""

    def __init__(self, scorer: Scorer, gold_column: str, note_column: str):
        self._scorer = scorer
        self._gold_column, self._note_column = gold_column, note_column
        self._key: tuple | None = None
        self._scores: list[RewardBreakdown] = []

    def __call__(self, completions: list, columns: dict) -> list[RewardBreakdown]:
        """Score a batch, or give the scores of the same batch again."""
        texts = [completion_text(c) for c in completions]
        golds = list(self._column(columns, self._gold_column))
        notes = self._notes(columns)
        key = (texts, golds, notes)
        if key != self._key:
            self._scores, self._key = self._scorer(texts, golds, notes), key
        return self._scores

    def _notes(self, columns: dict) -> list[str] | None:
        if not self._scorer.spec.needs("note"):
            return None
        return list(self._column(columns, self._note_column))

    def _column(self, columns: dict, name: str):
        if name not in columns:
            raise UserError(
                found=f"no column {name!r} in the training data",
                expected=f"columns with the gold code and, for evidence, {name!r}",
                do="keep the column in the dataset (remove_unused_columns=False)",
            )
        return columns[name]


def completion_text(completion) -> str:
    """Text of a completion: a string, or what the assistant says in chat messages.

    What a tool gave back, or a user asked, is no answer of the model.

    Examples
    --------
    >>> completion_text([{"role": "assistant", "content": "I10"}])
    'I10'
    >>> completion_text([{"role": "tool", "content": "I10"}])
    ''
    """
    if not isinstance(completion, list | tuple):
        return completion if isinstance(completion, str) else ""
    messages = [m for m in completion if isinstance(m, dict)]
    said = (m.get("content") for m in messages if m.get("role") == "assistant")
    return "".join(map(_content_text, said))


def _content_text(content) -> str:
    """Text of a message's content, which may be a list of parts."""
    if not isinstance(content, list | tuple):
        return content if isinstance(content, str) else ""
    parts = (p for p in content if isinstance(p, dict) and p.get("type") == "text")
    return "".join(p["text"] for p in parts if isinstance(p.get("text"), str))


def trl_reward_functions(
    spec: str | RewardSpec,
    tree: IcdTree | None = None,
    gold_column: str = "label",
    note_column: str = "note",
    background: Background | None = None,
) -> tuple[list[RewardFunction], list[str], list[float]]:
    """Make one TRL reward function a part, with its name and weight.

    The functions give unweighted values; TRL multiplies by the weights. With
    `multi_objective_aggregation="sum_then_normalize"` (TRL's default) the
    weighted parts are added and the sum is normalised within its group; with
    `"normalize_then_sum"` each part is normalised within its group first and the
    weights act after that (GDPO), so that a part with a small spread is heard
    (`deepicd.rewards.advantages.group_advantages` shows both).

    Parameters
    ----------
    spec : str or RewardSpec
    tree : IcdTree, optional
    gold_column, note_column : str
        Dataset columns of the gold code and of the note (read only where the
        parts `evidence` or `judge` are on).
    background : Background, optional
        What is usual in the training notes, for the part `evidence`.

    Returns
    -------
    functions : list of callable
        `f(prompts, completions, **columns) -> list of float`; `__name__` is the
        part's name. A batch is scored once, however many parts there are.
    names : list of str
    weights : list of float

    Examples
    --------
    >>> functions, names, weights = trl_reward_functions("prefix")
    >>> names, weights
    (['outcome', 'format'], [1.0, 1.0])
    >>> text = "<think>tall T waves</think><diagnosis>I10</diagnosis>"
    >>> functions[0](prompts=[""], completions=[text], label=["I21.11"])
    [3.0]
    """
    spec = get_spec(spec) if isinstance(spec, str) else spec
    scorer = Scorer(spec, tree or load_tree(), background)
    batch = BatchScores(scorer, gold_column, note_column)
    names = [part for part in spec.parts if spec.weight_of(part)]
    weights = [float(spec.weight_of(part)) for part in names]
    pairs = zip(names, weights, strict=True)
    return [_part_function(batch, *pair) for pair in pairs], names, weights


def _part_function(batch: BatchScores, part: str, weight: float) -> RewardFunction:
    def reward(prompts=None, completions=None, **columns) -> list[float]:
        scores = batch(completions or [], columns)
        return [row.parts[part] / weight for row in scores]

    reward.__name__ = part
    reward.__qualname__ = part
    return reward
