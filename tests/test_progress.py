"""Steps that take long are counted: what, how many of how many, to the end."""

import re
from collections import defaultdict

import pandas as pd
import pytest
import training_kit as kit
from test_teachers import FRAME

from deepicd.common import progress
from deepicd.evaluation import abstaining, best_reader, calibration, strata, systems
from deepicd.icd import load_tree
from deepicd.rewards import get_spec, score
from deepicd.tasks.evidence import Background
from deepicd.traces import build_traces, catch_rates
from deepicd.traces.teachers import RuleTeacher
from deepicd.training import grpo, models
from deepicd.training.own_answers import Drawn

TREE = load_tree()
_SPEED = re.compile(r", [\d,]+ tokens/s$")
FEW_STEPS = grpo.GrpoSettings(prompts=4, max_completion=24, seed=3)


@pytest.fixture
def told():
    """What is told while a test runs: text, without its speed, to the counts."""
    found = defaultdict(list)

    def tell(done, total, text):
        found[_SPEED.sub("", text)].append((done, total))

    progress.send_to(tell)
    yield found
    progress.send_to(progress.line)


def answered():
    """Two systems' answers to the notes of the kit, several each."""
    notes = kit.admissions().assign(split="test")
    rows = [
        notes[["note_id", "split"]].assign(
            system=system, seed=0, sample=k, code=code, well_formed=True
        )
        for system, code in (("sft", "I21.11"), ("sft_grpo", "J18.9"))
        for k in range(4)
    ]
    return notes, pd.concat(rows, ignore_index=True)


def best_of(notes) -> pd.DataFrame:
    named = {
        level: [TREE.at(code, level) for code in notes["label"]]
        for level in TREE.levels
    }
    return notes[["note_id"]].assign(**named)


def read_by_the_best_reader():
    notes, said = answered()
    cases = systems.gather(said, notes)
    best_reader.oracle_metrics(cases, best_of(notes), TREE, 10)
    best_reader.oracle_gap(cases, best_of(notes), TREE, 10)


def evaluated():
    notes, said = answered()
    cases = systems.gather(said, notes)
    systems.metrics_table(cases, TREE, 10)
    systems.differences_table(cases, [("sft_grpo", "sft")], TREE, n=10)
    strata.strata_table(cases, notes["label"], TREE, 10, minimum=1)
    calibration.sample_scores(said, notes, TREE, n_boot=10)
    abstaining.automated_share(said, notes, TREE, 0.5, None, 10)


def distilled():
    teacher = RuleTeacher(TREE).fit(FRAME)
    catch_rates(build_traces(FRAME, TREE, teacher), FRAME, TREE, 3)


def drawn(folder):
    table = kit.admissions()
    tokenizer = kit.tokenizer_of(table)
    data, _ = grpo.prompt_set(table, tokenizer, "code_only", "brief", 200)
    spec = get_spec("tree", style="code_only", weight_evidence=0.2)
    own = Drawn(tokenizer, data, spec, FEW_STEPS, 2, folder, TREE)
    net = models.make_model(tokenizer, "tiny", 0)
    own.draw(net, range(len(data)), 0, 0, progress.report)


LONG = {
    read_by_the_best_reader: (
        "levels: scoring the best reader",
        "comparing with the best reader",
    ),
    evaluated: (
        "scoring systems",
        "comparing systems",
        "scoring groups of notes",
        "levels: scoring samples",
        "levels: abstaining",
    ),
    distilled: (
        "reading notes",
        "rule: reasoning written",
        "reading validation and test notes",
        "folds: a reader of the reasoning alone",
        "checking traces",
        "planting faults of each kind",
    ),
    drawn: (
        "tokenizer: reading texts",
        "writing prompts",
        "notes: learning what is usual",
        "drawing answers",
        "notes: paying",
    ),
}


@pytest.mark.parametrize("step", LONG, ids=lambda step: step.__name__)
def test_a_long_step_is_counted_from_nothing_to_its_end(step, told, tmp_path):
    step(*[tmp_path] * (step is drawn))
    for text in LONG[step]:
        counts = told.get(text)
        assert counts, f"{text}: not told"
        total = counts[0][1]
        assert counts[0] == (0, total) and (total, total) in counts, text


def test_the_reward_of_drawn_answers_is_that_of_all_at_once(tmp_path):
    drawn(tmp_path)
    kept = pd.read_parquet(tmp_path / "answers-0.parquet")
    log = pd.read_json(tmp_path / "rollouts.jsonl", lines=True)
    spec = get_spec("tree", style="code_only", weight_evidence=0.2)
    notes = kit.admissions()
    usual = Background.of(notes["note"], notes["label"], TREE)
    paid = score(kept["completion"], kept["label"], spec, TREE, kept["note"], usual)
    assert log["reward"].tolist() == pytest.approx([one.total for one in paid])
