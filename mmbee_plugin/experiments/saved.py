"""Finds the runs in ``saved``, and deletes those that newer ones of the same model and dataset have followed.

A run is RecBole's pair of checkpoints (``<model>-<dataset>-<time>-<digits>.pth`` and ``-last.pth``), or the folder of a
TorchRec job, whose name ends in a time as ``make run-torchrec`` names it. Files of other names are never touched, nor
are runs that train at the moment, whose locks are held.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import discard, locked
from mmbee_plugin.recbole.training import checkpoint

PAIR = re.compile(r"(?P<series>.+)-[A-Z][a-z]{2}-\d{2}-\d{4}_\d{2}-\d{2}-\d{2}-\d{8}")
JOB = re.compile(r"(?P<series>.+)-\d{8}-\d{6}-\d+")


@dataclass(frozen=True)
class SavedRun:
    """A run's files.

    Attributes:
        path: its best epoch's file, or its folder.
        series: model and dataset, or the job.
        size: bytes. changed: latest change, in seconds since 1970.
    """

    path: Path
    series: str
    size: int
    changed: float

    def alone(self) -> AbstractContextManager[int]:
        """The run's lock for a block. Raises InputError while another process trains it."""
        if self.path.suffix == ".pth":
            return checkpoint.alone(self.path)
        return locked(self.path / ".lock", "another process trains this job")

    def delete(self) -> None:
        """Deletes the run. Raises InputError if it trains at the moment, OSError if a file cannot be deleted."""
        with self.alone():
            if self.path.suffix != ".pth":
                discard(self.path)
                return
            for file in _files_of(self.path):
                file.unlink(missing_ok=True)


def saved_runs(folder: Path) -> list[SavedRun]:
    """All runs below a folder, newest first. Raises InputError if there is no such folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected one with checkpoints of runs")
    return sorted(_found(folder), key=lambda run: run.changed, reverse=True)


def superseded(runs: list[SavedRun], keep: int) -> list[SavedRun]:
    """The runs beyond the newest ``keep`` of each series, oldest first; ``runs`` are newest first."""
    count: dict[tuple[Path, str], int] = {}
    old = []
    for run in runs:
        series = run.path.parent, run.series
        count[series] = count.get(series, 0) + 1
        if count[series] > keep:
            old.append(run)
    return old[::-1]


def _found(folder: Path) -> Iterator[SavedRun]:
    pairs = {checkpoint.best_file(path) for path in folder.rglob("*.pth") if not path.name.startswith(".")}
    for best in pairs:
        if match := PAIR.fullmatch(best.stem):
            yield _run(best, match["series"], _files_of(best))
    for lock in folder.rglob("*/.lock"):
        if match := JOB.fullmatch(lock.parent.name):
            yield _run(lock.parent, match["series"], lock.parent.rglob("*"))


def _files_of(best: Path) -> list[Path]:
    """Files of a RecBole run, its lock and what a kill left half written included."""
    last = checkpoint.last_file(best)
    beside = best.parent.glob(f".{glob.escape(best.stem)}*")
    return [path for path in (best, last, *beside) if path.is_file()]


def _run(path: Path, series: str, files: Iterable[Path]) -> SavedRun:
    states = [(file, file.stat()) for file in files if file.is_file()]
    # A lock's time says when it was last asked for, so hidden files do not count.
    changed = max((state.st_mtime for file, state in states if file.name[0] != "."), default=0.0)
    return SavedRun(path, series, sum(state.st_size for _, state in states), changed)
