"""Compiled functions work where their machine code cannot be kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mmbee_plugin.kernels import kernel

IN_A_SMALL_FILE_SYSTEM = """
import resource
import numpy as np
from mmbee_plugin.graph.best import sort_best
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
ids, weights = np.array([1, 2, 3]), np.array([.1, .3, .2])
sort_best(ids, weights, 3)
print(*ids)
"""


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder)}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)


def test_code_is_kept(tmp_path):
    unlimited = IN_A_SMALL_FILE_SYSTEM.replace("4096", "resource.RLIM_INFINITY")
    outcome = run(unlimited, tmp_path)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "2 3 1\n", "")
    assert list(tmp_path.rglob("best.sort_best*.nbc"))


def test_a_full_disk_is_a_warning(tmp_path):
    outcome = run(IN_A_SMALL_FILE_SYSTEM, tmp_path)
    assert (outcome.returncode, outcome.stdout) == (0, "2 3 1\n"), outcome.stderr
    (line,) = outcome.stderr.splitlines()  # two functions are compiled
    assert line.startswith(str(tmp_path)) and "cannot be kept (File too large)" in line
    assert "NUMBA_CACHE_DIR" in line
    assert not list(tmp_path.rglob("best.sort_best*.nbc"))


def test_a_function_without_a_folder_for_its_code_is_compiled():
    sources: dict = {}
    exec("def twice(value): return 2 * value", sources)  # of no file, beside which its code would be kept
    assert kernel()(sources["twice"])(21) == 42
