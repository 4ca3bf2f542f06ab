"""Tables of the user's own: every usual kind of file, every name, no silent guess."""

import gzip
import json
import zipfile
from xml.sax.saxutils import escape

import pandas as pd
import polars as pl
import pytest

from deepicd.common.errors import UserError
from deepicd.data.admissions import build_admissions
from deepicd.data.sources import open_source
from deepicd.data.splits import overlap

ROWS = [("qxFièvre; toux, \u201cdry\u201d", "I21.11"), ("qxtwo\nlines", "j18 9 ")]
NAMES = {"text_column": "note", "code_column": "code"}


def delimited(separator, rows=ROWS, header="note,code"):
    lines = [separator.join(f'"{v}"' for v in row) for row in rows]
    return "\n".join([header.replace(",", separator), *lines]) + "\n"


def as_json(rows=ROWS):
    return [dict(zip(("note", "code"), row, strict=True)) for row in rows]


def excel(rows) -> bytes:
    """Write the least that Excel accepts."""
    from io import BytesIO

    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    rel = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    cells = "".join(
        "<row>"
        + "".join(f'<c t="inlineStr"><is><t>{escape(v)}</t></is></c>' for v in row)
        + "</row>"
        for row in rows
    )
    files = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship '
        f'Id="r1" Type="{rel}/officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{rel}"><sheets>'
        '<sheet name="one" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{rel}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{cells}'
        "</sheetData></worksheet>",
    }
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


LINES = "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in as_json())
FILES = {
    "a.csv": delimited(",").encode(),
    "A.CSV": delimited(",").encode(),
    "bom.csv": delimited(",").encode("utf-8-sig"),
    "semicolon.csv": delimited(";").encode(),
    "tab.csv": delimited("\t").encode(),
    "a.tsv": delimited("\t").encode(),
    "pipe.txt": delimited("|").encode(),
    "semicolon.txt": delimited(";").encode(),
    "a.csv.gz": gzip.compress(delimited(",").encode()),
    "A.TSV.GZ": gzip.compress(delimited("\t").encode()),
    "windows.csv": delimited(";").encode("cp1252"),
    "utf16.csv": delimited("\t").encode("utf-16"),
    "utf16-bare.csv": delimited(",").encode("utf-16-le"),
    "crlf.csv": delimited(",").replace("\n", "\r\n").encode(),
    "a.jsonl": LINES.encode(),
    "bom.jsonl": LINES.encode("utf-8-sig"),
    "my.csv.jsonl": LINES.encode(),
    "a.jsonl.gz": gzip.compress(LINES.encode()),
    "array.json": json.dumps(as_json(), indent=1).encode(),
    "array.jsonl": json.dumps(as_json()).encode("utf-8-sig"),
    "a.xlsx": excel([("note", "code"), *ROWS]),
}


def put(folder, name, data):
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def opened(path, **options):
    return open_source("table", path, options=NAMES | options)


def built(path, **options):
    return build_admissions(opened(path, **options))


def refused(path, **options):
    with pytest.raises(UserError) as error:
        built(path, **options)
    assert "qx" not in str(error.value)
    assert "publisher" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_gives_the_same_notes(tmp_path, name):
    frame, _ = built(put(tmp_path, name, FILES[name]))
    assert frame["note"].tolist() == [text for text, _ in ROWS]
    assert frame["label"].tolist() == ["I21.11", "J18.9"]


def test_separator_and_encoding_that_are_given_are_kept(tmp_path):
    path = put(tmp_path, "a.csv", "note~code\nqx caf\xe9~I10\n".encode("cp1250"))
    frame, _ = built(path, separator="~", encoding="cp1250")
    assert frame["note"].tolist() == ["qx caf\xe9"]
    path = put(tmp_path, "b.csv", "note\tcode\nqx a,b;c\tI10\n")
    assert built(path, separator="tab")[0]["note"].tolist() == ["qx a,b;c"]
    assert "encoding='latin9000'" in refused(path, encoding="latin9000")
    assert "one character" in refused(path, separator="ab")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("note,code\nqxone,I10\nqxtwo, and more,I10\n", ("line 3 (from byte 21)",)),
        ("note,code\nqxone,I10\nqxtwo, and more,I10\n", ("3 fields", "separator=")),
        ('note,code\n"qxone,I10\nqxtwo,I10\n', ("line 2 (from byte 11)", "quote")),
        ("note,code\nqx\u00e9,I10\n".encode() + b"qx\xe9,I10\n", ("line 3, byte 22",)),
        ("note,code\nqx\u00e9,I10\n".encode() + b"qx\xe9,I10\n", ("encoding=cp1252",)),
        ("note,note,code\nqxa,qxb,I10\n", ("two columns 'note'",)),
        ("note,code,code\nqxa,I10,I11.9\n", ("two columns 'code'",)),
    ],
)
def test_a_refusal_says_where_how_it_was_read_and_what_to_try(tmp_path, data, words):
    said = refused(put(tmp_path, "a.csv", data))
    assert all(word in said for word in words), said


