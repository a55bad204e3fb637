"""Settings of `livesim 2`: those of livesim 1, and a strength for each further cause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mmbee_plugin.errors import InputError
from mmbee_plugin.livesim.choice import ChoiceSettings
from mmbee_plugin.livesim.settings import LiveSimSettings


@dataclass(frozen=True)
class SecondSettings(LiveSimSettings):
    """livesim 1's settings as they are, and the further ones; 0 switches a cause off, except where said."""

    version: ClassVar[str] = "livesim 2"

    # The platform's ranking
    listed: float = 0.7
    """Share of the arrivals that choose with the platform's list of rooms before them."""
    ranks_again: float = 1.0
    """Weight of the user's own earlier visits to the author, beside that of everybody's."""
    ranks_memory: float = 0.7
    """Share of a visit's weight in the ranking that remains after a day."""
    explores: float = 0.5
    """Spread of the noise in the ranking."""

    # Drift over days
    taste_turns: float = 0.10
    """Share of the users whose tastes are drawn anew at a midnight."""
    act_turns: float = 0.04
    """Share of the authors who take over another author's highlight at a midnight."""
    style_drift: float = 0.3
    """How far an author's style moves at a midnight, relative to the spread of styles."""
    shape_drift: float = 0.15
    """How far the centre of a type moves at a midnight, relative to the spread of centres."""

    # Gifts that follow gifts
    following: float = 0.6
    """Gain per unit of log(1 + recent gifts in the room)."""
    following_fades: float = 4.0
    """Windows after which a gift counts 1/e in it; above 0."""
    thanks: float = 1.0
    """Length, per unit of log(1 + recent gifts), of the direction in which comments show them."""

    # Prices and purses
    purse: float = 100.0
    """Coins in the median purse; above 0."""
    purse_spread: float = 2.5
    """Spread (of the log) of the users' purses, with their wealth."""
    refill: float = 0.15
    """Share of what is missing in a purse that comes back at a midnight."""
    level: float = 5.0
    """Coins that the median author's audience is used to give; above 0."""
    level_spread: float = 1.5
    """Spread (of the log) of that level over authors."""
    dear: float = 0.5
    """Loss per unit of the log by which the author's level exceeds what is left in the purse."""
    tier_of_user: float = 2.0
    tier_of_author: float = 0.3
    """Log-odds that a deviation of the user's wealth, and of the author's level, add to a price ten times as high."""

    def __post_init__(self) -> None:
        """Raises InputError that names a field out of range."""
        super().__post_init__()
        for name in (
            "listed",
            "ranks_memory",
            "taste_turns",
            "act_turns",
            "style_drift",
            "shape_drift",
            "refill",
        ):
            if getattr(self, name) > 1:
                raise InputError(f"{name}={getattr(self, name)}: a share is at most 1")
        for name in ("following_fades", "purse", "level"):
            if getattr(self, name) == 0:
                raise InputError(f"{name}=0: a number above 0 is needed")
        if self.following >= 1:
            raise InputError(f"following={self.following}: from 1 on, gifts would make gifts without end")

    @property
    def choice(self) -> ChoiceSettings:
        """How users choose among listed rooms: `choice 1`."""
        return ChoiceSettings(own_way=1 - self.listed)
