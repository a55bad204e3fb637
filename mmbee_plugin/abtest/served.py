"""Ranks rooms by a published bundle: asked in this process, or over HTTP of a `mmbee serve` of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.abtest.platform import LiveDay, Platform
from mmbee_plugin.errors import InputError
from mmbee_plugin.figures.services import Served
from mmbee_plugin.livesim.settings import SEGMENT_MS
from mmbee_plugin.serving.board.windows import Segment
from mmbee_plugin.serving.bundle.opened import Bundle, open_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.client import Client
from mmbee_plugin.serving.swap.follower import Follower

AT_ONCE = 128
"""users scored at once"""
SECONDS = 60
"""in which a request has to be answered"""


class Service(Protocol):
    """What is asked to score."""

    bundle: Bundle

    def take(self, segments: Sequence[tuple[str, Segment]]) -> None:
        """Puts segments, each with its author, on the board."""
        ...

    def scores(
        self, users: Sequence[str], authors: Sequence[str], moments: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """(B, C) logits of a gift, NaN for authors without one.

        Args:
            moments: (B,) times of the requests, less than a segment apart, in seconds since the epoch.
        """
        ...


class ServedRanker:
    """Ranks by a service, whose board gets the day's segments as they end."""

    def __init__(self, service: Service, platform: Platform, day: LiveDay) -> None:
        self._service, self._day = service, day
        self._authors = [f"a{author}" for author in day.rooms.author]
        self._features: dict[str, NDArray] | None = None
        if (live := service.bundle.live) is not None:
            found = platform.features(day.number)
            self._features = {
                name: found[name].reshape(len(found[name]), kind.frames, kind.width).astype(kind.dtype)
                for name, kind in live.modalities.items()
            }

    def see(self, segments: NDArray[np.int64]) -> None:
        """Takes segments of the day that have ended, rows of the day's."""
        if self._features is None:
            return
        rooms = self._day.rooms
        room = np.searchsorted(rooms.first, segments, side="right") - 1
        starts = rooms.start[room] + (segments - rooms.first[room]) * SEGMENT_MS
        pairs = []
        for row, of_room, start in zip(segments, room, starts, strict=True):
            there = {name: values[row] for name, values in self._features.items()}
            values = {name: each for name, each in there.items() if not np.isnan(each[0, 0])}
            span = self._day.seconds(start), self._day.seconds(start + SEGMENT_MS)
            pairs.append((self._authors[of_room], Segment(*span, values)))
        self._service.take(pairs)

    def scores(
        self, users: NDArray[np.int64], rooms: NDArray[np.int64], at: NDArray[np.float64]
    ) -> NDArray[np.floating]:
        """(B, C) logits of rooms for users who arrive at moments (B,), ms since midnight; NaN without a score."""
        authors = [self._authors[room] for room in rooms]
        return self._service.scores([f"u{user}" for user in users], authors, self._day.seconds(at))


class InProcess:
    """The scorer of the published bundle.

    Args:
        bundles: the folder of bundles.

    Raises:
        InputError: no bundle is published, or it is refused.
    """

    def __init__(self, bundles: Path) -> None:
        self._follower = Follower(Shelf(bundles))
        self._follower.look()
        if self._follower.scorer is None:
            raise InputError(f"{bundles}: {self._follower.refused or 'no bundle is published'}")
        self._scorer = self._follower.scorer
        self.bundle = self._scorer.bundle

    def take(self, segments: Sequence[tuple[str, Segment]]) -> None:
        self._follower.take(segments)

    def scores(
        self, users: Sequence[str], authors: Sequence[str], moments: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        scorer = self._scorer
        logits = np.full((len(users), len(authors)), np.nan, dtype=np.float32)
        places, missing = scorer.board.places(authors, float(moments[0]))
        scored = [place for place in range(len(authors)) if place not in missing]
        if scored:
            taken, _ = scorer.board.take(places)
            for start in range(0, len(users), AT_ONCE):
                part = slice(start, start + AT_ONCE)
                records = np.concatenate([scorer.record(user)[0] for user in users[part]])
                with torch.inference_mode():
                    encoded = scorer.encode_users(records, moments[part])
                    found = self.bundle.gtr.score_tasks(encoded, taken, 1).squeeze(2)
                logits[part, scored] = found.numpy()
        return logits


class OverHTTP:
    """A running `mmbee serve`.

    Args:
        client: of the service. bundle: the one that it serves.
    """

    def __init__(self, client: Client, bundle: Bundle) -> None:
        self._client, self.bundle = client, bundle

    def take(self, segments: Sequence[tuple[str, Segment]]) -> None:
        self._client.segments(
            [
                {
                    "author": author,
                    "start": one.start,
                    "end": one.end,
                    "features": {name: values.tolist() for name, values in one.values.items()},
                }
                for author, one in segments
            ]
        )

    def scores(
        self, users: Sequence[str], authors: Sequence[str], moments: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        rows = []
        for user, moment in zip(users, moments, strict=True):
            answer = self._client.score(user, authors, time=float(moment), logits=True)
            rows.append(next(iter(answer["scores"].values())))
        return np.array(rows, dtype=np.float32)


@contextmanager
def service_of(bundles: Path, http: bool) -> Iterator[Service]:
    """The service of the published bundle, in this process or over HTTP.

    Raises:
        InputError: no bundle is published, or it is refused.
    """
    if http:
        with Served(bundles, f"--deadline={SECONDS}") as served:
            bundle = open_bundle(served.folder, served.manifest)
            yield OverHTTP(Client(served.url, timeout=SECONDS), bundle)
    else:
        yield InProcess(bundles)
