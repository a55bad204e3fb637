from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from mmbee_plugin.livesim.settings import SEGMENT_MS, LiveSimSettings
from mmbee_plugin.livesim.simulate import simulate

DENSE = {"users": 1_500, "authors": 200, "days": 3, "density": 4.0, "circles": 10}
"""Many gifts from few users, so that each planted effect stands out of the noise."""


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> SimpleNamespace:
    """A simulated log: path, result and settings."""
    path, settings = tmp_path_factory.mktemp("livesim") / "log", LiveSimSettings(**DENSE)
    return SimpleNamespace(path=path, settings=settings, result=simulate(path, settings))


def table(path: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(path / name / "*.parquet")


def planted(path: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(path / "planted" / f"{name}.parquet")


@pytest.fixture(scope="session")
def samples(made) -> pl.DataFrame:
    """Those of `made`."""
    return samples_of_log(made.path)


@pytest.fixture(scope="session")
def samples_of() -> Callable[[Path], pl.DataFrame]:
    """The function `samples_of_log`."""
    return samples_of_log


def samples_of_log(path: Path) -> pl.DataFrame:
    """Gifted windows (label 1) and the exit windows of other visits (label 0), with what is planted in them."""
    gifts, visits = table(path, "gifts"), table(path, "visits")
    key = ["user_id", "author_id", "room_id"]
    inside = visits.join(gifts, on=key).filter(pl.col("time").is_between("enter", "exit"))
    quiet = visits.join(inside, on=[*key, "enter"], how="anti").with_columns(time="exit", label=0)
    rows = pl.concat([inside.with_columns(label=1), quiet], how="diagonal").select(
        *key, "enter", "time", "label"
    )
    rows = rows.join(table(path, "rooms").select("room_id", "start"), on="room_id")
    rows = rows.with_columns(
        ((pl.col("time") - pl.col("start")) // SEGMENT_MS).cast(pl.Int32).alias("window")
    )
    rows = rows.join(planted(path, "segments/*"), on=["room_id", "window"])
    rows = rows.join(planted(path, "authors"), on="author_id")
    rows = rows.join(planted(path, "users"), on="user_id", suffix="_of_user")
    return rows.with_columns(
        in_circle=pl.col("circle") == pl.col("circle_of_user"),
        favourite=pl.col("favourites").list.contains(pl.col("author_id")),
        taste=pl.col("tastes").arr.get(pl.col("type")),
    )
