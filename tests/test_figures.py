"""Figures are written whole, the same every time, and readable."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text
from PIL import Image

from deepicd.common.errors import UserError
from deepicd.views import figures
from deepicd.views.figures.palette import LOOKS, OUTCOME_COLOURS, look
from deepicd.views.figures.training import long_metrics

SYSTEMS = ("prior", "tfidf_lr", "sft", "sft_grpo", "mine")
LEVELS = ("chapter", "category", "full")


def scores(stratum="overall"):
    return pd.DataFrame(
        [
            {
                "system": s,
                "level": level,
                "metric": m,
                "stratum": stratum,
                "n": 400,
                "value": 0.1 + 0.15 * i,
                "low": 0.05 + 0.15 * i,
                "high": 0.18 + 0.15 * i,
            }
            for i, s in enumerate(SYSTEMS)
            for level in LEVELS
            for m in ("accuracy", "macro_f1")
        ]
    )


def log(names):
    steps = np.arange(1, 61)
    return pd.DataFrame(
        [(step, name, 1 / step) for name in names for step in steps],
        columns=["step", "name", "value"],
    )


FRAMES = {
    "plot_levels": scores(),
    "plot_subgroups": pd.concat([scores("sex: F"), scores("sex: M")]),
    "plot_gaps": pd.DataFrame(
        [
            (s, k, "category", "accuracy", 3, "F", "M", *(0.1, 0.02, 0.2, 0.09))
            + (m, 0.01, 0.02, m / 4)
            for s in SYSTEMS
            for k, m in (("sex", 0.12), ("race", 0.2), ("chapter", np.nan))
        ],
        columns=["system", "kind", "level", "metric", "groups", "best", "worst"]
        + ["gap", "low", "high", "chance", "mix", "p", "p_holm", "p_mix_holm"],
    ),
    "plot_outcomes": pd.DataFrame(
        [(s, o, 1 / 7, 20) for s in SYSTEMS for o in OUTCOME_COLOURS],
        columns=["system", "outcome", "share", "n"],
    ),
    "plot_differences": pd.DataFrame(
        [
            ("sft_grpo", "sft", level, "accuracy", 0.02, -0.01, 0.05, False, 400)
            for level in LEVELS
        ],
        columns=["a", "b", "level", "metric", "value", "low", "high", "clear", "n"],
    ),
    "plot_confusion": pd.DataFrame(
        [(g, p, 5, 0.5) for g in ("9", "10") for p in (g, "none")],
        columns=["gold", "predicted", "n", "share"],
    ),
    "plot_chapters": pd.concat([scores(f"chapter: {c}") for c in (1, 9, 19)]),
    "plot_icicle": pd.DataFrame(
        [
            ("chapter", "9", "Circulatory", 0, 30, 1.0),
            ("chapter", "10", "Lung", 30, 9, 0.2),
            ("full", "I10", "Hypertension", 0, 30, 0.4),
            ("full", "J18.9", "Pneumonia", 30, 9, 0.0),
        ],
        columns=["level", "label", "title", "start", "n", "value"],
    ),
    "plot_oracle_gap": scores()[scores()["metric"] == "accuracy"],
    "plot_note_length": pd.concat(
        [scores().assign(words=words) for words in (60.0, 90.0, 140.0)]
    ),
    "plot_reliability": pd.DataFrame(
        [
            (s, level, a, a / 2, a / 3, a, 40)
            for s in SYSTEMS
            for level in LEVELS
            for a in (0.25, 0.5, 1.0)
        ],
        columns=["system", "level", "agreement", "value", "low", "high", "n"],
    ),
    "plot_frequency": pd.DataFrame(
        [(s, f"c{i}", i, 3, i / 40) for s in SYSTEMS for i in range(40)],
        columns=["system", "code", "train_n", "test_n", "f1"],
    ),
    "plot_risk_coverage": pd.DataFrame(
        [
            (s, level, c, c / 2, 80)
            for s in SYSTEMS
            for level in LEVELS
            for c in (0.2, 0.6, 1.0)
        ],
        columns=["system", "level", "coverage", "risk", "n"],
    ),
    "plot_variants": pd.DataFrame(
        [
            (r, seed, step, f"val_accuracy_{level}", step / 40)
            for r in ("tree", "flat")
            for seed in (0, 1)
            for step in (10, 20, 30)
            for level in LEVELS
        ],
        columns=["reward", "seed", "step", "name", "value"],
    ),
    "plot_best_of": pd.DataFrame(
        [
            ("400 notes", rule, n, level, v := 0.3 + 0.02 * n + 0.01 * i)
            + (v - 0.04, v + 0.04)
            for i, rule in enumerate(("one", "majority", "last", "outcome", "ceiling"))
            for level in ("category", "full")
            for n in (1, 2, 4)
        ],
        columns=["panel", "rule", "n", "level", "value", "low", "high"],
    ),
    "plot_gold_chosen": pd.DataFrame(
        [
            (score, fault, 0.8 + 0.03 * i, 0.7, 0.95, 160)
            for i, score in enumerate(("minimum", "last", "outcome"))
            for fault in ("all", "wrong code", "altered quote")
        ],
        columns=["score", "fault", "value", "low", "high", "n"],
    ),
    "plot_steps": pd.DataFrame(
        [
            (source, what, kind, chance, 0.8, 0.7, 0.9, 500)
            for source in ("planted faults", "own answers")
            for what, kind, chance in (
                ("auc", "all", np.nan),
                ("auc", "code", np.nan),
                ("calibration", "", 0.5),
                ("calibration", "", 0.9),
            )
        ],
        columns=["source", "what", "kind", "chance", "value", "low", "high", "n"],
    ),
    "plot_tasks": pd.DataFrame(
        [
            (task, depth, level, labels, system, metric, 0.5, 0.4, 0.6, 400)
            for task, few, many in (("drg", 3, 40), ("length_of_stay", 2, 4))
            for depth, level, labels in (("coarsest", "a", few), ("finest", "b", many))
            for system in SYSTEMS
            for metric in ("accuracy", "skill")
        ],
        columns=["task", "depth", "level", "labels", "system", "metric", "value"]
        + ["low", "high", "n"],
    ),
    "plot_training": log(["train_loss", "val_loss", "val_accuracy_full"]),
    "plot_grpo": log(
        [
            "reward",
            "reward_std",
            "frac_zero_std",
            "entropy",
            "completion_length",
            "reward/tree",
            "reward/format",
        ]
    ),
}
MORE = {"plot_chapters": {"a": "sft_grpo", "b": "sft"}}
SAID = {
    "chapters": MORE["plot_chapters"],
    "icicle": {"system": "sft"},
    "confusion": {"system": "sft"},
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_the_plots_tested_here_are_public():
    assert set(FRAMES) <= set(figures.__all__)


@pytest.mark.parametrize("name", FRAMES)
def test_figure_fits_the_page_and_can_be_read(name):
    fig = getattr(figures, name)(FRAMES[name], **MORE.get(name, {}))
    assert fig.get_figwidth() <= figures.PAGE + 1e-9
    fig.canvas.draw()
    drawn, (width, height) = fig.get_tightbbox(), fig.get_size_inches()
    assert -0.02 <= drawn.x0 and drawn.x1 <= width + 0.02
    assert -0.02 <= drawn.y0 and drawn.y1 <= height + 0.02
    texts = [t for t in fig.findobj(Text) if t.get_text().strip()]
    assert min(t.get_fontsize() for t in texts) >= 6


def test_captions_are_written_from_the_numbers():
    from deepicd.views.figures.captions import _WRITERS

    for kind in _WRITERS:
        said = figures.caption(kind, FRAMES[f"plot_{kind}"], **SAID.get(kind, {}))
        assert said.endswith(".") and "nan" not in said
        assert any(letter.isdigit() for letter in said)
    better = FRAMES["plot_differences"].assign(low=0.01, clear=True)
    assert "3 of 3 intervals exclude zero" in figures.caption("differences", better)
    assert "0 of 3" in figures.caption("differences", FRAMES["plot_differences"])


def test_a_panel_without_drawn_answers_says_so():
    frame = FRAMES["plot_differences"]
    other = frame.assign(b="encoder")
    drawn = frame.iloc[:1].assign(metric="one_sample")
    fig = figures.plot_differences(pd.concat([frame, drawn, other]))
    said = [[t.get_text() for t in axes.texts] for axes in fig.axes]
    assert said == [[], ["draws no answers"]]


def test_the_caption_travels_inside_the_images(tmp_path):
    frame = FRAMES["plot_differences"]
    figures.save(figures.plot_differences(frame), frame, tmp_path, "x", "Told in 3.")
    with Image.open(tmp_path / "x.png") as image:
        assert image.text["Description"] == "Told in 3."
    assert b"Told in 3." in (tmp_path / "x.pdf").read_bytes()


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    frame = FRAMES["plot_differences"]
    for folder in ("a", "b"):
        figures.save(figures.plot_differences(frame), frame, tmp_path / folder, "x")
    for suffix in ("pdf", "png", "csv"):
        one, two = ((tmp_path / f / f"x.{suffix}").read_bytes() for f in "ab")
        assert one == two


def test_save_writes_three_files_and_closes_the_figure(tmp_path):
    fig = figures.plot_differences(FRAMES["plot_differences"])
    figures.save(fig, FRAMES["plot_differences"], tmp_path / "new", "levels")
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["levels.csv", "levels.pdf", "levels.png"]
    assert not plt.fignum_exists(fig.number)
    again = pd.read_csv(tmp_path / "new" / "levels.csv")
    pd.testing.assert_frame_equal(again, FRAMES["plot_differences"], check_dtype=False)


def test_a_failed_save_leaves_the_old_figure(tmp_path, monkeypatch):
    frame = FRAMES["plot_differences"]
    figures.save(figures.plot_differences(frame), frame, tmp_path, "levels")
    before = (tmp_path / "levels.pdf").read_bytes()
    fig = figures.plot_differences(frame)

    def fail(path, **_):
        path.write_bytes(b"half")
        raise RuntimeError("stopped")

    monkeypatch.setattr(fig, "savefig", fail)
    with pytest.raises(RuntimeError):
        figures.save(fig, frame, tmp_path, "levels")
    assert (tmp_path / "levels.pdf").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden"])
def test_a_name_with_a_folder_is_refused(name, tmp_path):
    with pytest.raises(UserError, match="bare file name"):
        figures.save(plt.figure(), pd.DataFrame(), tmp_path, name)


def test_systems_differ_in_grey_by_mark_or_line():
    same = ("sft_rft_grpo", "sft_dpo", "sft_rft_dpo")  # a run ends with one of them
    assert {look(s)[1:] for s in same} == {look("sft_grpo")[1:]}
    looks = [look(s) for s in LOOKS if s not in same]
    assert len({one.marker for one in looks}) == len(looks)
    assert len({str(one.line) for one in looks}) == len(looks)


def test_outcomes_darken_towards_the_exact_code():
    grey = [
        np.dot(to_rgb(OUTCOME_COLOURS[o]), (0.299, 0.587, 0.114))
        for o in ("exact", "category", "block", "chapter")
    ]
    assert grey == sorted(grey)


def test_wide_and_long_logs_draw_the_same():
    wide = pd.DataFrame({"step": [1, 2, 3], "reward": [0.1, np.nan, 0.3]})
    long = pd.DataFrame({"step": [1, 3], "name": "reward", "value": [0.1, 0.3]})
    one, two = (long_metrics(log)[["step", "value"]] for log in (wide, long))
    assert one.values.tolist() == two.values.tolist()
