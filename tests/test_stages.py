"""The runner on a tiny study: what runs, what is skipped, what goes wrong."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from house import FIGURES, FIRST, SECOND, STAGES, THIRD, House
from PIL import Image

from deepicd.common import progress
from deepicd.common.errors import UserError
from deepicd.common.files import read_json, write_json
from deepicd.common.processes import descendants
from deepicd.common.processors import cores
from deepicd.data.history import told_history
from deepicd.study.ablations.kept_runs import kept_of
from deepicd.study.runner import report
from deepicd.study.runner.display import Display
from deepicd.study.runner.execute import StageFailed
from deepicd.study.runner.fingerprint import Hashes, _data_files, meaning, reached_files
from deepicd.study.runner.graph import EXTRACT, GRPO, SFT, Stage, select
from deepicd.study.runner.graph import STAGES as REAL
from deepicd.study.runner.plan import PACKAGE
from deepicd.study.runner.run_folder import open_run
from deepicd.study.runner.runner import Runner
from deepicd.study.runner.stamps import mark_running, prepare_folder
from deepicd.tasks.known import TASKS
from deepicd.views.figures import plot_confusion


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A house in a folder with a space in its name, run once."""
    built = House(tmp_path_factory.mktemp("a study"))
    built.first = built.run()
    return built


@pytest.fixture
def fresh(tmp_path):
    return House(tmp_path)


def lines_about(runner: Runner, number: str) -> str:
    return "\n".join(li for li in runner.display.lines if f"{number} " in li)


def test_first_run_executes_all_and_writes_everything(house):
    assert [s["status"] for s in house.first.states.values()] == ["ran"] * 3
    for stage in STAGES:
        manifest = read_json(house.run_dir / stage.name / "manifest.json")
        assert manifest["parameters"]["seed"] == 0
        assert manifest["hashes_out"].keys() == set(stage.writes)
        assert manifest["versions"]["python"] and manifest["seconds"] > 0
        assert (house.run_dir / "notebooks" / f"{stage.name}.ipynb").exists()
        html = (house.run_dir / "notebooks" / f"{stage.name}.html").read_text()
        assert report.WORDS in html.partition("</head>")[0]
    assert (house.run_dir / THIRD / "end.json").read_text() == "3"
    page = (house.run_dir / "index.html").read_text()
    assert "01_first/figures/dots.png" in page and "notebooks/03_third.html" in page


def test_unchanged_second_run_executes_nothing_and_is_fast(house):
    begin = time.monotonic()
    runner = house.run()
    assert {s["status"] for s in runner.states.values()} == {"skipped"}
    assert "01 skipped: nothing changed" in runner.display.lines
    assert time.monotonic() - begin < 5


def test_prose_does_not_invalidate_and_code_does(house):
    house.write(THIRD, _third(), prose="More words.")
    assert house.ran() == []
    house.write(THIRD, [*_third(), "'another cell'"])
    runner = house.run()
    assert runner.states[THIRD]["why"] == "the notebook's code changed"
    assert runner.states[SECOND]["status"] == "skipped"


def _third():
    from house import BODIES

    return BODIES[THIRD]


def test_changed_parameter_runs_its_stage_and_same_outputs_stop_there(house):
    runner = house.run(sets={"weight": "0.7"})
    status = [state["status"] for state in runner.states.values()]
    assert status == ["skipped", "ran", "skipped"]
    assert "02 runs: parameter weight changed 0.5 -> 0.7" in lines_about(runner, "02")
    house.run()


def test_changed_outputs_reach_everything_that_reads_them(house):
    runner = house.run(sets={"size": "4"}, only=("01", "2"))
    assert runner.states[SECOND]["why"] == f"input {FIRST}/numbers.json changed"
    assert runner.states[FIRST]["why"] == "parameter size changed 3 -> 4"
    assert THIRD not in runner.states
    assert house.ran() == ["01", "02"]  # back to the default, which 03 has seen


def test_what_a_stage_consults_in_the_repository_is_an_input(tmp_path):
    house = House(tmp_path)
    stages = (Stage(FIRST, (), ("numbers.json", FIGURES), consults=("kept",)),)
    house = House.reopen(tmp_path, stages)
    assert house.ran() == ["01"] and house.ran() == []
    write_json([1], tmp_path / "kept" / "runs.json")
    assert house.run().states[FIRST]["why"] == "input kept changed"
    assert house.ran() == []


