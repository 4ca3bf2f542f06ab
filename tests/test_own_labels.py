"""Labels of other tasks in a user's own table."""

import pandas as pd
import pytest

from deepicd.common.errors import UserError
from deepicd.common.files import write_json
from deepicd.data.admissions import build_admissions
from deepicd.data.cohort import build_cohort
from deepicd.data.privacy import SOURCE_FILE
from deepicd.data.sources import open_source
from deepicd.study.runner import open_run
from deepicd.tasks import get_task


def opened(path, task, rows, **options):
    """A table with the columns text, answer and, where rows are pairs, title."""
    wide = pd.DataFrame(rows)
    wide.columns = ["answer", "title"][: wide.shape[1]]
    if "title" in wide:
        options |= {"title_column": "title"}
    texts = [f"qx complaint {i}" for i in range(len(wide))]
    wide.assign(text=texts).to_csv(path / "mine.csv", index=False)
    options |= {"task": task, "label_column": "answer"}
    return open_source("table", path / "mine.csv", options=options)


@pytest.mark.parametrize(
    ("task", "rows", "labels", "coarsest"),
    [
        (
            "length_of_stay",
            ["0.5", "3", "3.2", "15"],
            ["up to 3 days", "up to 3 days", "up to 7 days", "over 14 days"],
            ["at most 7 days"] * 3 + ["more than 7 days"],
        ),
        (
            "length_of_stay-1",
            ["1", "2"],
            ["up to 1 days", "over 1 days"],
            ["at most 1 days", "more than 1 days"],
        ),
        ("mortality", ["0", "1", "Alive"], ["survives", "dies", "survives"], None),
        ("mortality", ["survives", "Dies"], ["survives", "dies"], None),
        (
            "routing",
            ["Medicine", "Neuro ICU"],
            ["Medicine", "Neuro ICU"],
            ["ward", "intensive care"],
        ),
        ("routing-service", ["MED", "NSURG"], ["MED", "NSURG"], None),
        (
            "drg",
            [("291", "HEART FAILURE & SHOCK W MCC"), ("312", "SYNCOPE")],
            ["291", "312"],
            ["05", "05"],
        ),
        (
            "drg-apr",
            [("194-3", "HEART FAILURE"), ("194-1", "HEART FAILURE")],
            ["194-3", "194-1"],
            ["194", "194"],
        ),
        ("procedure", ["0DTJ4ZZ", "4a023n7"], ["0DTJ4ZZ", "4A023N7"], ["0", "4"]),
        (
            "procedure",
            [("0DTJ4ZZ", "Resection of Appendix"), ("4A023N7", "Measurement")],
            ["0DTJ4ZZ", "4A023N7"],
            ["0", "4"],
        ),
    ],
)
def test_each_task_reads_its_labels(tmp_path, task, rows, labels, coarsest):
    raw = opened(tmp_path, task, rows)
    asked = get_task(task)
    space, _ = asked.open(raw)
    frame, flow = build_admissions(raw, space, task=asked)
    assert frame.sort_values("hadm_id")["label"].tolist() == labels
    top = [space.at(label, space.levels[0]) for label in labels]
    assert top == (coarsest or labels)
    assert flow["remaining"].iloc[-1] == len(rows) and raw.private


def test_titles_are_the_users(tmp_path):
    rows = [("291", "HEART FAILURE & SHOCK W MCC"), ("312", "SYNCOPE")]
    space, own = get_task("drg").open(opened(tmp_path, "drg", rows))
    assert own == dict(rows) and space.at("291", "severity") == "MCC"


def test_labels_that_a_task_cannot_read_are_counted(tmp_path):
    raw = opened(tmp_path, "mortality", ["0", "1", "transferred"])
    frame, flow = build_cohort(raw, task=get_task("mortality"))
    left = dict(zip(flow["step"], flow["excluded"], strict=True))
    assert len(frame) == 2 and left["no word on survival"] == 1


@pytest.mark.parametrize(
    ("task", "rows", "words"),
    [
        ("length_of_stay", ["2", "long"], "1 of 2 rows with a label that is no number"),
        ("mortality", ["0", ""], "no label in 'answer'"),
        ("principal_diagnosis", ["I10"], "code_column, which holds its codes"),
    ],
)
def test_bad_labels(tmp_path, task, rows, words):
    with pytest.raises(UserError) as error:
        opened(tmp_path, task, rows)
    assert words in str(error.value) and "qx" not in str(error.value)


def test_bad_labels_are_left_out_where_allowed(tmp_path):
    rows = ["2", "long", "20", ""]
    raw = opened(tmp_path, "length_of_stay", rows, skip_invalid=True)
    frame, flow = build_cohort(raw, task=get_task("length_of_stay"))
    assert len(frame) == 2
    assert flow.loc[flow["unit"] == "rows", "excluded"].tolist() == [1, 1]


def test_another_task_needs_a_column_of_its_own(tmp_path):
    (tmp_path / "mine.csv").write_text("text,icd_code\nCough,J18.9\n")
    with pytest.raises(UserError, match="--task drg --set label_column=NAME"):
        open_source("table", tmp_path / "mine.csv", options={"task": "drg"})


@pytest.mark.parametrize("rows", [0, 3])
def test_examples_of_a_private_run_have_labels_of_its_task(tmp_path, rows):
    write_json({"private": True, "task": "mortality"}, tmp_path / SOURCE_FILE)
    frame = pd.DataFrame({"note": ["qx"] * rows, "label": ["dies"] * rows})
    shown = open_run(tmp_path, "03_distill_traces").examples(frame, n=2)
    assert shown["label"].tolist() == ["dies"] * min(rows, 2)
    assert "qx" not in set(shown["note"])
