"""Gift prices: KuaiLive's distribution, as far as its published statistics determine it."""

from __future__ import annotations

import numpy as np

from mmbee_plugin.livesim.settings import LiveSimSettings
from mmbee_plugin.livesim.world import World

# The most common prices and their shares; the others follow the log-linear curve through KNOTS (quantile, price), whose
# knots before the last are chosen to give the mean.
COMMON_PRICES = {1: 0.4389, 2: 0.1082, 3: 0.055, 4: 0.035, 5: 0.042, 10: 0.0641, 20: 0.027}
_ABOVE = sum(COMMON_PRICES.values())
KNOTS = (
    (_ABOVE, 6.0),
    (0.80, 20.0),
    (0.90, 88.0),
    (0.95, 298.0),
    (0.99, 1_488.0),
    (0.999, 2_950.0),
    (1.0, 56_246.0),
)


def prices(n: int) -> np.ndarray:
    """(n,) whole prices, float64, ascending: evenly spaced quantiles of the distribution."""
    rank = (np.arange(n) + 0.5) / n
    common, shares = np.array(list(COMMON_PRICES)), np.cumsum(list(COMMON_PRICES.values()))
    share, price = np.array(KNOTS).T
    tail = np.rint(np.exp(np.interp(rank, share, np.log(price))))
    number = np.searchsorted(shares, rank, side="right").clip(max=len(common) - 1)
    return np.sort(np.where(rank < _ABOVE, common[number], tail))


def draw_prices(
    rng: np.random.Generator, settings: LiveSimSettings, world: World, user: np.ndarray, author: np.ndarray
) -> np.ndarray:
    """(n,) price of each gift of a log with users and authors (n,).

    Ranks correlate with the user's wealth and the author's price level (a Gaussian copula); the values are those of
    `prices`, permuted.
    """
    of_user, of_author = settings.price_of_user, settings.price_of_author
    own = (1 - of_user**2 - of_author**2) ** 0.5
    level = of_user * world.users.wealth[user] + of_author * world.authors.price[author]
    level += own * rng.normal(size=len(user))
    amount = np.empty(len(level))
    amount[np.argsort(level)] = prices(len(level))
    return amount
