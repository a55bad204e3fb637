"""The benchmark of one GPU, tried in tiny size, and what is different on a machine with CUDA, skipped without one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmbee_plugin.recbole import run

ROOT = Path(__file__).parents[1]
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")


def benchmark(*command: str) -> str:
    """What a command of the benchmark prints, on one thread."""
    kept = {"PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **kept},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_part_of_the_benchmark_runs_in_tiny_size():
    out = benchmark(sys.executable, "benchmarks/gpu.py", "--dry-run")
    lines = out.splitlines()
    assert lines[0].startswith("CPU, a DRY RUN in tiny size: no figure says anything")
    rows = [line.split()[-2:] for line in lines if line.startswith("Table 5, width 32")]
    assert len(rows) == 4 and all(float(rate.replace(",", "")) > 0 for row in rows for rate in row)
    (parity,) = (line for line in lines if line.startswith("bf16 against fp32"))
    words = parity.replace(",", "").replace(";", "").split()
    assert float(words[words.index("correlation") + 1]) > 0.99
    assert abs(float(words[-1]) - float(words[-3])) < 0.05  # losses: bf16 learns as fp32 does
    assert "graph stage of " in out


def test_torchrec_is_timed_on_one_rank():
    pytest.importorskip("torchrec")
    tiny = ("--authors=300", "--users=300", "--queries=2", "--width=8", "--batch=16", "--steps=1")
    out = benchmark(sys.executable, "benchmarks/torchrec_throughput.py", "--processes=1", *tiny)
    rows = [line.split() for line in out.splitlines()[2:]]
    assert [row[:3] for row in rows] == [
        ["2", "nn.Embedding", "1"],
        ["2", "TorchRec", "1"],
        ["2", "TorchRec", ":"],
    ]
    assert all(float(cell.replace(",", "")) > 0 for row in rows[:2] for cell in row[3:])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_without_cuda_one_line_says_so():
    out = benchmark("bash", "benchmarks/gpu.sh")
    assert out == "no CUDA here: nothing was measured (--dry-run tries the parts on the CPU)\n"


@needs_cuda
def test_a_run_takes_the_gpu_by_itself(live_path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.cuda.reset_peak_memory_stats()
    small = ["--epochs=1", "--embedding_size=8", "--graphcl.epochs=1"]
    assert (
        run.main(["--model=MMBee", f"--dataset={live_path.name}", f"--data_path={live_path.parent}", *small])
        == 0
    )
    assert torch.cuda.max_memory_allocated() > 0


@needs_cuda
def test_a_job_takes_the_gpu_and_nccl_by_itself():
    pytest.importorskip("torchrec")
    import torch.distributed as dist

    from mmbee_plugin.torchrec.processes.launch import process_group

    with process_group(60) as process:
        one = torch.ones(3, device=process.device)
        dist.all_reduce(one)
        assert process.device.type == "cuda" and "nccl" in dist.get_backend_config() and one.sum() == 3
