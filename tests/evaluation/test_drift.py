"""The population stability index against its definition, and norms of tables."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from mmbee_plugin.evaluation.drift import least_without_one, mean_norm, relative_drift, stability


def test_the_index_is_its_definition_with_rows_written_out():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=900).round(2), rng.normal(0.4, 1.2, size=700).round(2)
    first, second = rng.integers(1, 4, 900), rng.integers(1, 4, 700)
    found = stability(before, after, first, second)
    written = np.repeat(before, first), np.repeat(after, second)
    plain = stability(*written)
    np.testing.assert_allclose(found.edges, plain.edges)
    assert found.psi == pytest.approx(plain.psi, rel=1e-12)
    total = 0.0
    ends = [-math.inf, *found.edges, math.inf]
    for low, high in pairwise(ends):
        a, b = (sum(low <= value < high for value in values) / len(values) for values in written)
        total += (b - a) * math.log(b / a)
    assert found.psi == pytest.approx(total, rel=1e-9)
    assert np.abs(found.before - 0.1).max() < 0.02


def test_without_a_shift_the_index_is_chance_and_a_shift_is_above_the_customary_limits():
    rng = np.random.default_rng(1)
    chance = [stability(rng.normal(size=2000), rng.normal(size=1000)).psi for _ in range(50)]
    assert np.mean(chance) == pytest.approx(9 * (1 / 2000 + 1 / 1000), rel=0.2)
    scores = rng.normal(size=5000)
    assert 0.2 < stability(scores, scores + 0.5).psi < 0.3 < stability(scores, 2 * scores).psi


def test_empty_bins_ties_and_scores_that_are_no_numbers():
    assert stability(np.arange(100.0), np.full(50, 99.0)).psi < 50
    assert len(stability(np.ones(10), np.zeros(5)).before) == 1
    assert len(stability(np.array([0.0] * 80 + [1.0] * 20), np.ones(3)).before) == 2
    for wrong in (np.array([1.0, np.nan]), np.empty(0)):
        with pytest.raises(ValueError, match="scores"):
            stability(np.arange(3.0), wrong)


def test_norms_of_tables():
    rng = np.random.default_rng(2)
    table = rng.normal(size=(5000, 2, 3)).astype(np.float32)
    exact = math.sqrt(float((table.astype(float) ** 2).sum()) / 5000)
    assert mean_norm(table) == pytest.approx(exact, rel=1e-9)
    assert mean_norm(table, most=700) == pytest.approx(exact, rel=0.1)
    assert relative_drift(2.0, 2.2) == pytest.approx(0.1)
    assert relative_drift(0.0, 0.0) == 0 and relative_drift(0.0, 1.0) == math.inf


def test_without_one_group_is_the_index_of_the_others():
    rng = np.random.default_rng(3)
    before, after = (
        rng.poisson(20, (40, 10)).astype(float),
        rng.poisson(20, (40, 10)) * np.linspace(0.5, 2, 10),
    )

    def written(kept):
        first, second = (side[kept].sum(axis=0) / side[kept].sum() for side in (before, after))
        return ((second - first) * np.log(second / first)).sum()

    others = [written(np.arange(40) != group) for group in range(40)]
    assert least_without_one(before, after) == pytest.approx(min(others), rel=1e-9)
    star = np.concatenate([before, before[:1] * 0]), np.concatenate([before, np.eye(10)[:1] * 9000])
    assert least_without_one(*star) == 0
    assert least_without_one(before[:1], after[:1]) == np.inf


def test_without_one_group_an_empty_bin_is_half_a_row_as_in_the_index():
    rng = np.random.default_rng(4)
    scores, group = np.arange(60.0), rng.integers(0, 3, 60)
    later, other = rng.choice(scores[3:27], 30), rng.integers(0, 3, 30)  # nothing above 27: empty bins
    heavy = 4.0  # what a later row stands for
    found = stability(scores, later, weights_after=np.full(30, heavy))
    bins = len(found.edges) + 1

    def binned(values, groups, weight):
        weights = np.zeros((3, bins))
        np.add.at(weights, (groups, np.searchsorted(found.edges, values, side="right")), weight)
        return weights

    before, after = binned(scores, group, 1.0), binned(later, other, heavy)
    assert (after.sum(axis=0) == 0).any()
    nobody = np.zeros((1, bins))
    whole = [np.concatenate([side.sum(axis=0, keepdims=True), nobody]) for side in (before, after)]
    assert least_without_one(*whole, 1.0, heavy) == pytest.approx(found.psi, rel=1e-12)
