"""Killed at any moment, the same command goes on, and ends with the same bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mmbee_plugin.daily.loop import LOCKED, WORK
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked
from mmbee_plugin.serving.bundle.shelf import Shelf


def test_killed_around_every_few_renames_a_day_ends_with_the_same_bundle(log: Path, tmp_path: Path) -> None:
    """By SIGKILL, on a day from nothing and on one that goes on from it."""
    program = str(Path(__file__).with_name("killed.py"))
    ran = subprocess.run(
        [sys.executable, program, log, tmp_path, "2", "3"], capture_output=True, text=True, cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["killed"] == found["whole"]
    assert "goes on" in found["whole"]["3"]["start"]
    assert found["kills"] >= 20
    shelf = Shelf(tmp_path / "killed")
    ids = [found["whole"][day]["bundle"] for day in ("2", "3")]
    assert shelf.current() == Shelf(tmp_path / "whole").current()
    assert [shelf.verify(one)["id"] for one in ids] == ids
    left = [path for path in (tmp_path / "killed" / WORK).rglob("*") if ".writing-" in path.name]
    assert not left, "the day that came through leaves nothing half written"


def test_a_second_process_is_refused(run, tmp_path: Path) -> None:
    lock = tmp_path / "bundles" / WORK / ".lock"
    with locked(lock), pytest.raises(InputError, match=LOCKED[:30]):
        run(2)
