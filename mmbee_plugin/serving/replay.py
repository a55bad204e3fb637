"""Replays labelled rows through a bundle in process, with the code that serves them: each row is scored as a request at
its time, with the author's segments up to the one that the row names and the user's stored record.

It is the progressive validation of a day that a bundle was not trained on, and what the gate compares. Rows of the
daily loop name the last segment that had ended, so the answers are those of a service at that time
(:meth:`~mmbee_plugin.serving.scorer.Scorer.score`), in batches; logits that are not finite stay, for the gate to see.
Rows cut by the window's rule (docs/data-formats.md) name a segment that no service has yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.evaluation.chances import chances_in_log
from mmbee_plugin.files import replaced
from mmbee_plugin.modules.gtr import EncodedAuthor
from mmbee_plugin.serving.board.board import BATCH, OFF_AIR, UNKNOWN, Board, LiveBoard, board_of
from mmbee_plugin.serving.board.segment import Segment
from mmbee_plugin.serving.board.windows import Windows
from mmbee_plugin.serving.bundle.opened import open_bundle
from mmbee_plugin.serving.bundle.shelf import Shelf
from mmbee_plugin.serving.bundle.source import LiveContent
from mmbee_plugin.serving.newest import newest_content
from mmbee_plugin.serving.scorer import COLD, DEGRADED, STALE_BOARD, STALE_BUNDLE, Scorer
from mmbee_plugin.serving.store.records import MappedStore

if TYPE_CHECKING:
    from mmbee_plugin.data.folder import DatasetFolder
    from mmbee_plugin.data.labelled import LabelledRows

AT_ONCE = 4096
"""rows scored at once"""
ROWS = ("users", "authors", "times", "weights", "labels", "logits")
MARKS = ("missing", "flags", "covered", "content")
"""fields of `Replayed` that are arrays of its rows, and groups of such"""


@dataclass(frozen=True)
class Replayed:
    """What a bundle answers to labelled rows.

    Attributes:
        trained_share: share of the log's negatives that the bundle was trained on; None if its training drew its own.

    Shapes:
        - tasks: (T,) names
        - users, authors, times, weights: as in `LabelledRows`
        - labels: (n, T) int8, -1 for unknown
        - logits: (n, T) float32, NaN for rows without a score
        - missing: reason -> (n,) bool, rows without a score for it
        - flags: flag -> (n,) bool
        - covered: ``user``, ``author``, ``user's neighbours``, ``author's neighbours`` -> (n,) bool, whether the bundle
          has them for the row; ``segments``, ``segments with <modality>``, ``new content`` -> (n,) bool, whether the
          author has a segment, with the modality, and not the features of the one before; no entry where its model
          reads none
        - content: modality -> (n,) float32 mean square of the standardised features of the newest segment, NaN for none
    """

    bundle: str
    trained_share: float | None
    tasks: tuple[str, ...]
    users: NDArray[np.str_]
    authors: NDArray[np.str_]
    times: NDArray[np.float64] | None
    weights: NDArray[np.float64]
    labels: NDArray[np.int8]
    logits: NDArray[np.float32]
    missing: dict[str, NDArray[np.bool_]]
    flags: dict[str, NDArray[np.bool_]]
    covered: dict[str, NDArray[np.bool_]]
    content: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def groups(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Numbers (n,) of the rows' users, and of their authors, from 0."""
        users, authors = (np.unique(names, return_inverse=True)[1] for names in (self.users, self.authors))
        return users, authors

    @property
    def scored(self) -> NDArray[np.bool_]:
        """(n,) whether the row has a score; not whether it is finite."""
        return ~np.any(list(self.missing.values()), axis=0)

    @property
    def chances(self) -> NDArray[np.float64]:
        """(n,) chances of a gift in the log, NaN for rows without a score.

        Raises:
            InputError: a bundle without chances of the log, since its training drew negatives of its own.
        """
        if self.trained_share is None:
            raise InputError(
                f"{self.bundle}: trained on drawn negatives, so its scores are no chances in the log"
            )
        return chances_in_log(self.logits[:, 0], self.trained_share)

    def taken(self, which: NDArray) -> Replayed:
        """The rows chosen by an index or mask."""
        fields: dict[str, Any] = {
            name: values[which] for name in ROWS if (values := getattr(self, name)) is not None
        }
        for group in MARKS:
            fields[group] = {name: values[which] for name, values in getattr(self, group).items()}
        return replace(self, **fields)

    def write(self, path: Path) -> None:
        """Writes an ``.npz`` file, replacing an older one atomically. Raises OSError."""
        share = np.nan if self.trained_share is None else self.trained_share
        arrays = {"bundle": np.array(self.bundle), "share": np.array(share), "tasks": np.array(self.tasks)}
        arrays |= {name: values for name in ROWS if (values := getattr(self, name)) is not None}
        for group in MARKS:
            arrays |= {f"{group}/{name}": values for name, values in getattr(self, group).items()}
        with replaced(path, "wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def read(cls, path: Path) -> Replayed:
        """Reads what `write` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        fields: dict[str, Any] = {name: arrays.get(name) for name in ROWS}
        for group in MARKS:
            own = [name for name in arrays if name.startswith(f"{group}/")]
            fields[group] = {name.partition("/")[2]: arrays[name] for name in own}
        share = None if np.isnan(arrays["share"]) else float(arrays["share"])
        return cls(str(arrays["bundle"]), share, tuple(arrays["tasks"].tolist()), **fields)


def open_scorer(shelf: Shelf, bundle: str) -> Scorer:
    """Opens a bundle of a shelf as a service would take it: every file verified, golden requests replayed.

    Raises:
        InputError: a bundle that must not be served.
    """
    opened = open_bundle(shelf.path / bundle, shelf.verify(bundle))
    received = Windows(opened.live or LiveContent(1.0, 1, {}))
    scorer = Scorer(opened, MappedStore(opened.folder), board_of(opened, received))
    scorer.replay()
    return scorer


def replay_rows(
    scorer: Scorer,
    folder: DatasetFolder,
    rows: LabelledRows,
    show: Callable[[int], None] = lambda done: None,
) -> Replayed:
    """Scores labelled rows, each with the segments and at the time that it names.

    Args:
        folder: of the rows; has the segments of live authors.
        show: called with the number of rows scored so far.

    Raises:
        InputError: the bundle reads live segments and the folder has none, or of other modalities or shapes.
    """
    if isinstance(scorer.board, LiveBoard):
        _check_shapes(folder, scorer.board.live)
    tasks, n = scorer.bundle.gtr.tasks, len(rows)
    logits = np.full((n, len(tasks)), np.nan, dtype=np.float32)
    marks: dict[str, dict[str, NDArray]] = {group: {} for group in MARKS}
    for start in range(0, n, AT_ONCE):
        part = np.arange(start, min(start + AT_ONCE, n))
        found, marked = _replay_part(scorer, folder, rows.taken(part))
        logits[part] = found
        for group, entries in marked.items():
            for name, values in entries.items():
                marks[group].setdefault(name, np.zeros(n, dtype=values.dtype))[part] = values
        show(start + len(part))
    unknown = np.full(n, -1, dtype=np.int8)
    labels = np.stack([rows.labels.get(task, unknown) for task in tasks], axis=1)
    return Replayed(
        scorer.bundle.id,
        scorer.bundle.trained_share,
        tasks,
        rows.users,
        rows.authors,
        rows.times,
        rows.weights,
        labels,
        logits,
        **marks,
    )


def _replay_part(
    scorer: Scorer, folder: DatasetFolder, rows: LabelledRows
) -> tuple[NDArray[np.float32], dict[str, dict[str, NDArray]]]:
    """Logits (n, T) of rows, NaN without a score, and the groups of marks of `Replayed`."""
    bundle, board = scorer.bundle, scorer.board
    moments = np.zeros(len(rows)) if rows.times is None else rows.times
    known, of_row = np.unique(rows.users, return_inverse=True)
    read = [scorer.record(str(user)) for user in known]
    records = np.concatenate([record for record, _ in read])[of_row]
    why = np.array([flag or "" for _, flag in read])[of_row]
    tokens, author_of_row = np.unique(rows.authors, return_inverse=True)
    authors = bundle.tokens.rows(tokens.tolist())[author_of_row]
    missing = {UNKNOWN: authors == 0}
    flags = {flag: why == flag for flag in (COLD, DEGRADED)}
    flags[STALE_BUNDLE] = np.array([scorer.is_old(now) for now in moments])
    covered = {"user": why == "", "author": authors > 0}
    content: dict[str, NDArray[np.float32]] = {}
    for side, fields in (("user", records), ("author", _author_fields(bundle.authors, authors))):
        if (has := _has_neighbours(fields)) is not None:
            covered[f"{side}'s neighbours"] = has & covered[side]
    if isinstance(board, LiveBoard):
        there = rows.segments >= 0
        ends = np.full(len(rows), -np.inf)
        ends[there] = folder.segments.ends[rows.segments[there]]
        missing[OFF_AIR] = (authors > 0) & ~board.on_air(ends, moments)
        flags[STALE_BOARD] = there & scorer.are_stale(ends, moments)
        covered["segments"] = there
        seen, content = newest_content(folder.segments, board.live, rows.segments)
        covered |= seen
    scored = ~np.any(list(missing.values()), axis=0)
    flags = {name: values & scored for name, values in flags.items()}
    logits = np.full((len(rows), len(bundle.gtr.tasks)), np.nan, dtype=np.float32)
    if scored.any():
        with torch.inference_mode():
            user = scorer.encode_users(records[scored], moments[scored])
            author = _encoded(board, folder, authors[scored], rows.segments[scored])
            logits[scored] = bundle.gtr.score_tasks(user, author.unsqueeze(1)).squeeze(1).numpy()
    return logits, {"missing": missing, "flags": flags, "covered": covered, "content": content}


def _encoded(
    board: Board, folder: DatasetFolder, authors: NDArray[np.int64], segments: NDArray[np.int64]
) -> EncodedAuthor:
    """Authors (n,) by row of the bundle, encoded with their segments up to row ``segments`` (n,) of the folder, each
    pair of the two once."""
    from mmbee_plugin.data.segments import windows  # imports pandas, which serving does without

    if not isinstance(board, LiveBoard):
        return board.take(authors.tolist())[0].take(torch.tensor(0))
    pairs, place = np.unique(np.stack([authors, segments]), axis=1, return_inverse=True)
    window = windows(folder.segments.first, torch.from_numpy(pairs[1]), board.live.length).numpy()
    parts = []
    for start in range(0, len(window), BATCH):
        part = slice(start, start + BATCH)
        parts.append(board.encoded(pairs[0, part].tolist(), _segments(folder, board.live, window[part])))
    return EncodedAuthor.cat(parts).take(torch.from_numpy(place.reshape(-1)))


def _segments(folder: DatasetFolder, live: LiveContent, window: NDArray[np.int64]) -> list[list[Segment]]:
    """The segments in windows (n, L) of rows of the folder, -1 for none, oldest first."""
    stored, wanted = folder.segments, np.unique(window[window >= 0])
    own: dict[int, dict[str, NDArray]] = {row: {} for row in wanted.tolist()}
    for name in live.modalities:
        values, present = stored.values(name)[wanted], stored.present(name)[wanted]
        for place in np.flatnonzero(present):
            own[int(wanted[place])][name] = values[place]
    made = {row: Segment(float(stored.starts[row]), float(stored.ends[row]), own[row]) for row in own}
    return [[made[row] for row in rows.tolist() if row >= 0] for rows in window]


def _has_neighbours(fields: Mapping[str, NDArray] | NDArray) -> NDArray[np.bool_] | None:
    """(n,) whether sides have neighbours, by their stored fields; None for a model that reads none."""
    names = (fields.dtype.names or ()) if isinstance(fields, np.ndarray) else fields
    counts = [fields[name] for name in ("neighbour_count", "peer_weights") if name in names]
    return (np.concatenate(counts, axis=1) > 0).any(axis=1) if counts else None


def _author_fields(authors: Mapping[str, torch.Tensor], rows: NDArray[np.int64]) -> dict[str, NDArray]:
    index = torch.from_numpy(rows)
    return {
        name: authors[name][index].numpy() for name in ("neighbour_count", "peer_weights") if name in authors
    }


def _check_shapes(folder: DatasetFolder, live: LiveContent) -> None:
    for name, kind in live.modalities.items():
        found = folder.segments.values(name).shape[1:]
        if found != (kind.frames, kind.width):
            raise InputError(
                f"{folder.path}: segments of {name} have {found[0]} frames of {found[1]} numbers, the bundle reads "
                f"{kind.frames} of {kind.width}"
            )
