"""Chooses the training rows and their cross-fitting folds; counts the positives of each item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.folds import DAY, Folding, deal
from mmbee_plugin.data.histories import Histories
from mmbee_plugin.errors import InputError


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a training split.

    Shapes:
        - items: (n,) ids of the histories
        - histories: the users' positives
        - positive: (n,) bool, label 1; all rows of data without labels
        - later: (n,) int64, number of the user's positives after the row
        - folds: (n,) int64 cross-fitting fold, -1 for none; None without cross-fitting
        - kept: (n,) bool, whether the row is trained on
    """

    items: NDArray[np.int64]
    histories: Histories
    positive: NDArray[np.bool_]
    later: NDArray[np.int64]
    folds: NDArray[np.int64] | None
    kept: NDArray[np.bool_]

    @classmethod
    def chosen(
        cls,
        users: NDArray,
        items: NDArray,
        positive: NDArray[np.bool_],
        times: NDArray | None,
        histories: Histories,
        newest: int | None = None,
        folding: Folding | None = None,
        pairs: tuple[NDArray, NDArray] | None = None,
        days: int | None = None,
    ) -> TrainingRows:
        """Chooses the rows and assigns their folds; with folds by order, rows in no fold are not kept.

        Args:
            users, items: (n,) ids of the histories.
            positive: (n,) bool, label 1.
            times: (n,) seconds; None for data without time.
            histories: of these rows.
            newest: keep only rows with a positive of their user before and fewer than this many after.
            folding: fold settings; None or 0 folds: no cross-fitting.
            pairs: (n,) users and items by row of the folder, if the ids differ.
            days: keep only rows of the last so many days, which are those of `history: daily`; needs times.

        Raises:
            InputError: folds by time, or `days`, for data without time; `newest` rows of which some are in no fold.
        """
        later = np.diff(histories.indptr)[users] - histories.positions - positive

        def among(count: int) -> NDArray[np.bool_]:
            return (later < count) & (histories.positions > 0)

        kept = np.ones(len(users), dtype=bool) if newest is None else among(newest)
        if days is not None:
            if times is None:
                raise InputError(f"train_days {days}: the data have no time")
            day = np.asarray(times) // DAY
            kept &= day > day.max(initial=0) - days
        folds = None
        if folding is not None and folding.folds:
            folds = deal(folding, *(pairs or (users, items)), positive, later, times)
            if folding.fold_by == "order":
                if newest is not None and newest > folding.folds:
                    raise InputError(
                        f"train_newest {newest}: graph.folds {folding.folds} by order are of each user's newest "
                        f"{folding.folds} rows, and no others would be trained on; set graph.folds={newest}, or "
                        "graph.fold_by to another"
                    )
                folds = np.where(among(folding.folds), folds, -1)
            kept = kept & (folds >= 0)
        return cls(items, histories, positive, later, folds, kept)

    def counts(self, n_items: int) -> NDArray[np.int64]:
        """(n_items,) number of positive training rows of each item."""
        return np.bincount(self.items[self.kept & self.positive], minlength=n_items)

    def learned(self, n_items: int, live: bool) -> NDArray[np.bool_]:
        """(n_items,) bool, whether an item counts as seen: it has any row of live data, else a positive one.

        Rows that are not kept count too, so that weights mean the same under other choices of rows, and a day later.
        The queries of an author with such rows alone stay at their small start, as long as no negative moves them.
        """
        return np.bincount(self.items[self.positive | live], minlength=n_items) > 0
