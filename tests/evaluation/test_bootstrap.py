"""The bootstrap against what theory says of a mean."""

import numpy as np
import pytest

from mmbee_plugin.evaluation import bootstrap


def test_standard_error_of_a_proportion():
    values = np.zeros(1500)
    values[:120] = 1  # 8 % hits
    found = bootstrap.interval(values)
    expected = np.sqrt(0.08 * 0.92 / 1500)
    assert found.mean == pytest.approx(0.08)
    assert found.standard_error == pytest.approx(expected, rel=0.05)
    assert found.low == pytest.approx(0.08 - 1.96 * expected, abs=0.1 * expected)
    assert found.high == pytest.approx(0.08 + 1.96 * expected, abs=0.1 * expected)


def test_pairing_sees_what_intervals_do_not():
    """Two noisy models with a small common shift: only the pairing removes the users' own spread."""
    generator = np.random.default_rng(1)
    users = generator.normal(size=500)
    better = users + 0.05 + generator.normal(scale=0.2, size=500)
    difference = bootstrap.paired(better, users)
    assert difference.p_value < 0.01
    assert bootstrap.interval(better).low < users.mean()


def test_equal_models_do_not_differ():
    generator = np.random.default_rng(2)
    first, second = generator.normal(size=(2, 1000))
    assert bootstrap.paired(first, second).p_value > 0.05
    assert bootstrap.paired(first, first).p_value == 1.0


def test_other_users_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        bootstrap.paired(np.zeros(3), np.zeros(4))


def test_holm_by_hand():
    assert bootstrap.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert bootstrap.holm([0.6, 0.7]) == [1.0, 1.0]


def test_few_users_have_neither_interval_nor_p_value():
    values = np.linspace(0.5, 0.6, bootstrap.FEWEST)
    for few in (values[:1], values[:-1]):
        found = bootstrap.paired(few, few - 0.1)
        spread = found.interval
        assert spread.mean == pytest.approx(0.1)
        assert np.isnan([found.p_value, spread.low, spread.high, spread.standard_error]).all()
        assert np.isnan(bootstrap.interval(few).low)
    assert bootstrap.paired(values, values - 0.1).p_value < 0.001
    assert bootstrap.interval(values).low < 0.55 < bootstrap.interval(values).high


def test_holm_counts_the_tests_that_there_are():
    assert bootstrap.holm([0.01, np.nan, 0.04]) == pytest.approx([0.02, np.nan, 0.04], nan_ok=True)
    assert np.isnan(bootstrap.holm([np.nan])).all()
