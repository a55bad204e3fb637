"""Training rows and cross-fitting folds of RecBole's training split."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmbee_plugin.data.training_rows import TrainingRows
from mmbee_plugin.recbole.config.settings import graph_settings
from mmbee_plugin.recbole.data.split import TrainingSplit


def training_rows(dataset: TrainingSplit) -> TrainingRows:
    """Chooses the training rows by ``train_newest`` and ``train_days``, and their folds for a cross-fitted graph.

    Args:
        dataset: the training split, an :class:`~mmbee_plugin.recbole.data.dataset.MMBeeDataset`.

    Raises:
        InputError: folds by time, or ``train_days``, of data without it.
    """
    users, items = (dataset.inter_feat[field].numpy() for field in (dataset.uid_field, dataset.iid_field))
    config = dataset.config
    graph = graph_settings(config) if config["interest"] is not None else None
    return TrainingRows.chosen(
        users,
        items,
        dataset.positive_rows(),
        dataset.times,
        dataset.histories,
        newest=config["train_newest"],
        days=config["train_days"],
        folding=graph if graph is not None and graph.metapaths else None,
        pairs=(dataset.user_rows[users], dataset.item_rows[items]),
    )


def learned_items(dataset: TrainingSplit) -> NDArray[np.bool_]:
    """(n_items,) bool, whether an item counts as seen, see :meth:`TrainingRows.learned`."""
    return training_rows(dataset).learned(dataset.item_num, dataset.folder.live is not None)
