"""How many threads torch computes with, and whether they spin while they wait.

PyTorch's builds for CPUs come with GNU's OpenMP, whose threads by default spin at the end of every parallel region.
Where other processes want the cores, they then wait for each other: docs/decisions.md has the measurement. The choice
is made in the environment before torch is imported, unless the user has made one there.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

COUNT, POLICY = "OMP_NUM_THREADS", "OMP_WAIT_POLICY"
SPINNING = (POLICY, "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""variables by which a user says how long threads spin"""
QUOTA = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))


def choose() -> None:
    """Sets what the user has left open: a thread a core that is there for this process, passive while it waits."""
    os.environ.setdefault(COUNT, str(cores()))
    if not any(name in os.environ for name in SPINNING):
        os.environ[POLICY] = "passive"


def cores() -> int:
    """The cores that this process may use: of its affinity, and of its control group's quota, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(affinity, _quota())))


def described() -> dict[str, object]:
    """The choice in effect, for a result: threads, cores and wait policy."""
    import torch

    policy = next((f"{name}={os.environ[name]}" for name in SPINNING[1:] if name in os.environ), None)
    return {
        "threads": torch.get_num_threads(),
        "cores": cores(),
        "wait_policy": os.environ.get(POLICY, policy or "default").lower(),
    }


def line() -> str:
    """The choice in effect, for a banner."""
    found = described()
    return f"Threads: {found['threads']} on {found['cores']} cores, OpenMP wait policy {found['wait_policy']}"


def _quota() -> float:
    """Cores that the control group of this process may use at once; infinite where nothing limits it."""
    modern, older = QUOTA
    try:
        if modern.exists():
            quota, period = modern.read_text().split()
        else:
            quota, period = older.read_text(), older.with_name("cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError):
        return math.inf
