"""What becomes of live segments, however they come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.bundle.source import LiveContent, LiveModality
from mmbee_plugin.serving.swap.follower import Follower

WRONG_SHAPE, NOT_FINITE, WRONG_TIME = "wrong shape", "not finite", "ends before it starts"


def segment_of(
    start: float, end: float | None, features: Mapping[str, Sequence[object] | NDArray], live: LiveContent
) -> Segment | str:
    """A segment in stored form, or what is wrong with it.

    Args:
        end: by default the bundle's segment length after the start.
        features: modality -> (F, D), or (F D,), one frame after the other as logs have them; all zero is missing.
    """
    end = start + live.seconds if end is None else end
    if end < start:
        return WRONG_TIME
    values = {}
    for name, rows in features.items():
        made = _values(rows, live.modalities.get(name))
        if isinstance(made, str):
            return made
        if made.any():  # as in the data, zeros mean that the modality is missing
            values[name] = made
    return Segment(start, end, values)


def take(
    follower: Follower, segments: Sequence[tuple[str, Segment | str]], live: LiveContent | None
) -> list[str]:
    """Puts authors' segments on the board; returns what became of each, in their order.

    Args:
        segments: authors with results of `segment_of`.
        live: format that these were made for.

    Raises:
        InputError: as :meth:`Follower.take`.
    """
    good = [(author, made) for author, made in segments if isinstance(made, Segment)]
    became = iter(follower.take(good, live))
    return [made if isinstance(made, str) else next(became) for _, made in segments]


def _values(rows: Sequence[object] | NDArray, kind: LiveModality | None) -> NDArray | str:
    if kind is None:
        return WRONG_SHAPE
    try:
        with np.errstate(over="ignore"):
            values = np.array(rows, dtype=np.float64).astype(kind.dtype)
    except (ValueError, TypeError):
        return WRONG_SHAPE  # vectors of several lengths
    if values.shape not in ((kind.frames, kind.width), (kind.frames * kind.width,)):
        return WRONG_SHAPE
    values = values.reshape(kind.frames, kind.width)
    return values if np.isfinite(values).all() else NOT_FINITE
