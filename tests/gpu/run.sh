#!/usr/bin/env bash
# Proves the GPU path in one go, or on a CPU all of it but the kernels:
#   tests/gpu/run.sh [--device cuda|cpu] [--out FILE.json] [--only NAME]
#                [--limit SECONDS] [--lanes CHECKS]
# Nothing comes from the network; every check is a process with a limit of its own.
set -eu
HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
ROOT="$(cd "$HERE/../.." && pwd -P)"
PYTHON="${PYTHON:-$ROOT/.venv/bin/python}"
export PYTHONPATH="$ROOT/lib:$ROOT/tests${PYTHONPATH:+:$PYTHONPATH}"
export HF_HUB_OFFLINE=1 VLLM_USE_FLASHINFER_SAMPLER=0 TOKENIZERS_PARALLELISM=false
exec "$PYTHON" "$HERE/run.py" "$@"
