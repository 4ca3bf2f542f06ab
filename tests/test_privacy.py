"""Private notes stay where only their owner can read them."""

import json
import os
import stat

import pandas as pd
import pytest
from house import CPU, FIRST, SECOND, STAGES, House, ListDisplay

from deepicd.common.files import write_json
from deepicd.data import privacy
from deepicd.study.runner.execute import StageFailed, failure_text, without_outputs
from deepicd.study.runner.graph import EXTRACT, Stage
from deepicd.study.runner.leaks import check_leaks, output_phrases
from deepicd.study.runner.plan import Options, make_plan
from deepicd.study.runner.runner import Runner

CANARY = "quokkacanary"
SECRET = f"{CANARY} came in with pain in the left knee since the last full moon"
PRIVATE_STAGES = (
    Stage(EXTRACT, (), ("admissions.parquet", "source.json")),
    Stage(SECOND, (EXTRACT,), ("sum.json",)),
)
WRITE = f"""\
import pandas as pd
frame = pd.DataFrame({{"note": [{SECRET!r}[::-1][::-1]], "subject_id": ["1"]}})
frame.to_parquet(run.dir / "admissions.parquet")
(run.dir / "source.json").write_text('{{"private": true}}')"""


@pytest.fixture
def study(tmp_path):
    """A private study whose first notebook reads its note from a data file."""
    house = House(tmp_path)
    data = tmp_path / "notes.csv"
    data.write_text(f"text,code\n{SECRET},I10\n")
    read = WRITE.replace(
        f"[{SECRET!r}[::-1][::-1]]", "pd.read_csv(data_dir)['text'].tolist()"
    )
    house.write(EXTRACT, [read], parameters='data_dir: str = ""  # help: the data')
    alone = House.reopen(house.root, PRIVATE_STAGES)
    alone.data = str(data)
    return alone


def run(study):
    options = Options(data="table", data_dir=study.data, outputs=study.root / "outputs")
    runner = Runner(make_plan(options, study.sources, CPU), ListDisplay())
    try:
        runner.run()
    finally:
        study.lines = runner.display.lines
    return runner


def show(study, *cells):
    done = "(run.dir / 'sum.json').write_text('1')"
    load = "import pandas as pd\npath = run.path('01_extract_admission_notes', "
    load += "'admissions.parquet')\nframe = pd.read_parquet(path)"
    study.write(SECOND, [load, *cells, done])


def files_with(text: str, folder) -> list:
    return [f for f in folder.rglob("*") if f.is_file() and text in _text(f)]


def _text(file) -> str:
    return file.read_bytes().decode("utf-8", "replace")


def test_private_run_shows_examples_and_keeps_its_folder_closed(study, capfd):
    show(study, "run.examples(frame)", "print(run.private, len(frame))")
    run(study)
    folder = study.root / "outputs" / "private" / "cpu-table-seed0"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    open_to_others = [
        p for p in folder.rglob("*") if stat.S_IMODE(p.lstat().st_mode) & 0o077
    ]
    assert open_to_others == []
    book = json.loads((folder / "notebooks" / f"{SECOND}.ipynb").read_text())
    outputs = [out for c in book["cells"] for out in c.get("outputs", [])]
    assert any("True 1" in "".join(o.get("text", "")) for o in outputs)
    found = {f.name for f in files_with(CANARY, study.root)}
    assert found <= {"notes.csv", "admissions.parquet"}
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err + "".join(study.lines)


def test_a_notebook_that_quotes_a_note_is_refused(study):
    show(study, "print(frame['note'].iloc[0])")
    with pytest.raises(StageFailed, match="02 stopped: the output of code cell 5"):
        run(study)
    found = {f.name for f in files_with(CANARY, study.root)}
    assert found <= {"notes.csv", "admissions.parquet"}


def test_a_failing_private_cell_shows_neither_message_nor_outputs(study):
    show(study, "print(frame['note'].iloc[0])\nint(frame['note'].iloc[0])")
    with pytest.raises(StageFailed) as failed:
        run(study)
    assert CANARY not in str(failed.value)
    assert "ValueError (message withheld: private notes)" in str(failed.value)
    found = {f.name for f in files_with(CANARY, study.root)}
    assert found <= {"notes.csv", "admissions.parquet"}


def test_public_failure_shows_the_message():
    error = {"kind": "KeyError", "message": "'age'", "cell": 2, "frames": []}
    text = failure_text(STAGES[0], error, private=False)
    assert text == "01 failed in code cell 2: KeyError: 'age'"


def test_user_error_shows_in_private_runs_too():
    error = {"kind": "UserError", "message": "found a", "cell": 2, "frames": []}
    assert failure_text(STAGES[0], error, private=True) == "01 stopped: found a"


def test_outputs_of_every_kind_are_searched():
    words = "one two three four five six seven eight"
    outputs = [
        {"output_type": "display_data", "data": {"text/html": f"<td>{words}</td>"}},
        {"output_type": "display_data", "data": {"text/plain": words.split()}},
        {"output_type": "stream", "name": "stderr", "text": [words.upper()]},
        {"output_type": "display_data", "data": {"image/png": "aGk="}},
    ]
    book = {"cells": [{"cell_type": "code", "outputs": [out]} for out in outputs]}
    found = [phrases for _, phrases in output_phrases(book)]
    assert [words in phrases for phrases in found] == [True, False, True, False]
    assert without_outputs(book)["cells"][0]["outputs"] == []


def test_examples_of_the_built_in_set_may_be_shown(tmp_path, study):
    from deepicd.data.synthetic.corpus import example_admissions

    note = example_admissions()["note"].iloc[0]
    folder = tmp_path / "run" / EXTRACT
    folder.mkdir(parents=True)
    pd.DataFrame({"note": [note, SECRET]}).to_parquet(folder / "admissions.parquet")
    output = {"output_type": "stream", "text": note}
    book = {"cells": [{"cell_type": "code", "outputs": [output]}]}
    file = tmp_path / f"{FIRST}.ipynb"
    write_json(book, file)

    class Plan:
        private, run_dir = True, tmp_path / "run"

    check_leaks(Plan, file)
    output["text"] = SECRET
    write_json(book, file)
    with pytest.raises(StageFailed, match="quotes a private note"):
        check_leaks(Plan, file)


def test_displayable_replaces_every_text_of_private_rows():
    rows = pd.DataFrame(
        {"note_id": ["1"], "note": [SECRET], "completion": [SECRET], "sex": ["F"]}
    )
    shown = privacy.displayable(rows, private=True)
    assert list(shown.columns) == list(rows.columns)
    assert CANARY not in shown.to_csv()
    assert (shown["note"].str.len() > 40).all()
    assert privacy.displayable(rows, private=False) is rows


@pytest.mark.parametrize(
    ("source", "run_file", "private"),
    [
        (None, None, False),
        ({"private": False}, {"private": False}, False),
        ({"private": True}, None, True),
        (None, {"private": True}, True),
        ({"private": False}, {"private": True}, True),
    ],
)
def test_doubt_never_makes_a_run_public(tmp_path, source, run_file, private):
    (tmp_path / EXTRACT).mkdir()
    if source:
        write_json(source, tmp_path / privacy.SOURCE_FILE)
    if run_file:
        write_json(run_file, tmp_path / privacy.RUN_FILE)
    assert privacy.is_private_run(tmp_path) is private


def test_a_folder_that_was_open_is_closed(tmp_path):
    folder = tmp_path / "private" / "cpu-table-seed0"
    folder.mkdir(parents=True)
    os.chmod(folder, 0o755)
    privacy.make_private_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
