"""TRL's private names: all in one file; those that a new TRL has moved are named."""

import ast
import inspect
import types
from pathlib import Path

import pytest
import trl

from deepicd.training.grpo import trl_trainer

LIB = Path(trl_trainer.__file__).parents[2]


def private_names(tree: ast.AST, owners: tuple[str, ...]) -> set[str]:
    """Attributes that begin with one underscore, of names such as ``self``."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and ast.unparse(node.value) in owners
    }


def test_the_pinned_trl_has_every_private_name_that_we_use():
    moved = trl_trainer.missing()
    assert not moved, f"TRL {trl.__version__} has moved {', '.join(moved)}"


class GRPOTrainer:
    """A TRL of another day: two methods and one attribute have other names."""

    _calculate_rewards = _full_logits_logps = _generate_and_score_completions = None
    _generate_single_turn = _log_metric = _prepare_inputs = None

    def __init__(self):
        self._pending_metrics: dict[str, list] = {}
        self._entropy_bonus_enabled = self._measured = None


def test_names_that_a_new_trl_has_moved_are_said():
    utils = types.SimpleNamespace(selective_log_softmax=1)
    other = types.SimpleNamespace(
        GRPOTrainer=GRPOTrainer,
        models=trl.models,
        trainer=types.SimpleNamespace(utils=utils),
    )
    assert trl_trainer.missing(other) == [
        "GRPOTrainer._compute_loss",
        "GRPOTrainer._tokenize_prompts",
        "GRPOTrainer._last_loaded_step",
        "GRPOTrainer._metrics",
        "trainer.utils.selective_log_softmax_and_entropy",
    ]


def test_every_private_name_of_trl_in_our_trainer_is_listed():
    house = trl_trainer.HouseTrainer
    used = private_names(ast.parse(inspect.getsource(house)), ("self", "super()"))
    used |= {name for name in vars(house) if name.startswith("_")}
    theirs = inspect.getsource(trl.GRPOTrainer)
    used = {n for n in used if f"self.{n}" in theirs or f"def {n}(" in theirs}
    used = {name for name in used if not name.startswith("__")}
    assert used == set(trl_trainer.METHODS + trl_trainer.STATE)


@pytest.mark.parametrize("folder", sorted(p.name for p in LIB.iterdir() if p.is_dir()))
def test_no_other_file_touches_what_trainers_keep_private(folder):
    """A trainer is called `trainer`; deep imports from trl are private too."""
    for path in (LIB / folder).rglob("*.py"):
        if path.name == "trl_trainer.py":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert not private_names(tree, ("trainer", "self.trainer")), path
        deep = [
            node.module
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and (node.module or "").startswith(("trl.", "transformers.trainer"))
        ]
        assert not deep, f"{path}: {deep}"
