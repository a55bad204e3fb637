"""AUC, UAUC, GAUC and log loss against enumeration of pairs and against scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.metrics import (
    auc,
    exact_mean,
    exact_sum,
    gauc,
    hourly,
    log_loss,
    ranking_metrics,
    uauc,
    user_auc,
)


def pairs_auc(labels: list[int], scores: list[float]) -> float:
    """The definition: the share of (positive, negative) pairs in the right order, ties one half."""
    positives = [score for label, score in zip(labels, scores, strict=True) if label]
    negatives = [score for label, score in zip(labels, scores, strict=True) if not label]
    wins = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    return wins / (len(positives) * len(negatives))


samples = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(-2, 2)), min_size=1, max_size=40
)


@given(samples)
def test_grouped_metrics_are_the_enumerated_pairs(rows: list[tuple[int, int, int]]) -> None:
    groups = {user: [row for row in rows if row[0] == user] for user in {row[0] for row in rows}}
    groups = {user: group for user, group in groups.items() if {label for _, label, _ in group} == {0, 1}}
    users, labels, scores = map(np.array, zip(*rows, strict=True))
    if not groups:
        for metric in (uauc, gauc):
            with pytest.raises(InputError, match="no user has both"):
                metric(users, labels, scores)
        return
    each = {user: pairs_auc([r[1] for r in group], [r[2] for r in group]) for user, group in groups.items()}
    impressions = {user: len(group) for user, group in groups.items()}
    assert uauc(users, labels, scores) == pytest.approx(sum(each.values()) / len(each))
    weighted = sum(each[user] * impressions[user] for user in each) / sum(impressions.values())
    assert gauc(users, labels, scores) == pytest.approx(weighted)
    found = user_auc(users, labels, scores)
    assert found.users.tolist() == sorted(each)
    assert found.impressions.tolist() == [impressions[user] for user in sorted(each)]


@given(samples)
def test_auc_is_the_enumerated_pairs(rows: list[tuple[int, int, int]]) -> None:
    _, labels, scores = zip(*rows, strict=True)
    if len(set(labels)) == 1:
        with pytest.raises(InputError, match=f"all {len(labels)} are {labels[0]}"):
            auc(labels, scores)
    else:
        assert auc(labels, scores) == pytest.approx(pairs_auc(list(labels), list(scores)))


def test_scikit_learn_agrees() -> None:
    rng = np.random.default_rng(0)
    users = rng.integers(0, 200, 5000) * 1_000_003
    labels = rng.integers(0, 2, 5000)
    scores = np.round(rng.random(5000), 2).astype(np.float32)
    assert auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)
    assert log_loss(labels, scores) == pytest.approx(
        sk.log_loss(labels, scores.astype(np.float64)), abs=1e-12
    )
    found = user_auc(users, labels, scores)
    for user, value, count in zip(*found, strict=True):
        rows = users == user
        assert count == rows.sum()
        assert value == pytest.approx(sk.roc_auc_score(labels[rows], scores[rows]), abs=1e-12)


def test_uauc_and_gauc_weigh_users_differently() -> None:
    # user 1: two samples, AUC 1; user 2: four samples, AUC 0; user 3 has one class and counts nowhere
    users, labels, scores = [1, 1, 2, 2, 2, 2, 3], [1, 0, 1, 0, 0, 0, 1], [2, 1, 0, 1, 2, 3, 9]
    assert uauc(users, labels, scores) == pytest.approx(1 / 2)
    assert gauc(users, labels, scores) == pytest.approx(2 / 6)


def test_order_of_rows_and_monotone_scores_change_nothing() -> None:
    rng = np.random.default_rng(1)
    users, labels, scores = rng.integers(0, 20, 500), rng.integers(0, 2, 500), rng.normal(size=500)
    order = rng.permutation(500)
    assert uauc(users[order], labels[order], scores[order]) == pytest.approx(uauc(users, labels, scores))
    assert gauc(users, labels, np.exp(scores)) == pytest.approx(gauc(users, labels, scores))
    assert auc(labels, -scores) == pytest.approx(1 - auc(labels, scores))


def test_infinite_scores_are_ranked() -> None:
    assert auc([1, 0, 0], [np.inf, -np.inf, 0.0]) == 1.0


@pytest.mark.parametrize(
    ("users", "labels", "scores", "message"),
    [
        ([1, 2], [0, 1], [0.1], "labels: 2 values for 1 scores"),
        ([1], [0, 1], [0.1, 0.2], "users: 1 values for 2 scores"),
        ([1, 1], [0, 2], [0.1, 0.2], "labels, row 1: 2 is neither 0 nor 1"),
        ([1, 1], [0, 1], [0.1, np.nan], r"scores, row 1: NaN \(1 of 2"),
        ([], [], [], "no user has both"),
    ],
)
def test_bad_samples_are_named(users: list, labels: list, scores: list, message: str) -> None:
    for metric in (uauc, gauc):
        with pytest.raises(InputError, match=message):
            metric(users, labels, scores)


def test_hours_are_measured_one_by_one_and_averaged() -> None:
    random = np.random.default_rng(5)
    n, start = 3_000, 1_700_000_000  # not the start of an hour
    times = start + random.integers(0, 7 * 3600, n)
    times[:400] += 30 * 86_400  # an hour far away, and none between
    users, labels, scores = random.integers(0, 4, n), random.integers(0, 2, n), random.random(n)
    hour = times // 3600
    alike = hour == np.sort(np.unique(hour))[2]
    labels[alike] = 1  # this hour has no AUC
    rest = [one for one in np.unique(hour) if one != hour[alike][0]]
    for metric, columns in (
        (auc, (labels, scores)),
        (uauc, (users, labels, scores)),
        (gauc, (users, labels, scores)),
    ):
        found = hourly(metric, times, *columns)
        expected = [metric(*(column[hour == one] for column in columns)) for one in rest]
        assert found.hours.tolist() == rest and found.undefined == 1
        assert found.values.tolist() == expected and found.mean == pytest.approx(np.mean(expected))
        assert found.mean != pytest.approx(metric(*columns), abs=1e-6)
    assert hourly(log_loss, times, labels, scores).undefined == 0


@pytest.mark.parametrize(
    ("times", "labels", "scores", "message"),
    [
        ([0, 9], [0, 1], [0.5, np.nan], "scores, row 1: NaN"),
        ([0], [0, 1], [0.5, 0.1], "times: 1 values for 2 scores"),
        ([0, 3600], [0, 1], [0.5, 0.1], "times: the metric is defined in none of the 2 hours"),
    ],
)
def test_hours_that_cannot_be_measured(times: list, labels: list, scores: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        hourly(auc, times, labels, scores)


def test_log_loss_needs_probabilities_but_not_both_classes() -> None:
    assert log_loss([1, 1], [1.0, 0.5]) == pytest.approx(np.log(2) / 2)
    assert np.isfinite(log_loss([1, 0], [0.0, 1.0]))
    with pytest.raises(InputError, match=r"scores, row 1: 1.5 is no probability"):
        log_loss([1, 0], [0.5, 1.5])


def test_ranking_metrics_are_the_definitions() -> None:
    random = np.random.default_rng(2)
    hits = random.random((50, 7)) < 0.3
    positives = hits.sum(axis=1) + random.integers(1, 4, 50)
    found = ranking_metrics(hits, positives, (3, 7, 10))  # only seven items exist
    for row, count, user in zip(hits, positives, range(50), strict=True):
        for k in (3, 7, 10):
            top = [rank for rank, hit in enumerate(row[:k]) if hit]
            gain = sum(1 / np.log2(rank + 2) for rank in top)
            ideal = sum(1 / np.log2(rank + 2) for rank in range(min(count, k)))
            assert found[f"recall@{k}"][user] == pytest.approx(len(top) / count)
            assert found[f"precision@{k}"][user] == pytest.approx(len(top) / k)
            assert found[f"ndcg@{k}"][user] == pytest.approx(gain / ideal)


def test_exact_sums_do_not_depend_on_order_or_parts() -> None:
    random = np.random.default_rng(3)
    values = np.concatenate([random.random(5_000), [0.0, 1.0, 1e-17, 63.9, 36.04]])
    weights = random.integers(0, 10_000, len(values))
    total, weighted = exact_sum(values), exact_sum(values, weights)
    order = random.permutation(len(values))
    parts = np.array_split(order, 7)
    np.testing.assert_array_equal(sum(exact_sum(values[part]) for part in parts), total)
    np.testing.assert_array_equal(sum(exact_sum(values[part], weights[part]) for part in parts), weighted)
    assert exact_mean(total, len(values)) == pytest.approx(math.fsum(values) / len(values), rel=1e-15)
    average = math.fsum(values * weights) / int(weights.sum())
    assert exact_mean(weighted, int(weights.sum())) == pytest.approx(average, rel=1e-14)
