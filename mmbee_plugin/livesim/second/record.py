"""Writes what is planted in `livesim 2` beside what livesim 1 has: changes over days, purses and levels."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from mmbee_plugin.livesim.events import EVENTS
from mmbee_plugin.livesim.second.purse import Money
from mmbee_plugin.livesim.world import World
from mmbee_plugin.logs.folder import PLANTED


def write_drift(folder: Path, days: list[World]) -> None:
    """Writes `tastes.parquet` and `rules.parquet` into `planted`: a row for each change, with the day, from 0, from
    which on it holds."""
    tastes, rules = [], []
    for day, (before, after) in enumerate(pairwise(days), start=1):
        row = np.flatnonzero((before.users.tastes != after.users.tastes).any(axis=1))
        new = after.users.tastes[row].astype(np.float32)
        tastes.append(pl.DataFrame({"user_id": _ids("u", row), "day": np.full(len(row), day), "tastes": new}))
        row = np.flatnonzero((before.authors.rules != after.authors.rules).any(axis=1))
        rule = (after.authors.rules[row] @ (1 << np.arange(EVENTS))).astype(np.uint16)
        rules.append(pl.DataFrame({"author_id": _ids("a", row), "day": np.full(len(row), day), "rule": rule}))
    for name, parts in (("tastes", tastes), ("rules", rules)):
        if parts:
            pl.concat(parts).write_parquet(folder / PLANTED / f"{name}.parquet")


def write_money(folder: Path, money: Money) -> None:
    """Writes `purses.parquet` and `levels.parquet` into `planted`, in coins."""
    for name, key, column, coins in (
        ("purses", "user_id", "purse", money.full),
        ("levels", "author_id", "level", np.exp(money.level)),
    ):
        ids = _ids(key[0], np.arange(len(coins)))
        pl.DataFrame({key: ids, column: coins}).write_parquet(folder / PLANTED / f"{name}.parquet")


def _ids(kind: str, rows: np.ndarray) -> pl.Series:
    return pl.Series([f"{kind}{row}" for row in rows.tolist()], dtype=pl.String)
