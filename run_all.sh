#!/usr/bin/env bash
# The one entry: makes .venv on the first call, then runs the study.
# Everything about stages is in lib/deepicd.study.runner; this file only installs.
set -u

# .venv and paths follow this file, not the place it is called from.
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)" || exit 1
VENV="$ROOT/.venv"
PYTHON="$VENV/bin/python"
DONE="$VENV/.installed"        # hash of what a complete install was made from
HALF="$VENV/.installing"       # there while pip is at work, and after a kill
LOG="$VENV/install.log"
NEED_MB=4000                   # what the CPU set takes on the disk, rounded up

usage() {
    cat <<'TEXT'
usage: ./run_all.sh [--profile smoke|cpu|scratch|gpu|paper] [--data synthetic|eicu|mimic|table]
                    [--data-dir DIR] [--task NAME] [--seed N] [--from NN] [--only NN]
                    [--set NAME=VALUE] [--force] [--dry-run] [--list]
       ./run_all.sh test [pytest arguments]
       ./run_all.sh check

Runs the whole study: notebooks 00 to 08, figures, and an HTML report that the last
line names. The first call makes .venv and installs the pinned packages. A stage runs
again only where its code, parameters or inputs changed.

  --profile NAME     smoke (tests), cpu, scratch, gpu or paper; default gpu where one computes
  --data NAME        synthetic (default), eicu, mimic or table
  --data-dir DIR     folder of the data (for table: a CSV, Parquet or JSONL file)
  --task NAME        what is asked: principal_diagnosis (default), length_of_stay, …,
                     or all: a run of each that the data have, and a page of them
  --seed N           random seed; default 0
  --from NN          begin with this stage
  --only NN          only this stage; repeat for more
  --set NAME=VALUE   set a parameter in every notebook that declares it; repeat for more
  --force            run even where nothing changed
  --dry-run          say what would run and why
  --list             list the stages and their parameters

  test               run the tests; arguments go to pytest
  check              compare this run's scores with outputs/reference
TEXT
}

fail() {  # found, expected, what to do
    printf 'error: found %s; expected %s; do: %s\n' "$1" "$2" "$3" >&2
    exit 1
}

fits() {  # whether a command is Python 3.11 (from 3.11.5 on) or 3.12 with venv
    "$1" -c 'import sys, venv, ensurepip
sys.exit(not (3, 11, 5) <= sys.version_info[:3] < (3, 13))' >/dev/null 2>&1
}