def test_a_change_of_views_or_of_a_comment_trains_nothing_again(tmp_path):
    stages = (Stage(FIRST, (), ("numbers.json", FIGURES), trains=True),)
    house = House.reopen(House(tmp_path).root, stages)
    look = house.sources.package / "views" / "look.py"
    look.parent.mkdir()
    (look.parent / "__init__.py").touch()
    look.write_text("COLOUR = 1")
    cells = [
        "from deepicd.common import files",
        "if size < 0:\n    from deepicd.views import look",
    ]
    body = ["(run.dir / 'numbers.json').write_text('1')"]
    body.append("(run.figures / 'dots.png').write_bytes(b'png')")
    house.write(FIRST, [*cells, *body])
    assert house.ran() == ["01"]
    look.write_text("COLOUR = 2")
    said = house.run().states[FIRST]
    assert said["status"] == "skipped" and "views/look.py changed" in said["why"]
    common = house.sources.package / "common" / "files.py"
    common.write_text(common.read_text() + "\n# A comment changes nothing.\n")
    assert house.ran() == []
    common.write_text(common.read_text() + "\nNEW = 1\n")
    assert house.run().states[FIRST]["why"] == "lib/deepicd/common/files.py changed"


def test_a_folder_run_by_an_older_version_runs_again(tmp_path):
    house = House(tmp_path)
    house.run()
    record = house.record(FIRST)
    del record["stamp"]["views"]
    write_json(record, house.run_dir / FIRST / ".stamp.json")
    why = house.run().states[FIRST]["why"]
    assert why == "it was run by an older version of this repository"


def test_the_hash_of_code_is_that_of_its_meaning(tmp_path):
    found = []
    for text in (
        "def f(x):\n    'Says.'\n    return x  # why",
        "def f(x):\n    'Says more.'\n\n    return x",
        "def f(x):\n    'Says.'\n    return -x",
    ):
        file = tmp_path / "code.py"
        file.write_text(text)
        found.append(meaning(file))
    assert found[0] == found[1] != found[2]


def test_every_data_file_of_the_package_is_declared_by_one_module():
    declared = [
        file for module in PACKAGE.rglob("*.py") for file in _data_files(module)
    ]
    code = (".py", ".pyc", ".md")
    found = [f for f in PACKAGE.rglob("*") if f.is_file() and f.suffix not in code]
    assert sorted(declared) == sorted(found)


def test_what_the_stages_consult_is_in_the_repository():
    consulted = [name for stage in REAL for name in stage.consults]
    assert consulted and all((PACKAGE.parents[1] / name).exists() for name in consulted)
    kept = {kept_of(task) for task in TASKS.values() if kept_of(task).exists()}
    assert kept == {PACKAGE.parents[1] / name for name in consulted}


def test_missing_and_edited_outputs_run_again(house):
    (house.run_dir / FIRST / "figures" / "dots.png").unlink()
    (house.run_dir / THIRD / "end.json").write_text("tampered")
    runner = house.run()
    assert runner.states[FIRST]["why"] == "output figures is missing"
    assert runner.states[SECOND]["status"] == "skipped"
    assert runner.states[THIRD]["why"] == "output end.json was changed since"


def test_dry_run_says_why_and_writes_nothing(house):
    before = _snapshot(house.root)
    runner = Runner(house.plan(sets={"size": "9"}, dry_run=True), house.first.display)
    house.first.display.lines.clear()
    runner.dry_run()
    assert runner.display.lines == [
        "01 would run: parameter size changed 3 -> 9",
        "02 would run: if the outputs of 01 change",
        "03 would run: if the outputs of 02 change",
    ]
    assert _snapshot(house.root) == before


