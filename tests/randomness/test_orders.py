"""Orders in pieces hold every number once, in memory or by a bijection, and look drawn."""

import tracemalloc

import numpy as np
import pytest

from mmbee_plugin.randomness import orders
from mmbee_plugin.randomness.orders import random_order


def pieces(n, size, seed=0):
    return list(random_order(n, size, np.random.default_rng(seed)))


def test_an_order_that_fits_is_the_generators_own():
    found = pieces(1000, 64)
    assert [len(part) for part in found] == [64] * 15 + [40]
    np.testing.assert_array_equal(np.concatenate(found), np.random.default_rng(0).permutation(1000))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 1000, 4097, 65_537])
def test_a_streamed_order_holds_every_number_once(monkeypatch, n):
    monkeypatch.setattr(orders, "WHOLE", 0)
    order = np.concatenate(pieces(n, 64))
    np.testing.assert_array_equal(np.sort(order), np.arange(n))
    if n >= 1000:
        again, other = np.concatenate(pieces(n, 100)), np.concatenate(pieces(n, 64, seed=1))
        np.testing.assert_array_equal(again, order)  # whatever the size of the pieces
        assert (other == order).mean() < 0.01
        place = np.arange(n)
        assert abs(np.corrcoef(place, order)[0, 1]) < 0.1
        assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 0.1


def test_memory_does_not_grow_with_the_numbers():
    tracemalloc.start()
    first = next(random_order(10**12, 2048, np.random.default_rng(0)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(np.unique(first)) == 2048 and first.max() > 10**11
    assert peak < 2**20
