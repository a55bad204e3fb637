"""The sequence of gifts against a plain loop over windows, and each of its causes alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mmbee_plugin.livesim.rooms import Rooms
from mmbee_plugin.livesim.second.purse import PRICES, Money, tier_weights
from mmbee_plugin.livesim.second.sequence import (
    EMPTY,
    Giving,
    Sequence,
    by_time,
    find_base,
    recent_gifts,
    sequence_of,
)
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.visits import Visits, windows_of

USERS, ROOMS = 30, 4


@pytest.fixture
def money() -> Money:
    rng = np.random.default_rng(0)
    return Money(
        full=np.exp(rng.normal(3, 2, USERS)),
        level=rng.normal(2, 1, ROOMS),
        tilt_of_user=rng.normal(size=USERS),
        tilt_of_author=rng.normal(size=ROOMS),
    )


@pytest.fixture
def sequence() -> Sequence:
    """Everybody is in a room of theirs for 40 windows, in order of time."""
    rng = np.random.default_rng(1)
    room = rng.integers(ROOMS, size=USERS)
    return Sequence(
        odds=rng.normal(size=40 * USERS).astype(np.float32),
        user=np.tile(np.arange(USERS), 40).astype(np.int32),
        room=np.tile(room, 40).astype(np.int32),
        window=np.arange(40).repeat(USERS).astype(np.int16),
        author=np.arange(ROOMS)[::-1].copy(),
    )


def _plainly(settings, money, sequence, base, left, day):
    """Coins and parts of each window by the law, recomputed from all gifts before it."""
    draws = np.random.default_rng([settings.seed, 15, day]).random(len(sequence.odds))
    coins, following, price = np.zeros((3, len(draws)))
    weights, decades = tier_weights()
    for row, (user, room, window) in enumerate(
        zip(sequence.user, sequence.room, sequence.window, strict=True)
    ):
        earlier = np.flatnonzero((coins[:row] > 0) & (sequence.room[:row] == room))
        ago = window - sequence.window[:row][earlier]
        recent = np.exp(-ago[ago > 0] / settings.following_fades).sum()
        following[row] = settings.following * np.log(1 + recent)
        author = sequence.author[room]
        can = left[user] >= PRICES
        if not can.any():
            price[row] = EMPTY
            continue
        price[row] = -settings.dear * max(0, money.level[author] - np.log(1 + left[user]))
        chance = 1 / (1 + np.exp(-(base + sequence.odds[row] + following[row] + price[row])))
        if draws[row] < chance:
            tilt = money.tilt_of_user[user] + money.tilt_of_author[author]
            shares = np.exp(weights + tilt * decades)[can]
            coins[row] = PRICES[
                np.searchsorted(np.cumsum(shares) / shares.sum(), draws[row] / chance, "right")
            ]
            left[user] -= coins[row]
    return coins, following, price


def test_gifts_follow_the_law_in_order_of_time(money, sequence):
    settings = SecondSettings(users=USERS, authors=ROOMS, purse=20.0, seed=5)
    giving, left = Giving(settings, money, -2.0), money.full.copy()
    for day in range(3):
        if day:
            left += settings.refill * (money.full - left)
        found = giving.day(sequence, day)
        coins, following, price = _plainly(settings, money, sequence, -2.0, left, day)
        assert 20 < np.count_nonzero(coins) < 600 and (price == EMPTY).any() and (price < 0).mean() > 0.1
        np.testing.assert_array_equal(found.coins, coins)
        np.testing.assert_allclose(found.following, following, rtol=1e-5)
        np.testing.assert_allclose(found.price, price, rtol=1e-5)
        np.testing.assert_allclose(giving.left, left)
        assert (giving.left >= 0).all()


def test_the_base_gives_the_wanted_gifts(money, sequence):
    settings = SecondSettings(users=USERS, authors=ROOMS)
    days = [sequence] * 2
    base = find_base(settings, money, days, 100, -3.0)
    giving = Giving(settings, money, base)
    assert sum(
        np.count_nonzero(giving.day(each, day).coins) for day, each in enumerate(days)
    ) == pytest.approx(100, abs=3)


def test_windows_are_drawn_in_the_order_in_which_they_begin():
    rooms = Rooms(
        author=np.array([3, 1]),
        start=np.array([5_000, 50_000]),
        segments=np.array([10, 10]),
        first=np.array([0, 10]),
        events=np.zeros((20, 13), bool),
        highlight=np.zeros(20, bool),
    )
    visits = Visits(
        *(np.array(each) for each in ([0, 0, 1], [0, 1, 0], [6_000, 70_000, 9_000], [69_000, 99_000, 99_000]))
    )
    windows = windows_of(visits, rooms)
    order = by_time(rooms, visits, windows)
    made = sequence_of(rooms, visits, windows, np.arange(len(order), dtype=np.float32), order)
    start = rooms.start[made.room] + made.window.astype(np.int64) * 30_000
    assert (np.diff(start) >= 0).all()
    both = np.flatnonzero(np.diff(start) == 0)
    assert len(both) == 3 and (made.user[both] < made.user[both + 1]).all()


def test_recent_gifts_of_segments_are_those_that_the_next_window_follows():
    rooms = replace(
        Rooms(*(np.zeros(0, int),) * 4, np.zeros((0, 13), bool), np.zeros(0, bool)),
        segments=np.array([4, 3]),
        first=np.array([0, 4]),
    )
    recent = recent_gifts(rooms, np.array([0, 0, 1]), np.array([1, 1, 0]), 2.0)
    fade = np.exp(-0.5)
    np.testing.assert_allclose(
        recent, [0, 2 * fade, 2 * fade**2, 2 * fade**3, fade, fade**2, fade**3], rtol=1e-6
    )
