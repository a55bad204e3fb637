"""Which rows of a training split are trained on, in which fold, and how often that makes each item a positive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.folds import Folding, deal
from mmbee_plugin.data.histories import Histories


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a training split, as arrays.

    Shapes:
        - items: (n,) ids by which the histories count
        - histories: the users' positives
        - positive: (n,) bool, of label 1; all rows of data without labels
        - later: (n,) int64, positives of the user that come after the row
        - folds: (n,) int64, the cross-fitting fold, -1 for a row in none; None where nothing is cross-fitted
        - kept: (n,) bool, trained on
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
    ) -> TrainingRows:
        """Chooses and deals the rows; folds by order leave out those which none of them holds.

        Args:
            users, items: (n,) ids by which the histories count.
            positive, times: (n,) of the rows; no times in data without.
            histories: of these rows.
            newest: keep the rows with fewer than so many later positives of their user and with one before.
            folding: how the rows are dealt; None, or 0 folds, does not cross-fit.
            pairs: (n,) users and items by row of the folder, where the ids are others.

        Raises:
            InputError: folds by time of data without it.
        """
        later = np.diff(histories.indptr)[users] - histories.positions - positive

        def among(count: int) -> NDArray[np.bool_]:
            return (later < count) & (histories.positions > 0)

        kept = np.ones(len(users), dtype=bool) if newest is None else among(newest)
        folds = None
        if folding is not None and folding.folds:
            folds = deal(folding, *(pairs or (users, items)), positive, later, times)
            if folding.fold_by == "order":
                folds = np.where(among(folding.folds), folds, -1)
            kept = kept & (folds >= 0)
        return cls(items, histories, positive, later, folds, kept)

    def counts(self, n_items: int) -> NDArray[np.int64]:
        """(n_items,) how often each item is the positive of a row that is trained on."""
        return np.bincount(self.items[self.kept & self.positive], minlength=n_items)

    def learned(self, n_items: int, live: bool) -> NDArray[np.bool_]:
        """(n_items,) bool, whether a row teaches the item's own vectors something: of live data any row, of other data
        a positive."""
        return np.bincount(self.items[self.positive | live], minlength=n_items) > 0
