#!/usr/bin/env bash
# Every check and every timing of the GPU path in order of worth; a failure stops nothing.
# Environment: LIMIT (seconds for all, 350), CHECK_LIMIT (one check, 110), LANES (9),
# STEPS (what to run, in order), PYTHON, DEVICE (cuda|cpu), OUT.
PY="${PYTHON:-python3}"; OUT="${OUT:-/tmp/out}"; DEVICE="${DEVICE:-cuda}"
LIMIT="${LIMIT:-350}"; CHECK_LIMIT="${CHECK_LIMIT:-110}"; LANES="${LANES:-9}"
STEPS="${STEPS:-checks gen train paper unsloth gen2}"
mkdir -p "$OUT" /tmp/plan; BEGIN=$(date +%s)
left() { echo $(( LIMIT - $(date +%s) + BEGIN )); }
step() {  # step NAME SECONDS COMMAND...: own process group, own log, own limit
    local name="$1" most="$2" l; shift 2; l="$(left)"
    if [ "$l" -lt 12 ]; then echo "## $name left out: no time"; return; fi
    [ "$most" -gt "$l" ] && most="$l"
    local t=$(date +%s)
    timeout -k 5 -s TERM "$most" "$@" >"/tmp/plan/$name.out" 2>"/tmp/plan/$name.err"
    echo "## $name rc=$? $(( $(date +%s) - t )) s of $most; $(left) s left"
    tail -n 40 "/tmp/plan/$name.out" | cut -c 1-300
    [ -s "/tmp/plan/$name.out" ] || tail -n 6 "/tmp/plan/$name.err" | cut -c 1-300
    keep
}
keep() {  # one JSON of all results so far, one archive of the logs
    "$PY" - "$OUT/gpu-plan.json" <<'P'
import glob, json, os, subprocess, sys, importlib.metadata as im
v = {}
for n in "torch triton transformers trl peft datasets unsloth unsloth_zoo vllm bitsandbytes numpy".split():
    try: v[n] = im.version(n)
    except Exception: v[n] = ""
try: d = subprocess.run(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"], capture_output=True, text=True).stdout.strip()
except OSError: d = "CPU"
found = {"device": d, "python": sys.version.split()[0], "versions": v, "results": {}}
for f in sorted(glob.glob("/tmp/plan/*.out")):
    t = open(f, errors="replace").read()
    for i in [k for k in range(len(t)) if t[k] == "[" and (k == 0 or t[k - 1] == "\n")][::-1]:
        try: found["results"][os.path.basename(f)[:-4]] = json.loads(t[i:t.rindex("]") + 1]); break
        except ValueError: pass
for f in glob.glob("/tmp/plan/checks*.json"):
    found["results"][os.path.basename(f)[:-5]] = json.load(open(f))
json.dump(found, open(sys.argv[1], "w"), indent=1)
P
    tar -czf "$OUT/gpu-logs.tar.gz" -C /tmp plan 2>/dev/null
}
bench() { local n="$1" m="$2"; shift 2; step "$n" "$m" "$PY" -m deepicd.study.bench "$@" --json; }
checks() {  # checks NAME SECONDS LANES ARGS...
    local n="$1" m="$2" k="$3"; shift 3
    step "$n" "$m" env PYTHON="$PY" bash tests/gpu/run.sh --device "$DEVICE" \
        --limit "$CHECK_LIMIT" --lanes "$k" --out "/tmp/plan/$n.json" "$@"
}
for s in $STEPS; do
    case "$s" in
    env) step env 60 "$PY" -W ignore -c 'import torch; print(torch.__version__, torch.cuda.is_available() and torch.cuda.get_device_name(0))
import vllm, trl, peft, bitsandbytes, datasets, numpy; print(vllm.__version__, trl.__version__, numpy.__version__)
import vllm.platforms; print(vllm.platforms.current_platform)' ;;
    checks) checks checks 200 "$LANES" --only sync-trl-vllm --only answers-trl-vllm \
        --only server-trl-vllm --only grpo-trl-vllm --only grpo-trl-transformers \
        --only sft-trl --only sft-unsloth --only grpo-unsloth-transformers --only resume-trl ;;
    unsloth) checks checks-unsloth-vllm 150 1 --only grpo-unsloth-vllm ;;
    gen) bench gen-graphs 90 generate --size "${GEN_SIZE:-50m}" --engine graphs --rows "${ROWS:-256}" ;;
    gen2) bench gen-eager 70 generate --size "${GEN_SIZE:-50m}" --engine eager --rows "${ROWS:-256}" ;;
    gen7) bench gen-7b 150 generate --size 7b --engine graphs --rows 128 ;;
    train) for b in trl unsloth; do bench "train-$b" 60 train --size "${TRAIN_SIZE:-1b}" --backend $b; done ;;
    train7) for b in trl unsloth; do bench "train-7b-$b" 80 train --size 7b --backend $b; done ;;
    paper) size="${PAPER_SIZE:-$([ "$(left)" -ge 160 ] && echo 7b || echo 1b)}"
        bench "paper-$size" 200 paper --size "$size" ;;
    esac
done
keep; echo "## plan ended, $(left) s left"; ls -la "$OUT"
