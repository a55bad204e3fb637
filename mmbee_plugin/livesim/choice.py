"""How users choose among rooms they are shown: `choice 1`, on top of the frozen `livesim 1`.

livesim's visits are draws of a conditional logit (McFadden, 1974) over all rooms on air. A list adds one term to it:

    utility = livesim's own + [shown at position k] * (shown - position * log k)

so an item of a list competes with every room on air that is not shown, which is the outside option of slate models
(RecSim's multinomial logit; Ie et al., 2019). The odds of an item fall as k^-position, the examination of the
position-based click model (Craswell et al., 2008; with position = 1 as in Joachims et al., 2017). A share of the
arrivals, `own_way`, does not look at a list at all.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mmbee_plugin.errors import InputError

VERSION = "choice 1"
"""version of the rule and its default settings; raised by any change to either"""


@dataclass(frozen=True)
class ChoiceSettings:
    """Settings of `choice 1`; they were set before any model ranked rooms in the simulator."""

    length: int = 10
    """Rooms shown."""
    own_way: float = 0.3
    """Share of the arrivals that come to a room without the list: by link, search or following."""
    shown: float = 3.0
    """Utility of being first on the list, in nats: that of a favourite (`choose_favourite`)."""
    position: float = 1.0
    """Exponent with which a position's odds fall."""

    def __post_init__(self) -> None:
        """Raises InputError that names a field out of range."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < float("inf"):
                raise InputError(f"{field.name}={value}: a finite number of at least 0 is needed")
        if self.length < 1:
            raise InputError(f"length={self.length}: a list has at least 1 room")
        if self.own_way > 1:
            raise InputError(f"own_way={self.own_way}: a share is at most 1")

    def utility(self) -> np.ndarray:
        """(K,) float64, what each position of a list adds to a room's utility."""
        return self.shown - self.position * np.log(np.arange(1, self.length + 1))


@dataclass(frozen=True)
class ShownLists:
    """Rooms shown at each arrival of a day.

    Shapes:
        - room: (A, K) int64, rows of the day's `Rooms`, best first, padded with -1; distinct within an arrival
    """

    settings: ChoiceSettings
    room: np.ndarray

    def add_utility(self, utility: np.ndarray, rows: np.ndarray, near: np.ndarray) -> None:
        """Adds the positions' utility in place.

        Args:
            utility: (n, m) of arrivals and rooms. rows: (n,) the arrivals. near: (m,) the rooms, ascending.
        """
        for place, added in enumerate(self.settings.utility()):
            room = self.room[rows, place]
            column = np.searchsorted(near, room).clip(max=len(near) - 1)
            shown = np.flatnonzero(near[column] == room)
            utility[shown, column[shown]] += added


def looks_at_list(settings: ChoiceSettings, seed: int, day: int, arrivals: int) -> np.ndarray:
    """(A,) bool, which arrivals of a day look at a list, whoever made it.

    Args:
        seed: of the simulation.
    """
    return np.random.default_rng([seed, 9, day]).random(arrivals) >= settings.own_way
