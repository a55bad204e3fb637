"""Timeline of one live room by segment: attention of the author's queries, logit, gifts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.recbole_files import read_header
from mmbee_plugin.errors import InputError
from mmbee_plugin.modules.mfq import MFQ
from mmbee_plugin.recbole.data.training_rows import learned_items
from mmbee_plugin.recbole.run import LABELLED_RUN

ROOM = "room_id:token"
AUDIENCE = 500
"""most users that are scored for a room, those of its first rows"""
APART = 0.5
"""gap between two segments, in segment lengths, from which segments between them are missing"""


@dataclass(frozen=True)
class Timeline:
    """A room's segments in order.

    Attributes:
        attention: each query's attention by modality and by segment of the sample, the newest last.
        change: norm of the fused vector's difference from the segment before; NaN if that is not in the folder.
        logit: mean over the audience, each user scored in every segment.
        gifts, amounts: of the samples whose newest segment it is.
        highlight: planted highlights; None for data without them, or for a room with missing segments.
        notes: remarks on this room.

    Shapes:
        - starts, ends, change, logit, amounts: (T,) float64; gifts: (T,) int64; highlight: (T,) bool
        - attention: (T, N, M, L) float32; sums to 1 over (M, L)
    """

    room: str
    author: str
    modalities: tuple[str, ...]
    starts: NDArray[np.float64]
    ends: NDArray[np.float64]
    attention: NDArray[np.float32]
    change: NDArray[np.float64]
    logit: NDArray[np.float64]
    gifts: NDArray[np.int64]
    amounts: NDArray[np.float64]
    highlight: NDArray[np.bool_] | None
    notes: tuple[str, ...]


@torch.no_grad()
def read_timeline(network: Any, train: Any, room: str | None = None) -> Timeline:
    """Computes the timeline of a room with a trained model.

    Args:
        network: MMBee in evaluation mode.
        train: its training split.
        room: by default the one with the most gifts in the test split.

    Raises:
        InputError: a model without queries, data without live rooms, an unknown room or one with a single segment.
    """
    folder: DatasetFolder = train.folder
    _check(network, folder)
    rooms, segments, device = _rooms(folder), folder.segments, network.device
    room = room or _busiest(folder, rooms)
    rows = np.flatnonzero(rooms == room)
    if len(rows) < 2:
        found = "a single segment, a timeline needs two" if len(rows) else "no such room with segments"
        raise InputError(f"{folder.path}, room {room!r}: {found}; one of {len(set(rooms)):,} is {rooms[0]!r}")
    starts, author = segments.starts[rows], int(segments.authors[rows[0]])
    item = int(np.flatnonzero(train.item_rows == author)[0])
    items = torch.full((len(rows),), item, device=device)
    side = network.author_side(items, segments=torch.from_numpy(rows).to(device))
    steps = torch.linalg.vector_norm(network.gtr.content(side).double().diff(dim=0), dim=1)
    ends = segments.ends[rows]
    apart = starts[1:] - ends[:-1] > APART * segments.seconds
    change = np.append(np.nan, np.where(apart, np.nan, steps.cpu().numpy()))
    users = _audience(train, rows)
    logit = network.gtr.score_all(_encoded(network, train, users), network.gtr.encode_author(side)).mean(
        dim=0
    )
    gifts, amounts = _gifts(folder, folder.splits or ())
    highlight = _highlights(folder, room, len(rows))
    notes = [
        f"Logit: mean over {len(users):,} users with a row in the room, as if each had come in every segment."
    ]
    if np.isin(folder.rows("train").segments, rows).any():
        notes.append("The model was trained on rows of this room.")
    if not learned_items(train)[item]:
        notes.append("The author has no training row, so the queries are those that all such authors share.")
    if apart.any():
        notes.append(
            f"In {int(apart.sum())} places segments are missing: the folder keeps what a sample sees."
        )
    if highlight is None and _planted(folder).is_dir():
        notes.append(
            "The folder lacks segments of this room, so it is not known which have the planted highlights."
        )
    return Timeline(
        room=room,
        author=folder.item_tokens[author],
        modalities=tuple(network.content.tables),
        starts=starts,
        ends=ends,
        attention=network.gtr.content.attention(side).cpu().numpy(),
        change=change,
        logit=logit.double().cpu().numpy(),
        gifts=gifts[rows],
        amounts=amounts[rows],
        highlight=highlight,
        notes=tuple(notes),
    )


def _check(network: Any, folder: DatasetFolder) -> None:
    content = network.gtr.content
    if not isinstance(content, MFQ) or not content.settings.use_queries:
        raise InputError(
            "the model has no queries; a timeline shows those of content: mfq with use_queries: true, as "
            f"{LABELLED_RUN} trains them"
        )
    if folder.live is None:
        raise InputError(
            f"{folder.path}: has no live rooms; mmbee data samples makes a folder that has, of a log, and "
            f"{LABELLED_RUN} a checkpoint"
        )


def _rooms(folder: DatasetFolder) -> NDArray[np.object_]:
    """(S,) room of each segment."""
    file = folder.path / f"{folder.name}.segment"
    if ROOM not in read_header(file):
        raise InputError(f"{file}, line 1: no column {ROOM!r}, which says what segments make a room")
    column = pd.read_csv(
        file, sep="\t", usecols=[ROOM], dtype="str", na_filter=False, quoting=3, encoding="utf-8"
    )
    return column[ROOM].to_numpy(dtype=object)


def _gifts(folder: DatasetFolder, splits: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number (S,) and sum (S,) of the gifts by newest segment."""
    size = len(folder.segments.starts)
    counts, sums = np.zeros(size, dtype=np.int64), np.zeros(size)
    for split in splits:
        live = folder.rows(split)
        gift = live.taken(live.labels & (live.segments >= 0))
        counts += np.bincount(gift.segments, minlength=size)
        sums += np.bincount(gift.segments, gift.amounts, size)
    return counts, sums


