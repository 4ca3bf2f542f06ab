import pandas as pd
import pytest
import training_kit as kit

from deepicd import ablations, grpo, models
from deepicd.icd import load_tree


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    table = kit.admissions()
    tokenizer = kit.tokenizer_of(table)
    folder = tmp_path_factory.mktemp("study")
    models.save(kit.network(tokenizer), tokenizer, folder / "model")
    settings = grpo.GrpoSettings(
        steps=2,
        prompts=2,
        group_size=2,
        max_completion=4,
        save_every=1,
        validate_every=2,
        log_every=1,
    )
    return ablations.RewardStudy(
        str(folder / "model"),
        table,
        grpo.training_notes(table, "all", 0),
        "reasoning",
        "brief",
        settings,
        folder / "runs",
        load_tree(),
        {"max_new_tokens": 4},
        validate_notes=2,
    )


def test_a_finished_run_is_read_and_only_a_new_reward_is_run(study, monkeypatch):
    points = ablations.grid(reward=["tree"], seed=[0, 1])
    answers, curves = study.run(points)
    assert set(answers["system"]) == {"tree"} and set(answers["seed"]) == {0, 1}
    assert {"reward", "seed", "step", "name", "value"} <= set(curves.columns)
    assert study.plan(points)["finished"].all()

    trained = []
    whole = study._train
    monkeypatch.setattr(
        study, "_train", lambda p, *rest: (trained.append(p), whole(p, *rest))
    )
    more = ablations.grid(reward=["tree", "flat"], seed=[0, 1])
    assert study.plan(more)["finished"].tolist() == [True, True, False, False]
    again, _ = study.run(more)
    assert [p["reward"] for p in trained] == ["flat", "flat"]
    first = again[again["system"] == "tree"].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, answers)
    assert len(ablations.finished_runs(study.folder)) == 4


@pytest.mark.parametrize("change", ["settings", "notes", "admissions", "answering"])
def test_the_key_holds_all_that_a_run_depends_on(study, change):
    point = {"reward": "tree", "seed": 0}
    other = {
        "settings": grpo.GrpoSettings(steps=3),
        "notes": study.notes.iloc[:-1],
        "admissions": study.admissions.assign(icd_code="I10"),
        "answering": {"max_new_tokens": 5},
    }
    values = vars(study) | {change: other[change]}
    assert ablations.RewardStudy(**values).key(point) != study.key(point)
    assert ablations.RewardStudy(**vars(study)).key(point) == study.key(point)
