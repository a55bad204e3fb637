"""Cells made of arrays: what training would leave, without training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from mmbee_plugin.experiments.cells import Cell
from mmbee_plugin.tables.measures import COSTS

N, USERS = 1500, 120


@pytest.fixture
def run_table(mmbee) -> Callable[..., tuple[int, str, str]]:
    """Runs `mmbee table` in the working directory; returns its status, stdout and stderr."""
    return partial(mmbee, "table")


@pytest.fixture
def fake_cell() -> Callable[..., Cell]:
    """A cell whose scores know the labels as well as ``signal`` says; the rows are the same in all of them."""

    def make(signal: float, seed: int = 1) -> Cell:
        rows = np.random.default_rng(0)
        users = rows.integers(0, USERS, N).astype(np.int32)
        labels = rows.random(N) < 0.2
        times = np.sort(rows.uniform(0, 6 * 3600, N))
        noise = np.random.default_rng(seed + int(1000 * signal))
        arrays = {}
        for split in ("valid", "test"):
            scores = (signal * labels + noise.normal(size=N)).astype(np.float32)
            columns = {"users": users, "labels": labels, "times": times, "scores": scores}
            arrays |= {f"{split} {name}": values for name, values in columns.items()}
        return Cell(arrays, {**dict.fromkeys(COSTS, 1000.0 * seed), "side_by_side": 2})

    return make
