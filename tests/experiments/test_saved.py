"""`mmbee clean`: which runs are old, what of them is deleted, and what never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mmbee_plugin.cli import app
from mmbee_plugin.experiments.saved import saved_runs, superseded
from mmbee_plugin.files import stamp
from mmbee_plugin.recbole.training import checkpoint


@pytest.fixture
def saved(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("saved").mkdir()
    return Path("saved")


def pair(folder: Path, series: str, days: int) -> Path:
    """The files of a run that ended so many days ago; returns its best epoch's file."""
    best = folder / f"{series}-{stamp()}.pth"
    last = checkpoint.last_file(best)
    for file in (best, last, folder / f".{last.name}.lock", folder / f".{best.name}.writing-0123"):
        file.write_text("1234567890")
        os.utime(file, (10**9 - days * 86400,) * 2)
    return best


def job(folder: Path, name: str, days: int) -> Path:
    made = folder / "torchrec" / name
    (made / "step-10").mkdir(parents=True)
    for file in (made / ".lock", made / "step-10" / "part"):
        file.write_text("1234567890")
        os.utime(file, (10**9 - days * 86400,) * 2)
    return made


def everything(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_the_newest_of_each_series_stay(saved):
    mmbee = [pair(saved, "MMBee-tiktok", days) for days in (1, 5, 3)]
    pair(saved, "MMBee-livesim", 9), pair(saved, "SIM-tiktok", 9)
    jobs = [job(saved, f"tiktok-20240101-00000{i}-77", i) for i in range(2)]
    runs = saved_runs(saved)
    assert len(runs) == 7 and {run.size for run in runs} == {40, 20}
    assert [run.path for run in superseded(runs, 1)] == [mmbee[1], mmbee[2], jobs[1]]
    assert [run.path for run in superseded(runs, 2)] == [mmbee[1]]


def test_listed_first_and_deleted_when_told(saved):
    old, new = pair(saved, "MMBee-tiktok", 2), pair(saved, "MMBee-tiktok", 1)
    gone = job(saved, "tiktok-20240101-000000-77", 4)
    job(saved, "tiktok-20240101-000000-78", 3)
    (saved / "mine.pth").write_text("a name that no run has")
    (saved / "torchrec" / "notes-20240101-000000-1").mkdir()
    before = everything(saved)
    listed = CliRunner().invoke(app, ["clean", "--keep=1"])
    assert listed.exit_code == 0 and everything(saved) == before
    assert str(old) in listed.output and str(gone) in listed.output and str(new) not in listed.output
    assert "4 runs" in listed.output and "to delete, with --yes" in listed.output
    assert CliRunner().invoke(app, ["clean", "--keep=1", "--yes"]).exit_code == 0
    assert everything(saved) == {
        path for path in before if old.stem not in path.name and gone not in path.parents
    }


def test_a_run_that_trains_stays(saved):
    trains, _ = pair(saved, "MMBee-tiktok", 2), pair(saved, "MMBee-tiktok", 1)
    with checkpoint.alone(trains):
        shown = CliRunner().invoke(app, ["clean", "--keep=1", "--yes"])
    assert shown.exit_code == 0 and "stays, it trains at the moment" in shown.output
    assert trains.exists() and checkpoint.last_file(trains).exists()


def test_no_such_folder(saved):
    shown = CliRunner().invoke(app, ["clean", "--keep=1", "elsewhere"])
    assert "elsewhere: no such folder" in str(shown.exception)
