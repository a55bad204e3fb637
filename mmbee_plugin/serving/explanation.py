"""Explains a served score: its fall without each part, and what the author's queries read in the room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mmbee_plugin.modules import occlusion
from mmbee_plugin.modules.batch import AuthorSide
from mmbee_plugin.modules.gtr import EncodedAuthor, GTRModel
from mmbee_plugin.modules.mfq import MFQ
from mmbee_plugin.serving.board.board import LiveBoard
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.scorer import NOT_FINITE, STALE_BOARD, Behaviour, Scorer


@dataclass(frozen=True)
class Room:
    """The author's newest segments, oldest first.

    Attributes:
        present: modality -> (L,) whether the segment has it.
        attention: (N, M, L) weights with which the author's queries read the tokens, M in the order of ``present``; a
            query's sum to 1. None for a model without queries.
    """

    segments: Sequence[Segment]
    present: Mapping[str, Sequence[bool]]
    attention: list[list[list[float]]] | None


@dataclass(frozen=True)
class Explanation:
    """A pair's logits and their fall without each part.

    Attributes:
        occluded: None where the author cannot be scored.
        missing: why it cannot; None where it can.
        fixed: kinds of parts that were encoded with the bundle and so cannot be left out.
        room: None for static items.
        flags: as in `Scores`.
    """

    occluded: occlusion.Occluded | None
    missing: str | None
    fixed: tuple[str, ...]
    room: Room | None
    flags: tuple[str, ...]


def explain(
    scorer: Scorer, user: str, author: str, now: float, history: Sequence[Behaviour] | None = None
) -> Explanation:
    """Explains a pair's score; arguments as in :meth:`~mmbee_plugin.serving.scorer.Scorer.score`."""
    board, bundle = scorer.board, scorer.bundle
    places, missing = board.places([author], now)
    with torch.inference_mode():
        read = scorer.read(user, now, history)
        if not places:
            return Explanation(None, missing[0], (), None, read.flags)
        encoded, ends = board.take(places)
        flags = (*read.flags, STALE_BOARD) if scorer.is_stale(ends, now) else read.flags
        tokens = [bundle.tokens.token(row) for row in read.history.tolist()]
        times = None if read.times is None else (bundle.origin + read.times.astype(float)).tolist()
        candidates = [*occlusion.behaviours(tokens, times)]
        side: AuthorSide | EncodedAuthor = encoded.take(torch.tensor(0))
        room = None
        if isinstance(board, LiveBoard):
            segments = board.windows.of(author)
            side = board.side([bundle.tokens.row(author)], [segments])
            starts = [one.start for one in segments]
            missed = [None] * (board.live.length - len(starts))
            candidates += occlusion.content(side, [*missed, *starts])
            room = _room(bundle.gtr, side, segments)
        candidates += occlusion.graph(bundle.gtr, read.side, side)
        found = occlusion.occlude(bundle.gtr, read.side, side, candidates)
    if not np.isfinite(found.logits).all():
        return Explanation(None, NOT_FINITE, (), None, flags)
    return Explanation(found, None, _fixed(bundle.gtr, side), room, flags)


def _room(gtr: GTRModel, side: AuthorSide, segments: Sequence[Segment]) -> Room:
    count, names, attention = len(segments), list(side.segment_mask), None
    if isinstance(gtr.content, MFQ) and gtr.content.settings.use_queries:
        names = list(gtr.content.settings.widths)
        attention = gtr.content.attention(side)[0, :, :, -count:].tolist()
    return Room(segments, {name: side.segment_mask[name][0, -count:].tolist() for name in names}, attention)


def _fixed(gtr: GTRModel, side: AuthorSide | EncodedAuthor) -> tuple[str, ...]:
    if isinstance(side, AuthorSide):
        return ()
    read = (occlusion.MODALITY, gtr.content), (occlusion.AUTHOR_LISTS, gtr.author_interest)
    return tuple(kind for kind, part in read if part is not None)
