"""Cells made in processes: once each, kept through failures, one thread."""

from __future__ import annotations

import importlib
import sys

import pytest

from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import CellStore, Job
from mmbee_plugin.experiments.pool import make_cells

WORK = """
import os, time
from pathlib import Path
from mmbee_plugin.errors import InputError
from mmbee_plugin.experiments.cells import Cell

def work(folder, name):
    with open(Path(folder) / "made", "a") as file:
        file.write(name + "\\n")
    if name == "bad":
        raise InputError("bad is no setting")
    if name == "killed":
        os.kill(os.getpid(), 9)
    return Cell(facts={"name": name, "threads": os.environ["OMP_NUM_THREADS"]})
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Makes cells by name; returns them, and what was made in which order is in ``made``."""
    (tmp_path / "cell_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    work = importlib.import_module("cell_work").work
    store = CellStore(tmp_path / "cells")

    def make(*names: str, processes: int = 1) -> list:
        jobs = [Job(name, {"name": name}, work, (str(tmp_path), name)) for name in names]
        return make_cells(jobs, store, processes, lambda name, seconds: None)

    yield make
    del sys.modules["cell_work"]


def test_each_cell_is_made_once_and_none_is_lost(run, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    cells = run("a", "b", "a", processes=2)
    assert [cell.facts["name"] for cell in cells] == ["a", "b", "a"]
    assert {(cell.facts["threads"], cell.facts["side_by_side"]) for cell in cells} == {("1", 2)}
    with pytest.raises(InputError, match="bad is no setting"):
        run("a", "c", "bad")
    with pytest.raises(InputError, match=r"a process was killed, .* smaller --jobs"):
        run("killed")
    assert [cell.facts["name"] for cell in run("a", "b", "c")] == ["a", "b", "c"]  # without a process
    assert sorted((tmp_path / "made").read_text().split()) == ["a", "b", "bad", "c", "killed"]
