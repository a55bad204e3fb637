"""Offers of the encoder process to scorers: a bundle that it has verified and whose live authors are on a shared board.

The offer is a small JSON file, replaced as a whole. Scorers follow it instead of CURRENT, so that none of them verifies
or encodes anything.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict, dataclass
from pathlib import Path

from mmbee_plugin.data.jsons import read_object
from mmbee_plugin.files import write_json
from mmbee_plugin.serving.board.board import Board, LiveBoard, SharedBoard, StaticBoard
from mmbee_plugin.serving.board.rows import SharedRows
from mmbee_plugin.serving.bundle.manifest import read_manifest
from mmbee_plugin.serving.bundle.opened import open_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.scorer import Scorer
from mmbee_plugin.serving.swap.holder import Holder, store_of

POLL = 0.1
"""seconds between reads of the offer"""


@dataclass(frozen=True)
class Offer:
    """What scorers serve.

    Attributes:
        bundle: its id; None before the first.
        board: path of its `SharedRows`; None for static items.
        refused: why the bundle in CURRENT is not offered; None if it is.
    """

    bundle: str | None = None
    board: str | None = None
    refused: str | None = None


def write_offer(path: Path, holder: Holder) -> None:
    """Offers what this process holds. Raises OSError."""
    scorer = holder.scorer
    board = scorer.board if scorer is not None else None
    rows = board.rows.path if isinstance(board, LiveBoard) else None
    write_json(path, asdict(Offer(None if scorer is None else scorer.bundle.id, rows, holder.refused)))


class OfferFollower(Holder):
    """Holds a scorer of the offered bundle, which reads the encoder's board.

    Args:
        path: of the offer.
        shelf: the folder of bundles.
        store: URL of a Redis or Valkey; None maps the bundles' own files.
    """

    poll = POLL

    def __init__(self, path: Path, shelf: Shelf, store: str | None = None) -> None:
        super().__init__()
        self.path, self.shelf, self.store = path, shelf, store
        self._offer = Offer()

    @property
    def refused(self) -> str | None:
        """Why the bundle in CURRENT is not served, by the encoder or here."""
        return super().refused or self._offer.refused

    def _wanted(self) -> Hashable:
        if self.path.exists():
            self._offer = Offer(**read_object(self.path))
        return None if self._offer.bundle is None else (self._offer.bundle, self._offer.board)

    def _swap(self, wanted: Hashable) -> None:
        assert isinstance(wanted, tuple)
        name, rows = wanted
        folder = self.shelf.path / name
        bundle = open_bundle(folder, read_manifest(folder))
        board: Board = StaticBoard(bundle)
        if rows is not None:
            board = SharedBoard(bundle, SharedRows.open(rows, name))
        # A server that is down now must not keep a scorer from starting: its answers are flagged.
        self.scorer = Scorer(bundle, store_of(bundle, self.store, checked=False), board)
