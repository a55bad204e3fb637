"""Follows CURRENT: verifies a newly published bundle beside the served one, encodes its authors, and swaps; takes the
segments from which live authors are encoded."""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable, Sequence
from pathlib import Path

from mmbee_plugin.errors import InputError
from mmbee_plugin.serving.board.board import UNKNOWN, LiveBoard, board_of
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.board.windows import ACCEPTED, Windows
from mmbee_plugin.serving.bundle.opened import open_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.source import LiveContent
from mmbee_plugin.serving.scorer import Scorer
from mmbee_plugin.serving.swap.holder import Event, Holder, store_of

POLL = 0.5
"""seconds between reads of CURRENT"""


class Follower(Holder):
    """Holds a scorer of the bundle in CURRENT.

    Args:
        shelf: the folder of bundles.
        store: URL of a Redis or Valkey; None maps the bundles' own files.
        tell: see `Event`.
        journal: folder of a file that keeps the received segments, for a process that replaces this one.
        keep: seconds of `Windows`.
    """

    def __init__(
        self,
        shelf: Shelf,
        store: str | None = None,
        tell: Event = lambda what, detail: None,
        journal: Path | None = None,
        keep: float = math.inf,
    ) -> None:
        super().__init__(tell)
        self.poll = POLL
        self.shelf, self.store, self.journal, self.keep = shelf, store, journal, keep
        self._windows: Windows | None = None
        self._intake = threading.Lock()

    def take(self, segments: Sequence[tuple[str, Segment]], live: LiveContent | None = None) -> list[str]:
        """Adds (author, segment) pairs to the board and encodes their authors; returns what :meth:`LiveBoard.add` does.

        Args:
            live: format that the segments were made for; None if it is the served bundle's.

        Raises:
            InputError: no bundle of live data is served, or one of another format since the segments were made.
            NotKept: a segment cannot be written to the journal; those before it are on the board.
        """
        with self._intake:
            board = self.scorer.board if self.scorer is not None else None
            if not isinstance(board, LiveBoard):
                raise InputError("no bundle of live data is served, so nobody reads segments")
            if live is not None and live.shapes != board.live.shapes:
                raise InputError("a bundle of other segments serves now; post them again")
            answers: list[str] = []
            try:
                for author, segment in segments:
                    answers.append(board.add(author, segment))
            finally:  # also of those before one that could not be kept
                pairs = zip((author for author, _ in segments), answers, strict=False)
                # A late or duplicate segment still puts an author of the bundle on the board.
                board.encode(
                    [
                        one
                        for one, became in pairs
                        if became == ACCEPTED or (became != UNKNOWN and one not in board)
                    ]
                )
        return answers

    def _wanted(self) -> Hashable:
        pointer = self.shelf.current()
        return None if pointer is None else pointer.bundle

    def _swap(self, wanted: Hashable) -> None:
        name = str(wanted)
        manifest = self.shelf.verify(name)
        bundle = open_bundle(self.shelf.path / name, manifest)
        windows = self._kept_windows(bundle.live)
        scorer = Scorer(bundle, store_of(bundle, self.store, checked=True), board_of(bundle, windows))
        scorer.replay()
        if isinstance(scorer.board, LiveBoard):
            known = windows.changes
            scorer.board.encode_changed()
            with self._intake:  # for the segments added meanwhile
                scorer.board.encode_changed(known)
                self.scorer, self._windows = scorer, windows
        else:
            self.scorer = scorer

    def _kept_windows(self, live: LiveContent | None) -> Windows:
        """The received segments; none if the new bundle expects other shapes."""
        if live is None:
            return Windows(LiveContent(1.0, 1, {}))
        if self._windows is not None and self._windows.content.shapes == live.shapes:
            self._windows.content = live
            return self._windows
        return Windows(live, self.journal, self.keep)
