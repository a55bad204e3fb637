"""Stages of a day: each is done once for its inputs, whatever kills the process in between.

A stage writes ``<name>.json`` into the day's folder when it has ended: the hash of its inputs, what it found, and what
it cost. It is found again by that hash. What it leaves besides is written atomically by those who write it, and a stage
that was killed is done again from its start, a training from its last epoch.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmbee_plugin.errors import InputError
from mmbee_plugin.files import write_json

Result = Mapping[str, Any]


def digest(inputs: Any) -> str:
    """Hash of plain values, 16 digits."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


class Stages:
    """The stages of one day.

    Args:
        folder: of the day, made by the first stage.
        show: called with each stage's name as it starts, and what it says on the way.
        ended: why no stage is done any more, only found; None if they are.
    """

    def __init__(self, folder: Path, show: Callable[[str], None], ended: str | None = None) -> None:
        self.folder, self.show, self.ended = folder, show, ended
        self.costs: dict[str, tuple[float, float]] = {}
        """seconds and CPU seconds of each stage, of its last process if it was killed on the way"""
        self._results: dict[str, dict[str, Any]] = {}

    def done(self, name: str, inputs: Mapping[str, Any], work: Callable[[str], Result]) -> dict[str, Any]:
        """The result of a stage, found if it has ended for these inputs, else worked out.

        Args:
            inputs: plain values that decide the result.
            work: does the stage; called with the hash of its inputs. An entry ``path`` of its result, relative to the
                day's folder, has to be there for the result to be found again.

        Raises:
            InputError: it was not found, and none is done any more.
        """
        key = digest({"stage": name, **inputs})
        found = read_record(self.folder, name)
        if (
            found is None
            or found["key"] != key
            or not (self.folder / found["result"].get("path", "")).exists()
        ):
            if self.ended is not None:
                raise InputError(self.ended)
            self.folder.mkdir(parents=True, exist_ok=True)
            self.show(name)
            begun, cpu = time.perf_counter(), _cpu_seconds()
            result = dict(work(key))
            spent = time.perf_counter() - begun, _cpu_seconds() - cpu
            made = {"key": key, "result": result, "seconds": [round(each, 3) for each in spent]}
            found = json.loads(json.dumps(made))  # as it will be read again; fails for what is not plain
            write_json(self.folder / f"{name}.json", found)
        self.costs[name] = (found["seconds"][0], found["seconds"][1])
        self._results[name] = found["result"]
        return found["result"]

    def result(self, name: str) -> dict[str, Any]:
        """The result of a stage that was done before in this process."""
        return self._results[name]


def _cpu_seconds() -> float:
    """CPU seconds of this process and of those that it started and that have ended."""
    return sum(os.times()[:4])


def read_record(folder: Path, name: str) -> dict[str, Any] | None:
    """The record of a stage that has ended; None without one."""
    try:
        found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return found if {"key", "result", "seconds"} <= found.keys() else None
    except (OSError, ValueError, AttributeError):
        return None