find_python() {
    local name
    for name in python3.12 python3.11 python3 python; do
        if command -v "$name" >/dev/null 2>&1 && fits "$name"; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

gpu_answer() {  # sets GPU to yes or no, and WHY
    GPU=no
    if ! command -v nvidia-smi >/dev/null 2>&1; then
        WHY="no nvidia-smi on this machine"
        if [ -e /dev/nvidia0 ]; then
            WHY="an NVIDIA device is present, but nvidia-smi is not installed"
        fi
        return
    fi
    local answer
    if answer="$(nvidia-smi --query-gpu=name --format=csv,noheader 2>&1)" \
        && [ -n "$answer" ]; then
        GPU=yes
        WHY="nvidia-smi found $(printf '%s' "$answer" | head -n 1)"
    else
        WHY="nvidia-smi does not work: $(printf '%s' "$answer" | head -n 1)"
    fi
}

choose_requirements() {
    gpu_answer
    REQUIREMENTS="$ROOT/requirements.txt"
    if [ "$GPU" = yes ] && [ -f "$ROOT/requirements-gpu.txt" ]; then
        REQUIREMENTS="$ROOT/requirements-gpu.txt"
    fi
}

wanted() {  # hash of what the environment must hold
    { echo "${REQUIREMENTS##*/}"; cat "$REQUIREMENTS" "$ROOT/requirements.txt"; } \
        | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d ' ' -f 1
}

installed() {
    [ -x "$PYTHON" ] && [ -f "$DONE" ] && [ "$(cat "$DONE")" = "$(wanted)" ] \
        && "$PYTHON" -P -c 'import deepicd, sys
sys.exit(not deepicd.__file__.startswith(sys.argv[1]))' "$ROOT/lib/" >/dev/null 2>&1
}

free_mb() {
    df -Pm "$ROOT" 2>/dev/null | awk 'NR == 2 { print $4 }'
}

explain_failure() {
    if grep -qi 'no space left\|errno 28' "$LOG"; then
        fail "no space left on the disk while installing" \
            "about $NEED_MB MB for .venv" "free some space, then ./run_all.sh again"
    fi
    rm -f "$HALF"  # pip gave up by itself and left no package half-installed
    if grep -qi "$NETWORK_ERRORS" "$LOG"; then
        fail "no way to the Python package index (log: $LOG)" \
            "a network for the first call, or a mirror of the index" \
            "connect, or set PIP_INDEX_URL to a mirror, then ./run_all.sh again"
    fi
    fail "the install failed: $(grep -i 'error' "$LOG" | tail -n 1)" \
        "every package of ${REQUIREMENTS##*/}" "see $LOG, then ./run_all.sh again"
}
NETWORK_ERRORS='connectionerror\|name resolution\|network is unreachable\|timed out'
NETWORK_ERRORS="$NETWORK_ERRORS"'\|proxyerror\|sslerror\|max retries\|connecttimeout'

venv_works() {
    [ ! -e "$HALF" ] && [ -x "$PYTHON" ] && fits "$PYTHON" \
        && "$PYTHON" -m pip --version >/dev/null 2>&1
}

make_venv() {
    local base
    if venv_works; then
        echo "install: .venv does not match the pinned packages, bringing it up to date"
        return
    fi
    if [ -e "$HALF" ]; then
        echo "install: the last install was interrupted, starting it afresh"
    fi
    base="$(find_python)" || fail "no Python 3.11 (3.11.5 or later) or 3.12 with its venv module" \
        "one of python3.12, python3.11, python3 on the PATH" \
        "install Python 3.12 (on Debian and Ubuntu also python3.12-venv)"
    enough_space
    echo "install: new environment .venv with $("$base" --version)"
    "$base" -m venv --clear "$VENV" || fail "$base could not make $VENV" \
        "a working venv module and room on the disk" "see the message above"
}

enough_space() {
    local free
    free="$(free_mb)"
    if [ -n "$free" ] && [ "$free" -lt "$NEED_MB" ]; then
        fail "$free MB free on the disk of $ROOT" "about $NEED_MB MB for .venv" \
            "free some space, or clone the repository elsewhere"
    fi
}

install() {
    local options=(--no-input --disable-pip-version-check --retries 2)
    make_venv
    rm -f "$DONE"
    { : >"$HALF" && : >"$LOG"; } || fail "no way to write into $VENV" \
        "a folder that can be written" "change its permissions"
    echo "install: ${REQUIREMENTS##*/} because $WHY"
    echo "install: this takes some minutes; log in .venv/install.log"
    run_pip "${options[@]}" -r "$REQUIREMENTS" || explain_failure
    link_lib || fail "the package folder could not be linked into .venv" \
        "a .venv that can be written" "remove .venv and call again"
    wanted >"$DONE.new" && mv "$DONE.new" "$DONE" && rm -f "$HALF"
    echo "install: done in ${SECONDS} s"
}

run_pip() {  # pip with a sign of life, its output in the log
    "$PYTHON" -m pip install "$@" >>"$LOG" 2>&1 &
    local pid=$! begin=$SECONDS
    trap 'kill "$pid" 2>/dev/null; interrupted' INT TERM HUP
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1
        if [ -t 1 ]; then
            printf '\rinstall: %ss, %s\033[K' "$((SECONDS - begin))" "$(last_step)"
        fi
    done
    if [ -t 1 ]; then
        printf '\r\033[K'
    fi
    trap - INT TERM HUP
    wait "$pid"
}

interrupted() {
    echo "install: interrupted; the next call finishes it" >&2
    exit 130
}

last_step() {
    grep -o '^ *\(Collecting\|Downloading\|Installing\) [^ ]*' "$LOG" | tail -n 1 \
        | cut -c 1-60
}

test_workers() {  # one a core, four at most: each needs about 1.5 GB
    local cores
    # nproc answers OMP_NUM_THREADS where that is set
    cores="$(env -u OMP_NUM_THREADS nproc 2>/dev/null \
        || sysctl -n hw.ncpu 2>/dev/null || echo 1)"
    echo $((cores < 4 ? cores : 4))
}

link_lib() {  # the package is used where it is; no build, no network
    "$PYTHON" - "$ROOT/lib" <<'PY'
import pathlib
import sys
import sysconfig

place = pathlib.Path(sysconfig.get_paths()["purelib"]) / "deepicd-lib.pth"
place.write_text(sys.argv[1] + "\n", encoding="utf-8")
PY
}

for argument in "$@"; do
    case "$argument" in
        -h | --help)
            if [ "${1:-}" != test ]; then
                usage
                exit 0
            fi
            ;;
    esac
done

command=run
case "${1:-}" in
    test | check)
        command="$1"
        shift
        ;;
    run)
        fail "the word $1" "an option, test or check" "./run_all.sh --help"
        ;;
esac

choose_requirements
installed || install

if [ "$command" = test ]; then
    cd "$ROOT" || exit 1
    # All of them: files side by side, the slowest first. One GPU has room for one.
    if [ $# -eq 0 ] && [ "$GPU" = no ]; then
        export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
        set -- -n "$(test_workers)" --dist loadfile --no-loadscope-reorder
    fi
    exec "$PYTHON" -m pytest "$@"
fi
exec "$PYTHON" -P -m deepicd.study.runner "$command" "$@"
