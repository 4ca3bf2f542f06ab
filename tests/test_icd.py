"""The tree: places, names, relations, the union with other releases, the cache."""

import gzip
import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepicd.common.errors import UserError
from deepicd.icd import LEVELS, as_written, cache, load, load_tree

TREE = load_tree()
CODES = TREE.codes()
SHARED = Path(__file__).parents[2] / "shared" / "data"
codes = st.sampled_from(CODES)


def test_the_release_has_the_size_it_is_known_for():
    sizes = [len(x) for x in (TREE.chapters(), TREE.blocks(), TREE.categories())]
    assert sizes == [22, 297, 1918]
    assert len(TREE) == 98_505
    assert len(CODES) == len(set(CODES)) == 98_186
    assert len(TREE.billable_codes()) == 74_719


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("I21.11", ("9", "I20-I25", "I21", "I21.1", "I21.11")),
        ("I10", ("9", "I10-I1A", "I10")),
        ("C50.011", ("2", "C50", "C50", "C50.0", "C50.01", "C50.011")),
        ("B20", ("1", "B20", "B20")),
        ("T07.XXXA", ("19", "T07", "T07", "T07.XXXA")),
        ("D49.0", ("2", "D49", "D49", "D49.0")),
    ],
)
def test_path(code, path):
    assert TREE.path(code) == path
    assert [TREE.at(code, level) for level in LEVELS] == [*path[:3], path[-1]]


@pytest.mark.parametrize("code", ["C4A", "C7A", "C7B", "D3A", "M1A", "O9A", "Z3A"])
def test_categories_with_a_letter_in_third_place_are_real(code):
    assert TREE.normalise(code.lower()) == code
    assert TREE.at(code, "category") == code
    assert TREE.leaves(code)


@pytest.mark.parametrize(("a", "b"), [("D49", "D50"), ("H59", "H60")])
def test_chapters_come_from_the_tree_and_not_from_the_letter(a, b):
    assert TREE.at(a, "chapter") != TREE.at(b, "chapter")
    assert TREE.lca_level(a, b) is None
    assert TREE.lca(a, b) is None


def test_names_that_are_block_and_category_stand_at_both_depths():
    both = set(TREE.blocks()) & set(TREE.categories())
    assert len(both) == 39
    for name in both:
        assert TREE.path(name)[1:] == (name, name)
        assert name not in TREE.children(name)


def test_ranges_and_chapters_are_no_codes():
    for name in ["I20-I25", "C00-C96", "9", "22", ""]:
        assert TREE.normalise(name) is None
        assert not TREE.valid(name)
        assert TREE.path(name) == ()
    assert TREE.children("C00-C96") == []
    assert TREE.leaves("C00-C96") == []
    assert TREE.title("9").startswith("Diseases of the circulatory system")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("i2111", "I21.11"),
        (" I 21 . 11 ", "I21.11"),
        ("I21.11.", "I21.11"),
        ("i21.", "I21"),
        ("c4a0", "C4A.0"),
        ("t07xxxa", "T07.XXXA"),
        ("I2.111", None),
        ("I21..11", None),
        ("I21.11X", None),
        ("I21-11", None),
        ("\u0406" + "21.11", None),
        ("\u0131" + "21.11", None),
        ("I21.1\u200b1", None),
        ("\uff29\uff12\uff11", None),
        ("I\u0662\u0661", None),
        ("THE", None),
        ("", None),
        (None, None),
        (float("nan"), None),
        (21, None),
        ("I" * 1_000_000, None),
    ],
)
def test_normalise(text, code):
    assert TREE.normalise(text) == code


@given(codes)
def test_every_way_of_writing_a_code_gives_the_code(code):
    bare = code.replace(".", "")
    for text in (code, bare, code.lower(), f" {bare.lower()}\n", " ".join(code)):
        assert TREE.normalise(text) == code
    assert as_written(bare.lower()) == code


@given(st.text(max_size=12))
def test_normalise_gives_a_code_or_none(text):
    code = TREE.normalise(text)
    assert code is None or TREE.normalise(code) == code


@given(codes)
def test_a_path_is_the_chain_of_parents(code):
    path = TREE.path(code)
    assert path[-1] == code and path[0] in TREE.chapters()
    assert TREE.depth(code) == len(path)
    for parent, child in zip(path[2:], path[3:], strict=False):
        assert child in TREE.children(parent)
        assert child.startswith(parent)
    assert TREE.at(code, "category") == code[:3]


