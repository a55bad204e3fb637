"""RecBole's Dataset on a dataset folder: checked rows, ids for all users and items, and their histories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.utils import FeatureSource, FeatureType, ModelType
from torch import Tensor

from mmbee_plugin.data.folder import DatasetFolder
from mmbee_plugin.data.histories import Histories, Slices
from mmbee_plugin.errors import InputError
from mmbee_plugin.graph.donations import fold_of

FILE_ROW = "row_in_file"
SERVED_TYPES = (ModelType.GENERAL, ModelType.TRADITIONAL, ModelType.CONTEXT, ModelType.SEQUENTIAL)
HISTORY_MODES = ("prefix", "others")
ROW_ORDERS = ("file", "random")


class MMBeeDataset(Dataset):
    """One dataset for all models: the same split, the same histories, the same mask.

    Differences from RecBole's Dataset:

    * the folder is read by DatasetFolder first, so a bad row is an error that names file, line and value;
    * every user and item listed in `.user` and `.item` has an id, with or without interactions;
    * time counts from the earliest interaction, in the file's unit, and is not normalised; rows are ordered
      by the exact time (RecBole rounds it to float32 first), ties and data without time by their order in the
      file;
    * histories come from the training split alone. Of labelled data only the positives are history, edges of
      the interaction matrix, and positives of sampled training or ranking;
    * sequential models get histories by slicing, also on pre-split folders; nothing is augmented.

    Args:
        config: RecBole's Config. Read here, besides RecBole's own `eval_args` and `benchmark_filename` (not
            needed where the folder is pre-split):
            `history`: `prefix`, what came before the target, or `others`, everything but the target; default
            `prefix`, for models that are not RecBole's sequential ones on data without time `others`;
            `MAX_ITEM_LIST_LENGTH`: the newest behaviours kept;
            `row_order`: what stands for time in data without it: `file`, the position in the file, or `random`,
            a permutation drawn from `seed`, a control for files whose order says more than it should;
            `train_newest`: train on the rows with fewer than so many later positives of their user, and with
            one before; all by default;
            `mask_valid`: at test, mask validation items too.

    Attributes:
        folder: the DatasetFolder.
        user_rows, item_rows: (n_users,), (n_items,) int64, RecBole id -> row of the file; -1 for padding.
        ordered: whether there is time.
        labelled: whether rows carry a 0/1 label.
        sequential: whether the model is one of RecBole's sequential ones, or made from one.
        histories: Histories of the training split, the same object on the three splits; None before `build`.
        mask_keys: sorted int64 `user * n_items + item`, the pairs left out of this split's ranking.

    Raises:
        InputError: bad folder or rows, a split part without rows, a model this dataset cannot serve, a
            RecBole cache that would be loaded instead.
    """

    def __init__(self, config: Any) -> None:
        self._refuse(config)
        config.uses_mmbee_dataset = True  # an attribute, not a setting: checkpoints compare settings
        self.folder = DatasetFolder(Path(config["data_path"]))
        self.folder.validate_interactions()
        if config["benchmark_filename"] is not None and len(config["benchmark_filename"]) != 3:
            raise InputError(
                f"benchmark_filename {config['benchmark_filename']}: expected train, valid and test"
            )

        model = config.model_class
        self.sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        self.reads_history = self.sequential or not model.__module__.startswith("recbole.")
        self.row_order = config["row_order"] or "file"
        if self.row_order not in ROW_ORDERS:
            raise InputError(f"row_order {self.row_order!r}: known are {', '.join(ROW_ORDERS)}")
        newest = config["train_newest"]
        if newest is not None and not (isinstance(newest, int) and newest > 0):
            raise InputError(f"train_newest {newest!r}: expected a whole number from 1")
        self.max_item_list_len = config["MAX_ITEM_LIST_LENGTH"]
        self.item_list_length_field = config["ITEM_LIST_LENGTH_FIELD"]
        self.item_id_list_field = config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]
        self.time_list_field = config["TIME_FIELD"] + config["LIST_SUFFIX"]
        self.histories: Histories | None = None
        self.mask_keys: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._times: NDArray[np.float64] | None = None
        super().__init__(config)

        self.ordered = self._times is not None
        self.labelled = self.label_field in self.inter_feat
        self.history_mode = config["history"] or ("prefix" if self.ordered or self.sequential else "others")
        if self.history_mode not in HISTORY_MODES:
            raise InputError(f"history {self.history_mode!r}: known are {', '.join(HISTORY_MODES)}")
        if self.ordered and self.row_order == "random":
            raise InputError(f"row_order random: {self.folder.name} has time, which orders its rows")
        self.user_rows = _file_rows(self.field2id_token[self.uid_field], self.folder.user_tokens)
        self.item_rows = _file_rows(self.field2id_token[self.iid_field], self.folder.item_tokens)
        if self.reads_history:
            self._declare_history_fields()

    def build(self) -> list[MMBeeDataset]:
        """Splits, and gives each part the training histories.

        Returns:
            train, valid, test; the training rows in file order.

        Raises:
            InputError: a part that was asked for has no rows.
        """
        splits = super().build()
        self.inter_feat.drop(FILE_ROW)
        train, valid, test = splits
        self._check_parts(splits)
        train.inter_feat._reindex(torch.argsort(train.inter_feat[FILE_ROW], stable=True))
        file_rows = train.inter_feat[FILE_ROW].numpy()
        for split in splits:
            split.inter_feat.drop(FILE_ROW)

        histories = Histories(
            train.inter_feat[self.uid_field].numpy(),
            train.inter_feat[self.iid_field].numpy(),
            self.user_num,
            times=None if self._times is None else self._times[file_rows],
            kept=train.positive_rows(),
        )
        seen = train.positive_keys()
        for split in (self, *splits):
            split.histories, split.mask_keys = histories, seen
        if self.config["mask_valid"]:
            test.mask_keys = np.union1d(seen, valid.positive_keys())
        return splits

    def positive_rows(self) -> NDArray[np.bool_]:
        """(rows,) bool: label 1, or every row of data without labels."""
        if not self.labelled:
            return np.ones(len(self.inter_feat), dtype=bool)
        return self.inter_feat[self.label_field].numpy() > 0

    def positive_keys(self) -> NDArray[np.int64]:
        """Sorted distinct `user * n_items + item` of the positive rows."""
        kept = self.positive_rows()
        users = self.inter_feat[self.uid_field].numpy()[kept]
        return np.unique(users * self.item_num + self.inter_feat[self.iid_field].numpy()[kept])

    def training_history(self, rows: Tensor) -> Slices:
        """Histories of training rows (B,), without the rows' own items, by the configured mode."""
        assert self.histories is not None
        users, items = self.inter_feat[self.uid_field][rows], self.inter_feat[self.iid_field][rows]
        cut = self.histories.before if self.history_mode == "prefix" else self.histories.others
        return cut(users, self.histories.positions[rows.numpy()], self.max_item_list_len, targets=items)

    def later_gifts(self) -> NDArray[np.int64]:
        """(rows,) how many of the user's training positives come after each row; for the training split."""
        assert self.histories is not None
        users = self.inter_feat[self.uid_field].numpy()
        return np.diff(self.histories.indptr)[users] - self.histories.positions - self.positive_rows()

    def folds(self) -> NDArray[np.int64] | None:
        """(rows,) the cross-fitting fold of each training row, as the model's graph settings deal them.

        -1 for a row that no fold holds, None where nothing is cross-fitted.
        """
        reads_graph = self.config["interest"] not in (None, "none") and self.config["metapaths"]
        settings = (self.config["graph"] or {}) if reads_graph else {}
        folds = settings.get("folds")
        if not folds:
            return None
        if settings.get("fold_by") == "order":
            return np.where(self._newest(folds), self.later_gifts(), -1)
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

    def add_history(self, batch: Interaction, history: Slices) -> Interaction:
        """Writes `item_id_list`, `item_length` and, with time, `timestamp_list` into a batch.

        Sequential models of RecBole, and classes made from them, index at `item_length - 1`: theirs is at
        least 1, an empty history is one padding item.
        """
        ids, lengths, times = history
        batch[self.item_id_list_field] = ids
        batch[self.item_list_length_field] = lengths.clamp(min=1) if self.sequential else lengths
        if times is not None:
            batch[self.time_list_field] = times
        return batch

    def add_whole_history(self, batch: Interaction) -> Interaction:
        """Adds each user's whole training history, where the model reads one: what evaluation sees."""
        if not self.reads_history or self.histories is None:
            return batch
        return self.add_history(batch, self.histories.all(batch[self.uid_field], self.max_item_list_len))

    def __getitem__(self, index: Any, join: bool = True) -> Interaction:
        return self.add_whole_history(super().__getitem__(index, join))

    def inter_matrix(self, form: str = "coo", value_field: str | None = None) -> Any:
        """RecBole's (n_users, n_items) sparse matrix; of labelled data the positive rows only."""
        positives = Interaction(
            {
                name: column[torch.from_numpy(self.positive_rows())]
                for name, column in self.inter_feat.interaction.items()
            }
        )
        return self._create_sparse_matrix(positives, self.uid_field, self.iid_field, form, value_field)

    def sort(self, by: Any, ascending: Any = True) -> None:
        """RecBole's sort; by time on data without time it keeps the order of the file."""
        if by == self.time_field and self._times is None:
            return
        super().sort(by, ascending)

    def _get_load_and_unload_col(self, source: Any) -> tuple[set[str] | None, set[str] | None]:
        chosen, left_out = super()._get_load_and_unload_col(source)
        if chosen is None:
            return chosen, left_out
        columns = {self.uid_field, self.iid_field, self.time_field, self.label_field}
        needed = {
            FeatureSource.INTERACTION: columns | set(self.config["threshold"] or {}),
            FeatureSource.USER: {self.uid_field},
            FeatureSource.ITEM: {self.iid_field},
        }
        return chosen | needed.get(source, set()), left_out

    def _get_preset(self) -> None:
        super()._get_preset()
        self.benchmark_filename_list: list[str] | None = self.config["benchmark_filename"]
        if self.benchmark_filename_list is None and self.folder.splits:
            self.benchmark_filename_list = list(self.folder.splits)

    def _normalize(self) -> None:
        """Counts time exactly, from the earliest interaction, and leaves it out of `normalize_all`."""
        if self.time_field in self.inter_feat:
            stamps = self.inter_feat[self.time_field].to_numpy(dtype=np.float64)
            self._times = stamps - stamps.min()
        super()._normalize()
        if self._times is not None:
            self.inter_feat[self.time_field] = self._times

    def _change_feat_format(self) -> None:
        super()._change_feat_format()
        rows = np.arange(len(self.inter_feat))
        if self.row_order == "random":
            rows = np.random.default_rng(self.config["seed"]).permutation(rows)
        self.inter_feat[FILE_ROW] = torch.from_numpy(rows)
        ordered_by_time = self.config["eval_args"]["order"] == "TO" and self.benchmark_filename_list is None
        if ordered_by_time and self._times is not None:
            self.inter_feat._reindex(torch.from_numpy(np.argsort(self._times, kind="stable")))

    def _newest(self, count: int) -> NDArray[np.bool_]:
        """(rows,) bool: rows with fewer than `count` later positives of their user, and with one before."""
        assert self.histories is not None
        return (self.later_gifts() < count) & (self.histories.positions > 0)

    def _declare_history_fields(self) -> None:
        length = self.max_item_list_len
        interaction = FeatureSource.INTERACTION
        self.set_field_property(self.item_id_list_field, FeatureType.TOKEN_SEQ, interaction, length)
        self.set_field_property(self.item_list_length_field, FeatureType.TOKEN, interaction, 1)
        self.field2id_token[self.item_id_list_field] = self.field2id_token[self.iid_field]
        if self.ordered:
            self.set_field_property(self.time_list_field, FeatureType.FLOAT_SEQ, interaction, length)

    def _check_parts(self, splits: list[MMBeeDataset]) -> None:
        asked = [True, True, True]
        split = self.config["eval_args"]["split"]
        if self.benchmark_filename_list is None and "RS" in split:
            asked = [ratio > 0 for ratio in split["RS"]]
        elif self.benchmark_filename_list is None and "LS" in split:
            asked = [True, split["LS"] != "test_only", split["LS"] != "valid_only"]
        for name, part, needed in zip(("training", "validation", "test"), splits, asked, strict=True):
            if needed and len(part.inter_feat) == 0:
                raise InputError(
                    f"{self.folder.name}: {len(self.inter_feat)} interactions leave no {name} rows "
                    f"under split {split}; more interactions or another eval_args.split are needed"
                )
        if not splits[0].positive_rows().any():
            raise InputError(
                f"{self.folder.name}: no training row has label 1; check threshold {self.config['threshold']}"
            )

    @staticmethod
    def _refuse(config: Any) -> None:
        if config["MODEL_TYPE"] not in SERVED_TYPES:
            raise InputError(
                f"model {config['model']}: knowledge and tree models need RecBole's own dataset classes"
            )
        for key in ("save_dataset", "save_dataloaders"):
            if config[key]:
                raise InputError(
                    f"{key}: not supported, RecBole's caches do not know this dataset's settings"
                )
        for cache in (
            config["dataset_save_path"],
            config["dataloaders_save_path"],
            f"{config['checkpoint_dir']}/{config['dataset']}-for-{config['model']}-dataloader.pth",
        ):
            if cache and Path(cache).exists():
                raise InputError(f"{cache}: RecBole would load this cache instead of the data; move it away")


def _file_rows(id_tokens: NDArray, file_tokens: Any) -> NDArray[np.int64]:
    """(ids,) row of each token in the file, -1 for the padding id 0 and for unknown tokens."""
    rows = pd.Index(np.asarray(file_tokens, dtype=object)).get_indexer(id_tokens.astype(object))
    rows[0] = -1
    return rows.astype(np.int64)
