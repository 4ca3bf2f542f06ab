"""Tables coded in other ICD-10 systems: named, mapped with a count, or refused."""

import re
from pathlib import Path

import pandas as pd
import pytest

from deepicd.common.errors import UserError
from deepicd.data.admissions import build_admissions
from deepicd.data.sources import open_source
from deepicd.icd.code_systems import OTHER_MEANING, SYSTEMS, read_code
from deepicd.icd.load import load_tree

NAMES = {"text_column": "note", "code_column": "code"}


def table(folder, rows, name="mine.csv"):
    lines = "".join(f"{note},{code}\n" for note, code in rows)
    (folder / name).write_text("note,code\n" + lines, encoding="utf-8")
    return folder / name


def built(path, **options):
    return build_admissions(open_source("table", path, options=NAMES | options))


def refused(path, **options):
    with pytest.raises(UserError) as error:
        open_source("table", path, options=NAMES | options)
    return str(error.value)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("S52.51", "S52"),  # Colles' fracture; styloid process in ICD-10-CM
        ("e11.21", "E11"),  # the fifth digit says whether it is derailed
        ("I2510", "I25"),
        ("E10.30+", "E10"),
        ("E10.30\u2020", "E10"),
        ("M17.1 G L", "M17"),
        ("M17.1GR", "M17"),
        ("J44.-", "J44"),
        ("J44.1-", "J44"),
        ("I10", "I10"),
        ("H36.0*", None),
        ("T31.00!", None),
        ("I21.9V", None),
        ("I21.9 A", None),
        ("I64", None),
        ("J46", None),
        ("O09.3", None),
        ("U80.0", None),
        ("S72.001A", None),
        ("C4A.0", None),
        ("I2.19", None),
        ("E10.30+ H36.0*", None),
        ("", None),
    ],
)
def test_german_codes_keep_what_they_share_with_icd_10_cm(code, expected):
    found, told = read_code(code, "ICD-10-GM", load_tree())
    assert found == expected
    assert bool(told) == (found != code)


def test_no_code_of_germany_or_who_is_read_below_its_category():
    tree = load_tree()
    for code in tree.codes():
        if len(code) > 3 and len(code) <= 6:
            for system in ("ICD-10-GM", "ICD-10"):
                found, _ = read_code(code, system, tree)
                assert found in (code[:3], None)
    assert all(tree.valid(code) for code in OTHER_MEANING)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("n44.8", "n44.8"),
        ("S72.001A", "S72.001A"),
        ("I60.21", "I60.2"),  # in the release of 2018, no longer in that of today
        ("Z99.891", "Z99.89"),
        ("0DTJ4ZZ", None),  # a procedure
        ("U99.9", None),
    ],
)
def test_spanish_codes_are_those_of_icd_10_cm_or_shortened(code, expected):
    tree = load_tree()
    found, told = read_code(code, "CIE-10-ES", tree)
    assert found == (expected and tree.normalise(expected))
    assert bool(told) == (tree.normalise(code) is None)


def test_an_unknown_system_is_refused_with_the_nearest(tmp_path):
    path = table(tmp_path, [("qxa", "I10")])
    said = refused(path, code_system="ICD-10-GN")
    assert "code_system 'ICD-10-GN'" in said and "set code_system=ICD-10-GM" in said


GERMAN = [
    ("qxBruch der Hand", "S52.51"),
    ("qxLuftnot", "J44.09"),
    ("qxUlkus", "I70.24"),
    ("qxLaehmung", "I64"),
    ("qxAugen", "H36.0*"),
]


@pytest.mark.parametrize("skip", [False, True])
def test_a_german_table_stops_until_its_system_is_named(tmp_path, skip):
    said = refused(table(tmp_path, GERMAN), skip_invalid=skip)
    assert "3 of 5 codes that ICD-10-CM lacks" in said
    assert all(f"--set code_system={name}" in said for name in SYSTEMS)
    assert "qx" not in said