def _snapshot(folder):
    return {p: p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


def test_force_runs_the_selected_stage(house):
    runner = house.run(force=True, only=("03",))
    assert runner.states == {
        THIRD: {
            "status": "ran",
            "why": "--force",
            "seconds": runner.states[THIRD]["seconds"],
        }
    }
    assert len(read_json(house.run_dir / "manifest.json")["stages"]) == 3


def test_the_number_of_threads_is_set_told_and_part_of_the_stamp(fresh, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    fresh.profile("threads: 1")
    assert fresh.plan().threads == cores()  # no model of these notebooks is made here
    model = "model: str = 'scratch'  # help: a model"
    tell = "import os\n(run.dir / 'end.json').write_text(os.environ['OMP_NUM_THREADS'])"
    fresh.write(THIRD, [tell], model)
    alone = House.reopen(fresh.root, (Stage(THIRD, (), ("end.json",)),))
    assert alone.ran() == ["03"]
    assert (fresh.run_dir / THIRD / "end.json").read_text() == "1"
    assert read_json(fresh.run_dir / THIRD / "manifest.json")["threads"] == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    why = alone.run().states[THIRD]["why"]
    assert why == "the number of threads changed 1 -> 2"
    assert (fresh.run_dir / THIRD / "end.json").read_text() == "2"
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    with pytest.raises(UserError, match="OMP_NUM_THREADS=many"):
        alone.plan()


def test_missing_input_names_the_stage_to_run(fresh):
    with pytest.raises(UserError, match="01_first/numbers.json.*--from 01"):
        fresh.run(only=("02",))


def test_failing_cell_leaves_old_results_and_keeps_the_failed_copy(fresh):
    fresh.run(only=("01",))
    old = (fresh.run_dir / FIRST / "numbers.json").read_bytes()
    fresh.write(
        FIRST, ["from deepicd.common.files import read_json", "read_json('nothing')"]
    )
    with pytest.raises(StageFailed) as failed:
        fresh.run()
    text = str(failed.value)
    assert text.startswith("01 failed in code cell 5: FileNotFoundError")
    assert "deepicd/common/files.py" in text and "in read_json" in text
    assert (fresh.run_dir / "notebooks" / f"{FIRST}.failed.ipynb").exists()
    assert (fresh.run_dir / FIRST / "numbers.json").read_bytes() == old
    states = read_json(fresh.run_dir / "manifest.json")["stages"]
    assert states[FIRST]["status"] == "failed" and SECOND not in states
    assert not list(fresh.run_dir.rglob("*.partial.ipynb"))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("import sys; sys.exit(0)", "end marker"),
        ("(run.dir / 'end.json').unlink(missing_ok=True)", "without its output end"),
        (
            "from deepicd.common.errors import UserError\n"
            "raise UserError('a pear', 'an apple', 'buy one')",
            "^03 stopped: found a pear; expected an apple; do: buy one$",
        ),
    ],
)
def test_a_stage_that_does_not_end_well_is_an_error(fresh, cell, message):
    fresh.write(THIRD, [cell])
    alone = House.reopen(fresh.root, (Stage(THIRD, (), ("end.json",)),))
    with pytest.raises(StageFailed, match=message):
        alone.run()


def test_time_limit_ends_the_notebook_and_what_it_started(fresh):
    fresh.profile("limit_minutes: {default: 0.1}")
    fresh.write(
        FIRST,
        [
            "import subprocess, sys",
            "child = subprocess.Popen([sys.executable, '-c', "
            "'import time; time.sleep(600)'], start_new_session=True)\n"
            "(run.dir / 'child').write_text(str(child.pid))",
            "import time; time.sleep(600)",
        ],
    )
    before = {p.pid for p in descendants(os.getpid())}  # of other tests
    with pytest.raises(StageFailed, match="longer than its limit of 0.1 minutes"):
        fresh.run()
    assert {p.pid for p in descendants(os.getpid())} <= before
    left = fresh.run_dir / FIRST / "child"
    if left.exists():
        assert not _alive(int(left.read_text()))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


FIGURE = "(run.figures / 'dots.png').write_bytes(b'png')"
RUN_HOUSE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from house import House
House.reopen(Path({root!r})).run()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_kernel_outlives_the_runner_nor_its_settings(fresh, tmp_path, number):
    fresh.write(
        FIRST,
        [
            "import os, time\n(run.dir / 'pid').write_text(str(os.getpid()))",
            "time.sleep(600)",
        ],
    )
    tests = os.path.dirname(__file__)
    script = RUN_HOUSE.format(tests=tests, root=str(fresh.root))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    runner = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(temporary)},
    )
    file = fresh.run_dir / FIRST / "pid"
    _until(lambda: file.exists() and file.read_text())
    with pytest.raises(UserError, match=f"another run .process {runner.pid}"):
        fresh.run()
    runner.send_signal(number)
    runner.communicate(timeout=20)
    assert runner.returncode != 0
    kernel = int(file.read_text())
    _until(lambda: not _alive(kernel))
    assert not list(Path(temporary).glob("deepicd*"))  # its settings lie in the run
    fresh.write(FIRST, ["(run.dir / 'numbers.json').write_text('[]')", FIGURE])
    assert fresh.ran(only=("01",)) == ["01"]
    assert not list((fresh.run_dir / "notebooks").glob(".*"))


