import numpy as np
import pytest

from mmbee_plugin.graph import attributes
from mmbee_plugin.graph.attributes import Attributes, mean_attributes
from mmbee_plugin.graph.metapaths import Neighbours


@pytest.mark.parametrize("columns", [256, 2])
def test_weighted_means_of_those_present(monkeypatch, columns):
    monkeypatch.setattr(attributes, "_COLUMNS", columns)
    random = np.random.default_rng(0)
    degrees = random.integers(0, 5, 30)
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    ids = np.concatenate([random.choice(12, degree, replace=False) for degree in degrees]).astype(np.int32)
    neighbours = Neighbours(indptr, ids, random.random(len(ids)).astype(np.float32) + 0.1)
    values = random.normal(size=(12, 5)).astype(np.float16)
    present = random.random(12) < 0.6
    values[~present] = np.nan  # an absent row may hold anything
    found = mean_attributes(neighbours, Attributes(values, present))
    for node in range(30):
        near, weights = neighbours.of(node)
        has = present[near]
        mean, fraction = np.zeros(5), 0.0
        if has.any():
            mean = np.average(values[near[has]].astype(float), axis=0, weights=weights[has])
            fraction = weights[has].sum() / weights.sum()
        np.testing.assert_allclose(found.values[node], mean, rtol=1e-3, atol=1e-5)
        assert found.fraction[node] == pytest.approx(fraction, rel=1e-5)
    assert found.values.dtype == found.fraction.dtype == np.float32
    assert (found.fraction == 0).any() and (found.fraction == 1).any()
