"""Metrics of resampled users, against repeating the rows and measuring again."""

from __future__ import annotations

import numpy as np
import pytest

from mmbee_plugin.evaluation import metrics
from mmbee_plugin.evaluation.resampling import ResampledUsers, means_on_resampled_users, ratios_on_users
from mmbee_plugin.evaluation.seeds import of_seeds


@pytest.fixture(scope="module")
def samples():
    generator = np.random.default_rng(4)
    users = generator.integers(0, 40, 900)
    labels = generator.random(900) < 0.15
    scores = np.round(generator.normal(size=900) + labels, 1).astype(np.float32)  # with many ties
    return users, labels, scores


def test_each_draw_is_the_metric_of_the_repeated_rows(samples):
    users, labels, scores = samples
    resampled = ResampledUsers(users, labels, draws=230)  # more than one chunk
    values = resampled.values(scores)
    counts = np.concatenate(resampled.counts, axis=1).astype(int)
    assert counts.shape == (40, 230)
    assert (counts.sum(axis=0) == 40).all()
    for draw in (0, 199, 200, 229):
        # a user drawn twice is two users
        rows = [(np.flatnonzero(users == u), copy) for u in range(40) for copy in range(counts[u, draw])]
        index = np.concatenate([row for row, _ in rows])
        owner = np.concatenate([np.full(len(row), place) for place, (row, _) in enumerate(rows)])
        assert values["auc"][draw] == pytest.approx(metrics.auc(labels[index], scores[index]), abs=1e-9)
        assert values["uauc"][draw] == pytest.approx(
            metrics.uauc(owner, labels[index], scores[index]), abs=1e-9
        )
        assert values["gauc"][draw] == pytest.approx(
            metrics.gauc(owner, labels[index], scores[index]), abs=1e-9
        )


def test_pairing_sees_a_small_shift_and_no_shift(samples):
    users, labels, scores = samples
    resampled = ResampledUsers(users, labels, draws=400)
    better, same = resampled.values(scores + 0.3 * labels), resampled.values(scores)
    gain = metrics.auc(labels, scores + 0.3 * labels) - metrics.auc(labels, scores)
    found = of_seeds(np.array([gain]), (better["auc"] - same["auc"])[None])
    assert found.p_value == pytest.approx(2 / 400)
    assert found.interval.mean == gain and found.interval.low > 0
    assert of_seeds(np.zeros(1), (same["auc"] - same["auc"])[None]).p_value == 1.0


def test_draws_without_a_pair_do_not_count():
    """Ten users with a positive among a thousand others: one draw in 22,000 has none of them."""
    users, labels = np.arange(1010), np.arange(1010) < 10
    resampled = ResampledUsers(users, labels, draws=200)
    resampled.pairs[7] = 0
    values = resampled.values(np.random.default_rng(0).random(1010))["auc"]
    assert np.flatnonzero(~np.isfinite(values)).tolist() == [7]
    found = of_seeds(np.ones(2), np.stack([values, values]))
    assert np.isfinite([found.interval.low, found.interval.high]).all()
    assert np.isnan(of_seeds(np.ones(1), np.full((1, 20), np.nan)).interval.low)


@pytest.mark.parametrize("which", [0, 1])
def test_a_metric_of_few_users_has_no_draws(which):
    """Of 40 users 9 or 10 have a positive, each beside negatives or not."""
    for count in (9, 10):
        users = np.concatenate([np.arange(40), np.arange(count)]) if which else np.arange(40 + count)
        labels = np.arange(len(users)) >= 40
        values = ResampledUsers(users, labels, draws=50).values(np.random.default_rng(0).random(len(users)))
        assert np.isfinite(values["auc"]).any() == (count == 10)
        assert (
            np.isfinite(values["gauc"]).any()
            == np.isfinite(values["uauc"]).any()
            == bool(which and count == 10)
        )
    assert np.isnan(means_on_resampled_users(np.ones((9, 2)), 30)).all()
    assert (means_on_resampled_users(np.ones((10, 2)), 30) == 1).all()
    share = ratios_on_users(np.arange(9), {"one": np.arange(9) % 2}, np.ones(9))["one"]
    assert share.mean == pytest.approx(4 / 9) and np.isnan(share.low)


def test_ratios_of_rows_have_the_interval_of_their_users():
    """A user's rows are copies, so there are as many independent values as users and not as rows."""
    hit, users = np.repeat(np.arange(500) < 100, 4), np.repeat(np.arange(500), 4)
    found = ratios_on_users(users, {"hit": 2.0 * hit, "all": np.full(2000, 2.0)}, np.full(2000, 2.0))
    error = np.sqrt(0.2 * 0.8 / 500)
    assert found["hit"].mean == pytest.approx(0.2)
    assert found["hit"].standard_error == pytest.approx(error, rel=0.06)
    assert found["hit"].low == pytest.approx(0.2 - 1.96 * error, abs=0.2 * error)
    assert found["all"].low == found["all"].high == 1