def _until(condition, seconds: float = 40):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def test_kernel_is_this_python_whatever_jupyter_knows(fresh, tmp_path, monkeypatch):
    foreign = tmp_path / "jupyter" / "kernels" / "python3"
    foreign.mkdir(parents=True)
    spec = {"argv": ["/bin/false"], "display_name": "x", "language": "python"}
    (foreign / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    fresh.write(
        FIRST,
        [
            "import os, sys\n"
            "known = [sys.executable, run.headless, os.getcwd()]\n"
            "known.append(os.environ.get('MPLBACKEND'))",
            "import json\n"
            "(run.dir / 'numbers.json').write_text(json.dumps(known))\n"
            "(run.figures / 'a.png').write_bytes(b'x')\n"
            "run.progress(1, 2, 'half')",
        ],
    )
    fresh.run(only=("1",))
    known = read_json(fresh.run_dir / FIRST / "numbers.json")
    assert known[:3] == [sys.executable, True, str(fresh.notebooks)]
    assert known[3] != "Agg"


def test_checkpoints_stay_only_for_the_very_same_stamp(tmp_path):
    folder = tmp_path / "04_x"
    checkpoints = folder / "checkpoints"

    def interrupted(stamp):
        checkpoints.mkdir(parents=True, exist_ok=True)
        (folder / ".ab12.tmp-model").mkdir(exist_ok=True)
        mark_running(folder, stamp, 1)

    interrupted({"a": 1})
    assert prepare_folder(folder, {"a": 1}, force=False)
    assert not (folder / ".ab12.tmp-model").exists()
    assert not prepare_folder(folder, {"a": 2}, force=False)
    assert not checkpoints.exists()
    interrupted({"a": 1})
    assert not prepare_folder(folder, {"a": 1}, force=True)


def test_who_runs_out_of_memory_changes_the_room_and_goes_on(tmp_path):
    """What the message about memory advises, in 04 and in 05."""
    folder = tmp_path / "05_x"

    def stamp(**given):
        return {"code": "x", "parameters": {"seed": 0, **given}}

    def goes_on(before, after) -> bool:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        mark_running(folder, before, 1)
        return prepare_folder(folder, after, force=False)

    first = stamp(batch_size=32, sft_options={"samples": 3}, processes=1)
    room = {"samples": 3, "accumulation": 2, "predict_batch": 8}
    assert goes_on(first, stamp(batch_size=16, sft_options=room, processes=4))
    assert not goes_on(first, stamp(batch_size=16, sft_options={"samples": 3}))
    first = stamp(grpo_options={"beta": 0.1})
    room = {"beta": 0.1, "micro_batches": 2, "vllm_memory": 0.2}
    assert goes_on(first, stamp(grpo_options=room))
    assert not goes_on(first, stamp(grpo_options={**room, "beta": 0.2}))


def test_hash_memory_notices_a_file_replaced_by_one_of_the_same_size(tmp_path):
    file, memory = tmp_path / "a", tmp_path / "memory.json"
    file.write_text("one")
    first = Hashes(memory)
    before = first.of(file)
    first.save()
    other = tmp_path / "b"
    other.write_text("two")
    os.utime(other, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns))
    other.replace(file)
    assert Hashes(memory).of(file) != before


def test_reached_files_follow_imports_and_leave_the_runner_out(tmp_path):
    package = tmp_path / "deepicd"
    files = {
        "__init__.py": "",
        "a.py": "from deepicd.b import thing\nDATA_FILES = ('facts/*.yaml',)",
        "b/__init__.py": "HOMES = {'thing': 'c', 'other': 'e'}",
        "b/c.py": "'The word named.yaml counts for nothing.'\n"
        "def thing():\n    import deepicd.d\n    from deepicd import b\n    b.more",
        "b/e.py": "",
        "d.py": "import os",
        "unused.py": "import deepicd.a",
        "facts/one.yaml": "1",
        "other/named.yaml": "2",
    }
    for name, text in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    found = reached_files(["%matplotlib inline\nfrom deepicd import a"], package)
    assert sorted(found) == [
        "__init__.py",
        "a.py",
        "b/c.py",
        "d.py",
        "facts/one.yaml",
    ]
    rest = reached_files(["from deepicd import a"], package, without="b")
    assert sorted(rest) == ["__init__.py", "a.py", "facts/one.yaml"]
    opened = reached_files(["from deepicd.study.runner import open_run"], PACKAGE)
    assert "study/runner/run_folder.py" in opened
    assert "study/runner/runner.py" not in opened


def test_graph_reads_only_earlier_stages():
    seen = set()
    for stage in REAL:
        assert set(stage.reads) <= seen
        seen.add(stage.name)


@pytest.mark.parametrize("wrong", ["09", "x", "04_train", ""])
def test_unknown_stage_number(wrong):
    with pytest.raises(UserError, match="00, 01, 02"):
        select(REAL, only=[wrong])


