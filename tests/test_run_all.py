"""run_all.sh in a small copy of the repository: installing and handing over."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ECHO = 'import os, sys\nprint("ARGUMENTS", sys.argv[1:])\nprint("PLACE", os.getcwd())\n'
GPU_WORKS = "#!/bin/sh\necho 'NVIDIA H100'\n"
GPU_FAILS = "#!/bin/sh\necho 'Failed to initialize NVML: Driver mismatch'\nexit 18\n"


class Copy:
    """A folder with run_all.sh, a stub of the package and no requirements."""

    def __init__(self, root: Path):
        self.root = root
        self.bin = root / "bin of the user"
        self.bin.mkdir(parents=True)
        stages = root / "lib" / "deepicd" / "study" / "runner"
        stages.mkdir(parents=True)
        for above in (stages.parent, stages.parent.parent):
            (above / "__init__.py").write_text("")
        (stages / "__init__.py").write_text("")
        (stages / "__main__.py").write_text(ECHO)
        (root / "lib" / "pytest.py").write_text(ECHO)
        (root / "requirements.txt").write_text("# nothing\n")
        (root / "requirements-gpu.txt").write_text("# nothing for a GPU\n")
        shutil.copy(ROOT / "run_all.sh", root)

    def environment(self, **more) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PIP_")}
        kept.pop("PYTHONPATH", None)
        python = str(Path(sys.base_prefix) / "bin")
        path = os.pathsep.join([str(self.bin), python, os.environ["PATH"]])
        return kept | {"PATH": path} | more

    def call(self, *arguments, cwd=None, **more):
        return subprocess.run(
            [str(self.root / "run_all.sh"), *arguments],
            cwd=cwd or self.root,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=300,
        )

    def command(self, name: str, text: str) -> None:
        """Give the user's PATH a command."""
        file = self.bin / name
        file.write_text(text)
        file.chmod(0o755)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    made = Copy(tmp_path_factory.mktemp("a place") / "with spaces")
    made.first = made.call("--profile", "smoke", "--set", "a=b c", cwd="/")
    return made


def test_first_call_installs_says_why_and_hands_the_arguments_over(copy):
    text = copy.first.stdout
    assert copy.first.returncode == 0, text + copy.first.stderr
    assert "install: new environment .venv with Python 3.1" in text
    assert "install: requirements.txt because" in text
    assert "ARGUMENTS ['run', '--profile', 'smoke', '--set', 'a=b c']" in text
    assert "PLACE /\n" in text
    assert not (copy.root / ".venv" / ".installing").exists()


def test_second_call_installs_nothing(copy):
    done = copy.call("check", cwd="/tmp")
    assert done.stdout.splitlines()[0] == "ARGUMENTS ['check']"


def test_the_whole_suite_takes_all_cores_and_a_part_of_it_one(copy):
    whole = copy.call("test", OMP_NUM_THREADS="1").stdout
    cores = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count()))(0)
    workers = min(len(cores), 4)
    assert f"ARGUMENTS ['-n', '{workers}', '--dist', 'loadfile'" in whole
    part = copy.call("test", "-k", "a word").stdout
    assert part.splitlines()[0] == "ARGUMENTS ['-k', 'a word']"


def test_other_requirements_are_installed_and_a_failure_is_one_message(copy):
    file = copy.root / "requirements.txt"
    file.write_text("no-such-package-of-anyone==1.0\n")
    failed = copy.call(PIP_INDEX_URL="http://127.0.0.1:9/simple", PIP_RETRIES="0")
    assert failed.returncode == 1 and "ARGUMENTS" not in failed.stdout
    assert len(failed.stderr.strip().splitlines()) == 1
    assert "no way to the Python package index" in failed.stderr
    assert "PIP_INDEX_URL" in failed.stderr
    missing = copy.call(PIP_NO_INDEX="1")
    assert missing.returncode == 1 and "the install failed" in missing.stderr
    assert "no-such-package-of-anyone" in missing.stderr
    file.write_text("# nothing\n")
    repaired = copy.call()
    assert "bringing it up to date" in repaired.stdout
    assert "ARGUMENTS ['run']" in repaired.stdout


