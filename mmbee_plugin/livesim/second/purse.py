"""Prices and purses: tiers of gifts, what users can spend, and what authors' audiences are used to give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.livesim.second.settings import SecondSettings
from mmbee_plugin.livesim.world import World

TIERS = {
    **{1: 0.529, 2: 0.147, 3: 0.0739, 4: 0.045, 5: 0.0538, 10: 0.0634, 20: 0.0479, 50: 0.0234, 88: 0.0109},
    **{188: 3.53e-3, 298: 1.46e-3, 520: 3.05e-4, 1_488: 1.23e-4, 5_200: 8e-7, 18_888: 1.5e-8, 56_246: 1e-10},
}
"""price of each tier of gifts in coins, and its weight for who has no wealth to speak of: with the tilts that wealth
adds, KuaiLive's distribution comes out"""
PRICES = np.array(list(TIERS), dtype=np.float64)


@dataclass(frozen=True)
class Money:
    """What gifts cost, and what there is to pay them.

    Shapes:
        - full: (n_users,) coins in a full purse
        - level: (n_authors,) log of the coins that an author's audience is used to give
        - tilt_of_user, tilt_of_author: log-odds added to a tier ten times as dear
    """

    full: np.ndarray
    level: np.ndarray
    tilt_of_user: np.ndarray
    tilt_of_author: np.ndarray


def money_of(settings: SecondSettings, world: World) -> Money:
    """Purses go with the users' wealth, levels with the authors' prices."""
    wealth, price = world.users.wealth, world.authors.price
    return Money(
        full=settings.purse * np.exp(settings.purse_spread * wealth),
        level=np.log(settings.level) + settings.level_spread * price,
        tilt_of_user=settings.tier_of_user * wealth,
        tilt_of_author=settings.tier_of_author * price,
    )


def tier_weights() -> tuple[np.ndarray, np.ndarray]:
    """Log of the tiers' weights, and of their prices in decades, (tiers,) each."""
    return np.log(list(TIERS.values())), np.log10(PRICES)