@given(codes, codes)
def test_lowest_common_ancestor_and_distance(a, b):
    assert TREE.lca(a, b) == TREE.lca(b, a)
    assert TREE.lca_level(a, a) == "full"
    assert TREE.lca_depth(a, b) <= min(TREE.depth(a), TREE.depth(b))
    assert (TREE.distance(a, b) == 0) == (a == b)
    assert TREE.distance(a, b) == TREE.distance(b, a)
    if a != b:
        assert TREE.lca_level(a, b) != "full"


@given(codes, codes, codes)
def test_distance_is_a_metric(a, b, c):
    assert TREE.distance(a, c) <= TREE.distance(a, b) + TREE.distance(b, c)


@given(codes)
def test_siblings_leaves_and_titles(code):
    siblings = TREE.siblings(code)
    assert code not in siblings
    assert all(TREE.path(s)[:-1] == TREE.path(code)[:-1] for s in siblings)
    leaves = TREE.leaves(code)
    assert (leaves == [code]) == TREE.is_billable(code)
    assert all(code in TREE.path(leaf) for leaf in leaves)
    assert TREE.title(code)


def test_levels_of_a_common_ancestor():
    expected = {
        "I21.11": "full",
        "I21.19": "subcategory",
        "I21.1": "subcategory",
        "I21.9": "category",
        "I21": "category",
        "I20.0": "block",
        "I10": "chapter",
        "A00.0": None,
        "no code": None,
    }
    assert {c: TREE.lca_level("I21.11", c) for c in expected} == expected


def test_an_unknown_level_or_name_is_said_so():
    with pytest.raises(KeyError):
        TREE.at("I10", "letter")
    with pytest.raises(KeyError):
        TREE.title("X99-X00")


def test_instructions():
    assert "cardiac infarction" in TREE.includes("I21")
    assert any("I25.2" in text for text in TREE.excludes2("I21"))
    assert TREE.excludes1("I10")
    assert TREE.use_additional_code("I21.11"), "inherited from its category"
    assert TREE.code_first("F02.80"), "inherited from its category"
    assert TREE.seventh_characters("S52.501A")["A"].startswith("initial encounter")
    assert TREE.seventh_characters("I21.11") == {}
    assert sum(bool(TREE.inclusion_terms(code)) for code in CODES) > 6_000
    assert TREE.code_also("I21.11") or TREE.notes("I21")


def test_agrees_with_the_package_it_was_made_from():
    code = (
        "import simple_icd_10_cm as p, json, sys\n"
        "c = json.load(sys.stdin)\n"
        "print(json.dumps([[p.get_description(x), p.get_ancestors(x), p.is_leaf(x)]"
        " for x in c]))"
    )
    import json

    sample = [c for c in CODES[::211] if len(c) > 3]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        input=json.dumps(sample),
        capture_output=True,
        text=True,
        check=True,
    )
    for name, (title, above, leaf) in zip(sample, json.loads(done.stdout), strict=True):
        assert TREE.title(name) == title
        # The package names a category twice or not at all where its block is it.
        assert list(dict.fromkeys(TREE.path(name)[-2::-1])) == list(
            dict.fromkeys(above)
        )
        assert TREE.is_billable(name) == leaf


# -- union -------------------------------------------------------------------


def test_union_hangs_codes_under_their_longest_known_prefix():
    table = {
        "S0261XA": "gone",
        "S02.61XD": "gone",
        "I2111": "known leaf",
        "E780": "known, an inner node today",
        "i21119": "made up",
        "i211191": "made up, below the one before",
        "I99.8ZZ99": "no such shape",
        "99591": "ICD-9",
        "": "empty",
    }
    joined = load_tree(table)
    report = joined.report
    assert (report.given, report.leaves, report.internal) == (9, 1, 1)
    assert report.hung == {
        "I21.119": "I21.11",
        "S02.61XA": "S02.61",
        "S02.61XD": "S02.61",
        "I21.1191": "I21.119",
    }
    assert sorted(report.rejected) == ["", "99591", "I99.8ZZ99"]
    assert joined.path("i211191")[-3:] == ("I21.11", "I21.119", "I21.1191")
    assert joined.title("S02.61XA") == "gone"
    assert joined.is_billable("S02.61XA") and not joined.is_billable("I21.119")
    assert joined.is_billable("I21.11"), "a leaf of the release stays billable"


def test_union_leaves_everything_else_as_it_was():
    joined = load_tree({"S0261XA": "gone"})
    assert len(joined) == len(TREE) + 1
    assert not TREE.valid("S0261XA") and TREE.report is None
    for code in CODES[::97]:
        assert joined.path(code) == TREE.path(code)
        assert joined.title(code) == TREE.title(code)
        assert joined.notes(code) == TREE.notes(code)
        assert joined.is_billable(code) == TREE.is_billable(code)


