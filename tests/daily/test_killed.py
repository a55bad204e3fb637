"""Ended at any moment, the same command goes on, and ends with the same bundle."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mmbee_plugin.daily.loop import WORK
from mmbee_plugin.errors import InputError
from mmbee_plugin.files import locked
from mmbee_plugin.serving.bundle.shelf import Shelf


def test_ended_around_every_rename_two_days_end_with_the_same_bundles(
    run, until_done, tmp_path: Path
) -> None:
    """On a day from nothing, and on one that goes on from it."""
    whole = [run(2), run(3)]
    shutil.rmtree(tmp_path / "bundles")
    found, ends = until_done(run, [2, 3])
    told = [[(one.bundle, one.published, one.reason, one.start) for one in days] for days in (found, whole)]
    assert told[0] == told[1] and "goes on" in found[1].start
    assert ends >= 20
    pointer = Shelf(tmp_path / "bundles").current()
    assert pointer is not None and [*pointer.previous, pointer.bundle] == [one.bundle for one in whole]


def test_killed_by_the_system_a_day_ends_with_the_same_bundle(log: Path, tmp_path: Path) -> None:
    program = [sys.executable, str(Path(__file__).with_name("killed.py")), log, tmp_path]
    ran = subprocess.run(program, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["ends"] == {"whole": [0], "killed": [-signal.SIGKILL] * 4 + [0]}
    assert found["bundles"]["killed"] == found["bundles"]["whole"]
    shelf = Shelf(tmp_path / "killed")
    assert shelf.current() == Shelf(tmp_path / "whole").current()
    assert shelf.verify(found["bundles"]["whole"])


def test_a_second_process_is_refused(run, tmp_path: Path) -> None:
    with (
        locked(tmp_path / "bundles" / WORK / ".lock"),
        pytest.raises(InputError, match="another mmbee daily"),
    ):
        run(2)


def test_ended_around_its_renames_a_refreshed_day_ends_with_the_same_bundle(
    run, settings, until_done, tmp_path: Path
) -> None:
    chosen = settings.replace(refresh="touched")
    run(2, settings=chosen)
    shutil.copytree(tmp_path / "bundles", tmp_path / "kept", symlinks=True)
    whole = run(3, settings=chosen)
    shutil.rmtree(tmp_path / "bundles")
    (tmp_path / "kept").rename(tmp_path / "bundles")
    (found,), ends = until_done(lambda number: run(number, settings=chosen), [3], renames=6)
    assert found.bundle == whole.bundle and ends >= 4
    assert "approximate graph" in found.report.read_text()
