"""`score`: completions and gold codes in, one breakdown each out."""

from collections.abc import Sequence
from dataclasses import dataclass

from deepicd.common.errors import UserError
from deepicd.icd.load import load_tree
from deepicd.icd.tree import IcdTree
from deepicd.rewards.outcome import credit_of
from deepicd.rewards.registry import PARTS, Seen
from deepicd.rewards.spec import OUTCOME, RewardSpec, get_spec
from deepicd.tasks.evidence import Background
from deepicd.tasks.prompts import Parsed, count_pairs, parse_completion, quick_answer

NOT_A_CODE = "answer is no code of the catalogue"
_PLAIN = Parsed(None, None, True, None)
_MEMO_ENTRIES = 200_000
_scorers: dict[tuple[RewardSpec, int, int], "Scorer"] = {}


@dataclass(slots=True)
class RewardBreakdown:
    """What one completion earned.

    Attributes
    ----------
    total : float
        Sum of the parts.
    parts : dict of str to float
        Contribution (weight times value) of each switched-on part.
    code : str or None
        The code that was read; None where malformed or not in the catalogue.
    problem : str or None
        What kept it from being judged; None for a readable answer.
    """

    total: float
    parts: dict[str, float]
    code: str | None
    problem: str | None


class Scorer:
    """A spec bound to a tree, with a memory of (answer, gold) pairs seen.

    Examples
    --------
    >>> scorer = Scorer(get_spec("tree"), load_tree())
    >>> text = "<think>ST elevation</think><diagnosis>I21.19</diagnosis>"
    >>> scorer([text], ["I21.11"])[0].total
    0.5
    """

    def __init__(
        self, spec: RewardSpec, tree: IcdTree, background: Background | None = None
    ):
        self.spec, self.tree, self.background = spec, tree, background
        self._credit = credit_of(spec, tree)
        parts = [(PARTS[name], spec.weight_of(name)) for name in spec.parts[1:]]
        self._single = [(part, weight) for part, weight in parts if not part.many]
        self._many = [(part, weight) for part, weight in parts if part.many]
        quick = spec.style == "reasoning" and not spec.needs("think")
        self._quick_length = spec.max_characters if quick else -1
        self._memo: dict[tuple[str | None, str], tuple[str | None, float]] = {}
        self._golds: dict[str, str] = {}

    def __call__(
        self,
        completions: Sequence[str],
        golds: Sequence[str],
        notes: Sequence[str] | None = None,
    ) -> list[RewardBreakdown]:
        """Score aligned completions and gold codes."""
        known = self._golds
        golds = [known.get(gold) or self._gold(gold) for gold in golds]
        notes = [""] * len(golds) if notes is None else notes
        triples = zip(completions, golds, notes, strict=True)
        pairs = [self._one(*triple) for triple in triples]
        rows = [row for row, _ in pairs]
        for part, weight in self._many:
            values = part.value([seen for _, seen in pairs])
            for row, value in zip(rows, values, strict=True):
                row.parts[part.name] = weight * value
                row.total += weight * value
        return rows

    def _one(self, text: str, gold: str, note: str) -> tuple[RewardBreakdown, Seen]:
        answer = None
        if isinstance(text, str) and len(text) <= self._quick_length:
            answer = quick_answer(text, self.tree.tag)
        found = self._memo.get((answer, gold))
        if found is None:
            parsed, code, value = self._outcome(text, gold)
        else:
            parsed, (code, value) = _PLAIN, found
        problem = parsed.problem or (None if code else NOT_A_CODE)
        total = value * self.spec.weight_outcome
        parts, seen = {OUTCOME: total}, None
        if self._single or self._many:
            said = text if isinstance(text, str) else ""
            own = (self.spec, self.tree, self.background)
            seen = Seen(said, parsed, code, gold, note, *own)
        for part, weight in self._single:
            parts[part.name] = gain = weight * part.value(seen)
            total += gain
        return RewardBreakdown(total, parts, code, problem), seen

    def _outcome(self, text: str, gold: str) -> tuple[Parsed, str | None, float]:
        spec = self.spec
        if isinstance(text, str) and len(text) > spec.max_characters:
            problem = f"longer than {spec.max_characters:,} characters"
            return Parsed(None, None, False, problem), None, self._malformed(text)
        parsed = parse_completion(text, spec.style, self.tree.tag)
        if not parsed.well_formed:
            return parsed, None, self._malformed(text)
        key = (parsed.answer, gold)
        found = self._memo.get(key)
        if found is None:
            found = self._credit(parsed.answer, gold, spec, self.tree)
            if len(parsed.answer) <= 64 and len(self._memo) < _MEMO_ENTRIES:
                self._memo[key] = found
        return parsed, *found

    def _malformed(self, text: str) -> float:
        spec = self.spec
        if not isinstance(text, str) or not text.strip():
            return spec.weight_empty
        if not spec.weight_extra_pair:
            return spec.weight_malformed
        extra = min(
            max(count_pairs(text, self.tree.tag)[1] - 1, 0), spec.most_extra_pairs
        )
        return spec.weight_malformed + spec.weight_extra_pair * extra

    def _gold(self, gold: str) -> str:
        code = self.tree.normalise(gold)
        if code is None:
            raise UserError(
                found=f"gold code {gold!r}",
                expected="a code of the ICD-10-CM tree",
                do="load_tree(extra_codes=...) with the table of your release",
            )
        self._golds[gold] = code
        return code


