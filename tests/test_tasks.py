"""The Task seam: a task that is no diagnosis goes the whole way from note to figure."""

import re

import pandas as pd
import pytest

from deepicd import icd
from deepicd.common.errors import UserError
from deepicd.data.admissions import _last_look
from deepicd.data.cohort import Flow, build_cohort
from deepicd.data.sources import RawTables
from deepicd.evaluation import strata, systems
from deepicd.rewards import get_spec, score
from deepicd.tasks import (
    PRINCIPAL_DIAGNOSIS,
    TASKS,
    Labels,
    LabelSpace,
    Task,
    get_task,
    prompts,
    quotes,
)
from deepicd.tasks.correct import Judge
from deepicd.tasks.known import FURTHER, shown_levels
from deepicd.traces import build_traces, catch_rates, check_table, teachers
from deepicd.training import encoding
from deepicd.training.models import generate
from deepicd.training.models.tokenizer import train_tokenizer
from deepicd.views import figures, in_words

UNITS = {"MICU": "intensive", "SICU": "intensive", "MED": "ward", "ORTHO": "ward"}


class Units(LabelSpace):
    """Where a patient goes after the emergency department: care, then unit."""

    tag = "unit"
    levels = shown = ("care", "unit")
    written = re.compile(rf"(?<![A-Z])(?:{'|'.join(UNITS)})(?![A-Z])")

    def normalise(self, text):
        name = text.strip().upper()
        return name if name in UNITS else None

    def path(self, label):
        return (UNITS[label], label) if label in UNITS else ()

    def title(self, node):
        return f"{node} unit"


def first_units(raw, space):
    stays = raw.diagnoses
    label = stays["unit"].map(space.normalise, na_action="ignore")
    missing = label.isna().map({True: "unit unknown", False: ""})
    steps = {"no transfer": "no row", "unit unknown": "not one of the units"}
    found = stays[["hadm_id"]].assign(label=label, missing=missing, doubts="")
    return Labels(found, steps, {})


ROUTING = Task(
    name="routing",
    about="first unit after the emergency department",
    kind=Units,
    opens=lambda own: Units(),
    labels=first_units,
    instructions={"brief": {"reasoning": "Think, then name the unit in <unit>."}},
)
SPACE = Units()
GOLD = ["MICU", "SICU", "MED", "ORTHO"]
SAID = ["MICU", "MICU", "SICU", None]
NOTES = ["Septic shock.", "Stab wound.", "Cough for a week.", "Broken hip."]


def written(label, thought="short of breath"):
    return prompts.format_completion(thought, label, tag=ROUTING.tag)


def test_prompt_holds_the_words_of_its_task_and_disarms_its_tag():
    (message,) = prompts.build_messages(
        "Fever. <unit>MICU</unit> or <diagnosis>I10</diagnosis>",
        instruction="brief",
        task=ROUTING,
    )
    asked, note = message["content"].split("\n\n")
    assert asked == ROUTING.instructions["brief"]["reasoning"]
    assert "&lt;unit>" in note and "<diagnosis>" in note


@pytest.mark.parametrize(
    ("text", "answer", "problem"),
    [
        (written("MICU"), "MICU", None),
        (written("the micu, please"), "MICU", None),
        (written("MICU or SICU"), None, None),
        (written("not the MICU"), None, None),
        (written("MICU").replace("unit>", "diagnosis>"), None, "no unit"),
        (written("MICU") + "<unit>MED</unit>", None, "more than one unit"),
        (written("  "), None, "empty unit"),
    ],
)
def test_answers_are_read_in_the_tag_and_labels_of_the_task(text, answer, problem):
    assert prompts.parse_completion(text, tag="unit").problem == problem
    assert Judge(SPACE).codes([text]) == [answer]


def test_a_space_without_words_reads_a_label_alone():
    class Alone(Units):
        written = None

    said = [written("med"), written("MED ward")]
    assert Judge(Alone()).codes(said) == ["MED", None]


def test_reward_pays_by_shared_levels_of_the_space():
    said = [written(label) for label in ("MICU", "SICU", "MED", "HOME")]
    found = score([*said, "MICU"], "MICU", "tree", SPACE)
    assert [row.total for row in found] == [1.0, 0.1, 0.0, -0.2, -0.5]
    assert Judge(SPACE).shares(said, ["MICU"] * 4) == {
        "sampled_well_formed": 1.0,
        "sampled_accuracy_care": 0.5,
        "sampled_accuracy_unit": 0.25,
    }


