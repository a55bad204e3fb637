"""Converts `UserSide` and `AuthorSide` to the arrays of a bundle, and back.

A user is one packed record, since a request reads one user; authors are one array a field, since they are read in
batches. Neighbours are stored pooled, with their mean attributes added
(:meth:`~mmbee_plugin.modules.gie.GIE.mean`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.data.ragged import NOBODY
from mmbee_plugin.modules.batch import AuthorSide, UserSide
from mmbee_plugin.modules.gie import GIE
from mmbee_plugin.modules.sim import gap_buckets

USER_FIELDS = ("user", "neighbours", "neighbour_count", "peers", "peer_weights", "reach_ids", "reach_weights")
AUTHOR_FIELDS = (
    "author",
    "category",
    "queries",
    "seen",
    "neighbours",
    "neighbour_count",
    "peers",
    "peer_weights",
)
LISTS = {"reach_ids": NOBODY, "reach_weights": 0, "peers": 0, "peer_weights": 0}
"""fields padded along their second axis to the longest list -> padding value"""


def kept_fields(
    side: UserSide | AuthorSide, interest: object, lengths: Mapping[str, int]
) -> dict[str, NDArray]:
    """The arrays that a bundle stores of a side, (B, ·) each.

    Args:
        interest: the side's interest encoder, which adds mean attributes to the neighbours.
        lengths: field of `LISTS` -> length to pad it to.
    """
    names = USER_FIELDS if isinstance(side, UserSide) else AUTHOR_FIELDS
    fields = {name: value for name in names if (value := getattr(side, name)) is not None}
    if side.attributes is not None and isinstance(interest, GIE):
        fields["neighbours"] = interest.mean(fields["neighbours"], side.attributes)
    arrays = {name: value.detach().cpu().numpy() for name, value in fields.items()}
    for name in LISTS.keys() & arrays.keys():
        missing = lengths[name] - arrays[name].shape[1]
        padding = [(0, 0), (0, missing)] + [(0, 0)] * (arrays[name].ndim - 2)
        arrays[name] = np.pad(arrays[name], padding, constant_values=LISTS[name])
    return {name: _narrow(array) for name, array in arrays.items()}


def user_side(
    records: NDArray,
    authors: Mapping[str, torch.Tensor],
    history: NDArray[np.int64],
    lengths: NDArray[np.int64],
    times: NDArray[np.float64] | None,
    moments: NDArray[np.float64] | None,
) -> UserSide:
    """Users (B,), from their records (B,) and a history each.

    Args:
        authors: the bundle's author fields; reads ``author`` and ``category``.
        history: (B, H) rows of the authors gifted before, oldest first, H at least 1.
        lengths: (B,) number of behaviours in each row of ``history``; what is beyond is padding.
        times: (B, H) times of these on the data's clock; None for data without time.
        moments: (B,) times of the requests on that clock; None for data without time.
    """
    assert records.dtype.names is not None
    fields = {name: _tensor(records[name]) for name in USER_FIELDS if name in records.dtype.names}
    mask = np.arange(history.shape[1]) < lengths[:, None]
    rows = torch.from_numpy(np.where(mask, history, 0))
    gap = None
    if times is not None and moments is not None:
        # Bundles from before stored times in float32, and their golden requests have moments of it.
        gap = gap_buckets(
            torch.from_numpy(np.where(mask, times, 0)), torch.from_numpy(moments.astype(times.dtype))
        )
    return UserSide(
        user=fields.pop("user", None),
        history=authors["author"][rows],
        history_mask=torch.from_numpy(mask),
        history_gap=gap,
        history_category=authors["category"][rows].long() if "category" in authors else None,
        **fields,
    )


def author_side(
    authors: Mapping[str, torch.Tensor],
    rows: Sequence[int],
    segments: Mapping[str, torch.Tensor],
    present: Mapping[str, torch.Tensor],
) -> AuthorSide:
    """Authors (B,) of a bundle with their content.

    Args:
        authors: the bundle's fields, whole.
        segments: per modality (B, L, F, D) standardised; present: per modality (B, L) bool.
    """
    index = torch.tensor(rows, dtype=torch.long)
    fields = {name: values[index] for name, values in authors.items()}
    if "category" in fields:
        fields["category"] = fields["category"].long()
    return AuthorSide(**fields, ids=index, segments=dict(segments), segment_mask=dict(present))


def _narrow(array: NDArray) -> NDArray:
    """Casts int64 ids and categories to int32, to halve them on disk."""
    return array.astype(np.int32) if array.dtype == np.int64 else array


def _tensor(values: NDArray) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.long() if values.dtype == np.int32 else tensor
