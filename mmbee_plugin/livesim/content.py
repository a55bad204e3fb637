"""Features of segments: three frames, speech and comments, each a vector of 16 float32.

A vector is the author's centre (that of the type, plus a personal style) + directions of the segment's events shown by
the modality + a latent shared by the modalities of the segment + noise of deviation 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmbee_plugin.livesim.events import COMMENT, COMMON, EVENTS, PICTURE, SPEECH, TYPES
from mmbee_plugin.livesim.rooms import Rooms
from mmbee_plugin.livesim.settings import FRAMES, WIDTH, LiveSimSettings
from mmbee_plugin.livesim.world import MODALITIES, Authors

LATENT = 4
LATENT_KEEPS = 0.8  # correlation of the shared latent between successive segments
FRAME_NOISE = 0.8  # deviation of a frame's own noise; noise common to the frames has the rest of the variance
_OWN_EVENTS = {"visual": PICTURE, "speech": SPEECH, "comment": COMMENT}


@dataclass(frozen=True)
class Look:
    """Directions of one modality.

    Shapes:
        - type: (n_authors,) int64
        - shape: (TYPES, WIDTH), centres of the types
        - style: (n_authors, WIDTH), of each author beside the type's centre
        - events: (EVENTS, WIDTH)
        - latent: (LATENT, WIDTH)
        - thanks: (WIDTH,), of length 1 and orthogonal to the events
    """

    type: np.ndarray
    shape: np.ndarray
    style: np.ndarray
    events: np.ndarray
    latent: np.ndarray
    thanks: np.ndarray

    @property
    def centres(self) -> np.ndarray:
        """(n_authors, WIDTH), the authors' own centres."""
        return self.shape[self.type] + self.style


@dataclass(frozen=True)
class Features:
    """Features of a day's segments by modality: (S, FRAMES * WIDTH) or (S, WIDTH) float32, and presence (S,) bool."""

    values: dict[str, np.ndarray]
    present: dict[str, np.ndarray]


def draw_looks(settings: LiveSimSettings, authors: Authors) -> dict[str, Look]:
    """Draws the directions of each modality; those of events are orthogonal within it."""
    rng = np.random.default_rng([settings.seed, 3])
    looks = {}
    for modality in MODALITIES:
        basis = np.linalg.qr(rng.normal(size=(WIDTH, WIDTH)))[0]
        strength = np.zeros(EVENTS)
        strength[COMMON] = settings.events * (1 if modality == "visual" else settings.redundancy)
        strength[_OWN_EVENTS[modality]] = settings.events
        looks[modality] = Look(
            type=authors.type,
            shape=settings.type_shape * rng.normal(size=(TYPES, WIDTH)),
            style=settings.style * rng.normal(size=(settings.authors, WIDTH)),
            events=basis[:EVENTS] * strength[:, None],
            latent=settings.shared_latent * rng.normal(size=(LATENT, WIDTH)) / np.sqrt(LATENT),
            thanks=basis[EVENTS],
        )
    return looks


def draw_features(
    settings: LiveSimSettings,
    authors: Authors,
    looks: dict[str, Look],
    rooms: Rooms,
    day: int,
    thanks: np.ndarray | None = None,
) -> Features:
    """Draws the features of a day's segments. Some authors lack picture or speech; less popular authors have segments
    without comments.

    Args:
        thanks: (S,) how far comments move in their direction `Look.thanks`.
    """
    rng = np.random.default_rng([settings.seed, 4, day])
    room = np.repeat(np.arange(len(rooms.author)), rooms.segments)
    author = rooms.author[room]
    latent = _shared_latent(rng, rooms)
    on = rooms.events.astype(np.float32)
    values = {}
    for modality, look in looks.items():
        shown = on @ look.events.astype(np.float32) + latent @ look.latent.astype(np.float32)
        shown += look.centres.astype(np.float32)[author]
        if modality == "comment" and thanks is not None:
            shown += thanks[:, None].astype(np.float32) * look.thanks.astype(np.float32)
        if modality != "visual":
            values[modality] = shown + rng.standard_normal(shown.shape, dtype=np.float32)
            continue
        shown += np.float32((1 - FRAME_NOISE**2) ** 0.5) * rng.standard_normal(shown.shape, dtype=np.float32)
        noise = rng.standard_normal((len(shown), FRAMES, WIDTH), dtype=np.float32)
        values[modality] = (shown[:, None] + np.float32(FRAME_NOISE) * noise).reshape(len(shown), -1)
    written = rng.random(len(author)) >= settings.silent * (1 - authors.fame[author])
    present = {"visual": authors.picture[author], "speech": authors.speech[author], "comment": written}
    return Features(values, present)


def _shared_latent(rng: np.random.Generator, rooms: Rooms) -> np.ndarray:
    """(S, LATENT) float32: an autoregressive walk of deviation 1 in each room."""
    longest = int(rooms.segments.max(initial=0))
    walk = rng.standard_normal((longest, len(rooms.author), LATENT), dtype=np.float32)
    for step in range(1, longest):
        walk[step] = LATENT_KEEPS * walk[step - 1] + (1 - LATENT_KEEPS**2) ** 0.5 * walk[step]
    inside = np.arange(longest) < rooms.segments[:, None]
    return walk.transpose(1, 0, 2)[inside]