def test_progress_is_written_and_removed_at_the_end(tmp_path):
    run = open_run(tmp_path, "04_train_sft")
    for step in range(1000):
        run.progress(step, 1000, "training")
    assert read_json(run.dir / ".progress.json")["done"] == 0  # not at every step
    run.progress(1000, 1000)
    assert read_json(run.dir / ".progress.json")["done"] == 1000
    run.finish()
    assert not (run.dir / ".progress.json").exists()


def test_what_is_counted_below_reaches_the_runner_and_one_loop_is_told_once(tmp_path):
    run = open_run(tmp_path, "04_train_sft")
    told, file = [], run.dir / ".progress.json"
    for _ in progress.counted(range(2), "outer"):
        for _ in progress.counted(range(7), "inner"):
            told.append(read_json(file)["text"])
    assert set(told) == {"outer"} and read_json(file)["done"] == 2
    for _ in progress.counted(range(3), "stopped"):
        break
    assert [*progress.counted([], "nothing")] == []
    assert read_json(file) == {"done": 0, "total": 3, "text": "stopped"}
    run.finish()
    progress.report(1, 2, "after the end")
    assert not file.exists()


def test_a_log_holds_whole_lines_and_few_of_them():
    stream = io.StringIO()
    display = Display(stream)
    text = "[1/8] a line of a hundred letters, which no terminal breaks " + "x" * 100
    display.line(text)
    for second in range(50):
        display.status(f"second {second}", second)
    assert stream.getvalue().splitlines() == [
        text,
        "      second 20",
        "      second 40",
    ]


def test_a_figure_is_drawn_captioned_and_saved_in_one_call(tmp_path):
    run = open_run(tmp_path, "06_evaluate_hierarchy")
    answers = pd.DataFrame(
        {
            "gold": ["9"],
            "predicted": ["9"],
            "n": [4],
            "share": [1.0],
            "level": "chapter",
        },
    )
    run.figure(plot_confusion, answers, names={"9": "circulation"}, system="sft")
    image = run.figures / "confusion.png"
    assert "by SFT against gold chapters" in Image.open(image).info["Description"]
    assert pd.read_csv(run.figures / "confusion.csv")["n"].tolist() == [4]
    run.figure(plot_confusion, answers, "mine", "In short.", system="sft")
    assert Image.open(run.figures / "mine.png").info["Description"] == "In short."
    with pytest.raises(TypeError, match="nor its caption takes sytem"):
        run.figure(plot_confusion, answers, sytem="sft")


def test_the_tree_of_a_run_holds_the_codes_of_its_data(tmp_path):
    run = open_run(tmp_path, "04_train_sft")
    assert "S02.61XA" not in run.tree()
    write_json({"S0261XA": "Fracture"}, tmp_path / EXTRACT / "catalogue.json")
    assert "S02.61XA" in run.tree()


def test_path_of_a_missing_input_is_a_user_error(tmp_path):
    run = open_run(tmp_path, "05_train_grpo")
    with pytest.raises(UserError, match="04_train_sft.*--only 04"):
        run.path("04_train_sft", "model")


def test_private_is_read_from_the_source_file(tmp_path):
    run = open_run(tmp_path, "01_extract_admission_notes")
    assert not run.private
    write_json({"private": True}, run.dir / "source.json")
    assert run.private


def test_a_run_says_what_of_earlier_stays_its_notes_hold(tmp_path):
    run = open_run(tmp_path, "01_extract_admission_notes")
    assert run.history == {}
    write_json({"task": "drg"} | told_history("codes", 9), run.dir / "source.json")
    assert run.history == {"history": "codes", "history_limit": 9}


def test_report_shows_a_note_that_only_the_last_model_gets_right(tmp_path):
    answers = {"base": "xx", "sft": "gx", "sft_grpo": "gg"}  # of two notes, g is right
    for stage, systems in {SFT: ("base", "sft"), GRPO: ("base", "sft_grpo")}.items():
        rows = [
            {
                "note_id": note,
                "note": f"{note} note",
                "system": system,
                "gold": "g",
                "code": answers[system][place],
                "completion": "said",
            }
            for system in systems
            for place, note in enumerate(("first", "second"))
        ]
        (tmp_path / stage).mkdir()
        pd.DataFrame(rows).to_parquet(tmp_path / stage / "samples.parquet")
    shown = report._before_after(tmp_path)
    assert shown["note"] == "second note"
    assert [a["system"] for a in shown["answers"]] == [
        "LM before SFT",
        "SFT",
        "SFT + GRPO",
    ]
    assert [a["right"] for a in shown["answers"]] == [False, False, True]
