"""Boards: encoded authors, from which requests take rows."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.gtr import EncodedAuthor
from mmbee_plugin.modules.named import module_name
from mmbee_plugin.serving.board.windows import Segment, Windows, stored_segments
from mmbee_plugin.serving.bundle.opened import Bundle
from mmbee_plugin.serving.sides import author_side

BATCH = 256
"""authors encoded at once"""
ON_AIR = 20
"""segment lengths that an author stays on the board after the end of its newest segment"""
UNKNOWN, OFF_AIR = "unknown author", "no live segment"


class Board(Protocol):
    """Authors of one bundle, encoded."""

    def places(self, authors: Sequence[str], now: float) -> tuple[list[int], dict[int, str]]:
        """Places of the authors on the board; for the others, position in ``authors`` -> why they are not."""
        ...

    def take(self, places: Sequence[int]) -> tuple[EncodedAuthor, NDArray[np.float64] | None]:
        """A consistent copy of the authors (1, C, ·) at these places, and (C,) ends of their newest segments in seconds
        since the epoch, None for static items."""
        ...

    def everyone(self, now: float) -> Sequence[int]:
        """Places of all authors that can be ranked."""
        ...

    def author(self, place: int) -> str:
        """The token of the author at a place."""
        ...


class StaticBoard:
    """Static items, encoded when the bundle was built; a place is an author's row."""

    def __init__(self, bundle: Bundle) -> None:
        assert bundle.encoded is not None
        self.bundle, self.encoded = bundle, bundle.encoded
        self._rows: dict[str, int] = {}  # cache of known authors, so bounded by their number

    def places(self, authors: Sequence[str], now: float) -> tuple[list[int], dict[int, str]]:
        rows = [self._row(author) for author in authors]
        return [row for row in rows if row], {place: UNKNOWN for place, row in enumerate(rows) if not row}

    def take(self, places: Sequence[int]) -> tuple[EncodedAuthor, None]:
        return self.encoded.take(torch.tensor([places], dtype=torch.long)), None

    def everyone(self, now: float) -> Sequence[int]:
        return range(1, len(self.bundle.tokens) + 1)

    def author(self, place: int) -> str:
        return self.bundle.tokens.token(place)

    def _row(self, author: str) -> int:
        row = self._rows.get(author) or self.bundle.tokens.row(author)
        if row:
            self._rows[author] = row
        return row