def test_columns_nobody_asked_for_may_be_anything(tmp_path):
    rows = [{"note": "qxpain", "code": "I10", "x": {"a": [1]}, "sex": ["F"]}]
    path = put(tmp_path, "a.jsonl", json.dumps(rows[0]))
    assert built(path)[0]["note"].tolist() == ["qxpain"]
    pl.DataFrame(rows).write_parquet(tmp_path / "a.parquet")
    assert built(tmp_path / "a.parquet")[0]["sex"].tolist() == [None]
    path = put(tmp_path, "b.csv", "note,x,x,code\nqxpain,1,2,I10\n")
    assert built(path)[0]["label"].tolist() == ["I10"]


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"note": "qxpain", "code": ["I10"]}, "code"),
        ({"note": {"qx": 1}, "code": "I10"}, "note"),
        ({"note": b"qxpain", "code": "I10"}, "note"),
    ],
)
def test_a_wanted_column_of_the_wrong_kind_is_named(tmp_path, row, column):
    pl.DataFrame([row]).write_parquet(tmp_path / "a.parquet")
    assert f"the column {column!r}" in refused(tmp_path / "a.parquet")
    if b"qxpain" not in row.values():
        said = refused(put(tmp_path, "a.jsonl", json.dumps(row)))
        assert f"the column {column!r}" in said and "line 1" in said


def test_json_that_is_none_is_refused_with_its_line(tmp_path):
    said = refused(put(tmp_path, "a.jsonl", LINES + '{"note": "qx\n'))
    assert "line 3" in said and "JSON lines, utf-8" in said
    twice = '{"note": "qx", "code": "I10", "code": "I11.9"}'
    assert "two columns 'code'" in refused(put(tmp_path, "b.jsonl", twice))
    assert "no object" in refused(put(tmp_path, "c.json", '["qx"]'))


def test_escaped_quotes_are_kept(tmp_path):
    path = put(tmp_path, "a.csv", 'note,code\n"qxpt said \\"ow\\" today, twice",I10\n')
    assert built(path)[0]["note"].tolist() == ['qxpt said "ow" today, twice']
    path = put(tmp_path, "b.csv", 'note,code\n"qx share C:\\",I10\n"qx ""b""",I10\n')
    assert built(path)[0]["note"].tolist() == ["qx share C:\\", 'qx "b"']


def test_line_ends_and_nul_do_not_reach_the_note(tmp_path):
    path = put(tmp_path, "a.csv", 'note,code\n"qx a\r\nb\rc\0d",I10\n')
    assert built(path)[0]["note"].tolist() == ["qx a\nb\ncd"]


@pytest.mark.parametrize("blank", ["\n", ",\n", ' ,""\n'])
def test_blank_rows_are_named_and_counted_once(tmp_path, blank):
    text = "note,code\nqxa,I10\n" + blank + "qxb,XX1\n" + blank + ",I10\nqxc,\n"
    path = put(tmp_path, "a.csv", text)
    assert "2 of 6 rows with neither text nor code (first: line 3, line 5" in refused(
        path
    )
    frame, flow = built(path, skip_invalid=True)
    rows = flow[flow["unit"] == "rows"]
    assert rows["excluded"].tolist() == [2, 1, 1, 1] and len(frame) == 1
    assert rows["remaining"].tolist() == [4, 3, 2, 1]


def test_the_first_code_of_a_cell(tmp_path):
    path = put(tmp_path, "a.csv", "note,code\nqxa,I21.11;I10\nqxb, I10 ; E11.9\n")
    assert "--set code_separator=';'" in refused(path)
    frame, _ = built(path, code_separator=";")
    assert frame["label"].tolist() == ["I21.11", "I10"]