def test_interrupted_install_is_noticed_and_finished(copy):
    (copy.root / ".venv" / ".installed").unlink()
    (copy.root / ".venv" / ".installing").touch()
    done = copy.call()
    assert "the last install was interrupted" in done.stdout
    assert "ARGUMENTS ['run']" in done.stdout
    assert "install:" not in copy.call().stdout


def test_a_moved_repository_is_linked_anew(copy, tmp_path):
    moved = tmp_path / "moved here"
    shutil.copytree(copy.root, moved, symlinks=True)
    other = Copy.__new__(Copy)
    other.root, other.bin = moved, moved / "bin of the user"
    (moved / "lib/deepicd/study/runner/__main__.py").write_text("print('MOVED')\n")
    assert "MOVED" in other.call().stdout


@pytest.mark.parametrize(
    ("answer", "requirements", "why"),
    [
        (GPU_WORKS, "requirements-gpu.txt", "nvidia-smi found NVIDIA H100"),
        (GPU_FAILS, "requirements.txt", "nvidia-smi does not work: Failed to init"),
    ],
)
def test_gpu_requirements_only_where_a_gpu_answers(copy, answer, requirements, why):
    copy.command("nvidia-smi", answer)
    (copy.root / ".venv" / ".installed").unlink()
    done = copy.call()
    (copy.bin / "nvidia-smi").unlink()
    assert f"install: {requirements} because {why}" in done.stdout


def test_tests_do_not_share_a_gpu(copy):
    copy.command("nvidia-smi", GPU_WORKS)
    done = copy.call("test")
    (copy.bin / "nvidia-smi").unlink()
    assert "ARGUMENTS []" in done.stdout


def test_help_needs_no_environment(tmp_path):
    fresh = Copy(tmp_path / "x")
    done = fresh.call("--help")
    assert done.returncode == 0 and "--profile" in done.stdout
    assert not (fresh.root / ".venv").exists()


def test_without_a_fitting_python_there_is_one_message(tmp_path):
    fresh = Copy(tmp_path / "x")
    old = "#!/bin/sh\nexit 1\n"
    for name in ("python3.12", "python3.11", "python3", "python"):
        fresh.command(name, old)
    done = fresh.call()
    assert done.returncode == 1 and not (fresh.root / ".venv").exists()
    assert (
        "no Python 3.11 (3.11.5 or later) or 3.12" in done.stderr
        and "install Python" in done.stderr
    )


def test_no_room_on_the_disk(tmp_path):
    fresh = Copy(tmp_path / "x")
    table = "Filesystem 1M-blocks Used Available Capacity Mounted\\n/x 9 9 12 99%% /"
    fresh.command("df", f"#!/bin/sh\nprintf '{table}\\n'\n")
    done = fresh.call()
    assert done.returncode == 1 and "found 12 MB free" in done.stderr


def test_ctrl_c_during_the_install_says_what_next(tmp_path):
    fresh = Copy(tmp_path / "x")
    (fresh.root / ".venv" / "bin").mkdir(parents=True)
    slow = fresh.root / ".venv" / "bin" / "python"
    slow.write_text('#!/bin/sh\ncase "$*" in *install*) exec sleep 60 ;; esac\n')
    slow.chmod(0o755)
    process = subprocess.Popen(
        [str(fresh.root / "run_all.sh")],
        env=fresh.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    half = fresh.root / ".venv" / ".installing"
    end = time.monotonic() + 60
    while not half.exists() and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and half.exists()
    assert "interrupted; the next call finishes it" in errors


def test_script_parses_and_ci_calls_it():
    for file in (ROOT / "run_all.sh", ROOT / ".ci" / "run"):
        assert subprocess.run(["bash", "-n", str(file)]).returncode == 0
        assert os.access(file, os.X_OK)
    assert "./run_all.sh test" in (ROOT / ".ci" / "run").read_text()
