"""`bench adapting`: ways differ in what they train, and have their own processes."""

import numpy as np
import pandas as pd
import pytest
import training_kit as kit

from deepicd.common.errors import UserError
from deepicd.common.files import write_json
from deepicd.data.examples import synthetic_admissions
from deepicd.evaluation.systems import gather
from deepicd.icd import load_tree
from deepicd.study import adapting_job as job
from deepicd.study.adapting_job import Plan, Way
from deepicd.study.bench import adapting as bench
from deepicd.study.bench.__main__ import main
from deepicd.study.bench.measure import peak_memory
from deepicd.study.reference import benches
from deepicd.training import encoding, models
from deepicd.training.models.sizes import Size
from deepicd.training.models.tokenizer import train_tokenizer

LAYERS, PRUNED = 3, 2
FEWER = "LoRA, 2 layers taken out"
TREE = load_tree()


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Folder of a network with random weights that knows the words of the notes."""
    tokenizer = train_tokenizer(synthetic_admissions(60)["note"], 1000)
    net = models.make_model(tokenizer, Size(64, LAYERS, 2, 1, 176), 0)
    folder = tmp_path_factory.mktemp("adapting") / "base"
    models.save(net, tokenizer, folder)
    return str(folder)


@pytest.fixture(scope="module")
def results(base):
    """A tiny comparison, every process of it."""
    given = {"traces": 32, "steps": 3, "seeds": 1, "prune": PRUNED, "rates": "2e-3"}
    return bench.run(base, notes=300, **given)


@pytest.fixture(scope="module")
def found(results):
    return {result.name: result for result in results}


def cost(found, way, what):
    return found[f"{way} | {bench.COSTS} | {what}"].value


def test_the_ways_train_all_some_or_none_of_the_weights(found, base):
    n = {
        way: cost(found, way, "trainable")
        for way in (bench.ZERO, bench.FEW, bench.LORA, bench.WHOLE, FEWER)
    }
    assert n[bench.WHOLE] == models.describe(models.load(base)[0])["parameters"]
    assert n[bench.WHOLE] > n[bench.LORA] > n[FEWER] > 0
    assert n[bench.LORA] * (LAYERS - PRUNED) == n[FEWER] * LAYERS
    assert n[bench.ZERO] == n[bench.FEW] == 0
    for way in (bench.ZERO, bench.FEW):
        assert f"{way} | {bench.COSTS} | training" not in found


def test_layers_are_missing_and_examples_are_shown_where_they_should(found):
    for way in (bench.ZERO, bench.FEW, bench.LORA, bench.WHOLE, FEWER):
        left = LAYERS - PRUNED if way == FEWER else LAYERS
        assert cost(found, way, "network") == left
        shown = bench.SHOTS if way == bench.FEW else 0
        assert cost(found, way, "prompt") == shown


def test_memory_and_speed_are_those_of_a_process_that_trained_or_answered(found):
    for way in (bench.LORA, bench.WHOLE, FEWER):
        assert cost(found, way, "training") > 0
        peak, above = (
            cost(found, way, f"{name}, training")
            for name in ("peak memory", "above libraries")
        )
        assert 0 < above < peak
    few, zero = (
        cost(found, way, "above libraries, answering")
        for way in (bench.FEW, bench.ZERO)
    )
    assert few > zero > 0  # a longer prompt takes more


def test_the_peak_of_a_process_is_not_that_of_the_one_that_started_it():
    large = np.ones(60_000_000)
    assert job.alone(peak_memory) < large.nbytes < peak_memory()


def test_every_way_is_scored_at_every_level_with_its_interval(found):
    for way in (bench.ZERO, bench.FEW, bench.LORA, bench.WHOLE, FEWER):
        for level in TREE.shown:
            one = found[f"{way} | {bench.SCORES} | {level} accuracy"]
            assert one.low <= one.value <= one.high
    gap = f"{bench.LORA} minus {bench.WHOLE} | {bench.SCORES}"
    assert {f"{gap} | full accuracy", f"{gap} | full macro F1"} <= found.keys()
    assert f"{gap} | chapter macro F1" not in found


def test_scores_are_means_over_seeds_and_differences_are_paired():
    codes = ["I21.4", "J18.9", "K35.80", "I10"] * 10
    notes = pd.DataFrame(
        {"note_id": range(40), "subject_id": range(40), "label": codes, "split": "test"}
    )
    ways = bench._ways(1, ())
    right = {bench.LORA: (True, False), bench.WHOLE: (False, False)}
    tables = [
        notes[["note_id", "split"]].assign(
            system=way.name,
            seed=seed,
            sample=0,
            code=codes if right.get(way.name, (False, False))[seed] else "E11.9",
            well_formed=True,
        )
        for way in ways
        for seed in (0, 1)
    ]
    cases = gather(pd.concat(tables), notes)
    known = {r.name: r for r in bench._scores(cases, TREE, ways)}
    assert known["LoRA | scores | full accuracy"].value == 0.5
    gap = known["LoRA minus all weights | scores | full accuracy"]
    assert gap.value == 0.5 and gap.low <= 0 < gap.high  # one seed of two


@pytest.fixture
def plan(table, tokenizer, tmp_path):
    """Notes whose word gives the code away, and random weights."""
    models.save(kit.network(tokenizer), tokenizer, tmp_path / "start")
    examples, _ = encoding.training_examples(table, kit.traces(table))
    val, test = (table[table["split"] == split] for split in ("val", "test"))
    return Plan(str(tmp_path / "start"), "brief", 60, examples, val, test)


def test_an_adapter_leaves_the_weights_below_it_and_all_weights_move(plan, tmp_path):
    start = models.weights_hash(models.load(plan.model)[0])
    brief = Plan(**vars(plan) | {"steps": 2})
    for name, rank in (("adapter", 4), ("whole", 0)):
        folder = tmp_path / name
        job.train(brief, Way(name, rank=rank), plan.model, 1e-2, 0, str(folder))
        kept = models.kept(folder / "model")
        assert (folder / "adapter").is_dir() == (rank > 0) and (name in kept)
        net, _ = models.load(kept)
        assert (models.adapter_size(net) > 0) == (rank > 0)
        assert models.weights_hash(net) != start
    assert models.weights_hash(models.load(plan.model)[0]) == start


def test_the_rate_that_answers_most_is_kept_for_every_seed(plan, monkeypatch):
    monkeypatch.setattr(bench, "alone", lambda work, *given: work(*given))
    way = Way(bench.WHOLE, rates=(1e-9, 1e-2))
    runs = list(bench._adapted(plan, way, plan.model, seeds=2))
    assert [facts["rate"] for _, facts in runs] == [1e-2, 1e-2]
    gold = plan.test["label"].tolist()
    for table, facts in runs:
        assert facts["right"] > 0
        assert (table["code"] == gold).mean() > 0.3  # of four codes, after 60 steps
    assert [table["seed"].iloc[0] for table, _ in runs] == [0, 1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"traces": 3}, "--traces 3"),
        ({"steps": 1}, "--steps 1"),
        ({"seeds": 0}, "--seeds 0"),
        ({"prune": 0}, "--prune 0"),
        ({"rates": "fast"}, "--rates fast"),
        ({"rates": "1e-4,0"}, "--rates 1e-4,0"),
    ],
)
def test_numbers_that_leave_nothing_to_compare_are_refused(given, said):
    with pytest.raises(UserError, match=said):
        bench.run("nowhere", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"traces": 5000}, "5000 to learn from"),
        ({"prune": LAYERS}, f"model of {LAYERS} layers"),
        ({"model": "/nowhere"}, "no model at '/nowhere'"),
        ({"instruction": "long"}, "instruction 'long'"),
    ],
)
def test_what_the_notes_or_the_model_do_not_allow_is_told(
    base, given, said, monkeypatch
):
    if "model" not in given:  # that one crosses from its process to this
        monkeypatch.setattr(bench, "alone", lambda work, *given: work(*given))
    with pytest.raises(UserError, match=said):
        bench.run(**{"model": base, "traces": 16, "notes": 120} | given)


def test_the_command_knows_the_options(capsys):
    assert main(["adapting", "--steps", "1", "--rates", "1e-4"]) == 2
    assert "--steps 1" in capsys.readouterr().err
    assert main(["encoders", "--prune", "1"]) == 2


def test_the_page_has_scores_with_intervals_and_costs_as_numbers(results, tmp_path):
    write_json([r.to_dict() for r in results], tmp_path / benches.ADAPTING)
    _, scores, costs = benches.bench_tables(tmp_path)
    head, _, *rows = scores.splitlines()
    assert head.startswith("| scores | chapter accuracy |") and len(rows) == 9
    assert all(row.count("[") == 4 for row in rows[:5])
    assert all(row.count(" to ") == 4 for row in rows[5:])
    head, _, *rows = costs.splitlines()
    assert "| training, tokens/s |" in head and len(rows) == 5
    assert "| 0.002 |" in next(row for row in rows if row.startswith("| LoRA |"))