def test_parquet_with_categories_an_index_and_float_identifiers(tmp_path):
    frame = pd.DataFrame(
        {"note": ["qxa", "qxb"], "code": ["I10", "I10"], "who": [2e7 + 1, 2e7 + 2]},
        index=[5, 7],
    )
    frame = frame.astype({"code": "category", "note": "category"})
    frame.to_parquet(tmp_path / "a.parquet")
    out, _ = built(tmp_path / "a.parquet", patient_column="who")
    assert out["subject_id"].tolist() == ["20000001", "20000002"]


def users_table(folder, column):
    """Ten patients with three admissions each, under any name for their column."""
    lines = [f"qxnote {i},{'I10' if i % 2 else 'J18.9'},p{i % 10}" for i in range(30)]
    text = f"mytext,mycode,{column}\n" + "\n".join(lines) + "\n"
    return put(folder, "a.csv", text)


OURS = ["row", "place", "text", "code", "patient", "subject_id", "hadm_id", "note_id"]
OURS += ["note", "label", "split", "blank", "version", "id", "sex", "age", "meta age"]


@pytest.mark.parametrize("column", OURS)
def test_no_name_of_ours_shadows_the_users_patient(tmp_path, column):
    path = users_table(tmp_path, column)
    options = {"text_column": "mytext", "code_column": "mycode"}
    frame, _ = built(path, **options, patient_column=column)
    number = frame["note"].str.split().str[1].astype(int)
    assert frame["subject_id"].tolist() == [f"p{i % 10}" for i in number]
    assert overlap(frame) == 0
    assert frame.groupby(number % 10)["split"].nunique().max() == 1


@pytest.mark.parametrize("column", OURS)
def test_no_name_of_ours_shadows_the_users_id_or_text(tmp_path, column):
    path = put(tmp_path, "a.csv", f"t,c,{column}\nqxone,I10,b\nqxtwo,I10,a\n")
    options = {"text_column": "t", "code_column": "c"}
    frame, _ = built(path, **options, id_column=column)
    assert dict(zip(frame["note_id"], frame["note"], strict=True)) == {
        "a": "qxtwo",
        "b": "qxone",
    }
    frame, _ = built(path, text_column=column, code_column="c")
    assert sorted(frame["note"]) == ["a", "b"]


def test_a_given_split_is_checked_on_the_users_patients(tmp_path):
    text = "row,note,code,part\np,qxa,I10,train\np,qxb,I10,test\n"
    said = refused(
        put(tmp_path, "a.csv", text), patient_column="row", split_column="part"
    )
    assert "1 patients in more than one part" in said


def step(flow, name):
    rows = flow[flow["step"] == name]
    return None if rows.empty else rows.iloc[0]


def test_a_given_version_is_kept_and_an_unread_one_is_unknown(tmp_path):
    text = "note,code,icd_version\nqxa,E8810,9\nqxb,V420,ICD-9\nqxc,0389,9.0\n"
    text += "qxd,E881,\nqxe,E8810,10.0\nqxf,I10,ICD-10-CM\nqxg,I10,eleven\n"
    path = put(tmp_path, "a.csv", text)
    frame, flow = built(path)
    assert frame["note"].tolist() == ["qxe", "qxf"]
    assert step(flow, "first-listed diagnosis not ICD-10")["excluded"] == 3
    assert step(flow, "ICD version unknown")["excluded"] == 2
    assert not frame["flags"].str.contains("icd9").any()
    path = put(tmp_path, "a.csv", text.replace("icd_version", "edition"))
    assert len(built(path, version_column="edition")[0]) == 2


def test_look_alikes_without_a_version_are_flagged_and_counted(tmp_path):
    text = "note,code\nqxa,V420\nqxb,E8810\nqxc,E88.1\nqxd,I10\n"
    frame, flow = built(put(tmp_path, "a.csv", text))
    flagged = frame["flags"].str.contains("code_maybe_icd9")
    assert frame.loc[flagged, "note"].tolist() == ["qxa", "qxb"]
    row = step(flow, "flagged code_maybe_icd9")
    assert row["excluded"] == 0 and row["remaining"] == 4
    assert row["reason"].startswith("2 admissions")
    assert (
        frame["flags"].str.contains("code_external_cause").tolist()
        == [True] + [False] * 3
    )


def test_an_unknown_kind_of_file_is_refused(tmp_path):
    assert "a file ending in .csv" in refused(put(tmp_path, "a.docx", "qx"))
    assert "read as Excel" in refused(put(tmp_path, "a.xlsx", "qx"))
    assert "read as Parquet" in refused(put(tmp_path, "a.parquet", "qx"))
    assert "read as gzip" in refused(put(tmp_path, "a.csv.gz", b"\x1f\x8bqx"))
