"""Names, colours, markers and line styles of systems: the same in every figure."""

from collections.abc import Iterable
from typing import NamedTuple

from deepicd.tasks.known import shown_levels


class Look(NamedTuple):
    """How a system is drawn."""

    name: str
    colour: str
    marker: str
    line: str | tuple


LOOKS = {
    "prior": Look("Most frequent code", "#8c8c8c", "v", (0, (1, 1))),
    "nearest_case": Look("Nearest case", "#e69f00", "^", (0, (3, 1, 1, 1))),
    "tfidf_lr": Look("TF-IDF + LR", "#009e73", "s", "-."),
    "tfidf_lr_traced": Look("TF-IDF + LR, traced", "#66c2a5", "<", (0, (5, 2, 1, 2))),
    "embed_mlp": Look("Embedding + MLP", "#b3a100", "P", (0, (2, 2))),
    "encoder": Look("Encoder", "#cc79a7", "X", (0, (5, 1, 1, 1, 1, 1))),
    "base": Look("LM before SFT", "#56b4e9", "p", ":"),
    "base_code_only": Look("LM, code only", "#88a9c4", "d", (0, (1, 2, 3, 2))),
    "base_shots": Look("LM + examples", "#2f8ea8", "h", (0, (4, 1, 1, 1))),
    "sft": Look("SFT", "#0072b2", "o", "--"),
    "sft_rft": Look("SFT + RFT", "#6a51a3", ">", (0, (4, 1.5))),
    "sft_grpo": Look("SFT + GRPO", "#d55e00", "D", "-"),
    "sft_rft_grpo": Look("SFT + RFT + GRPO", "#d55e00", "D", "-"),
    "sft_dpo": Look("SFT + DPO", "#d55e00", "D", "-"),
    "sft_rft_dpo": Look("SFT + RFT + DPO", "#d55e00", "D", "-"),
    "oracle": Look("Oracle", "#222222", "*", (0, (5, 1))),
}
_SPARE = (
    "#a50f15",
    "#7f6000",
    "#1b9e77",
    "#a6611a",
    "#40004b",
    "#3690c0",
    "#525252",
    "#dd3497",
)


class _Names(dict):
    """Names of levels; those without one are told by their own."""

    def __missing__(self, level: str) -> str:
        return level.replace("_", " ").capitalize()


LEVEL_NAMES = _Names(full="Full code", all="Whole tree", mdc="MDC", drg="DRG")
METRIC_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "hierarchical_precision": "hierarchical precision",
    "hierarchical_recall": "hierarchical recall",
    "hierarchical_f1": "hierarchical F1",
    "tree_distance": "tree distance",
    "well_formed": "well-formed",
    "in_catalogue": "in the catalogue",
    "billable": "billable",
    "bins_off": "steps off",
    "quadratic_kappa": "quadratic kappa",
    "auroc": "AUROC",
    "one_sample": "drawn answer",
    "pass_at_k": "pass@k",
    "majority": "majority vote",
    "ece": "ECE",
    "words": "words",
    "quotes": "quotes",
    "evidence_found": "quotes found in the note",
    "all_found": "notes with every quote found",
    "telling": "what a quote tells for the answer",
    "quoted_words": "words quoted from the note",
    "codes_on_path": "codes named on the answer's path",
    "recovered": "answer told by the reasoning alone",
}
OUTCOME_COLOURS = {
    "exact": "#08306b",
    "category": "#2b7bba",
    "block": "#7fb9da",
    "chapter": "#cfe1f2",
    "wrong": "#f6c38a",
    "not in catalogue": "#d55e00",
    "malformed": "#4d4d4d",
}

OUTCOME_HATCHES = {"wrong": "////", "not in catalogue": "xxxx", "malformed": "...."}
"""Outcomes without a right level, told apart in grey too."""
_NEAR = ("#2b7bba", "#7fb9da", "#cfe1f2")
VALIDATION = "val_accuracy_"


def outcome_colours(outcomes: Iterable[str]) -> dict[str, str]:
    """Colour of each outcome in the order given; right levels become lighter.

    >>> outcome_colours(["exact", "service", "wrong"])["service"]
    '#2b7bba'
    """
    found = list(dict.fromkeys(outcomes))
    spare = iter(_NEAR * len(found))
    return {o: OUTCOME_COLOURS.get(o) or next(spare) for o in found}


def validated(names: Iterable[str]) -> tuple[str, ...]:
    """Levels of which a table of curves holds the validation accuracy.

    >>> validated(["val_accuracy_full", "val_loss", "val_accuracy_chapter"])
    ('chapter', 'full')
    """
    return shown_levels(
        name.removeprefix(VALIDATION) for name in names if name.startswith(VALIDATION)
    )


def in_order(systems: Iterable[str]) -> list[str]:
    """Systems in the order of the study, others after them as they come.

    >>> in_order(["sft", "mine", "prior"])
    ['prior', 'sft', 'mine']
    """
    systems = list(dict.fromkeys(systems))
    return [s for s in LOOKS if s in systems] + [s for s in systems if s not in LOOKS]


def look(system: str, systems: Iterable[str] = ()) -> Look:
    """How to draw a system; systems of no fixed look get spare colours by place.

    >>> look("sft").colour
    '#0072b2'
    """
    if system in LOOKS:
        return LOOKS[system]
    others = [s for s in in_order(systems) if s not in LOOKS]
    place = others.index(system) if system in others else 0
    lines = ("-", "--", "-.", ":")
    return Look(
        system.replace("_", " "),
        _SPARE[place % len(_SPARE)],
        "h<>dH8"[place % 6],
        lines[place % 4],
    )