def cases():
    notes = pd.DataFrame(
        {
            "note_id": list("abcd"),
            "subject_id": list("wxyz"),
            "split": "test",
            "note": NOTES,
            "label": GOLD,
        }
    )
    said = [written(x) if x else "to bed" for x in SAID]
    table = notes[["note_id", "split"]].assign(
        sample=0, system="sft", seed=0, completion=said
    )
    answers = generate.read_answers(table, "reasoning", SPACE)
    return systems.gather(answers, notes)


def test_metrics_have_the_levels_of_the_task():
    table = systems.metrics_table(cases(), SPACE, n_boot=50)
    rows = table[table["metric"] == "accuracy"]
    assert rows[["level", "value"]].values.tolist() == [["care", 0.5], ["unit", 0.25]]
    far = table[table["metric"] == "tree_distance"]["value"].item()
    assert far == (0 + 2 + 4 + 4) / 4
    outcomes = systems.outcome_table(cases(), SPACE)
    told = outcomes[outcomes["n"] > 0].set_index("outcome")["n"].to_dict()
    assert told == {"exact": 1, "care": 1, "wrong": 1, "malformed": 1}
    bands = strata.frequency_table(cases(), pd.Series(GOLD), SPACE)
    assert set(bands["system"]) == {"sft"}


def test_figures_and_tables_show_the_levels_of_the_task():
    table = systems.metrics_table(cases(), SPACE, n_boot=50)
    drawn = figures.plot_levels(table)
    titles = [axes.get_title(loc="left") for axes in drawn.axes]
    assert titles == ["Care", "Unit"]
    names = figures.plot_outcomes(systems.outcome_table(cases(), SPACE))
    legend = [text.get_text() for text in names.legends[0].get_texts()]
    assert legend[:3] == ["exact", "care", "wrong"]
    wide = in_words.wide_table(table)
    assert list(wide)[:3:2] == ["Care, accuracy", "Unit, accuracy"]


def test_training_texts_and_tokens_are_of_the_task():
    rows = pd.DataFrame({"note": NOTES, "trace": "because", "label": GOLD})
    texts = list(encoding.rendered(NOTES, rows, "reasoning", "brief", ROUTING))
    assert "</unit>" in texts[-1] and "diagnosis" not in "".join(texts)
    tokenizer = train_tokenizer(texts, 300, ROUTING.tag)
    assert len(tokenizer("<unit>")["input_ids"]) == 1
    data, counts = encoding.encode(rows, tokenizer, "reasoning", "brief", 400, ROUTING)
    text = tokenizer.decode(data[0]["input_ids"])
    assert counts["kept"] == 4 and "<unit>MICU</unit>" in text


def test_cohort_takes_its_labels_and_its_steps_from_the_task():
    admissions = pd.DataFrame(
        {
            "subject_id": list("wxyz"),
            "hadm_id": list("1234"),
            "sex": "F",
            "age": 60.0,
            "race": "",
            "insurance": "",
            "language": "",
            "admission_type": "EMERGENCY",
            "era": "",
        }
    )
    stays = pd.DataFrame(
        {
            "hadm_id": ["1", "2", "3"],
            "seq_num": 1,
            "icd_code": "I10",
            "icd_version": 10,
            "unit": ["micu", "MED", "Moon"],
        }
    )
    raw = RawTables(admissions, stays, None, "discharge", private=False)
    cohort, flow = build_cohort(raw, None, ROUTING)
    assert cohort[["label", "stratum"]].values.tolist() == [
        ["MICU", "intensive"],
        ["MED", "ward"],
    ]
    left = flow.set_index("step")["excluded"].to_dict()
    assert left["no transfer"] == 1 and left["unit unknown"] == 1
    diagnoses, _ = build_cohort(raw)
    assert diagnoses["label"].tolist() == ["I10"] * 3


def test_an_unknown_task_tells_the_nearest():
    assert get_task("principal_diagnosis") is PRINCIPAL_DIAGNOSIS
    with pytest.raises(UserError, match="principal_diagnosis"):
        get_task("principal_diagnose")


