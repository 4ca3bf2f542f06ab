"""Federated averaging: what leaves a site, what averaging is, and the comparison."""

import numpy as np
import pytest
import torch

from deepicd.common.files import write_json
from deepicd.evaluation.baselines import federated
from deepicd.evaluation.baselines.embeddings import mlp
from deepicd.evaluation.baselines.federated import Site, averaged, hashed_vectors
from deepicd.study.bench import federated as bench
from deepicd.study.reference import federated as federated_page


def site(codes, width=8, seed=0):
    """Notes whose vector is their class, with noise."""
    draw = np.random.default_rng(seed)
    numbers = torch.as_tensor(np.asarray(codes, dtype=np.int64))
    noise = torch.as_tensor(draw.normal(0, 0.3, (len(codes), width)))
    return Site(torch.eye(width)[numbers] * 4 + noise.float(), numbers)


def last(sites, rounds, classes=4, seed=0):
    return list(averaged(sites, classes, seed, rounds))[-1]


def right(network, of):
    with torch.no_grad():
        return (network(of.vectors).argmax(1) == of.numbers).float().mean().item()


def test_a_vector_depends_on_its_own_note_alone():
    notes = ["crushing chest pain radiating to the arm", "productive cough, fever"]
    together = hashed_vectors([*notes, "another hospital's note"])
    assert torch.equal(hashed_vectors(notes[:1])[0], together[0])
    assert torch.equal(hashed_vectors(notes[1:])[0], together[1])
    assert not hashed_vectors(["", "the"]).isnan().any()


def test_sites_that_see_one_code_each_learn_both_together_and_not_alone():
    left, other = site([0] * 40), site([1] * 40, seed=1)
    both = Site(
        torch.cat([left.vectors, other.vectors]),
        torch.cat([left.numbers, other.numbers]),
    )
    assert right(last([left, other], 12), both) > 0.95
    assert right(last([left], 12), both) == 0.5


def test_the_mean_counts_every_note_alike():
    """With no step taken the mean is that of the sites' weights by their notes."""
    states = [mlp(4, 2, seed).state_dict() for seed in (0, 1)]
    mean = federated._mean(states, np.array([0.75, 0.25]))
    for name, value in mean.items():
        expected = 0.75 * states[0][name] + 0.25 * states[1][name]
        torch.testing.assert_close(value, expected)


def test_one_site_is_ordinary_training_and_a_seed_gives_the_same_weights():
    notes = site([0, 1, 2, 3] * 20)
    network = last([notes], 8)
    assert right(network, notes) > 0.95
    state = torch.get_rng_state()
    again = last([notes], 8)
    assert torch.equal(torch.get_rng_state(), state)
    pairs = zip(network.parameters(), again.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    other = last([notes], 8, seed=1)
    assert not torch.equal(next(iter(other.parameters())), next(network.parameters()))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A tiny comparison; no eICU folder beside it."""
    patch = pytest.MonkeyPatch()
    patch.setattr(bench, "BESIDE", tmp_path_factory.mktemp("none"))
    yield {r.name: r for r in bench.run(notes=240, rounds=10, seeds=1)}
    patch.undo()


def test_every_way_is_scored_at_every_level_with_its_interval(found):
    for sites in ("random sites", "sites of a speciality"):
        kind = f"synthetic corpus, {sites} | seed 0"
        assert found[f"{kind} | sites | all"].value <= bench.SITES
        for level in ("chapter", "category", "full"):
            for way in (bench.POOLED, bench.FEDERATED, bench.ALONE, bench.OWN):
                one = found[f"{kind} | accuracy, {level} | {way}"]
                assert one.low <= one.value <= one.high
            gap = found[f"{kind} | accuracy minus pooled, {level} | federated"]
            parts = (
                found[f"{kind} | accuracy, {level} | {way}"].value
                for way in (bench.FEDERATED, bench.POOLED)
            )
            assert gap.value == pytest.approx(next(parts) - next(parts), abs=2e-4)


def test_pooled_learns_more_than_a_site_alone(found):
    kind = "synthetic corpus, random sites | seed 0 | accuracy, chapter"
    assert found[f"{kind} | pooled"].value > found[f"{kind} | alone, mean"].value


def test_the_page_has_every_score_with_its_interval_and_the_sizes(found, tmp_path):
    assert federated_page.federated_tables(tmp_path) == []
    results = [result.to_dict() for result in found.values()]
    write_json(results, tmp_path / federated_page.FILE)
    _, table, why = federated_page.federated_tables(tmp_path)
    rows = table.splitlines()[2:]
    assert len(rows) == 2 * len(federated_page.LEVELS)
    for row in rows:
        assert row.count("[") == len(federated_page.WAYS) and " to " in row
    assert "8 sites: " in rows[0] and "median" in rows[0] and "flwr" in why
