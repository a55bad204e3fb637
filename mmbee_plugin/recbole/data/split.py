"""Interface of the training split that models and their tables read."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from recbole.config import Config
from recbole.data.interaction import Interaction

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.histories import Histories


class TrainingSplit(Protocol):
    """The training part of a :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`, or a stand-in for it.

    Attributes:
        user_num, item_num: numbers of RecBole's ids, padding 0 included.
        uid_field, iid_field, time_field, label_field: columns of `inter_feat`, the rows of the split.
        user_rows, item_rows: (n_users,), (n_items,) int64, RecBole id -> row of the file; -1 for padding.
        ordered: whether there is time.
        labelled: whether rows carry a 0/1 label.
        histories: of the positives of the split.
        times: (rows,) float64, seconds since the earliest interaction; None without time.
        amounts: (rows,) float64 gift amounts of live data; else None.
        trained_until: time of the latest row as in the file, in seconds; None without time.
    """

    config: Config
    folder: DatasetFolder
    user_num: int
    item_num: int
    uid_field: str
    iid_field: str
    time_field: str
    label_field: str
    inter_feat: Interaction
    field2id_token: dict[str, NDArray]
    user_rows: NDArray[np.int64]
    item_rows: NDArray[np.int64]
    ordered: bool
    labelled: bool
    histories: Histories
    times: NDArray[np.float64] | None
    amounts: NDArray[np.float64] | None
    trained_until: float | None

    def positive_rows(self) -> NDArray[np.bool_]:
        """(rows,) bool: label 1, or every row of data without labels."""

    def positive_keys(self) -> NDArray[np.int64]:
        """Sorted distinct `user * n_items + item` of the positive rows."""
