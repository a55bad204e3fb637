"""Draws the gifts of a day one after another: each changes the room's next chances and empties the user's purse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.kernels import kernel
from mmbee_plugin.livesim.rooms import Rooms
from mmbee_plugin.livesim.second.purse import PRICES, Money, tier_weights
from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.settings import SEGMENT_MS
from mmbee_plugin.livesim.visits import Visits, Windows

EMPTY = -30.0
"""log-odds of a gift from an empty purse: a chance of no account"""


@dataclass(frozen=True)
class Sequence:
    """The windows of a day's visits, in the order in which they begin; those of one moment by user.

    Shapes:
        - odds: (W,) float32, log-odds of a gift without base, following and price
        - user, room: (W,) int32
        - window: (W,) int16, counted from the room's start
        - author: (R,) int64 of each room
    """

    odds: np.ndarray
    user: np.ndarray
    room: np.ndarray
    window: np.ndarray
    author: np.ndarray


@dataclass(frozen=True)
class Gifts:
    """What came of a sequence, (W,) each in its order: coins paid (0: no gift), and the two parts of the log-odds that
    depend on what was given before; a price of `EMPTY` is an empty purse."""

    coins: np.ndarray
    following: np.ndarray
    price: np.ndarray


def by_time(rooms: Rooms, visits: Visits, windows: Windows) -> np.ndarray:
    """(W,) rows of the windows in the order of a `Sequence`."""
    start = rooms.start[visits.room][windows.visit] + windows.window * SEGMENT_MS
    return np.argsort(start, kind="stable")  # visits are by user


def sequence_of(
    rooms: Rooms, visits: Visits, windows: Windows, odds: np.ndarray, order: np.ndarray
) -> Sequence:
    """Windows and their log-odds (W,), in the given order."""
    visit = windows.visit[order]
    return Sequence(
        odds=odds[order],
        user=visits.user[visit].astype(np.int32),
        room=visits.room[visit].astype(np.int32),
        window=windows.window[order].astype(np.int16),
        author=rooms.author,
    )


class Giving:
    """Draws the gifts of days; the purses go from day to day.

    Attributes:
        left: (n_users,) float64, coins in each purse.
    """

    def __init__(self, settings: SecondSettings, money: Money, base: float) -> None:
        self._settings, self._money, self._base = settings, money, base
        self.left = money.full.copy()

    def day(self, sequence: Sequence, day: int) -> Gifts:
        """The gifts of the next day, from 0; purses are refilled first."""
        settings, money = self._settings, self._money
        if day:
            self.left += settings.refill * (money.full - self.left)
        draws = np.random.default_rng([settings.seed, 15, day]).random(len(sequence.odds))
        coins = np.zeros(len(draws))
        following, price = np.zeros((2, len(draws)), dtype=np.float32)
        _give(
            *(sequence.odds, sequence.user, sequence.room, sequence.window, sequence.author, draws),
            *(self._base, settings.following, np.exp(-1 / settings.following_fades), settings.dear),
            *(money.level, money.tilt_of_user, money.tilt_of_author, PRICES, *tier_weights()),
            *(self.left, coins, following, price),
        )
        return Gifts(coins, following, price)


def find_base(
    settings: SecondSettings, money: Money, days: list[Sequence], wanted: float, start: float
) -> float:
    """The base, by bisection within 4 of `start`, for which the days' draws have `wanted` gifts."""
    low, high = start - 4, start + 4
    for _ in range(13):
        base = (low + high) / 2
        giving = Giving(settings, money, base)
        count = sum(np.count_nonzero(giving.day(each, day).coins) for day, each in enumerate(days))
        low, high = (base, high) if count < wanted else (low, base)
    return (low + high) / 2


def recent_gifts(rooms: Rooms, room: np.ndarray, window: np.ndarray, fades: float) -> np.ndarray:
    """(S,) float32, recent gifts at the end of each segment, given gifts (n,) in windows of rooms.

    The sum over gifts in this window and earlier ones, of exp(-(windows ago + 1) / fades).
    """
    given = np.bincount(rooms.first[room] + window, minlength=int(rooms.segments.sum())).astype(np.float64)
    for step in range(1, int(rooms.segments.max(initial=0))):
        row = rooms.first[rooms.segments > step] + step
        given[row] += np.exp(-1 / fades) * given[row - 1]
    return (np.exp(-1 / fades) * given).astype(np.float32)


@kernel()
def _give(
    odds: np.ndarray, user: np.ndarray, room: np.ndarray, window: np.ndarray, author: np.ndarray, draws: np.ndarray,
    base: float, gain: float, keeps: float, dear: float,
    level: np.ndarray, tilt_of_user: np.ndarray, tilt_of_author: np.ndarray,
    prices: np.ndarray, weights: np.ndarray, decades: np.ndarray,
    left: np.ndarray, coins: np.ndarray, following: np.ndarray, price: np.ndarray,
) -> None:  # fmt: skip
    """Draws each window in turn; changes `left` and fills `coins`, `following` and `price`.

    A draw below the chance is a gift; the draw over the chance, again uniform, chooses among the tiers that the purse
    can pay: the first whose cumulative share exceeds it.
    """
    recent = np.zeros(len(author))  # as of the room's last window seen
    fresh = np.zeros(len(author))  # gifts in it
    last = np.zeros(len(author), dtype=np.int64)
    share = np.zeros(len(prices))
    for row in range(len(odds)):
        who, where = user[row], room[row]
        if window[row] > last[where]:
            recent[where] = (recent[where] + fresh[where]) * keeps ** (window[row] - last[where])
            fresh[where] = 0.0
            last[where] = window[row]
        following[row] = gain * np.log(1.0 + recent[where])
        if left[who] < prices[0]:
            price[row] = EMPTY
            continue
        whose = author[where]
        price[row] = -dear * max(0.0, level[whose] - np.log(1.0 + left[who]))
        chance = 1.0 / (1.0 + np.exp(-(base + odds[row] + following[row] + price[row])))
        if draws[row] >= chance:
            continue
        total, tiers, tilt = 0.0, 0, tilt_of_user[who] + tilt_of_author[whose]
        while tiers < len(prices) and prices[tiers] <= left[who]:
            total += np.exp(weights[tiers] + tilt * decades[tiers])
            share[tiers] = total
            tiers += 1
        chosen = 0
        while chosen < tiers - 1 and share[chosen] <= draws[row] / chance * total:
            chosen += 1
        coins[row] = prices[chosen]
        left[who] -= prices[chosen]
        fresh[where] += 1.0
