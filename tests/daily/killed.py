"""Runs days of the loop in processes that kill themselves; prints one JSON line.

Usage: killed.py LOG FOLDER DAY...

Each day is run without a kill in ``FOLDER/whole``, and in ``FOLDER/killed`` by processes that die around one of their
first atomic renames, before or after it, until one comes through. Processes are forked from this one, which only
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

GIVEN = {"embedding_size": 8, "graph": {"reach_top_k": 10}}
OPEN = GateSettings(gauc_drop=1, log_loss_rise=9, calibration=99, coverage_drop=1, norm_drift=99, psi=99)
SETTINGS = DailySettings(window_days=3, cold_epochs=2, gate=OPEN)
MOST = 60
"""processes a day, before it is given up"""


def main(log: Path, folder: Path, days: list[str]) -> None:
    assert recbole.RecBoleAdapter  # imported before any process is forked
    golden.REQUESTS = 5
    found: dict[str, dict] = {"whole": {}, "killed": {}}
    kills = 0
    for day in days:
        assert _child(log, folder, "whole", day, None) == 0
        attempt = 0
        while (status := _child(log, folder, "killed", day, attempt)) == -signal.SIGKILL and attempt < MOST:
            attempt += 1
        assert status == 0, status
        kills += attempt
        for side, outcomes in found.items():
            outcomes[day] = json.loads((folder / f"{side}-{day}.json").read_text())
    print(json.dumps({**found, "kills": kills}))


def _child(log: Path, folder: Path, side: str, day: str, attempt: int | None) -> int:
    """Runs a day in a process of its own, to be killed around a rename unless ``attempt`` is None; its exit status."""
    child = os.fork()
    if not child:
        if attempt is not None:
            _kill_at(1 + attempt % 4, before=attempt // 4 % 2 == 0)
        outcome = run_day(log, folder / side, day, SETTINGS, given=GIVEN)
        told = {"bundle": outcome.bundle, "published": outcome.published, "start": outcome.start}
        (folder / f"{side}-{day}.json").write_text(json.dumps(told))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _kill_at(number: int, before: bool) -> None:
    """Kills this process at its rename of this number, from 1."""
    rename, left = os.replace, number

    def dying(*arguments: object, **more: object) -> None:
        nonlocal left
        left -= 1
        if not left and before:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*arguments, **more)  # type: ignore[arg-type]
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = dying  # type: ignore[assignment]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
