"""Scores a user against authors with one loaded bundle; a request uses one scorer from start to end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.modules.batch import UserSide
from mmbee_plugin.modules.exchange import SEARCH
from mmbee_plugin.modules.gtr import EncodedAuthor, EncodedUser
from mmbee_plugin.serving.board.board import Board, LiveBoard
from mmbee_plugin.serving.bundle.arrays import mapped
from mmbee_plugin.serving.bundle.golden import UNDECIDED, replay
from mmbee_plugin.serving.bundle.opened import Bundle
from mmbee_plugin.serving.bundle.sides import user_side
from mmbee_plugin.serving.bundle.tokens import TokenIndex
from mmbee_plugin.serving.store.records import Store, StoreDown

NOT_FINITE = "not finite"
"""why an author whose logits are NaN or infinite has no score"""
COLD, DEGRADED, STALE_BOARD, STALE_BUNDLE = "cold", "degraded", "stale_board", "stale_bundle"
FRESH_SEGMENTS = 2
"""segment lengths after which an author's newest segment is stale"""
FRESH_HOURS = 36
"""hours after the end of training after which a bundle is stale"""
SHOWN = 1000
"""users among which an example is chosen"""
AT_ONCE = 4096
"""authors scored for one user at once"""


@dataclass(frozen=True)
class Behaviour:
    """A past gift of the user: author, and time in seconds since the epoch; without a time it counts as just given."""

    author: str
    time: float | None = None


