"""Times a run of MMBee under several numbers of OpenMP threads and wait policies:

python benchmarks/threads.py --dataset=tiktok --epochs=3 --repeats=3

Each round runs every choice once, so that other load falls on all of them. --load=2 adds two busy processes that
compete for the cores. Without tiktok's files it runs on a generated sample. Prints the median wall and processor
seconds of each choice, with the lowest and highest.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from mmbee_plugin.command import threads

RUN = Path(__file__).resolve().parents[1] / "run_recbole.py"
CHOICES: dict[str, dict[str, str]] = {
    "default of this package": {},
    "one thread": {threads.COUNT: "1"},
    "a thread a core, passive": {threads.COUNT: str(threads.cores()), threads.POLICY: "passive"},
    "a thread a core, OpenMP's default": {threads.COUNT: str(threads.cores()), "GOMP_SPINCOUNT": "300000"},
    "a thread a core, active": {threads.COUNT: str(threads.cores()), threads.POLICY: "active"},
}
"""name -> environment variables; 300,000 spins are GNU OpenMP's default"""


def main() -> None:
    """Runs the rounds and prints the lines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--dataset", default="tiktok")
    parser.add_argument("--data_path", default="datasets")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--load", type=int, default=0, help="processes that compute beside; default: 0")
    options, rest = parser.parse_known_args()
    command = [sys.executable, str(RUN), "--model=MMBee", f"--dataset={options.dataset}"]
    command += [f"--data_path={Path(options.data_path).resolve()}", f"--epochs={options.epochs}", *rest]
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in CHOICES}
    beside = [multiprocessing.Process(target=_compute, daemon=True) for _ in range(options.load)]
    for process in beside:
        process.start()
    for _ in range(options.repeats):
        for name, choice in CHOICES.items():
            seconds[name].append(_timed(command, choice))
    for process in beside:
        process.terminate()
    print(f"{threads.cores()} cores, {options.load} processes beside, {options.repeats} rounds")
    for name, found in seconds.items():
        wall, processor = (_in_words(values) for values in zip(*found, strict=True))
        print(f"{name:34} wall {wall}   processor {processor}")


def _timed(command: Sequence[str], choice: dict[str, str]) -> tuple[float, float]:
    """Wall seconds of a run, and processor seconds of all its threads."""
    kept = {
        name: value for name, value in os.environ.items() if name not in (threads.COUNT, *threads.SPINNING)
    }
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env={**kept, **choice}, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    return wall, used.ru_utime + used.ru_stime


def _compute() -> None:
    while True:
        sum(range(1_000_000))


def _in_words(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):6.1f} s ({min(seconds):.1f} to {max(seconds):.1f})"


if __name__ == "__main__":
    main()
