#!/usr/bin/env bash
# What the model costs on one GPU, in at most ten minutes: the columns of the paper's Tables 5 and 6 (training and
# inference by width 32, 64, 128 and by 5, 10, 20 segments, in fp32 and bf16, with fused and plain attention, compiled),
# parity of bf16, the graph stage's share of a training, and TorchRec over nccl on one rank.
#
#   bash benchmarks/gpu.sh               # on a machine with CUDA; on others one line says that there is none
#   bash benchmarks/gpu.sh --dry-run     # every part in tiny size, on the CPU, in seconds: says nothing of speed
#
# PYTHON names the interpreter; by default that of .venv, else python3.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -x .venv/bin/python ]; then PYTHON=${PYTHON:-.venv/bin/python}; else PYTHON=${PYTHON:-python3}; fi
END=$((SECONDS + 600))

part() { timeout --foreground $((END - SECONDS)) "$PYTHON" "$@"; }

if [ "${1:-}" = --dry-run ]; then
    export CUDA_VISIBLE_DEVICES= OMP_NUM_THREADS=1
    part benchmarks/gpu.py --dry-run
    part benchmarks/torchrec_throughput.py --processes 1 --authors 500 --users 500 --queries 2 --width 8 --batch 32 --steps 1
elif "$PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    part benchmarks/gpu.py
    part benchmarks/torchrec_throughput.py --processes 1
else
    echo "no CUDA here: nothing was measured (--dry-run tries the parts on the CPU)"
fi
