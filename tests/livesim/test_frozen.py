"""The frozen worlds: small logs of each are what they were when it was frozen."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mmbee_plugin.livesim.simulate import simulate
from mmbee_plugin.livesim.worlds import WORLDS

SMALL = {"users": 400, "authors": 60, "days": 3, "density": 4.0}
HASHES = {
    1: "5ec9893f149a27bc15209611c76a40e5a355a9548b891050699d42391efaabd9",
    2: "081e9bc6012290991fac9c78b768dcbc06148506c7b370b2a0282c46b679c961",
}
"""of ids, times, amounts and planted events"""
MEANS = {
    1: {
        "visual": (-0.243828, 1.75627),
        "speech": (-0.333215, 1.73096),
        "comment": (-0.032048, 1.62623),
        "p": (0.0135816, 0.0700038),
    },
    2: {
        "visual": (-0.254671, 1.75862),
        "speech": (-0.331516, 1.73843),
        "comment": (-0.0463512, 1.62663),
        "p": (0.0141573, 0.0712055),
    },
}
"""of what is floating point, whose last bits differ between machines: mean and spread of the modalities and chances"""
DISCRETE = ("visits", "gifts", "feedback", "rooms", "planted/segments")


def log_hash(log: Path) -> str:
    """SHA-256 of a log's tables without features and chances, whatever the order of their rows."""
    found = hashlib.sha256()
    for name in DISCRETE:
        table = pl.read_parquet(log / name / "*.parquet")
        table = table.with_columns(pl.col(pl.Float64).cast(pl.Int64))  # amounts are whole
        found.update(table.sort(table.columns).write_csv().encode())
    return found.hexdigest()


def spreads(log: Path) -> dict[str, list[float]]:
    """Mean and spread of every modality and of the planted chances."""
    segments, truth = (pl.read_parquet(log / name / "*.parquet") for name in ("segments", "truth"))
    values = {name: segments[name].drop_nulls().to_numpy() for name in ("visual", "speech", "comment")}
    values["p"] = truth["p"].to_numpy()
    return {name: [float(each.mean()), float(each.std())] for name, each in values.items()}


@pytest.mark.parametrize("world", WORLDS)
def test_a_world_is_frozen_bit_for_bit(tmp_path, world):
    simulate(tmp_path / "log", WORLDS[world](**SMALL))
    assert log_hash(tmp_path / "log") == HASHES[world]
    found = spreads(tmp_path / "log")
    assert found.keys() == MEANS[world].keys()
    for name, expected in MEANS[world].items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, atol=1e-5)
