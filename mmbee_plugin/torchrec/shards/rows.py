"""Splits the rows of a dataset folder and chooses its training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.histories import Histories
from mmbee_plugin.data.live import LiveRows
from mmbee_plugin.data.order import chosen_row_order, drawn_order
from mmbee_plugin.data.splits import split_by_user
from mmbee_plugin.data.training_rows import TrainingRows
from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.settings import GraphSettings


@dataclass(frozen=True)
class Rows:
    """Interactions; for data without time in the row order that replaces it.

    Shapes:
        - users, authors: (n,) int64, rows of `.user` and `.item`
        - labels: (n,) int8, 0 or 1, or None if every row is a positive
        - times: (n,) float64, seconds since the data's first interaction, or None without time
        - live: (n,) further columns of live data, or None
    """

    users: NDArray[np.int64]
    authors: NDArray[np.int64]
    labels: NDArray[np.int8] | None = None
    times: NDArray[np.float64] | None = None
    live: LiveRows | None = None

    def __len__(self) -> int:
        return len(self.users)

    @property
    def positive(self) -> NDArray[np.bool_]:
        """(n,) label 1, or every row without labels."""
        return np.ones(len(self), dtype=bool) if self.labels is None else self.labels > 0

    def taken(self, which: NDArray) -> Rows:
        """Selects rows by number or mask."""
        labels, times = (None if column is None else column[which] for column in (self.labels, self.times))
        live = None if self.live is None else self.live.taken(which)
        return Rows(self.users[which], self.authors[which], labels, times, live)


def split_folder(
    folder: DatasetFolder, threshold: float | None = None, row_order: str | None = None, seed: int = 0
) -> dict[str, Rows]:
    """Rows of train, valid and test: the folder's own split, which may have no test, else by user the oldest 80 % for
    training, the next 10 % for validation and the newest for testing.

    Args:
        folder: the dataset folder.
        threshold: the rating from which a row is a positive; None if every row is one, and for live data, which are
            labelled by their gifts.
        row_order: replaces time in data without it, ``file`` or ``random``; by default as
            :func:`~mmbee_plugin.data.order.chosen_row_order`.
        seed: of the random order.

    Raises:
        InputError: bad rows, a part without rows, no training positive, a threshold without ratings or for live data,
            a row order that is unknown or that the data cannot have.
    """
    chosen = chosen_row_order(folder.order, row_order, folder.name)
    folder.validate_interactions()
    if threshold is not None and folder.live is not None:
        raise InputError(
            f"{folder.path}: live data are labelled by their gifts; threshold {threshold:g} has no use"
        )
    read = [folder.interactions(split) for split in folder.splits or (None,)]
    carried = [folder.rows(split) for split in folder.splits or ()] if folder.live is not None else []
    if threshold is not None and any(part.ratings is None for part in read):
        raise InputError(
            f"{folder.path}: threshold {threshold:g} needs ratings, there is no column rating:float"
        )
    found = []
    for place, one in enumerate(read):
        live = carried[place] if carried else None
        labels = None if live is None else live.labels.astype(np.int8)
        if threshold is not None and one.ratings is not None:
            labels = (one.ratings >= threshold).astype(np.int8)
        since = one.timestamps - folder.origin if one.timestamps is not None and folder.ordered else None
        found.append(Rows(one.users, one.items, labels, since, live))
    if chosen == "random":
        place_of = np.split(
            drawn_order(sum(map(len, found)), seed), np.cumsum([len(one) for one in found])[:-1]
        )
        found = [one.taken(np.argsort(place)) for one, place in zip(found, place_of, strict=True)]
    if len(found) == 1:
        number = split_by_user(found[0].users, found[0].times)
        found = [found[0].taken(number == part) for part in range(len(SPLITS))]
    parts = dict(zip(folder.splits or SPLITS, found, strict=True))
    for name, part in parts.items():
        if not len(part):
            raise InputError(f"{folder.path}: {len(read[0])} interactions leave no {name} rows")
    if not parts["train"].positive.any():
        raise InputError(f"{folder.path}: no training row has label 1; check threshold {threshold}")
    return parts


def training_rows(
    rows: Rows,
    n_users: int,
    graph: GraphSettings | None,
    train_newest: int | None = None,
    train_days: int | None = None,
) -> TrainingRows:
    """Chooses the training rows, with their histories and cross-fitting folds.

    Args:
        rows: the training split.
        n_users: rows of `.user`.
        graph: its `folds` and `fold_by` deal the rows; folds by order leave out older rows.
        train_newest: keep rows with fewer than this many later positives of their user and at least one earlier.
        train_days: keep rows of the last so many days.

    Raises:
        InputError: no positive row is left; folds by time of data without it.
    """
    histories = Histories(rows.users, rows.authors, n_users, rows.times, kept=rows.positive)
    chosen = TrainingRows.chosen(
        rows.users, rows.authors, rows.positive, rows.times, histories, train_newest, graph, days=train_days
    )
    if not (chosen.kept & rows.positive).any():
        raise InputError(
            "no positive row is left to train on by train_newest and graph.fold_by: order, which need users "
            "with two interactions"
        )
    return chosen