def _busiest(folder: DatasetFolder, rooms: NDArray[np.object_]) -> str:
    """The room with the most gifts in the test split; the first by name among ties."""
    counts, _ = _gifts(folder, ("test",))
    if not counts.any():
        raise InputError(f"{folder.path}: no gift of the test part has a segment; name a room by --room")
    names, place = np.unique(rooms, return_inverse=True)
    return str(names[np.bincount(place, counts).argmax()])


def _audience(train: Any, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """RecBole's ids (U,) of the first :data:`AUDIENCE` users with a row in the room."""
    folder: DatasetFolder = train.folder
    there = [
        folder.interactions(split).users[np.isin(folder.rows(split).segments, rows)]
        for split in folder.splits or ()
    ]
    users = np.fromiter(dict.fromkeys(np.concatenate(there).tolist()), dtype=np.int64)[:AUDIENCE]
    return np.flatnonzero(np.isin(train.user_rows, users))


def _encoded(network: Any, train: Any, users: NDArray[np.int64]) -> Any:
    """Encodes users (U,) as of the end of training."""
    ids, _, times = train.histories.all(users, network.history_length)
    given = [None if one is None else one.to(network.device) for one in (torch.from_numpy(users), ids, times)]
    return network.gtr.encode_user(network.user_side(*given))


def _planted(folder: DatasetFolder) -> Path:
    return folder.path / "planted" / "segments"


def _highlights(folder: DatasetFolder, room: str, size: int) -> NDArray[np.bool_] | None:
    """(T,) planted highlights of a room; None without them or if segments are missing."""
    if not _planted(folder).is_dir():
        return None
    import polars as pl

    planted = pl.scan_parquet(_planted(folder) / "*.parquet").filter(pl.col("room_id") == room)
    found = planted.sort("window").select("highlight").collect()["highlight"].to_numpy()
    return found if len(found) == size else None
