"""Golden weights: training that changes must count up `REVISION`.

Kept runs (`outputs/reference`) are found by data, settings, seed and `REVISION`. A
tiny SFT and GRPO run move the weights as below, and rewards are as below. Where one
differs, what is kept no longer says what the code would give: count up the number and
write the new values here. Machines differ in the last bits of a product, hence the
tolerance; a learning rate that is 1 % larger is seen (last test).
"""

import numpy as np
import pytest
import torch
import training_kit as kit

from deepicd.icd import load_tree
from deepicd.rewards import get_spec, score
from deepicd.tasks.evidence import default_background
from deepicd.traces.guiding import Guide
from deepicd.training import grpo, models
from deepicd.training.revision import REVISION

TREE = load_tree()
GOLDEN = {
    2: {
        "sft": (39.183884, 16.543555),
        "grpo": (0.06090856, 0.44716226),
        # The part `evidence` is at its own revision 2.
        "rewards": [1.11922, 0.604205, 0.1, -0.5, -0.5],
        "shown": "<think>\n"
        '"ST elevation in II, III", "chest pain": circulatory (9). I21, acute '
        "myocardial infarction; ST elevation involving right coronary artery. "
        "Code I21.11.\n</think>\n<diagnosis>I21.11</diagnosis>",
    },
}
CLOSE = {"rel": 2e-3, "abs": 1e-6}
NOTE = "Sudden chest pain at rest, fever of 39. ECG: ST elevation in II, III, aVF."
SAID = (
    '<think>"ST elevation in II, III" and "chest pain".</think>'
    "<diagnosis>I21.11</diagnosis>",
    '<think>"ST elevation", "crushing".</think><diagnosis>I21.19</diagnosis>',
    "<think>Fever.</think><diagnosis>J18.9</diagnosis>",
    "<think>Fever.</think>J18.9",
    "",
)


def moved(start, net) -> tuple[float, float]:
    """The change from `start` along a fixed random direction, and its size."""
    one, two = (
        torch.cat([p.detach().flatten().double() for p in of.parameters()])
        for of in (start, net)
    )
    flat = two - one
    draw = np.random.default_rng(0).standard_normal(len(flat))
    return float(flat @ torch.from_numpy(draw)), float(flat.norm())


def grpo_run(folder: str, tokenizer, prompt_set, place, rate=1e-3):
    net, _ = models.load(folder)
    settings = grpo.GrpoSettings(
        steps=3,
        prompts=2,
        group_size=4,
        max_completion=24,
        save_every=3,
        validate_every=0,
        learning_rate=rate,
        warmup_steps=0,
        seed=3,
    )
    return grpo.train(net, tokenizer, prompt_set, "tree", settings, place)[0]


@pytest.fixture(scope="module")
def first(table, tokenizer, tmp_path_factory):
    """Folder of the SFT model that the GRPO runs start from."""
    with one_thread():
        return kit.taught(table, tokenizer, tmp_path_factory.mktemp("golden"), 25)


class one_thread:
    """Two threads add in another order than one."""

    def __enter__(self):
        self.before = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_):
        torch.set_num_threads(self.before)


def test_sft_moves_the_weights_as_ever(first, tokenizer):
    found = moved(kit.network(tokenizer), models.load(first)[0])
    assert found == pytest.approx(GOLDEN[REVISION]["sft"], **CLOSE)


def test_grpo_moves_the_weights_as_ever(first, tokenizer, prompt_set, tmp_path):
    with one_thread():
        net = grpo_run(first, tokenizer, prompt_set, tmp_path)
    found = moved(models.load(first)[0], net)
    assert found == pytest.approx(GOLDEN[REVISION]["grpo"], **CLOSE)


def test_rewards_pay_as_ever():
    spec = get_spec("tree", weight_evidence=0.2, weight_format=0.1)
    found = [row.total for row in score(SAID, "I21.11", spec, notes=[NOTE] * len(SAID))]
    assert found == pytest.approx(GOLDEN[REVISION]["rewards"])


def test_guides_show_what_they_ever_showed():
    guide = Guide(TREE, "reasoning", "short", default_background())
    assert guide.answer(SAID[:2], NOTE, "I21.11", 3) == GOLDEN[REVISION]["shown"]


def test_the_golden_weights_would_notice_a_small_change(
    first, tokenizer, prompt_set, tmp_path
):
    with one_thread():
        net = grpo_run(first, tokenizer, prompt_set, tmp_path, rate=1.01e-3)
    found = moved(models.load(first)[0], net)
    assert found != pytest.approx(GOLDEN[REVISION]["grpo"], **CLOSE)
