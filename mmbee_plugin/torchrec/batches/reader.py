"""Streams a shards folder's rows as global batches, the same on every process.

The order of the training rows is a function of (seed, epoch) alone: row groups are permuted, windows of them shuffled,
and the rows of each cross-fitting fold gathered until a batch is full. So the batches do not depend on the number of
processes, and a run can resume at any of them. Memory holds one window and less than one batch a fold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.errors import InputError
from mmbee_plugin.randomness.streams import Purpose, stream
from mmbee_plugin.torchrec.settings import DataSettings
from mmbee_plugin.torchrec.shards.row_groups import POSITIONS, TASK, TIME, Columns, RowGroups
from mmbee_plugin.torchrec.shards.store import ShardStore


@dataclass(frozen=True)
class GlobalRows:
    """Training rows of one batch of all processes.

    Shapes:
        - users, authors: (B,) int64, rows of the store
        - positions: (B,) int64, number of the user's earlier behaviours; with daily histories, of those before the
          row's day
        - labels: (B,) int64, 0 or 1, or None where every row is a positive
        - fold: the cross-fitting fold of all of them, or None
        - index: number of the batch in its epoch
        - segments: (B,) int64, of live data the newest known segment of the author, -1 for none
        - tasks: (B, T) int8, of live data 1, 0, or -1 for unknown
        - times: (B,) float64, seconds since the data's first interaction; None without time
    """

    users: NDArray[np.int64]
    authors: NDArray[np.int64]
    positions: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    fold: int | None
    index: int
    segments: NDArray[np.int64] | None = None
    tasks: NDArray[np.int8] | None = None
    times: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class LabelledRows:
    """Rows to evaluate one by one: users, authors, labels (0 or 1) and, of live data, segments, (B,) int64 each; with
    time, times (B,) float64."""

    users: NDArray[np.int64]
    authors: NDArray[np.int64]
    labels: NDArray[np.int64]
    segments: NDArray[np.int64] | None = None
    times: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class RankedUsers:
    """Users to rank all authors for.

    Shapes:
        - users: (U,) int64 rows, ascending, each with a positive in the split
        - positive_user, positives: (P,) place in `users` and author row of the distinct positives
        - masked_user, masked: (M,) the same of the training positives that are no positives of the split
        - times: (U,) float64, of each user's earliest positive in the split: the moment of the request; None without
          time
    """

    users: NDArray[np.int64]
    positive_user: NDArray[np.int64]
    positives: NDArray[np.int64]
    masked_user: NDArray[np.int64]
    masked: NDArray[np.int64]
    times: NDArray[np.float64] | None


class TrainReader:
    """Global batches of training rows, each of rows from one fold.

    Args:
        store: the shards.
        data: for its `window`, and its `history`, which selects the positions to read.
        batch_size: rows of a global batch.
        seed: of the order.
        positives_only: leave out rows of label 0, for training with drawn negatives.

    Raises:
        InputError: a file that cannot be read; daily histories of data without time.
    """

    def __init__(
        self,
        store: ShardStore,
        data: DataSettings,
        batch_size: int,
        seed: int,
        positives_only: bool = False,
    ) -> None:
        self._groups = RowGroups(store, "train")
        self._folds = store.folds
        self._labelled, self._live = store.labelled, store.live
        self._position = POSITIONS[store.history_mode(data.history) == "daily"]
        self._window, self._batch_size, self._seed = data.window, batch_size, seed
        self._positives_only = positives_only and store.labelled
        description = store.description
        self._counts = description.positives if self._positives_only else description.rows

    def steps(self, epoch: int) -> int:
        """Batches of an epoch, known without reading; the same in every epoch."""
        return sum(-(-count // self._batch_size) for count in self._counts)

    def batches(self, epoch: int, start: int = 0) -> Iterator[GlobalRows]:
        """The batches of an epoch from number `start` on; earlier ones are read past.

        Raises:
            InputError: rows that cannot be read or are out of range; another number of rows than described.
        """
        order = stream(Purpose.GROUPS, self._seed, epoch).permutation(self._groups.count)
        left: dict[int, Columns] = {}
        index = 0
        for first in range(0, len(order), self._window):
            random = stream(Purpose.WINDOW, self._seed, epoch, first)
            rows = self._shuffled(order[first : first + self._window], random)
            ready = self._full(rows, left, last=first + self._window >= len(order))
            for place in random.permutation(len(ready)):
                if index >= start:
                    fold, part = ready[place]
                    yield self._batch(fold, part, index)
                index += 1
        if index != self.steps(epoch):
            raise InputError(
                f"{self._groups.file}: {index} batches, where its rows were counted to {self.steps(epoch)}; "
                "write the shards again"
            )

    def _shuffled(self, groups: NDArray, random: np.random.Generator) -> Columns:
        read = [self._groups.read(int(group)) for group in groups]
        rows = {name: np.concatenate([part[name] for part in read]) for name in read[0]}
        if self._positives_only:
            rows = _taken(rows, np.flatnonzero(rows["label"]))
        return _taken(rows, random.permutation(len(rows["user"])))

    def _full(self, rows: Columns, left: dict[int, Columns], last: bool) -> list[tuple[int | None, Columns]]:
        """Prepends each fold's rows ``left``, cuts full batches (all rows if these are the ``last``), and keeps the
        remainder in ``left``."""
        ready: list[tuple[int | None, Columns]] = []
        for fold in range(max(1, self._folds)):
            own = _taken(rows, np.flatnonzero(rows["fold"] == fold)) if self._folds else rows
            if fold in left:
                own = {name: np.concatenate([left[fold][name], own[name]]) for name in own}
            count = len(own["user"])
            whole = count if last else count // self._batch_size * self._batch_size
            for start in range(0, whole, self._batch_size):
                part = _taken(own, slice(start, start + self._batch_size))
                ready.append((fold if self._folds else None, part))
            left[fold] = {name: column[whole:].copy() for name, column in own.items()}
        return ready

    def _batch(self, fold: int | None, rows: Columns, index: int) -> GlobalRows:
        users, authors, positions = (
            rows[name].astype(np.int64) for name in ("user", "author", self._position)
        )
        labels = rows["label"].astype(np.int64) if self._labelled else None
        segments = tasks = None
        if self._live is not None:
            segments = rows["segment"].astype(np.int64)
            tasks = np.empty((len(users), len(self._live.tasks)), dtype=np.int8)
            for place, name in enumerate(self._live.tasks):
                tasks[:, place] = rows[TASK + name]
        return GlobalRows(users, authors, positions, labels, fold, index, segments, tasks, rows.get(TIME))


class EvalReader:
    """Rows of the validation or test split: labelled rows, or users with their positives.

    Raises:
        InputError: a file that cannot be read.
    """

    def __init__(self, store: ShardStore, split: Literal["valid", "test"]) -> None:
        self._store, self._groups = store, RowGroups(store, split)
        self.rows = store.description.evaluated[split]

    def labelled(self, batch_size: int) -> Iterator[LabelledRows]:
        """All rows with their labels, by ascending user.

        Raises:
            InputError: data without labels, rows that cannot be read or are out of range.
        """
        if not self._store.labelled:
            raise InputError(f"{self._store.path}: no labels; write the shards with a threshold for ratings")
        for rows in self._read():
            names = {"user": "users", "author": "authors", "label": "labels", "segment": "segments"}
            columns = {field: rows[name].astype(np.int64) for name, field in names.items() if name in rows}
            if TIME in rows:
                columns["times"] = rows[TIME]
            for start in range(0, len(rows["user"]), batch_size):
                yield LabelledRows(**_taken(columns, slice(start, start + batch_size)))

    def ranked(self, batch_size: int) -> Iterator[RankedUsers]:
        """The users with a positive in the split, `batch_size` at a time.

        Raises:
            InputError: rows that cannot be read, are out of range or not by ascending user.
        """
        n_authors = self._store.n_authors
        # Pairs, user * n_authors + author, and their earliest times.
        held, times = np.empty(0, dtype=np.int64), np.empty(0)
        for rows in self._read():
            kept = np.flatnonzero(rows["label"]) if self._store.labelled else slice(None)
            keys = rows["user"][kept].astype(np.int64) * n_authors + rows["author"][kept]
            times = np.concatenate([times, rows[TIME][kept] if TIME in rows else np.zeros(len(keys))])
            oldest_first = np.argsort(times, kind="stable")
            held, first = np.unique(np.concatenate([held, keys])[oldest_first], return_index=True)
            times = times[oldest_first][first]
            users = np.unique(held // n_authors)
            # The last user may continue in the next row group.
            while len(users) > batch_size:
                place = np.searchsorted(held, users[batch_size] * n_authors)
                yield self._ranked(held[:place], times[:place])
                held, times, users = held[place:], times[place:], users[batch_size:]
        if len(held):
            yield self._ranked(held, times)

    def _read(self) -> Iterator[Columns]:
        newest = 0
        for group in range(self._groups.count):
            rows = self._groups.read(group)
            if (np.diff(rows["user"], prepend=newest) < 0).any():
                raise InputError(f"{self._groups.file}, row group {group}: rows are not by ascending user")
            newest = rows["user"][-1] if len(rows["user"]) else newest
            yield rows

    def _ranked(self, keys: NDArray[np.int64], times: NDArray[np.float64]) -> RankedUsers:
        n_authors = self._store.n_authors
        users, first = np.unique(keys // n_authors, return_index=True)
        place, authors = self._store.known(users)
        masked = np.setdiff1d(users[place] * n_authors + authors, keys)
        return RankedUsers(
            users,
            np.searchsorted(users, keys // n_authors),
            keys % n_authors,
            np.searchsorted(users, masked // n_authors),
            masked % n_authors,
            np.minimum.reduceat(times, first) if self._store.ordered else None,
        )


def _taken(rows: Columns, which: NDArray | slice) -> Columns:
    return {name: column[which] for name, column in rows.items()}
