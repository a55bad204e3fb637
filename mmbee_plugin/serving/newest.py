"""What the newest segments of replayed rows hold: which modalities, whether it is new, how large the features are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.serving.bundle.source import LiveContent

if TYPE_CHECKING:
    from mmbee_plugin.data.segments import SegmentFeatures


def newest_content(
    stored: SegmentFeatures, live: LiveContent, newest: NDArray[np.int64]
) -> tuple[dict[str, NDArray[np.bool_]], dict[str, NDArray[np.float32]]]:
    """What `Replayed` tells of the content of rows: entries of ``covered``, and ``content``.

    Args:
        newest: (n,) row of the author's newest segment, -1 for none.
    """
    rows, place = np.unique(newest, return_inverse=True)
    known = rows >= 0
    own = rows[known]
    later = own > stored.first.numpy()[own]
    covered: dict[str, NDArray[np.bool_]] = {}
    content: dict[str, NDArray[np.float32]] = {}
    # 1: as in the segment before, -1: new, 0: one of the two lacks the modality.
    same = np.zeros((len(live.modalities), len(rows)), dtype=np.int8)
    for number, (name, kind) in enumerate(live.modalities.items()):
        values, present = stored.values(name), stored.present(name)
        has, squares = known.copy(), np.full(len(rows), np.nan, dtype=np.float32)
        has[known] = present[own]
        scaled = (values[rows[has]].astype(np.float32) - kind.mean) / kind.deviation
        squares[has] = (scaled**2).mean(axis=(1, 2))
        both = later & present[own] & present[np.maximum(own - 1, 0)]
        alike = (values[own[both]] == values[own[both] - 1]).all(axis=(1, 2))
        same[number, np.flatnonzero(known)[both]] = np.where(alike, 1, -1)
        covered[f"segments with {name}"], content[name] = has[place], squares[place]
    covered["new content"] = ~((same >= 0).all(axis=0) & (same > 0).any(axis=0))[place]
    return covered, content