def score(
    completions: Sequence[str],
    gold: str | Sequence[str],
    spec: str | RewardSpec = "tree",
    tree: IcdTree | None = None,
    notes: str | Sequence[str] | None = None,
    background: Background | None = None,
) -> list[RewardBreakdown]:
    """Score completions against gold codes; never raises on what they say.

    Parameters
    ----------
    completions : sequence of str
        What the model wrote.
    gold : str or sequence of str
        One gold code for all, or one each.
    spec : str or RewardSpec
        A named spec or your own.
    tree : IcdTree, optional
        The installed release by default.
    notes : str or sequence of str, optional
        Admission notes, needed by the parts `evidence` and `judge`.
    background : Background, optional
        What is usual in the training notes, for `evidence`; by default what is usual
        in the synthetic corpus.

    Returns
    -------
    list of RewardBreakdown

    Raises
    ------
    UserError
        For a gold code outside the tree, lengths that do not fit, or a spec that
        needs notes where there are none.

    Examples
    --------
    >>> text = "<think>ST elevation in II, III, aVF</think><diagnosis>{}</diagnosis>"
    >>> answers = ["I21.11", "I21.19", "I21.9", "I10", "A00.0", "I21.11X"]
    >>> [r.total for r in score([text.format(a) for a in answers], "I21.11")]
    [1.0, 0.5, 0.4, 0.1, 0.0, -0.2]
    """
    spec = get_spec(spec) if isinstance(spec, str) else spec
    completions = [completions] if isinstance(completions, str) else list(completions)
    golds = _aligned("gold codes", gold, len(completions))
    if notes is not None:
        notes = _aligned("notes", notes, len(completions))
    elif spec.needs("note"):
        raise UserError(
            found="no notes",
            expected="the admission notes, for the parts evidence and judge",
            do="pass notes=..., or set weight_evidence and weight_judge to 0",
        )
    scorer = scorer_for(spec, tree or load_tree(), background)
    return scorer(completions, golds, notes)


def scorer_for(
    spec: RewardSpec, tree: IcdTree, background: Background | None = None
) -> Scorer:
    """Give the scorer of a spec and a tree; made once, so that memory is shared."""
    key = (spec, id(tree), id(background))
    scorer = _scorers.get(key)
    if scorer is None:
        if len(_scorers) >= 64:
            _scorers.clear()
        scorer = _scorers[key] = Scorer(spec, tree, background)
    return scorer


def _aligned(what: str, value, size: int) -> list:
    values = [value] * size if isinstance(value, str) else list(value)
    if len(values) != size:
        raise UserError(
            found=f"{len(values)} {what} for {size} completions",
            expected="one for each, or a single text for all",
            do=f"pass {what} in the order of the completions",
        )
    return values
