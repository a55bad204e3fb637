"""Puts the demo's authors on the air: the last rooms of its log, over and over, as if they were happening now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmbee_plugin.data.folder import DatasetFolder

LAST = 40
"""segments of a room that are played, its last ones"""


@dataclass(frozen=True)
class Room:
    """An author's last room.

    Attributes:
        features: of each segment, oldest first: modality -> values as `mmbee_plugin.serving.client` sends them.
    """

    author: str
    features: list[dict[str, Any]]


def last_rooms(data: Path) -> list[Room]:
    """The last room of every author who was on the air on the log's last day."""
    folder = DatasetFolder(data)
    segments = folder.segments
    last_day = segments.starts >= segments.ends.max() - 86_400
    rooms = []
    for item, author in enumerate(folder.item_tokens):
        rows = np.flatnonzero(last_day & (segments.authors == item))[-LAST:]
        if len(rows):
            rooms.append(Room(author, [_features(folder, int(row)) for row in rows]))
    return rooms


def played(rooms: list[Room], now: float, seconds: float, before: int) -> Iterator[list[dict[str, Any]]]:
    """Segments to send one after another: first ``before`` of each room at once, then one of each every ``seconds``.

    Args:
        now: when the first ones have just ended, in seconds since 1970.
        seconds: length of a segment.
    """
    yield [
        one for number in range(before) for one in _segments(rooms, number, now + (number - before) * seconds)
    ]
    number = before
    while True:
        yield _segments(rooms, number, now + (number - before) * seconds)
        number += 1


def _segments(rooms: list[Room], number: int, start: float) -> list[dict[str, Any]]:
    return [
        {"author": room.author, "start": start, "features": room.features[number % len(room.features)]}
        for room in rooms
    ]


def _features(folder: DatasetFolder, row: int) -> dict[str, Any]:
    segments = folder.segments
    return {
        name: np.asarray(segments.values(name)[row], dtype=np.float64).tolist()
        for name in folder.modalities
        if segments.present(name)[row]
    }