def test_union_places_an_unknown_category_by_its_block():
    joined = load_tree({"I29.0": "made up", "I29": "made up"})
    assert joined.path("I29.0") == ("9", "I26-I28", "I29", "I29.0") or (
        "I29" in joined.report.rejected
    )


def test_union_of_known_codes_changes_nothing():
    joined = load_tree({"I2111": "known"})
    assert len(joined) == len(TREE) and not joined.report.hung


def test_every_code_of_the_mimic_demo_has_a_place():
    folder = SHARED / "mimic_iv_demo" / "hosp"
    if not folder.is_dir():
        pytest.skip(f"no {folder.parent}")
    read = [
        pd.read_csv(gzip.open(folder / f"{name}.csv.gz", "rt"), dtype=str)
        for name in ("d_icd_diagnoses", "diagnoses_icd")
    ]
    names, used = (t[t.icd_version == "10"].drop_duplicates("icd_code") for t in read)
    joined = load_tree(dict(zip(names.icd_code, names.long_title, strict=True)))
    assert not joined.report.rejected
    assert names.icd_code.map(joined.valid).all()
    assert used.icd_code.map(joined.valid).all()
    assert used.icd_code.map(TREE.valid).mean() < 1, "else the union has no use"
    assert all(place in joined.path(c) for c, place in joined.report.hung.items())


# -- cache -------------------------------------------------------------------


@pytest.fixture(scope="module")
def cache_bytes(tmp_path_factory):
    made = Path(cache.cache_folder()) / f"icd10cm-{load.release_key()}.bin"
    if not made.exists():
        made = tmp_path_factory.mktemp("cache") / "tree.bin"
        load.load_from(str(made))
    return made.read_bytes()


def test_the_cache_gives_the_same_tree(cache_bytes, tmp_path):
    path = tmp_path / "tree.bin"
    path.write_bytes(cache_bytes)
    tree = load.load_from(str(path))
    assert tree.codes() == CODES
    assert tree.title("I21.11") == TREE.title("I21.11")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_cache_is_noticed(cache_bytes, damage):
    half = len(cache_bytes) // 2
    damaged = {
        "cut": cache_bytes[:half],
        "flipped": cache_bytes[:half]
        + bytes([cache_bytes[half] ^ 1])
        + cache_bytes[half + 1 :],
        "empty": b"",
        "foreign": b"\x00" * 1000,
    }
    assert cache.unpack(damaged[damage]) is None
    assert cache.unpack(cache_bytes) is not None


def test_a_damaged_cache_is_rebuilt(cache_bytes, tmp_path, monkeypatch):
    path = tmp_path / "tree.bin"
    path.write_bytes(cache_bytes[:1000])
    monkeypatch.setattr("deepicd.icd.build.compact", lambda: "nodes")
    monkeypatch.setattr(cache, "pack", lambda nodes: cache_bytes)
    assert load.load_from(str(path)).valid("I21.11")
    assert path.read_bytes() == cache_bytes


def test_an_unwritable_home_falls_back_to_a_temporary_folder(tmp_path, monkeypatch):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocker))
    folder = Path(cache.cache_folder())
    assert folder.is_dir() and blocker not in folder.parents


def test_a_cache_that_cannot_be_written_is_no_reason_to_stop(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    cache.write(b"data", str(blocker / "tree.bin"))
    assert blocker.read_text() == "not a folder"


def test_the_key_changes_with_the_content(tmp_path, monkeypatch):
    package = tmp_path / "simple_icd_10_cm"
    (package / "data").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    data = package / "data" / "codes.txt"
    data.write_text("A00 Cholera")

    class Spec:
        submodule_search_locations = [str(package)]

    monkeypatch.setattr(load, "find_spec", lambda name: Spec)
    first = load.release_key()
    assert first == load.release_key()
    data.write_text("A01 Typhoid")
    assert load.release_key() != first
    info = tmp_path / "simple_icd_10_cm-9.9.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("simple_icd_10_cm/data/codes.txt,sha256=abc,11")
    assert load.release_key().startswith("9.9-")


def test_a_missing_package_is_said_so(monkeypatch):
    monkeypatch.setattr(load, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="no package simple-icd-10-cm"):
        load.release_key()


def test_a_warm_load_neither_imports_the_package_nor_pandas():
    code = (
        "import sys; from deepicd.icd import load_tree; t = load_tree();"
        "t.title('I21.11'); heavy = {'simple_icd_10_cm', 'pandas', 'numpy'};"
        "sys.exit(len(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_pickled_tree_works():
    tree = pickle.loads(pickle.dumps(TREE))
    assert tree.path("I21.11") == TREE.path("I21.11")
    assert tree.title("I10") == TREE.title("I10")
    assert tree.excludes1("I10") == TREE.excludes1("I10")
