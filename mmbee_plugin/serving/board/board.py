"""Boards: encoded authors, from which requests take rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.gtr import EncodedAuthor
from mmbee_plugin.modules.named import module_name
from mmbee_plugin.serving.board.rows import SharedRows
from mmbee_plugin.serving.board.segment import Segment, stored_segments
from mmbee_plugin.serving.board.windows import Windows
from mmbee_plugin.serving.bundle.opened import Bundle
from mmbee_plugin.serving.bundle.sides import author_side

BATCH = 256
"""authors encoded at once"""
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

    def newest(self) -> float | None:
        """End of the newest segment in seconds since the epoch; None for static items and before the first."""
        ...


class _ByRow:
    """A place is an author's row in the bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._rows: dict[str, int] = {}  # cache of known authors, so bounded by their number

    def author(self, place: int) -> str:
        return self.bundle.tokens.token(place)

    def row(self, author: str) -> int:
        """The author's row, 0 for an unknown one."""
        row = self._rows.get(author) or self.bundle.tokens.row(author)
        if row:
            self._rows[author] = row
        return row

    def _encoded(self, rows: torch.Tensor, top: torch.Tensor, views: torch.Tensor | None) -> EncodedAuthor:
        """Authors (1, C, ·) of rows (C,), encoded, with the bundle's own fields of them."""
        fields = self.bundle.authors
        category = fields["category"][rows].long() if "category" in fields else None
        return EncodedAuthor(top, fields["author"][rows], rows, views, category).unsqueeze(0)


class StaticBoard(_ByRow):
    """Static items, encoded when the bundle was built."""

    def places(self, authors: Sequence[str], now: float) -> tuple[list[int], dict[int, str]]:
        rows = [self.row(author) for author in authors]
        return [row for row in rows if row], {place: UNKNOWN for place, row in enumerate(rows) if not row}

    def take(self, places: Sequence[int]) -> tuple[EncodedAuthor, None]:
        rows, encoded = torch.tensor(places, dtype=torch.long), self.bundle.encoded
        views = encoded["views"][rows] if "views" in encoded else None
        return self._encoded(rows, encoded["top"][rows], views), None

    def everyone(self, now: float) -> Sequence[int]:
        return range(1, len(self.bundle.tokens) + 1)

    def newest(self) -> None:
        return None


class SharedBoard(_ByRow):
    """Live authors, as another process or a :class:`LiveBoard` encodes them.

    Args:
        bundle: of live data.
        rows: of the same bundle.
    """

    def __init__(self, bundle: Bundle, rows: SharedRows) -> None:
        assert bundle.live is not None
        super().__init__(bundle)
        self.live, self.rows = bundle.live, rows

    def places(self, authors: Sequence[str], now: float) -> tuple[list[int], dict[int, str]]:
        rows = [self.row(author) for author in authors]
        there = self.on_air(self.rows.ends[rows], now).tolist()
        missing = {
            place: OFF_AIR if row else UNKNOWN
            for place, (row, is_there) in enumerate(zip(rows, there, strict=True))
            if not is_there
        }
        return [row for row, is_there in zip(rows, there, strict=True) if is_there], missing

    def take(self, places: Sequence[int]) -> tuple[EncodedAuthor, NDArray[np.float64]]:
        rows = np.array(places, dtype=np.int64)
        found = self.rows.read(rows)
        views = torch.from_numpy(found["views"]) if "views" in (found.dtype.names or ()) else None
        return self._encoded(torch.from_numpy(rows), torch.from_numpy(found["top"]), views), found["end"]

    def everyone(self, now: float) -> Sequence[int]:
        return np.flatnonzero(self.on_air(self.rows.ends, now)).tolist()

    def newest(self) -> float | None:
        end = float(self.rows.ends.max())
        return end if end > 0 else None

    def on_air(self, ends: ArrayLike, now: ArrayLike) -> NDArray[np.bool_]:
        """Whether authors stay on the board, by the ends (n,) of their newest segments, 0 or -inf for none."""
        ends = np.asarray(ends)
        return (ends > 0) & (ends >= np.asarray(now) - self.live.stays)


class LiveBoard(SharedBoard):
    """Live authors, encoded again with each new segment.

    One thread adds and encodes at a time; others may read meanwhile.

    Args:
        bundle: of live data.
        windows: received segments; they outlive the bundle.
    """

    def __init__(self, bundle: Bundle, windows: Windows) -> None:
        assert bundle.live is not None
        self.bundle, self.live = bundle, bundle.live
        with torch.inference_mode():
            like = self.encoded([0], [[]])
        views = 0 if like.views is None else like.views.shape[1]
        rows = SharedRows.create(bundle.id, len(bundle.tokens) + 1, like.top.shape[1], views)
        super().__init__(bundle, rows)
        self.windows = windows
        self._seeded: set[str] = set()  # bounded as `_rows` is

    def add(self, author: str, segment: Segment) -> str:
        """Adds a segment without encoding its author; returns :data:`UNKNOWN` or the answer of :meth:`Windows.add`."""
        row = self.row(author)
        if not row:
            return UNKNOWN
        self._seed(author, row)
        return self.windows.add(author, segment)

    def __contains__(self, author: str) -> bool:
        return bool(self.rows.ends[self.row(author)])

    def encode(self, authors: Sequence[str]) -> None:
        """Encodes authors of the bundle that have segments, and puts them on the board."""
        distinct = list(dict.fromkeys(authors))
        for start in range(0, len(distinct), BATCH):
            found = {author: self.windows.of(author) for author in distinct[start : start + BATCH]}
            part = [author for author, own in found.items() if own]  # none for one that was dropped meanwhile
            if not part:
                continue
            rows, windows = [self.row(author) for author in part], [found[author] for author in part]
            with torch.inference_mode():
                encoded = self.encoded(rows, windows)
            fields = {"top": encoded.top.numpy()}
            if encoded.views is not None:
                fields["views"] = encoded.views.numpy()
            self.rows.write(np.array(rows), np.array([own[-1].end for own in windows]), fields)

    def encode_changed(self, since: int = -1) -> None:
        """Encodes the bundle's authors on the air with segments added after change number ``since``, by default all;
        fills the board of a new bundle."""
        changed = self.windows.changed(since, self.windows.clock - self.live.stays)
        known = {author: row for author in changed if (row := self.row(author))}
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
        """Adds the bundle's own segments of an author, once, and again if its window was dropped."""
        if author not in self._seeded or author not in self.windows:
            self._seeded.add(author)
            self.windows.seed(author, self.stored(row))


def board_of(bundle: Bundle, windows: Windows) -> Board:
    """A bundle's board: its static items, or its live authors as segments are received."""
    return StaticBoard(bundle) if bundle.live is None else LiveBoard(bundle, windows)
