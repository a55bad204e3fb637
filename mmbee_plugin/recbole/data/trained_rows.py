"""Which rows of a training split are trained on, and which fold's graph each of them reads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.histories import Histories
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.donations import fold_of, fold_of_time
from mmbee_plugin.modules.parts import reads_graph


class TrainedRows:
    """Mixed into :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`; meant for its training split."""

    config: Any
    folder: Any
    inter_feat: Any
    uid_field: str
    iid_field: str
    item_num: int
    user_rows: NDArray[np.int64]
    item_rows: NDArray[np.int64]
    histories: Histories | None
    times: NDArray[np.float64] | None

    def positive_rows(self) -> NDArray[np.bool_]:
        """(rows,) bool, see the dataset."""
        raise NotImplementedError

    def later_gifts(self) -> NDArray[np.int64]:
        """(rows,) how many of the user's training positives come after each row."""
        assert self.histories is not None
        users = self.inter_feat[self.uid_field].numpy()
        return np.diff(self.histories.indptr)[users] - self.histories.positions - self.positive_rows()

    def folds(self) -> NDArray[np.int64] | None:
        """(rows,) the cross-fitting fold of each training row, as the model's graph settings deal them.

        -1 for a row that no fold holds, None where nothing is cross-fitted.

        Raises:
            InputError: folds by time of data without it.
        """
        reads = reads_graph(self.config["interest"], self.config["metapaths"])
        settings = (self.config["graph"] or {}) if reads else {}
        folds = settings.get("folds")
        if not folds:
            return None
        if settings.get("fold_by") == "order":
            return np.where(self._newest(folds), self.later_gifts(), -1)
        if settings.get("fold_by") == "time":
            if self.times is None:
                raise InputError(f"graph.fold_by: time, but {self.folder.name} has no time")
            return fold_of_time(self.times, self.times[self.positive_rows()], folds)
        users = self.user_rows[self.inter_feat[self.uid_field].numpy()]
        items = self.item_rows[self.inter_feat[self.iid_field].numpy()]
        return fold_of(users, items, folds, settings.get("fold_seed", 0))

    def trained_rows(self) -> NDArray[np.bool_]:
        """(rows,) bool: the rows to train on, by `train_newest` and by the folds of the model's graph."""
        newest, folds = self.config["train_newest"], self.folds()
        kept = np.ones(len(self.inter_feat), dtype=bool) if newest is None else self._newest(newest)
        return kept if folds is None else kept & (folds >= 0)

    def trained_counts(self) -> NDArray[np.int64]:
        """(n_items,) how often each item is the positive of a row that is trained on."""
        kept = self.positive_rows() & self.trained_rows()
        return np.bincount(self.inter_feat[self.iid_field].numpy()[kept], minlength=self.item_num)

    def learned_items(self) -> NDArray[np.bool_]:
        """(n_items,) bool: whether there is a training row that teaches the item's own vectors something.

        Of live data every row does, of other data the positives.
        """
        items = self.inter_feat[self.iid_field].numpy()
        rows = items if self.folder.live is not None else items[self.positive_rows()]
        return np.bincount(rows, minlength=self.item_num) > 0

    def _newest(self, count: int) -> NDArray[np.bool_]:
        """(rows,) bool: rows with fewer than `count` later positives of their user, and with one before."""
        assert self.histories is not None
        return (self.later_gifts() < count) & (self.histories.positions > 0)