def test_a_named_german_table_is_mapped_and_counted(tmp_path):
    path = table(tmp_path, GERMAN)
    assert "1 of 5 rows with a category that ICD-10-CM does not have" in refused(
        path, code_system="ICD-10-GM"
    )
    frame, flow = built(path, code_system="ICD-10-GM", skip_invalid=True)
    assert sorted(frame["label"]) == ["I70", "J44", "S52"]
    assert frame["flags"].str.contains("code_not_billable").all()
    reasons = flow.loc[flow["step"] == "codes mapped", "reason"].tolist()
    assert reasons == ["3 rows: ICD-10-GM code taken at its category"]
    skipped = flow[flow["step"] == "skipped while reading"]
    assert skipped["excluded"].tolist() == [1, 1]
    assert skipped["remaining"].tolist() == [4, 3]


def test_codes_that_exist_in_both_do_not_hide_the_language_of_the_notes(tmp_path):
    notes = ["qxSturz auf die Hand und Bruch der Speiche", "qxUlkus mit Infektion"]
    path = table(tmp_path, zip(notes, ["S52.51", "I70.24"], strict=True))
    said = refused(path)
    assert "another language" in said and "qx" not in said
    frame, _ = built(path, code_system="ICD-10-CM")
    assert sorted(frame["label"]) == ["I70.24", "S52.51"]


def test_an_english_table_needs_no_name_and_a_named_one_has_an_edition(tmp_path):
    path = table(tmp_path, [("qxfall on the hand", "V42.0"), ("qxpain", "i2111")])
    frame, flow = built(path)
    assert sorted(frame["label"]) == ["I21.11", "V42.0"]
    assert frame["flags"].str.contains("icd9").sum() == 1
    assert not (flow["step"] == "codes mapped").any()
    frame, _ = built(path, code_system="ICD-10-CM")
    assert not frame["flags"].str.contains("icd9").any()


def test_rows_of_icd_9_are_left_out_whatever_the_system(tmp_path):
    text = "note,code,icd_version\nqxa,S52.51,10\nqxb,E881.0,9\nqxc,S52.51,\n"
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    frame, flow = built(tmp_path / "a.csv", code_system="ICD-10-GM")
    assert frame["label"].tolist() == ["S52"]
    left = flow.set_index("step")["excluded"]
    assert left["first-listed diagnosis not ICD-10"] == 1
    assert left["ICD version unknown"] == 1


GUIDE = Path(__file__).parents[1] / "GUIDE.md"


@pytest.fixture
def codiesp(tmp_path, monkeypatch):
    """Made files of CodiEsp's described format, and the table the guide makes."""
    codes = ["a\tn44.8\na\tr52\n", "b\ti60.21\n", "c\tI10\nd\tu99.9\n"]
    for part, lines in zip(("train", "dev", "test"), codes, strict=True):
        for kind in ("text_files", "text_files_en"):
            (tmp_path / "codiesp" / part / kind).mkdir(parents=True)
        (tmp_path / "codiesp" / part / f"{part}D.tsv").write_text(lines)
        for name in {line[0] for line in lines.splitlines()}:
            for kind, text in (("", "dolor con fiebre"), ("_en", "pain and fever")):
                place = tmp_path / "codiesp" / part / f"text_files{kind}"
                (place / f"{name}.txt").write_text(f"{text} {name}")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    exec(next(block for block in blocks if "codiesp" in block), {})
    return Path("codiesp.csv").absolute()


CODIESP = {"id_column": "id", "split_column": "split", "text_column": "text"}


def test_the_readmes_example_reads_files_of_that_format(codiesp):
    frame, flow = built(codiesp, **CODIESP, code_system="CIE-10-ES", skip_invalid=True)
    assert dict(zip(frame["note_id"], frame["label"], strict=True)) == {
        "a": "N44.8",
        "b": "I60.2",
        "c": "I10",
    }
    assert frame["split"].tolist() == ["train", "val", "test"]
    said = flow.set_index("step")["reason"]
    assert said["codes mapped"].startswith("1 rows: CIE-10-ES code shortened")
    assert "neither CIE-10-ES nor ICD-10-CM" in said["skipped while reading"]


def test_its_spanish_text_stops_without_the_name_of_the_system(codiesp):
    table = pd.read_csv(codiesp)
    table = table[table["id"].isin(["a", "c"])].assign(text="dolor con fiebre del")
    table.to_csv(codiesp, index=False)
    assert "another language" in refused(codiesp, **CODIESP)
