"""Settings of the simulator of live gifting: sizes, and one strength per planted effect."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from mmbee_plugin.errors import InputError

VERSION = "livesim 1"
"""version of the default settings and the draws; printed with results, and raised by any change to either"""

SEGMENT_MS = 30_000
DAY_MS = 86_400_000
FIRST_DAY_MS = 1_746_403_200_000  # 2025-05-05 00:00 UTC
FRAMES = 3
WIDTH = 16


@dataclass(frozen=True)
class LiveSimSettings:
    """Sizes and strengths; strengths on log-odds are in nats, and 0 switches an effect off."""

    version: ClassVar[str] = VERSION

    users: int = 20_000
    authors: int = 1_500
    days: int = 8
    seed: int = 0
    density: float = 1.0
    """Gifts per visit as a multiple of KuaiLive's 1.48 %."""

    # Who visits whom, and for how long
    visits_per_day: float = 12.0
    """Mean visits of a user and day."""
    activity: float = 0.7
    """Spread (of the log) of a user's number of visits."""
    popularity: float = 1.0
    """Exponent of the authors' Zipf popularity."""
    visit_median: float = 4.9
    """Median length of a visit, seconds."""
    visit_spread: float = 4.75
    """Spread (of the log) of a visit's length, before the room ends."""
    visit_longest: float = 5_400.0
    """Longest visit, seconds."""
    choose_by_taste: float = 1.5
    choose_by_circle: float = 1.2
    choose_favourite: float = 3.0
    """Log-odds that taste, circle and loyalty add when a user picks a room."""

    # Rooms
    on_air: float = 0.45
    """Mean chance that an author streams on a day."""
    room_hours: float = 1.2
    """Mean length of a room."""
    newcomers: float = 0.25
    """Share of the authors who arrive after the first day, evenly over the later ones."""

    # What is seen, heard and written
    type_shape: float = 0.8
    """Deviation of author types' centres, per feature; the noise of a segment is 1."""
    style: float = 0.4
    """Deviation of authors from the centre of their type, per feature."""
    events: float = 3.0
    """Length of an event's direction in each modality that shows it."""
    shared_latent: float = 0.7
    """Strength of a latent of the segment that all modalities share and that is unrelated to gifts."""
    redundancy: float = 1.0
    """Strength of common events in speech and comments, relative to the picture."""
    conjunction_types: int = 2
    """Number of the eight types whose highlight is a picture and a speech event together."""
    comment_types: int = 2
    """Number of the eight types whose highlight only comments show."""
    without_picture: float = 0.04
    without_speech: float = 0.10
    """Shares of the authors who lack a modality."""
    silent: float = 0.35
    """Share of the segments without comments in the smallest rooms; it falls to none in the largest."""

    # What makes a gift
    generosity: float = 1.05
    """Spread of the users' log-odds of a gift."""
    taste: float = 1.8
    """Gain per unit of the user's taste (0 to 1) for the author's type."""
    taste_sparsity: float = 0.25
    """Parameter of the Dirichlet tastes: the smaller, the fewer types a user likes."""
    circle: float = 2.8
    """Gain for an author of the user's own hidden circle."""
    circles: int = 30
    """Number of hidden circles."""
    loyalty: float = 1.5
    """Gain for a favourite."""
    favourites: float = 1.5
    """Mean number of favourites of a user."""
    appeal: float = 0.4
    """Spread of the authors' log-odds of a gift."""
    reaction: float = 2.0
    """Mean gain in a highlight."""
    reaction_spread: float = 0.5
    """Spread of that gain over users, relative to its mean."""
    own_highlight: float = 0.35
    """Share of the authors whose highlight differs from that of their type."""
    price_of_user: float = 0.85
    price_of_author: float = 0.45
    """Correlation of a gift's price (in ranks) with the user's wealth, and with the author."""

    # Other feedback
    comments_per_visit: float = 0.040
    likes_per_visit: float = 0.036
    feedback: float = 1.0
    """Multiplies what taste, loyalty and highlights add to the log-odds of a comment or a like."""

    def __post_init__(self) -> None:
        """Raises InputError that names a field out of range."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value < float("inf"):
                raise InputError(f"{field.name}={value}: a finite number of at least 0 is needed")
        for name, least in (("users", 1), ("authors", 1), ("days", 1), ("circles", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name}={getattr(self, name)}: at least {least} is needed")
        for name in ("on_air", "newcomers", "without_picture", "without_speech", "silent", "own_highlight"):
            if getattr(self, name) > 1:
                raise InputError(f"{name}={getattr(self, name)}: a share is at most 1")
        for name in ("density", "visits_per_day", "visit_median", "room_hours", "taste_sparsity"):
            if getattr(self, name) == 0:
                raise InputError(f"{name}=0: a number above 0 is needed")
        if self.conjunction_types + self.comment_types > 8:
            raise InputError("conjunction_types + comment_types: at most 8, the number of types")
        if self.price_of_user**2 + self.price_of_author**2 > 1:
            raise InputError("price_of_user, price_of_author: their squares may add up to 1 at most")