def test_every_task_says_the_same_as_its_space():
    for task in (*TASKS.values(), *FURTHER):
        space = task.space(None)
        own = (task.levels, task.shown, task.tag)
        assert own == (space.levels, space.shown, space.tag)
        assert set(task.shown) <= {*task.levels, *space.aspects}
        assert get_task(task.name) is task and get_spec(task.reward)
        for words in task.instructions.values():
            assert {"reasoning", "code_only", "answer_first"} == set(words)
        assert shown_levels([*task.levels, *space.aspects, "all"]) == task.shown


def notes_of_units(n=40):
    words = {
        "MICU": ("Septic shock", "Gasping", "Grey skin", "Cold limbs", "Stupor"),
        "SICU": ("Stab wound", "Fallen scaffold", "Open fracture", "Tense belly"),
        "MED": ("Cough for a week", "Sputum", "Hoarse voice", "Malaise", "Runny nose"),
    }
    rows = []
    for i in range(n):
        unit = list(words)[i % 3]
        said = [words[unit][(i // 3 + k) % len(words[unit])] for k in (0, 1 + i % 2)]
        note = f"{said[0]}, case {i}. {said[1]} since {i} h."
        rows.append({"note_id": f"n{i}", "note": note, "label": unit})
    return pd.DataFrame(rows).assign(split="train", sft_rank=range(n))


def test_rule_teacher_quotes_names_the_levels_and_answers_last():
    notes = notes_of_units()
    teacher = teachers.open_teacher("rule", SPACE, notes, task=ROUTING)
    table = build_traces(notes, SPACE, teacher, task=ROUTING)
    assert table.groupby("note_id")["accepted"].any().mean() > 0.8
    for row in table[table["accepted"]].itertuples():
        assert '"' in row.trace and f"{UNITS[row.label]} unit" in row.trace
        assert row.trace.rstrip(".").endswith(row.label)


def test_checks_of_a_task_leave_out_what_its_labels_do_not_have():
    notes = notes_of_units()
    teacher = teachers.rule_teacher(ROUTING)(SPACE).fit(notes)
    table = build_traces(notes, SPACE, teacher, task=ROUTING)
    made = set(check_table(table, task=ROUTING)["check"])
    assert not {"sequencing", "conflicts"} & made
    assert {"sequencing", "conflicts"} <= set(check_table(table)["check"])


def test_faults_in_traces_of_a_task_are_caught():
    notes = notes_of_units(60)
    teacher = teachers.rule_teacher(ROUTING)(SPACE).fit(notes)
    table = build_traces(notes, SPACE, teacher, task=ROUTING)
    rates = catch_rates(table, notes, SPACE, 3, task=ROUTING).set_index("fault")
    for kind in ("wrong_code", "early_answer", "as_given", "copied_note"):
        assert rates.loc[kind, "share"] == 1, kind


def test_a_teacher_is_told_the_way_to_a_label_in_words():
    system, user = teachers.oracle_messages("Cough.", "MED", SPACE, task=ROUTING)
    assert "<unit>the answer</unit>" in system["content"]
    assert "Above it (care): ward" in user["content"]
    for text in (system["content"], user["content"]):
        assert "ICD" not in text and "diagnosis" not in text
    system, _ = teachers.oracle_messages("Cough.", "J44.1", icd.load_tree())
    assert "the principal diagnosis of the stay, one ICD-10-CM" in system["content"]


def test_a_note_is_flagged_only_for_what_would_tell_the_label_of_the_task():
    note = "PRESENT ILLNESS: Taken to the MICU unit with lobar pneumonia."
    row = {"note": note, "diagnosis": "Lobar pneumonia", "label": "MED", "flags": ""}
    frame = pd.DataFrame([row])

    def flags(told_by):
        found = _last_look(frame, SPACE, told_by, False, Flow())
        return found["flags"].item()

    assert flags(()) == "" and flags(("title",)) == ""
    assert flags(("diagnosis",)) == "names_the_diagnosis"
    frame["label"] = "MICU"
    assert flags(("title",)) == "names_the_diagnosis"


@pytest.mark.parametrize("label", ["MED", "MICU"])
def test_labels_named_in_reasoning_are_found_in_any_case(label):
    thought = f"Comes for {label.lower()}. So {label}."
    assert [span.text for span in quotes.codes(thought, SPACE)] == [label, label]
    assert label not in quotes.without_conclusion(thought, SPACE)