@dataclass(frozen=True)
class Scores:
    """A user's logits for authors.

    Attributes:
        logits: (C, T) of the authors that can be scored, in request order; T tasks.
        missing: position in the request -> why that author has no score.
        flags: limits of the scores, such as a cold user or stale content; see docs/serving.md.
    """

    logits: NDArray[np.float32]
    missing: dict[int, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadUser:
    """A user as a request reads it.

    Attributes:
        history: (H,) rows of the authors gifted before, oldest first.
        times: (H,) of these on the data's clock; None for data without time.
        flags: as in `Scores`.
    """

    side: UserSide
    history: NDArray[np.int64]
    times: NDArray[np.float64] | None
    flags: tuple[str, ...]


class Scorer:
    """A bundle, the store of its users and the board of its authors.

    Args:
        bundle: the opened bundle.
        store, board: of the same bundle.

    Attributes:
        example: token of a user with many behaviours.
    """

    def __init__(self, bundle: Bundle, store: Store, board: Board) -> None:
        self.bundle, self.store, self.board = bundle, store, board
        records = mapped(bundle.folder / "users.npy")
        self._nobody = np.array(records[:1])
        busiest = 1 + int(records["history_length"][1:SHOWN].argmax())
        self.example = TokenIndex(bundle.folder / "tokens" / "users").token(busiest)

    def score(
        self,
        user: str,
        authors: Sequence[str],
        now: float,
        history: Sequence[Behaviour] | None = None,
    ) -> Scores:
        """A user's logits for authors.

        Args:
            now: time of the request, in seconds since the epoch.
            history: the user's behaviours, oldest first; by default those stored, up to the end of training.
        """
        places, missing = self.board.places(authors, now)
        with torch.inference_mode():
            encoded, flags = self._user(user, now, history)
            if not places:
                return Scores(np.empty((0, len(self.bundle.gtr.tasks)), np.float32), missing, tuple(flags))
            taken, ends = self.board.take(places)
            logits = self.bundle.gtr.score_tasks(encoded, taken)[0].numpy()
        if self.is_stale(ends, now):
            flags.append(STALE_BOARD)
        finite = np.isfinite(logits).all(axis=1)
        asked = [place for place in range(len(authors)) if place not in missing]
        missing |= {place: NOT_FINITE for place, good in zip(asked, finite, strict=True) if not good}
        return Scores(logits[finite], missing, tuple(flags))

    def top(
        self, user: str, count: int, now: float, history: Sequence[Behaviour] | None = None
    ) -> tuple[list[str], Scores]:
        """The ``count`` authors of the board with the highest logits of the first task, best first, and all logits;
        without those whose logits are not finite."""
        places = np.array(self.board.everyone(now), dtype=np.int64)
        with torch.inference_mode():
            encoded, flags = self._user(user, now, history)
            parts = [np.empty((0, len(self.bundle.gtr.tasks)), np.float32)]
            stale = False
            for start in range(0, len(places), AT_ONCE):
                taken, ends = self.board.take(places[start : start + AT_ONCE].tolist())
                parts.append(self.bundle.gtr.score_tasks(encoded, taken)[0].numpy())
                stale = stale or self.is_stale(ends, now)
        if stale:
            flags.append(STALE_BOARD)
        logits = np.concatenate(parts)
        finite = np.flatnonzero(np.isfinite(logits).all(axis=1))
        best = finite[np.argsort(-logits[finite, 0], kind="stable")[:count]]
        authors = [self.board.author(int(place)) for place in places[best]]
        return authors, Scores(logits[best], flags=tuple(flags))

    def read(self, user: str, now: float, history: Sequence[Behaviour] | None = None) -> ReadUser:
        """The inputs of a user, from the store and the request; arguments as in `score`."""
        record, flag = self.record(user)
        flags = [] if flag is None else [flag]
        if self.is_old(now):
            flags.append(STALE_BUNDLE)
        rows, times = self._history(record) if history is None else self._given(record, history, now)
        lengths, width = np.array([len(rows)]), (1, max(1, len(rows)))
        padded = None if times is None else np.resize(times, width)
        side = self._side(record, np.resize(rows, width), lengths, padded, np.array([now]))
        return ReadUser(side, rows, times, tuple(flags))

    def record(self, user: str) -> tuple[NDArray, str | None]:
        """A user's record (1,), and the flag of an answer where it is that of nobody."""
        try:
            found = self.store.read(user)
        except StoreDown:
            return self._nobody, DEGRADED
        return (self._nobody, COLD) if found is None else (found, None)

    def encode_users(self, records: NDArray, moments: NDArray[np.float64]) -> EncodedUser:
        """Encodes users by their records (B,) with the histories stored there.

        Args:
            moments: (B,) times of the requests, in seconds since the epoch; any for data without time.
        """
        lengths = records["history_length"].astype(np.int64)
        longest = max(1, int(lengths.max(initial=0)))
        rows = records["history"][:, :longest].astype(np.int64)
        times = records["history_times"][:, :longest] if "history_times" in _fields(records) else None
        return self.bundle.gtr.encode_user(self._side(records, rows, lengths, times, moments))

    def replay(self) -> float:
        """Replays the golden requests, see `golden.replay`; raises InputError if their logits differ."""
        searches = self.bundle.manifest["model"].get(SEARCH, {}).get("search") == "soft"
        undecided = UNDECIDED if searches else 0.0
        return replay(self.bundle.folder / "golden.json", self._as_of_training, undecided)

    def is_old(self, now: float) -> bool:
        """Whether training ended more than :data:`FRESH_HOURS` before."""
        return self.bundle.until is not None and now - self.bundle.until > FRESH_HOURS * 3600

    def are_stale(self, ends: NDArray[np.float64], now: float | NDArray[np.float64]) -> NDArray[np.bool_]:
        """(C,) whether the newest segments of live authors, which ended at ``ends`` (C,), are stale."""
        assert self.bundle.live is not None
        return now - ends > FRESH_SEGMENTS * self.bundle.live.seconds

    def is_stale(self, ends: NDArray[np.float64] | None, now: float) -> bool:
        """Whether any of the newest segments that ended at ``ends`` (C,) is stale; never for static items."""
        return ends is not None and bool(self.are_stale(ends, now).any())

    def _user(
        self, user: str, now: float, history: Sequence[Behaviour] | None
    ) -> tuple[EncodedUser, list[str]]:
        read = self.read(user, now, history)
        return self.bundle.gtr.encode_user(read.side), list(read.flags)

    def _side(
        self,
        records: NDArray,
        rows: NDArray[np.int64],
        lengths: NDArray[np.int64],
        times: NDArray[np.float64] | None,
        moments: NDArray[np.float64],
    ) -> UserSide:
        since = moments - self.bundle.origin
        return user_side(records, self.bundle.authors, rows, lengths, times, since)

    def _history(self, record: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
        length = int(record["history_length"][0])
        times = record["history_times"][0, :length] if "history_times" in _fields(record) else None
        return record["history"][0, :length].astype(np.int64), times

    def _given(
        self, record: NDArray, history: Sequence[Behaviour], now: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64] | None]:
        """Rows and times (H,) of a request's history: unknown authors dropped, newest behaviours kept."""
        limit = self.bundle.manifest["model"]["history_length"]
        rows = self.bundle.tokens.rows([one.author for one in history])
        times = np.array([now if one.time is None else one.time for one in history]) - self.bundle.origin
        kept = np.flatnonzero(rows)[-limit:]
        timed = "history_times" in _fields(record)
        return rows[kept], times[kept] if timed else None

    def _as_of_training(self, user: str, authors: Sequence[str], time: float | None) -> torch.Tensor:
        """(C, T) logits with the authors as of the end of training, without received segments."""
        rows = self.bundle.tokens.rows(authors).tolist()
        record = self.store.read(user)
        assert record is not None
        with torch.inference_mode():
            encoded = self.encode_users(record, np.array([0.0 if time is None else time]))
            return self.bundle.gtr.score_tasks(encoded, self._authors(rows))[0]

    def _authors(self, rows: list[int]) -> EncodedAuthor:
        if isinstance(self.board, LiveBoard):
            return self.board.encoded(rows, [self.board.stored(row) for row in rows]).unsqueeze(0)
        return self.board.take(rows)[0]


def _fields(records: NDArray) -> tuple[str, ...]:
    return records.dtype.names or ()
