"""Number of OpenMP threads for torch, and their wait policy.

PyTorch's CPU builds come with GNU's OpenMP, whose threads by default spin at the end of every parallel region and so
slow each other down when other processes use the cores (measured in docs/decisions.md). Both are set in the environment
before torch is imported, unless the user has set them.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

COUNT, POLICY = "OMP_NUM_THREADS", "OMP_WAIT_POLICY"
SPINNING = (POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""environment variables that set how long threads spin"""
QUOTA = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))


def choose() -> None:
    """Sets what the user has not: one thread for each of :func:`cores`, passive waiting."""
    os.environ.setdefault(COUNT, str(cores()))
    if not any(name in os.environ for name in SPINNING):
        os.environ[POLICY] = "passive"


def cores() -> int:
    """Cores that this process may use, by its affinity and its control group's quota, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, _quota())))


def count() -> int:
    """Threads of a process: what the environment says, else :func:`cores`."""
    given = os.environ.get(COUNT, "").partition(",")[0].strip()
    return max(1, int(given)) if given.isdecimal() else cores()


def described() -> dict[str, object]:
    """Threads, cores and wait policy in effect, for a result file."""
    import torch

    policy = next((f"{name}={os.environ[name]}" for name in SPINNING[1:] if name in os.environ), None)
    return {
        "threads": torch.get_num_threads(),
        "cores": cores(),
        "wait_policy": os.environ.get(POLICY, policy or "default").lower(),
    }


def line() -> str:
    """The same as one line, for a banner."""
    found = described()
    return f"Threads: {found['threads']} on {found['cores']} cores, OpenMP wait policy {found['wait_policy']}"


def _quota() -> float:
    """CPU quota of this process's control group in cores; infinite without a limit."""
    modern, older = QUOTA
    try:
        if modern.exists():
            quota, period = modern.read_text().split()
        else:
            quota, period = older.read_text(), older.with_name("cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError):
        return math.inf
