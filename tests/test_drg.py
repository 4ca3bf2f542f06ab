"""DRGs as a task: titles read, labels from drgcodes, credit by part, scores apart."""

from pathlib import Path

import pytest
from mimic_kit import mimic

from deepicd.common.errors import UserError
from deepicd.data.cohort import build_cohort
from deepicd.data.sources import open_source
from deepicd.evaluation.metrics import evaluate
from deepicd.rewards import score
from deepicd.tasks import get_task, prompts
from deepicd.tasks.correct import Judge
from deepicd.tasks.drg import SEVERITIES, Drgs, split_title

COLUMNS = "hadm_id drg_type drg_code description drg_severity"
DEMO = Path(__file__).parents[2] / "shared" / "data" / "mimic_iv_demo"
needs_demo = pytest.mark.skipif(
    not DEMO.is_dir(), reason="needs ../shared/data/mimic_iv_demo"
)
TITLES = {
    "291": "HEART FAILURE & SHOCK W MCC",
    "292": "HEART FAILURE & SHOCK W CC",
    "293": "HEART FAILURE & SHOCK W/O CC/MCC",
    "312": "SYNCOPE & COLLAPSE",
    "329": "MAJOR SMALL & LARGE BOWEL PROCEDURES W MCC",
    "391": "ESOPHAGITIS, GASTROENT & MISC DIGEST DISORDERS W MCC",
    "982": "EXTENSIVE O.R. PROCEDURE UNRELATED TO PRINCIPAL DIAGNOSIS W CC",
}
SPACE, TASK, APR = Drgs(TITLES), get_task("drg"), get_task("drg-apr")


def said(label):
    return prompts.format_completion("because", label, tag="drg")


@pytest.mark.parametrize(
    ("title", "base", "severity"),
    [
        ("RENAL FAILURE W MCC", "RENAL FAILURE", "MCC"),
        ("RENAL FAILURE W CC", "RENAL FAILURE", "CC"),
        ("RENAL FAILURE W/O CC/MCC", "RENAL FAILURE", "none"),
        ("Ataxia w/o MCC/CC", "ATAXIA", "none"),
        ("RENAL FAILURE WITHOUT CC/MCC", "RENAL FAILURE", "none"),
        ("FEVER W/O MCC", "FEVER", "CC or none"),
        ("BRONCHITIS & ASTHMA W CC/MCC", "BRONCHITIS & ASTHMA", "CC or MCC"),
        ("STROKE W CC OR TPA IN 24 HRS", "STROKE", "CC"),
        ("STENT W MCC OR 4+ VESSELS/STENTS", "STENT", "MCC"),
        ("IMPLANT W/O CARDIAC CATH W/O MCC", "IMPLANT W/O CARDIAC CATH", "CC or none"),
        ("LIVER EXCEPT MALIG,CIRR W CC", "LIVER EXCEPT MALIG, CIRR", "CC"),
        ("DELIVERY W COMPLICATING DIAGNOSES", None, "undivided"),
        ("SEPSIS W MV 96+ HOURS", None, "undivided"),
    ],
)
def test_base_and_severity_are_read_from_the_title(title, base, severity):
    assert split_title(title) == (base or title, severity)


def test_mdc_and_type_come_from_the_number_and_are_not_guessed():
    assert SPACE.path("329")[:2] == ("06", "06 surgical")
    assert SPACE.path("391")[:2] == ("06", "06 medical")
    assert SPACE.path("982")[:2] == ("ANY", "ANY surgical")
    assert SPACE.title("05 medical") == "circulatory system, medical"
    new = Drgs({"450": "SOMETHING NEW W MCC", "451": "ANOTHER W MCC"})
    assert "not known" in new.path("450")[0]
    assert new.lca_depth("450", "451") == 0


@pytest.mark.parametrize(
    ("answer", "read"),
    [
        ("291", "291"),
        ("DRG 291 - heart failure & shock w MCC", "291"),
        (" 0291 ", "291"),
        ("291 or 292", None),
        ("not 291", None),
        ("294", None),
        ("I21", None),
    ],
)
def test_an_answer_is_a_number_of_the_catalogue(answer, read):
    assert Judge(SPACE).codes([said(answer)]) == [read]


@pytest.mark.parametrize(
    ("reward", "paid"),
    [
        ("drg_dense", [2.0, 1.5, 0.5, -0.5, -1.5]),
        ("drg_strict", [2.0, 0.0, 0.0, 0.0, -1.5]),
        ("tree", [1.0, 0.4, 0.0, 0.2, -0.2]),
    ],
)
def test_rewards_pay_exact_base_severity_neither_and_no_drg(reward, paid):
    answers = [said(code) for code in ("291", "293", "391", "312", "294")]
    found = score([*answers, "", "291"], "291", reward, SPACE)
    assert [row.total for row in found[:5]] == paid
    assert {row.total for row in found[5:]} == ({-0.5} if reward == "tree" else {-2.0})


