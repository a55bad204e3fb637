"""Gaps between a request and the gifts before it, three years after the data's first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mmbee_plugin.serving.bundle.sides import user_side

START = 90_000_000


@pytest.mark.parametrize(
    ("stored", "gaps"),
    [
        (np.float64, [3, 1, 0]),  # of 7, 1 and 0 seconds
        (np.float32, [3, 0, 0]),  # of a bundle from before: times and request are multiples of 8
    ],
)
def test_gaps_are_as_exact_as_the_stored_times(stored, gaps):
    records = np.zeros(1, [("user", np.float32, (2,))])
    times = (START + np.array([[0, 6, 7]])).astype(stored)
    side = user_side(
        records,
        {"author": torch.zeros(4, 2)},
        np.array([[1, 2, 3]]),
        np.array([3]),
        times,
        np.array([START + 7.0]),
    )
    assert side.history_gap.tolist() == [gaps]
