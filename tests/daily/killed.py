"""Runs a day of the loop in processes that kill themselves; prints one JSON line.

Usage: killed.py LOG FOLDER

The day is run without a kill in ``FOLDER/whole``, and in ``FOLDER/killed`` by processes that die by SIGKILL just before
or after one of their atomic renames, and by one that comes through. Processes are forked from this one, which only
imports: it starts no thread.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from mmbee_plugin.daily import recbole
from mmbee_plugin.daily.gate import GateSettings
from mmbee_plugin.daily.loop import run_day
from mmbee_plugin.daily.settings import DailySettings
from mmbee_plugin.serving.bundle import golden

DAY = "3"
OPEN = GateSettings(
    gauc_drop=1, log_loss_rise=9, calibration=99, coverage_drop=1, norm_drift=99, direction=-1, psi=99
)
SETTINGS = DailySettings(window_days=3, cold_epochs=2, gate=OPEN)
GIVEN = {"embedding_size": 8, "graph": {"reach_top_k": 10}}
KILLS = ((3, True), (4, False), (5, True), (5, False))
"""(number of the rename from 1, whether it dies before it) of each process"""


def main(log: Path, folder: Path) -> None:
    assert recbole.RecBoleAdapter  # imported before any process is forked
    golden.REQUESTS = 5
    ends = {
        "whole": [_child(log, folder / "whole")],
        "killed": [_child(log, folder / "killed", *kill) for kill in KILLS]
        + [_child(log, folder / "killed")],
    }
    bundles = {side: (folder / side / "said").read_text() for side in ends}
    print(json.dumps({"ends": ends, "bundles": bundles}))


def _child(log: Path, folder: Path, number: int = 0, before: bool = False) -> int:
    """Runs the day in a process of its own, which dies at a rename unless its number is 0; its exit status."""
    child = os.fork()
    if not child:
        _die_at(number, before)
        outcome = run_day(log, folder, DAY, SETTINGS, given=GIVEN)
        (folder / "said").write_text(outcome.bundle)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_at(number: int, before: bool) -> None:
    rename, left = os.replace, number

    def dying(*arguments: object, **more: object) -> None:
        nonlocal left
        left -= 1
        if not left and before:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*arguments, **more)  # type: ignore[arg-type]
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = dying  # type: ignore[assignment]  # of this process, which is there to die


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
