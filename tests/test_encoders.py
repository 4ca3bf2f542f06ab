"""`bench encoders`: codes that lose their training notes are counted apart."""

import pandas as pd

from deepicd.common.files import write_json
from deepicd.icd import load_tree
from deepicd.study.bench import encoders
from deepicd.study.bench.measure import Result
from deepicd.study.reference import benches

TREE = load_tree()


def test_codes_without_training_notes_are_in_validation_or_in_test_never_in_both():
    codes = TREE.leaves("I21") + TREE.leaves("J18") + ["I10"]
    rows = [(c, s) for c in codes for s in ("train", "val", "test")]
    admissions = pd.DataFrame(rows, columns=["label", "split"])
    left = encoders.without_some(admissions, TREE, seed=0, share=0.5)
    of = {split: set(part["label"]) for split, part in left.groupby("split")}
    gone = set(codes) - of["train"]
    assert len(gone) >= 0.5 * len(codes) - 1 and "I10" not in gone
    assert of["val"] & gone and of["test"] & gone
    assert not of["val"] & of["test"] & gone
    families = {TREE.at(code, "category") for code in of["train"]}
    assert {TREE.at(code, "category") for code in gone} <= families
    assert of["val"] - gone == of["test"] - gone == of["train"]


def test_every_variant_is_scored_on_the_same_notes(monkeypatch):
    few = {encoders.SOME: encoders.VARIANTS[encoders.SOME][::2]}
    monkeypatch.setattr(encoders, "VARIANTS", few)
    found = {r.name: r for r in encoders.run(notes=300, seeds=1)}
    free, titles = (
        {name.split(" | ")[3]: r for name, r in found.items() if f"| {one} |" in name}
        for one in (encoders.CROSS_ENTROPY, encoders.TITLES)
    )
    # Free weights can answer no code without notes: there is nothing to compare.
    assert titles.keys() - free.keys() == {encoders.AMONG}
    assert 0 <= titles[encoders.AMONG].value <= 1
    zero = "full accuracy, zero-shot codes"
    assert free[zero].value == 0 and "macro F1, zero-shot" in free
    name = f"embed_mlp | title vectors minus cross-entropy | {encoders.SOME} | {zero}"
    assert found[name].value == titles[zero].value
    assert titles["category accuracy, zero-shot codes"].value > 0


def test_the_page_shows_every_variant_with_its_interval(tmp_path):
    rows = [
        ("embed_mlp", name, encoders.SOME, score, value)
        for name, value in (("cross-entropy", 0.5), ("levels minus cross-entropy", 0.1))
        for score in ("macro F1, all", "macro F1, zero-shot")
    ]
    found = [
        Result(" | ".join(names), value, "", low=value - 0.1, high=value + 0.1)
        for *names, value in rows
    ]
    write_json([one.to_dict() for one in found], tmp_path / benches.ENCODERS)
    _, table = benches.bench_tables(tmp_path)
    head, _, plain, minus = table.splitlines()
    assert (
        head == f"| embed_mlp, {encoders.SOME} | macro F1, all | macro F1, zero-shot |"
    )
    assert plain == "| cross-entropy | 50.0 [40.0, 60.0] | 50.0 [40.0, 60.0] |"
    assert "+10.0 (0.0 to +20.0)" in minus
