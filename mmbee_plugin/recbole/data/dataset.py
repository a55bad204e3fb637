"""The dataset of a run: split rows, and the histories, positives and masks of the training split."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recbole.config import Config
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType, ModelType
from torch import Tensor

from mmbee_plugin.data.histories import Histories, Slices, positions_by_day
from mmbee_plugin.data.writer import SPLITS
from mmbee_plugin.errors import InputError
from mmbee_plugin.recbole.config.splitting import chosen_history
from mmbee_plugin.recbole.config.stock_settings import repeats
from mmbee_plugin.recbole.data.checks import check_parts
from mmbee_plugin.recbole.data.rows import FILE_ROW, FolderRows


class MMBeeDataset(FolderRows):
    """One dataset for all models: the same split, the same histories, the same mask.

    Differences from RecBole's Dataset:

    * its rows are :class:`FolderRows`;
    * rows are split by :func:`~mmbee_plugin.recbole.config.splitting.settle`: by time where there is time;
    * histories come from the training split alone. Of labelled data only the positives are history, edges of
      the interaction matrix, and positives of sampled training or ranking;
    * sequential models get histories by slicing, also on pre-split folders; nothing is augmented.

    Args:
        config: RecBole's Config. Read here, besides RecBole's own `eval_args` and `benchmark_filename` (not
            needed where the folder is pre-split):
            `history`: `prefix`, what came before the target, without entries of the same item; `others`, everything but
            the target; or `daily`, everything before the row's day (24 hours, counted from the earliest interaction),
            as test rows see everything before their period. Default: `daily` on live data, `prefix` on ordered data and
            for RecBole's sequential models, else `others`;
            `MAX_ITEM_LIST_LENGTH`: the newest behaviours kept;
            `row_order`: the order of data without time: `file`, the position in the file, or `random`, a permutation
            drawn from `seed`; by default `random`, unless the folder declares its rows ordered;
            `train_newest`: train on the rows with fewer than this many later positives of their user and at least one
            earlier; by default on all;
            `mask_valid`: at test, mask validation items too;
            `valid_in_history`: at test, histories end with the user's validation items;
            `repeatable`: rank items that a user already has, and draw them as negatives. RecBole's sequential models
            have it on by default; here it counts for them only where it is given, so that all models have one mask.

    Attributes: those of :class:`~mmbee_plugin.recbole.data.split.TrainingSplit`. Histories, times, amounts and
        `trained_until` are None before `build`; then the three parts share the training part's histories and
        `trained_until`, and have rows, times and amounts of their own.
        sequential: whether the model is one of RecBole's sequential ones, or a subclass.
        mask_keys: sorted int64 `user * n_items + item` of the pairs masked in this split's ranking.

    Raises:
        InputError: bad folder or rows, a split part without rows, a model this dataset cannot serve, a
            RecBole cache that would be loaded instead.
    """

    def __init__(self, config: Config) -> None:
        self.histories: Histories | None = None
        self.mask_keys: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.times: NDArray[np.float64] | None = None
        self.amounts: NDArray[np.float64] | None = None
        self.trained_until: float | None = None
        self.positions_by_day: NDArray[np.int32] = np.empty(0, dtype=np.int32)
        super().__init__(config)

        model = config.model_class
        self.sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        own = not model.__module__.startswith("recbole.")
        self.reads_history = self.sequential or getattr(model, "reads_history", own)
        self.max_item_list_len = config["MAX_ITEM_LIST_LENGTH"]
        self.item_list_length_field = config["ITEM_LIST_LENGTH_FIELD"]
        self.item_id_list_field = config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]
        self.time_list_field = config["TIME_FIELD"] + config["LIST_SUFFIX"]
        live, in_order = self.folder.live is not None, self.folder.order.by is not None or self.sequential
        self.history_mode = chosen_history(config, live, in_order)
        if self.history_mode == "daily" and not self.ordered:
            raise InputError(f"history daily: {self.folder.name} has no time")
        if self.reads_history:
            self._declare_history_fields()

    def build(self) -> list[MMBeeDataset]:
        """Splits the rows and gives each part the training histories.

        Returns:
            train, valid, test (without one, the rows of valid); the training rows in file order, or as `row_order`
            draws them.

        Raises:
            InputError: a part that was asked for has no rows.
        """
        splits = super().build()
        if self.folder.splits == SPLITS[:2]:
            splits.append(splits[1].copy(copy.deepcopy(splits[1].inter_feat)))
        self.inter_feat.drop(FILE_ROW)
        train, valid, test = splits
        check_parts(self, splits)
        train.inter_feat._reindex(torch.argsort(train.inter_feat[FILE_ROW], stable=True))
        for split in splits:
            rows = split.inter_feat[FILE_ROW].numpy()
            split.inter_feat.drop(FILE_ROW)
            split.times = None if self._times is None else self._times[rows]
            split.amounts = None if self._live is None else self._live.amounts[rows]

        histories = self._histories(train)
        seen = np.empty(0, dtype=np.int64) if repeats(self.config) else train.positive_keys()
        until = None if train.times is None else self._origin + float(train.times.max())
        for split in (self, *splits):
            split.histories, split.mask_keys, split.trained_until = histories, seen, until
        if self.history_mode == "daily":
            assert train.times is not None
            users = train.inter_feat[self.uid_field].numpy()
            train.positions_by_day = positions_by_day(
                users, train.times, train.positive_rows(), self.user_num
            )
        if self.config["mask_valid"]:
            test.mask_keys = np.union1d(seen, valid.positive_keys())
        if self.config["valid_in_history"]:
            if self.folder.splits == SPLITS[:2]:
                raise InputError(f"valid_in_history: {self.folder.name} has no test split")
            test.histories = self._histories(train, valid)
        return splits

    def _histories(self, *parts: MMBeeDataset) -> Histories:
        """Histories of the positive rows of parts, in their order where there is no time."""
        users, items = (
            np.concatenate([part.inter_feat[field].numpy() for part in parts])
            for field in (self.uid_field, self.iid_field)
        )
        times = None if self._times is None else np.concatenate([part.times for part in parts])
        kept = np.concatenate([part.positive_rows() for part in parts])
        return Histories(users, items, self.user_num, times=times, kept=kept)

    def training_history(self, rows: Tensor) -> Slices:
        """Histories of training rows (B,) in the configured mode, without the rows themselves."""
        assert self.histories is not None
        users, items = self.inter_feat[self.uid_field][rows], self.inter_feat[self.iid_field][rows]
        if self.history_mode == "daily":
            return self.histories.up_to(users, self.positions_by_day[rows.numpy()], self.max_item_list_len)
        cut = self.histories.before if self.history_mode == "prefix" else self.histories.others
        return cut(users, self.histories.positions[rows.numpy()], self.max_item_list_len, targets=items)

    def add_history(self, batch: Interaction, history: Slices) -> Interaction:
        """Writes `item_id_list`, `item_length` and, with time, `timestamp_list` into a batch.

        RecBole's sequential models and their subclasses index at `item_length - 1`, so their lengths are at least 1: an
        empty history is one padding item.
        """
        ids, lengths, times = history
        batch[self.item_id_list_field] = ids
        batch[self.item_list_length_field] = lengths.clamp(min=1) if self.sequential else lengths
        if times is not None:
            batch[self.time_list_field] = times
        return batch

    def add_whole_history(self, batch: Interaction) -> Interaction:
        """Adds each user's whole training history for evaluation, if the model reads histories."""
        if not self.reads_history or self.histories is None:
            return batch
        return self.add_history(batch, self.histories.all(batch[self.uid_field], self.max_item_list_len))

    def __getitem__(self, index: Any, join: bool = True) -> Interaction:
        return self.add_whole_history(super().__getitem__(index, join))

    def _declare_history_fields(self) -> None:
        length = self.max_item_list_len
        interaction = FeatureSource.INTERACTION
        self.set_field_property(self.item_id_list_field, FeatureType.TOKEN_SEQ, interaction, length)
        self.set_field_property(self.item_list_length_field, FeatureType.TOKEN, interaction, 1)
        self.field2id_token[self.item_id_list_field] = self.field2id_token[self.iid_field]
        if self.ordered:
            self.set_field_property(self.time_list_field, FeatureType.FLOAT_SEQ, interaction, length)
