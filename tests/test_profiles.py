"""Typed parameters: from the notebook, the profile and the command line."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepicd.common.errors import UserError
from deepicd.common.parameters import (
    Parameter,
    checked,
    notebook_parameters,
    parse_parameters,
    parse_value,
)
from deepicd.study.runner.__main__ import main, options_of, parser
from deepicd.study.runner.device import Device
from deepicd.study.runner.graph import BASELINES, EVALUATE
from deepicd.study.runner.plan import Options, default_sources, make_plan
from deepicd.study.runner.profiles import Profile, load_profile, resolve
from deepicd.training.grpo.settings import GrpoSettings
from deepicd.training.sft import SftSettings

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
CPU = Device("cpu", "CPU", "no NVIDIA GPU on this machine")
RATE = Parameter("learning_rate", "float", 1e-4, "step size")
CELL = """\
model: str = ""  # help: name of a model
steps: int = 900  # help: optimiser steps
learning_rate: float = 1e-4  # help: step size
packing: bool = False  # help: several to a row
systems: list[str] = ["a", "b"]  # help: names
limit: int | None = None  # help: at most so many
"""


@pytest.mark.parametrize("number", [f"{n:02}" for n in range(9)])
def test_a_cell_is_what_a_student_reads_at_once(number):
    notebook = next(NOTEBOOKS.glob(f"{number}_*.ipynb"))
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        lines = "".join(cell["source"]).splitlines()
        assert len(lines) <= 15 and max(map(len, lines)) <= 76, lines[0]
        assert not any(li.split(" ")[0] in ("def", "class") for li in lines), lines[0]
        assert not cell["outputs"] and cell["execution_count"] is None


@pytest.mark.parametrize("name", ["strengths", "max_features"])
def test_the_regression_of_06_is_fitted_as_that_of_02(name):
    first, again = (
        notebook_parameters(next(NOTEBOOKS.glob(f"{number}_*.ipynb")))[name]
        for number in ("02", "06")
    )
    assert again.default == first.default
    for path in sorted((NOTEBOOKS / "profiles").glob("*.yaml")):
        given = load_profile(path.stem, NOTEBOOKS / "profiles").parameters
        one, two = (
            (given.get(stage) or {}).get(name) for stage in (BASELINES, EVALUATE)
        )
        assert one == two, path.name


@pytest.fixture
def declared():
    return {"04_train_sft": parse_parameters(CELL)}


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("float", "1e-5", 1e-5),
        ("float", "3", 3.0),
        ("int", "1_000", 1000),
        ("str", "1e-5", "1e-5"),
        ("str", "a=b", "a=b"),
        ("bool", "True", True),
        ("bool", "no", False),
        ("list[float]", "1,2.5", [1.0, 2.5]),
        ("list[str]", "['a', 'b']", ["a", "b"]),
        ("list[int]", "", []),
        ("int | None", "none", None),
        ("int | None", "7", 7),
        ("dict", '{"a": 1}', {"a": 1}),
    ],
)
def test_command_line_values_are_read_by_the_declared_type(kind, text, value):
    found = parse_value(Parameter("x", kind, value, ""), text)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("float", "abc"), ("int", "1.5"), ("bool", "2"), ("list[int]", "b"), ("int", "")],
)
def test_wrong_command_line_values_are_user_errors(kind, text):
    with pytest.raises(UserError, match="--set x="):
        parse_value(Parameter("x", kind, 1, ""), text)


def test_yaml_number_that_arrives_as_text_says_how_to_write_it():
    with pytest.raises(UserError) as error:
        checked(RATE, "1e-5", "profile cpu")
    assert "learning_rate = '1e-5' (str) in profile cpu" in str(error.value)
    assert "write 1.0e-5" in str(error.value)
    with pytest.raises(UserError, match="write 2.5e-5"):
        checked(RATE, "25e-6", "profile cpu")
    with pytest.raises(UserError, match="give learning_rate a number"):
        checked(RATE, "fast", "profile cpu")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("int", 1.0),
        ("int", True),
        ("float", False),
        ("str", 1),
        ("bool", 1),
        ("list[int]", [1, "2"]),
        ("list[str]", "ab"),
        ("int | None", "x"),
        ("float", float("nan")),
    ],
)
def test_values_of_another_type_are_refused(kind, value):
    with pytest.raises(UserError, match=r"x = "):
        checked(Parameter("x", kind, None, ""), value, "profile cpu")


def test_settings_are_checked_when_they_are_made():
    with pytest.raises(UserError, match="steps = '20' .str. in SftSettings"):
        SftSettings(steps="20")
    with pytest.raises(UserError, match="packing = 1 .int."):
        dataclasses.replace(SftSettings(), packing=1)
    with pytest.raises(UserError, match="expected group, batch or none"):
        GrpoSettings(scale_rewards=True)
    # A key of a kept run is made of the values as they were given.
    assert repr(GrpoSettings(beta=0).beta) == "0"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_survives_the_command_line(value):
    assert parse_value(RATE, repr(value)) == value


def test_parameters_cell_is_read_with_types_and_help(declared):
    steps = declared["04_train_sft"]["steps"]
    assert (steps.kind, steps.default, steps.help) == ("int", 900, "optimiser steps")
    assert declared["04_train_sft"]["limit"].default is None


@pytest.mark.parametrize("cell", ["a: int = b", "a = 1", "print(1)", "a: float = '1'"])
def test_derived_or_untyped_parameters_are_refused(cell):
    with pytest.raises(UserError):
        parse_parameters(cell, "04_train_sft")


def test_order_is_default_profile_command_line(declared):
    own = {"04_train_sft": {"steps": 7}}
    profile = Profile("cpu", every={"steps": 5}, parameters=own)
    assert resolve(Profile("cpu"), declared)["04_train_sft"]["steps"] == 900
    assert resolve(profile, declared)["04_train_sft"]["steps"] == 7
    values = resolve(profile, declared, {"steps": "9", "learning_rate": "1e-5"})
    assert values["04_train_sft"]["steps"] == 9
    assert values["04_train_sft"]["learning_rate"] == 1e-5


def test_set_reaches_every_notebook_that_declares_the_name(declared):
    declared["05_train_grpo"] = parse_parameters("steps: int = 3")
    declared["06_evaluate"] = parse_parameters("n_boot: int = 3")
    values = resolve(Profile("cpu"), declared, {"steps": "1"})
    assert [v.get("steps") for v in values.values()] == [1, 1, None]


def test_unknown_name_names_the_nearest_and_who_declares_it(declared):
    with pytest.raises(UserError) as error:
        resolve(Profile("cpu"), declared, {"learning_rat": "1"})
    assert "--set learning_rat;" in str(error.value)
    assert "learning_rate (of 04_train_sft)" in str(error.value)
    with pytest.raises(UserError, match="--list"):
        resolve(Profile("cpu"), declared, {"zzzzz": "1"})


def test_unknown_names_in_a_profile_are_refused_too(declared):
    with pytest.raises(UserError, match="profile x: parameters: 04_train_sft: step"):
        resolve(Profile("x", parameters={"04_train_sft": {"step": 1}}), declared)
    with pytest.raises(UserError, match="profile x: every: step"):
        resolve(Profile("x", every={"step": 1}), declared)


def test_a_stage_that_does_not_exist_is_refused_in_a_profile(declared):
    profile = Profile("x", parameters={"04_train_stf": {"steps": 1}})
    with pytest.raises(UserError, match="did you mean '04_train_sft'"):
        resolve(profile, declared)


@pytest.mark.parametrize(
    "text", ["steps: 3", "a: [", "- 1", "text", "seconds: {04_train_sft: long}"]
)
def test_broken_profile_file_is_a_user_error(tmp_path, text):
    (tmp_path / "cpu.yaml").write_text(text)
    with pytest.raises(UserError, match="cpu.yaml"):
        load_profile("cpu", tmp_path)


def test_unknown_profile_names_the_nearest():
    with pytest.raises(UserError, match="paper, scratch, smoke; do: --profile cpu"):
        load_profile("cpuu", NOTEBOOKS / "profiles")


@pytest.mark.parametrize("name", ["smoke", "cpu", "scratch", "gpu", "paper"])
def test_profiles_fit_the_notebooks(name):
    device = Device("cuda", "a GPU", "a test")
    plan = make_plan(Options(profile=name), default_sources(), device)
    assert plan.profile.about and len(plan.stages) == 9
    unknown = plan.profile.seconds.keys() - {stage.name for stage in plan.stages}
    assert not unknown
    for values in plan.parameters.values():
        assert values["run_dir"] == str(plan.run_dir) and values["seed"] == 0


def test_every_notebook_declares_the_common_parameters_with_help():
    for stage in default_sources().stages:
        parameters = notebook_parameters(NOTEBOOKS / f"{stage.name}.ipynb")
        assert list(parameters)[:2] == ["run_dir", "seed"], stage.name
        assert parameters["run_dir"].default == "../outputs/cpu-synthetic-seed0"
        missing = [p.name for p in parameters.values() if not p.help]
        assert not missing, stage.name


def test_defaults_in_the_notebooks_are_the_cpu_profile():
    plan = make_plan(Options(profile="cpu"), default_sources(), CPU)
    for stage in plan.stages:
        given = plan.profile.parameters.get(stage.name) or {}
        declared = notebook_parameters(NOTEBOOKS / f"{stage.name}.ipynb")
        assert all(declared[k].default == v for k, v in given.items()), stage.name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(profile="gpu"), "no NVIDIA GPU.*--profile cpu"),
        (Options(data="mimik"), "mimik.*synthetic, mimic, eicu, table"),
        (Options(data="mimic"), "no data folder for the source 'mimic'"),
        (Options(data="eicu", data_dir="/no/such/folder"), "nothing at /no/such"),
        (Options(data_dir="."), "--data-dir with --data synthetic"),
        (Options(sets={"seed": "3"}), "--seed"),
        (Options(only=("9",)), "--only 9"),
    ],
)
def test_bad_options_are_user_errors(options, message):
    with pytest.raises(UserError, match=message):
        make_plan(options, default_sources(), CPU)


def test_empty_data_folder(tmp_path):
    with pytest.raises(UserError, match="the empty folder"):
        make_plan(Options(data="eicu", data_dir=str(tmp_path)), default_sources(), CPU)


def test_private_data_goes_to_the_private_folder(tmp_path):
    table = tmp_path / "notes.csv"
    table.write_text("text,code\n")
    options = Options(data="table", data_dir=str(table), outputs=tmp_path / "out")
    plan = make_plan(options, default_sources(), CPU)
    assert plan.private
    assert plan.run_dir == (tmp_path / "out/private/cpu-table-seed0").resolve()


def test_gpu_is_the_default_profile_where_one_computes():
    device = Device("cuda", "H", "the GPU answered a small computation")
    assert make_plan(Options(), default_sources(), device).profile.name == "gpu"
    assert make_plan(Options(), default_sources(), CPU).profile.name == "cpu"


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["run", "--profile", "cpuu"], 1, "profile 'cpuu'"),
        (["run", "--set", "steps"], 1, "NAME=VALUE"),
        (["run", "--data", "eicu"], 1, "--data-dir"),
        (["check", "--profile", "smoke", "--seed", "99"], 1, "no reference"),
        (["run", "--profle", "cpu"], 2, "write --profile"),
        (["run", "--seed", "x"], 2, "--seed"),
    ],
)
def test_command_line_errors_are_one_line_and_not_zero(arguments, status, text, capsys):
    try:
        found = main(arguments)
    except SystemExit as stop:
        found = stop.code
    errors = capsys.readouterr().err.strip().splitlines()
    assert found == status and len(errors) == 1 and text in errors[0]


def test_list_names_every_stage_and_parameter(capsys):
    assert main(["run", "--list", "--profile", "cpu"]) == 0
    text = capsys.readouterr().out
    for stage in default_sources().stages:
        assert stage.name in text
        book = json.loads((NOTEBOOKS / f"{stage.name}.ipynb").read_text())
        assert book["cells"]


def test_task_is_a_parameter_that_names_the_folder_of_the_run(tmp_path):
    options = Options(profile="cpu", outputs=tmp_path)
    usual = make_plan(options, default_sources(), CPU)
    assert usual.run_dir.name == "cpu-synthetic-seed0"
    assert usual.task.name == "principal_diagnosis"
    named = options_of(parser().parse_args(["run", "--task", "length_of_stay"]))
    set_ = options_of(parser().parse_args(["run", "--set", "task=length_of_stay"]))
    for other in (named, set_):
        plan = make_plan(
            dataclasses.replace(other, profile="cpu"), default_sources(), CPU
        )
        assert plan.run_dir.name == "cpu-synthetic-length_of_stay-seed0"
        asked = plan.parameters["01_extract_admission_notes"]["task"]
        assert asked == plan.task.name == "length_of_stay"


def test_an_unknown_task_tells_the_nearest():
    options = Options(profile="cpu", sets={"task": "length_of_stays"})
    with pytest.raises(UserError, match="--task length_of_stay"):
        make_plan(options, default_sources(), CPU)
