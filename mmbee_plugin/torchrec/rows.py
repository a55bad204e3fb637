"""Which interactions of a dataset folder are trained on, in which fold, and after how much of a history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.histories import Histories
from mmbee_plugin.data.splits import split_by_user
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.donations import fold_of
from mmbee_plugin.graph.settings import GraphSettings
from mmbee_plugin.torchrec.layout import SPLITS


@dataclass(frozen=True)
class Rows:
    """Interactions in file order.

    Shapes:
        - users, authors: (n,) int64, rows of `.user` and `.item`
        - labels: (n,) int8, 0 or 1, or None where every row is a positive
        - times: (n,) float64, since the data's first interaction, or None without time
    """

    users: NDArray[np.int64]
    authors: NDArray[np.int64]
    labels: NDArray[np.int8] | None = None
    times: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.users)

    @property
    def positive(self) -> NDArray[np.bool_]:
        """(n,) label 1, or every row without labels."""
        return np.ones(len(self), dtype=bool) if self.labels is None else self.labels > 0

    def taken(self, which: NDArray) -> Rows:
        """Some of them, by number or flag."""
        labels, times = (None if column is None else column[which] for column in (self.labels, self.times))
        return Rows(self.users[which], self.authors[which], labels, times)


def split_folder(folder: DatasetFolder, threshold: float | None = None) -> dict[str, Rows]:
    """The rows of train, valid and test: the folder's own split, else each user's oldest 80 % train, the next
    10 % validate and the newest test.

    Args:
        folder: the dataset folder.
        threshold: the rating from which a row is a positive; None where every row is one.

    Raises:
        InputError: bad rows, a part without rows, no training positive, a threshold without ratings.
    """
    folder.validate_interactions()
    read = [folder.interactions(split) for split in folder.splits or (None,)]
    if threshold is not None and any(part.ratings is None for part in read):
        raise InputError(
            f"{folder.path}: threshold {threshold:g} needs ratings, there is no column rating:float"
        )
    times = [part.timestamps for part in read if part.timestamps is not None]
    first = float(min(column.min() for column in times)) if folder.ordered else 0.0
    found = []
    for one in read:
        labels = None
        if threshold is not None and one.ratings is not None:
            labels = (one.ratings >= threshold).astype(np.int8)
        since = one.timestamps - first if one.timestamps is not None and folder.ordered else None
        found.append(Rows(one.users, one.items, labels, since))
    if len(found) == 1:
        number = split_by_user(found[0].users, found[0].times)
        found = [found[0].taken(number == part) for part in range(len(SPLITS))]
    parts = dict(zip(SPLITS, found, strict=True))
    for name, part in parts.items():
        if not len(part):
            raise InputError(f"{folder.path}: {len(read[0])} interactions leave no {name} rows")
    if not parts["train"].positive.any():
        raise InputError(f"{folder.path}: no training row has label 1; check threshold {threshold}")
    return parts


@dataclass(frozen=True)
class TrainingRows:
    """The training split and what is known of each of its rows.

    Shapes:
        - later: (n,) how many of the user's positives come after the row
        - kept: (n,) bool, trained on
        - folds: (n,) the cross-fitting fold, -1 for a row in none; None where nothing is cross-fitted
    """

    rows: Rows
    histories: Histories
    later: NDArray[np.int64]
    kept: NDArray[np.bool_]
    folds: NDArray[np.int64] | None


def training_rows(
    rows: Rows, n_users: int, graph: GraphSettings | None, train_newest: int | None = None
) -> TrainingRows:
    """Histories, folds and choice of the training rows.

    Args:
        rows: the training split.
        n_users: rows of `.user`.
        graph: whose `folds` and `fold_by` deal the rows; folds by order leave older rows out.
        train_newest: keep the rows with fewer than so many later positives of their user and with one before.

    Raises:
        InputError: no positive row is left.
    """
    histories = Histories(rows.users, rows.authors, n_users, rows.times, kept=rows.positive)
    later = np.diff(histories.indptr)[rows.users] - histories.positions - rows.positive

    def newest(count: int) -> NDArray[np.bool_]:
        return (later < count) & (histories.positions > 0)

    kept = np.ones(len(rows), dtype=bool) if train_newest is None else newest(train_newest)
    folds = None
    if graph is not None and graph.folds:
        if graph.fold_by == "order":
            folds = np.where(newest(graph.folds), later, -1)
        else:
            folds = fold_of(rows.users, rows.authors, graph.folds, graph.fold_seed)
        kept &= folds >= 0
    if not (kept & rows.positive).any():
        raise InputError(
            "no positive row is left to train on by train_newest and graph.fold_by: order, which need users "
            "with two interactions"
        )
    return TrainingRows(rows, histories, later, kept, folds)
