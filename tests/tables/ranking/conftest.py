"""A small folder with planted tastes, and cells made of arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from mmbee_plugin.data.writer import DatasetContent, Interactions, SourceFeatures, write_folder
from mmbee_plugin.experiments import pool
from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.recbole.config.files import paper_settings
from mmbee_plugin.recbole.config.sources import merged
from mmbee_plugin.tables.ranking import rows

USERS, ITEMS, TASTES = 40, 24, 4


class InThisProcess(Executor):
    """Does the work when it is submitted."""

    def submit(self, fn, /, *args, **kwargs) -> Future:
        done: Future = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


@pytest.fixture
def in_this_process(monkeypatch) -> None:
    """Cells are made here: a process of its own reads all libraries first, which takes longer than a tiny cell."""
    monkeypatch.setattr(pool, "_workers", lambda count, fresh: nullcontext(InThisProcess()))


@pytest.fixture
def small_paper(monkeypatch) -> None:
    """The paper's row at a width of 16 and with one epoch of GraphCL, for it keeps its size whatever is given."""
    small = {"embedding_size": 16, "mlp_hidden_size": [16, 8], "graphcl": {"epochs": 1}}
    monkeypatch.setattr(rows, "paper_settings", lambda: merged(paper_settings(), small))


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """``datasets/toy`` in the working directory: users of four tastes with one to four items of theirs in training,
    one in validation, two in test; the last item is in no training pair."""
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    parts: dict[str, list[tuple[int, int]]] = {"train": [], "valid": [], "test": []}
    taste = np.arange(ITEMS) % TASTES
    for user in range(USERS):
        own = rng.permutation(
            np.flatnonzero((taste == user % TASTES) & (np.arange(ITEMS) < ITEMS - 1))
        ).tolist()
        count = 1 + user % 3
        parts["train"] += [(user, item) for item in own[:count]]
        parts["valid"].append((user, own[count]))
        parts["test"] += [(user, item) for item in own[count + 1 : count + 2]]
    parts["test"].append((0, ITEMS - 1))
    visual = np.eye(TASTES)[taste] + 0.1 * rng.normal(size=(ITEMS, TASTES))
    content = DatasetContent(
        source="a test",
        kind="real",
        users=[f"u{row}" for row in range(USERS)],
        items=[f"i{row}" for row in range(ITEMS)],
        interactions={name: Interactions(*np.array(rows).T) for name, rows in parts.items()},
        features={"visual": SourceFeatures(visual.astype(np.float32), "visual")},
    )
    write_folder(tmp_path / "datasets" / "toy", content)
    return tmp_path / "datasets" / "toy"


@pytest.fixture
def ranked_cell() -> Callable[..., Cell]:
    """A cell of 300 users with one positive each, whose ranks are the smaller the larger ``skill`` is."""

    def make(skill: float, seed: int = 1, users: int = 300) -> Cell:
        noise = np.random.default_rng([seed, int(1000 * skill)])
        degrees = (np.arange(users) % 5).astype(np.int32)
        columns = {
            "users": np.arange(users, dtype=np.int32),
            "items": (np.arange(users) % 50).astype(np.int32),
            "ranks": np.minimum(noise.exponential(30 / skill, users), 49).astype(np.int32),
            "user degrees": degrees,
            "item degrees": (np.arange(users) % 50).astype(np.int32),
        }
        arrays = {
            f"{split} {name}": values for split in ("valid", "test") for name, values in columns.items()
        }
        costs = {
            "parameters": 100,
            "embedding_parameters": 60,
            "train_cpu_seconds": skill,
            "rank_cpu_ms": 0.5,
        }
        return Cell(arrays, {**costs, "seconds": 2.0 * seed, "peak_rss_mb": 500.0, "side_by_side": 1})

    return make
