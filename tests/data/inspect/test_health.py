from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.data.features import bag_from_pairs
from mmbee_plugin.data.inspect import health


@pytest.mark.parametrize("chunk", [65_536, 2])
def test_counts_what_is_wrong_with_dense_rows(monkeypatch, chunk):
    monkeypatch.setattr(health, "CHUNK_ROWS", chunk)
    values = np.array(
        [[3, 4, 1], [0, 0, 0], [3, 4, 1], [np.nan, 0, 1], [6, 8, 1], [3, 4, 1], [1, np.inf, 1]], "f4"
    )
    found = health.dense_health(values)
    assert (found.rows, found.missing, found.not_finite, found.repeated, found.unused) == (7, 1, 2, 2, 1)
    assert found.sizes == pytest.approx(np.sqrt([26, 26, 101, 26]))
    assert "missing 1 of 7, not finite 2, repeated 2, constant columns 1" in found.line()


def test_frames_are_one_row():
    found = health.dense_health(np.ones((3, 2, 4), np.float16))
    assert (found.form, found.repeated, found.sizes[0]) == (
        "dense, float16 of width 2 x 4",
        2,
        pytest.approx(8**0.5),
    )


def test_an_empty_modality():
    assert "missing 2 of 2" in health.dense_health(np.zeros((2, 3), np.float32)).line()


def test_bags_are_the_same_in_any_order_of_words():
    bags = bag_from_pairs(np.array([0, 0, 2, 2, 3, 3, 3]), np.array([1, 4, 4, 1, 1, 1, 4]), 4, vocabulary=6)
    found = health.bag_health(bags)
    assert (found.rows, found.missing, found.repeated, found.unused) == (4, 1, 1, 4)
    assert found.sizes.tolist() == [2, 2, 3] and "words never used 4; words 2 .. 2 .. 3" in found.line()
