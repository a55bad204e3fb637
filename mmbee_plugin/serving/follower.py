"""Follows CURRENT: loads a newly published bundle beside the served one, verifies it, and swaps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.arrays import mapped
from mmbee_plugin.serving.board.board import UNKNOWN, LiveBoard
from mmbee_plugin.serving.board.windows import ACCEPTED, Segment, Windows
from mmbee_plugin.serving.bundle.opened import Bundle, open_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.source import LiveContent
from mmbee_plugin.serving.scorer import Scorer
from mmbee_plugin.serving.store.records import MappedStore, Store

POLL = 0.5
"""seconds between reads of CURRENT"""
RETRY = 10.0
"""seconds until a refused bundle is tried again"""

Event = Callable[[str, str], None]
"""called with ``swapped`` and the bundle's id, or ``refused`` and the reason in one line"""


class Follower:
    """Holds the serving scorer, swapped by one assignment.

    Args:
        shelf: the folder of bundles.
        store: URL of a Redis or Valkey; None maps the bundles' own files.
        tell: see `Event`.

    Attributes:
        scorer: the serving one; None before the first. A request reads this attribute once.
        refused: why the bundle in CURRENT is not served; None if it is.
    """

    def __init__(
        self, shelf: Shelf, store: str | None = None, tell: Event = lambda what, detail: None
    ) -> None:
        self.shelf, self.store, self.tell = shelf, store, tell
        self.scorer: Scorer | None = None
        self.refused: str | None = None
        self._windows: Windows | None = None
        self._intake = threading.Lock()
        self._tried: tuple[str, float] | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def start(self) -> None:
        """Loads the current bundle, then follows CURRENT in a daemon thread."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; the scorer remains."""
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Swaps to the bundle in CURRENT unless it is served already; reports a failure once, retries after RETRY."""
        try:
            pointer = self.shelf.current()
            if pointer is None or (self.scorer is not None and pointer.bundle == self.scorer.bundle.id):
                self.refused = None
                return
            if (
                self._tried is not None
                and self._tried[0] == pointer.bundle
                and time.monotonic() < self._tried[1]
            ):
                return
            self._tried = pointer.bundle, time.monotonic() + RETRY
            self._swap(pointer.bundle)
            self.refused = None
            self.tell("swapped", pointer.bundle)
        except Exception as error:  # after any error the old bundle is served on, and CURRENT followed
            reason = " ".join(str(error).split()) if isinstance(error, InputError) else f"{error!r}"
            if reason != self.refused:
                self.refused = reason
                self.tell("refused", reason)

    def take(self, segments: Sequence[tuple[str, Segment]], live: LiveContent | None = None) -> list[str]:
        """Adds (author, segment) pairs to the board and encodes their authors; returns what :meth:`LiveBoard.add` does.

        Args:
            live: format that the segments were made for; None if it is the served bundle's.

        Raises:
            InputError: no bundle of live data is served, or one of another format since the segments were made.
        """
        with self._intake:
            board = self.scorer.board if self.scorer is not None else None
            if not isinstance(board, LiveBoard):
                raise InputError("no bundle of live data is served, so nobody reads segments")
            if live is not None and live.shapes != board.live.shapes:
                raise InputError("a bundle of other segments serves now; post them again")
            answers = [board.add(author, segment) for author, segment in segments]
            pairs = zip((author for author, _ in segments), answers, strict=True)
            # A late or duplicate segment still puts an author of the bundle on the board.
            board.encode(
                [
                    one
                    for one, became in pairs
                    if became == ACCEPTED or (became != UNKNOWN and one not in board)
                ]
            )
        return answers

    def _follow(self) -> None:
        while not self._stop.wait(POLL):
            self.look()

    def _swap(self, name: str) -> None:
        manifest = self.shelf.verify(name)
        bundle = open_bundle(self.shelf.path / name, manifest)
        windows = self._kept_windows(bundle.live)
        scorer = Scorer(bundle, self._store_of(bundle), windows)
        scorer.replay()
        if isinstance(scorer.board, LiveBoard):
            known = windows.changes
            scorer.board.encode_changed()
            with self._intake:  # for the segments added meanwhile
                scorer.board.encode_changed(known)
                self.scorer, self._windows = scorer, windows
        else:
            self.scorer = scorer

    def _store_of(self, bundle: Bundle) -> Store:
        if self.store is None:
            return MappedStore(bundle.folder)
        from mmbee_plugin.serving.store.redis import RedisStore  # the client may not be installed

        return RedisStore(self.store, bundle.id, mapped(bundle.folder / "users.npy").dtype)

    def _kept_windows(self, live: LiveContent | None) -> Windows:
        """The received segments; none if the new bundle expects other shapes."""
        content = live or LiveContent(1.0, 1, {})
        if self._windows is not None and self._windows.content.shapes == content.shapes:
            return self._windows
        return Windows(content)