class LiveBoard:
    """Live authors, encoded again with each new segment.

    Rows are written and read under one lock, so that a request never reads a partly written one.

    Args:
        bundle: of live data.
        windows: received segments; they outlive the bundle.
    """

    def __init__(self, bundle: Bundle, windows: Windows) -> None:
        assert bundle.live is not None
        self.bundle, self.live, self.windows = bundle, bundle.live, windows
        self._lock = threading.Lock()
        self._seeded: set[str] = set()
        self._place: dict[str, int] = {}
        self._tokens: list[str] = []
        self._encoded: EncodedAuthor | None = None
        self._ends = np.empty(0)

    def places(self, authors: Sequence[str], now: float) -> tuple[list[int], dict[int, str]]:
        found, missing = [], {}
        with self._lock:
            for position, author in enumerate(authors):
                place = self._place.get(author)
                if place is not None and self.on_air(self._ends[place], now):
                    found.append(place)
                elif place is not None or self.bundle.tokens.row(author):
                    missing[position] = OFF_AIR
                else:
                    missing[position] = UNKNOWN
        return found, missing

    def take(self, places: Sequence[int]) -> tuple[EncodedAuthor, NDArray[np.float64]]:
        index = torch.tensor([places], dtype=torch.long)
        with self._lock:
            assert self._encoded is not None  # a place implies an encoded author
            return self._encoded.take(index), self._ends[places]

    def everyone(self, now: float) -> Sequence[int]:
        with self._lock:
            return np.flatnonzero(self.on_air(self._ends, now)).tolist()

    def author(self, place: int) -> str:
        return self._tokens[place]

    def on_air(self, ends: ArrayLike, now: ArrayLike) -> NDArray[np.bool_]:
        """Whether authors stay on the board, by the ends (n,) of their newest segments."""
        return np.asarray(ends) >= np.asarray(now) - ON_AIR * self.live.seconds

    def add(self, author: str, segment: Segment) -> str:
        """Adds a segment without encoding its author; returns :data:`UNKNOWN` or the answer of :meth:`Windows.add`."""
        row = self.bundle.tokens.row(author)
        if not row:
            return UNKNOWN
        self._seed(author, row)
        return self.windows.add(author, segment)

    def __contains__(self, author: str) -> bool:
        return author in self._place

    def encode(self, authors: Sequence[str]) -> None:
        """Encodes authors of the bundle that have segments, and puts them on the board."""
        distinct = list(dict.fromkeys(authors))
        for start in range(0, len(distinct), BATCH):
            part = distinct[start : start + BATCH]
            rows = self.bundle.tokens.rows(part).tolist()
            with torch.inference_mode():
                encoded = self.encoded(rows, [self.windows.of(author) for author in part])
            self._write(part, encoded)

    def encode_changed(self, since: int = -1) -> None:
        """Encodes the bundle's authors with segments added after change number ``since``, by default all; fills the
        board of a new bundle."""
        changed = self.windows.changed(since)
        rows = self.bundle.tokens.rows(changed).tolist()
        known = {author: row for author, row in zip(changed, rows, strict=True) if row}
        for author, row in known.items():
            self._seed(author, row)
        self.encode(list(known))

    def encoded(self, rows: Sequence[int], windows: Sequence[Sequence[Segment]]) -> EncodedAuthor:
        """Encodes authors (B,) by row of the bundle, each with its segments, oldest first."""
        return self.bundle.gtr.encode_author(self.side(rows, windows))

    def side(self, rows: Sequence[int], windows: Sequence[Sequence[Segment]]) -> AuthorSide:
        """What encodes authors (B,) by row of the bundle, each with its segments, oldest first."""
        segments, present = {}, {}
        for name, kind in self.live.modalities.items():
            values = np.zeros((len(rows), self.live.length, kind.frames, kind.width), dtype=np.float32)
            mask = np.zeros(values.shape[:2], dtype=bool)
            for place, own in enumerate(windows):
                for slot, segment in enumerate(own, start=self.live.length - len(own)):
                    if name in segment.values:
                        raw = segment.values[name].astype(np.float32)
                        values[place, slot] = (raw - kind.mean) / kind.deviation
                        mask[place, slot] = True
            segments[name], present[name] = torch.from_numpy(values), torch.from_numpy(mask)
        return author_side(self.bundle.authors, rows, segments, present)

    def stored(self, row: int) -> list[Segment]:
        """The bundle's segments of an author, as of the end of training."""
        arrays = self.bundle.windows
        names = self.live.modalities
        values: Mapping[str, NDArray] = {name: arrays[module_name(name)][row] for name in names}
        present = {name: arrays[f"{module_name(name)}.present"][row] for name in names}
        return stored_segments(arrays["starts"][row], arrays["ends"][row], values, present)

    def _seed(self, author: str, row: int) -> None:
        """Adds the bundle's own segments of an author, once."""
        if author not in self._seeded:
            self._seeded.add(author)
            self.windows.seed(author, self.stored(row))

    def _write(self, authors: Sequence[str], encoded: EncodedAuthor) -> None:
        with self._lock:
            for author in authors:
                if author not in self._place:
                    self._place[author] = len(self._tokens)
                    self._tokens.append(author)
            self._reserve(len(self._tokens), encoded)
            assert self._encoded is not None
            places = torch.tensor([self._place[author] for author in authors])
            for name, values in vars(encoded).items():
                if values is not None:
                    getattr(self._encoded, name)[places] = values
            self._ends[places.numpy()] = [self.windows.of(author)[-1].end for author in authors]

    def _reserve(self, count: int, like: EncodedAuthor) -> None:
        """Grows the arrays to hold ``count`` authors, doubling them."""
        if count <= len(self._ends):
            return
        room = max(1024, 2 * count)
        fields = {
            name: values.new_zeros((room, *values.shape[1:]))
            for name, values in vars(like).items()
            if values is not None
        }
        if self._encoded is not None:
            for name, values in fields.items():
                values[: len(self._ends)] = getattr(self._encoded, name)
        self._ends = np.concatenate([self._ends, np.full(room - len(self._ends), -np.inf)])
        self._encoded = EncodedAuthor(**fields)