def test_scores_tell_principal_part_and_severity_apart():
    gold, answers = ["291", "292", "312", "391"], ["292", "329", "312", None]
    table = evaluate(gold, answers, tree=SPACE, n_boot=0).set_index(["level", "metric"])
    right = table.xs("accuracy", level="metric")["value"].to_dict()
    assert right == {
        "mdc": 0.5,
        "type": 0.5,
        "base": 0.5,
        "drg": 0.25,
        "severity": 0.25,
    }
    with pytest.raises(UserError, match="severity"):
        evaluate(["I10"], ["I10"], ["severity"])


def test_labels_and_every_admission_that_has_none_is_counted(tmp_path):
    rows = [
        ("1", "HCFA", "291", TITLES["291"], ""),
        ("1", "APR", "194", "HEART FAILURE", "3"),
        ("2", "HCFA", "54", "NEOPLASMS W MCC", ""),
        ("3", "HCFA", "291", TITLES["291"], ""),
        ("3", "HCFA", "312", TITLES["312"], ""),
        ("4", "HCFA", "999", "UNGROUPABLE", ""),
        ("5", "APR", "194", "HEART FAILURE", ""),
        ("6", "APR", "194", "HEART FAILURE", "1"),
        ("7", "HCFA", "054", "NEOPLASMS W CC", ""),
        ("8", "HCFA", "054", "NEOPLASMS W MCC", ""),
    ]
    raw = mimic(tmp_path, drgcodes=(COLUMNS, rows))
    cohort, flow = build_cohort(raw, task=TASK)
    assert cohort["label"].tolist() == ["291", "054", "054", "054"]
    assert cohort["doubts"].tolist() == ["", "", "drg_renamed", ""]
    assert cohort["stratum"].tolist() == ["HEART FAILURE & SHOCK", *["NEOPLASMS"] * 3]
    left = flow.set_index("step")["excluded"]
    assert left["no DRG of this type"] == 2
    assert left["two different DRGs"] == left["ungroupable DRG"] == 1
    cohort, flow = build_cohort(raw, task=APR)
    assert cohort["label"].tolist() == ["194-3", "194-1"]
    left = flow.set_index("step")["excluded"]
    assert left["no severity of illness"] == 1 and left["no DRG of this type"] == 5
    assert TASK.open(raw)[0].title("054") == "NEOPLASMS W MCC"


def test_a_type_that_does_not_occur_and_a_source_without_drgs_say_so(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    rows = [("1", "APR", "194", "HEART FAILURE", "3")]
    raw = mimic(tmp_path / "a", drgcodes=(COLUMNS, rows))
    with pytest.raises(UserError, match=r"no HCFA DRG .* types: APR.*drg-apr"):
        build_cohort(raw, task=TASK)
    with pytest.raises(UserError, match="without the table drgcodes"):
        build_cohort(mimic(tmp_path / "b"), task=TASK)


@needs_demo
def test_every_title_of_the_demo_is_split_and_no_family_says_a_severity_twice():
    raw = open_source("mimic", DEMO)
    rows = raw.table("drgcodes", ["drg_type", "drg_code", "description"])
    rows = rows[rows["drg_type"] == "HCFA"].drop_duplicates()
    assert len(rows) == 151
    parts = [split_title(text) for text in rows["description"]]
    rows = rows.assign(base=[p[0] for p in parts], severity=[p[1] for p in parts])
    assert set(rows["severity"]) == set(SEVERITIES)
    told = rows["description"].str.contains(r"\bM?CC\b")
    assert (rows["severity"] != "undivided").tolist() == told.tolist()
    assert not rows["base"].str.contains(r"\bM?CC\b|\bW(?:/O)?$").any()
    families = rows.drop_duplicates("drg_code").groupby("base")
    assert families["severity"].nunique().equals(families["drg_code"].nunique())
    assert rows.groupby("drg_code")["base"].nunique().max() == 1


@needs_demo
@pytest.mark.parametrize(("task", "count"), [(TASK, 233), (APR, 221)])
def test_cohort_of_the_demo(task, count):
    cohort, flow = build_cohort(open_source("mimic", DEMO), task=task)
    assert len(cohort) == count
    none = flow.set_index("step").loc["no DRG of this type", "excluded"]
    assert none == 275 - count
    space, _ = task.open(open_source("mimic", DEMO))
    assert not any("not known" in space.path(label)[0] for label in cohort["label"])
